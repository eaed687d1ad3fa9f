/** One line that is rewritten, on a terminal; elsewhere a line per step and nothing in between. */
export function progressLine(stream) {
  const live = stream.isTTY === true;
  let label = '';
  const clear = () => {
    if (live) stream.write('\r\u001b[K');
  };
  return {
    /** A step begins. @param {string} text */
    step(text) {
      label = text;
      if (live) this.update('');
      else stream.write(`${text}\n`);
    },
    /** @param {string} text */
    update(text) {
      if (!live) return;
      clear();
      stream.write(`${label}  ${text}`.slice(0, (stream.columns ?? 80) - 1));
    },
    clear,
  };
}
