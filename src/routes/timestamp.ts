/** The time of a record where a message brings its own. */

export const timestampUnits = ['s', 'ms', 'us', 'ns', 'iso'] as const;
/** `iso`: a date and time as ISO 8601 has it; the others count from 1970. */
export type TimestampUnit = (typeof timestampUnits)[number];

const perMillisecond: Readonly<Record<Exclude<TimestampUnit, 'iso'>, number>> = { s: 0.001, ms: 1, us: 1e3, ns: 1e6 };

/** The end of the year 9999: beyond, texts of dates have more digits, and so do mistakes in the unit. */
const LATEST_MS = 253_402_300_799_999;

/** Milliseconds since the epoch; undefined: the text is no such time. */
export function timeOf(text: string, unit: TimestampUnit): number | undefined {
  const isText = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?$/;
  const isNumber = /^\d{1,20}(?:\.\d{1,12})?$/;
  let ms: number;
  if (unit === 'iso') ms = isText.test(text) ? Date.parse(text) : NaN;
  else ms = isNumber.test(text) ? Math.floor(Number(text) / perMillisecond[unit]) : NaN;
  return ms >= 0 && ms <= LATEST_MS ? ms : undefined;
}
