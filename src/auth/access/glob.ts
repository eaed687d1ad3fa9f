/** `*` for any text, also none; `?` for one character. Takes time in proportion to both lengths, whatever the text is. */
export function matchesGlob(glob: string, text: string): boolean {
  let at = 0;
  let star = -1;
  let starText = 0;
  let index = 0;
  while (index < text.length) {
    const sign = glob[at];
    if (sign === '*') {
      star = at++;
      starText = index;
    } else if (sign === '?' || (sign !== undefined && sign === text[index])) {
      at++;
      index++;
    } else if (star >= 0) {
      // The last star takes one character more.
      at = star + 1;
      index = ++starText;
    } else {
      return false;
    }
  }
  while (glob[at] === '*') at++;
  return at === glob.length;
}
