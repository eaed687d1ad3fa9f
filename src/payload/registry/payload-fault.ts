/** What is wrong with one payload. The route's `onInvalid` decides what becomes of the message. */
export class PayloadFault extends Error {
  /** In words, with the place: 'readings[3].t: expected a double, found "warm"'. Holds a short piece of the payload at most. */
  constructor(reason: string) {
    super(reason);
    this.name = 'PayloadFault';
  }
}

const SHOWN_MAX = 60;

/** A value as it may stand in a reason: short, on one line. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  let text: string;
  try {
    text = JSON.stringify(value) ?? typeof value;
  } catch {
    text = typeof value;
  }
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text;
}
