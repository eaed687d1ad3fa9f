/** What a user may be called, whoever says so: it goes into logs, records and templates. */

const BYTES_MAX = 1_024;

/** What is wrong with it; undefined: nothing. */
export function userNameFault(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (Buffer.byteLength(name) > BYTES_MAX) return `is longer than ${BYTES_MAX} bytes`;
  // They would forge log lines; U+FFFD is what is left of bytes that were no UTF-8.
  if (/[\p{Cc}\p{Cs}\u2028\u2029\uFFFD]/u.test(name)) return 'holds control characters, or is not well-formed';
  return undefined;
}
