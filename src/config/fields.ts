/**
 * The kinds of fields that sluice.yaml is made of. A field is declared once: its type, its bounds, its default, its
 * sentence for the reference. Everything else (types, JSON Schema, reference, environment variables, messages) follows.
 *
 * `patternErrorMessage` says in words what a pattern means: editors show it, and so do our own messages.
 */
import { z } from 'zod';

/** A time as the schema yields it; resolve() turns the field `x` into the number `xMs`. */
export class Duration {
  readonly ms: number;
  constructor(ms: number) {
    this.ms = ms;
  }
}

/** A size as the schema yields it; resolve() turns the field into a number of bytes. */
export class Size {
  readonly bytes: number;
  constructor(bytes: number) {
    this.bytes = bytes;
  }
}

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const sizeUnits: Readonly<Record<string, number>> = { B: 1, KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30, TB: 2 ** 40 };
const durationPattern = /^(\d{1,15}(?:\.\d{1,6})?)(ms|s|m|h|d)$/;
const sizePattern = /^(\d{1,15}(?:\.\d{1,6})?)(B|KB|MB|GB|TB)$/;

export const durationWords = 'a duration with its unit: 500ms, 10s, 5m, 1h or 1d';
export const sizeWords = 'a size: 256KB, 64MB, 10GB (1KB = 1024 bytes), or a whole number of bytes';

export function parseDuration(text: string): number | undefined {
  const match = durationPattern.exec(text);
  return match ? Math.round(Number(match[1]) * (durationUnits[match[2] ?? ''] ?? NaN)) : undefined;
}

export function parseSize(value: string | number): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  const match = sizePattern.exec(value);
  const bytes = match ? Math.round(Number(match[1]) * (sizeUnits[match[2] ?? ''] ?? NaN)) : NaN;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The shortest text that parses back to the same number. */
export function formatDuration(ms: number): string {
  const unit =
    (['d', 'h', 'm', 's'] as const).find((name) => ms > 0 && ms % (durationUnits[name] ?? NaN) === 0) ?? 'ms';
  return `${ms / (durationUnits[unit] ?? 1)}${unit}`;
}

export function formatSize(bytes: number): string {
  const unit = (['TB', 'GB', 'MB', 'KB'] as const).find((name) => bytes > 0 && bytes % (sizeUnits[name] ?? NaN) === 0);
  return `${bytes / (sizeUnits[unit ?? 'B'] ?? 1)}${unit ?? 'B'}`;
}

/** What a check outside zod's own vocabulary found; problems.ts turns it into a problem with a way out. */
export function fault(
  context: { addIssue(issue: { code: 'custom'; message: string; params: { wayOut: string } }): void },
  message: string,
  wayOut: string,
): void {
  context.addIssue({ code: 'custom', message, params: { wayOut } });
}

interface Bounds {
  readonly min: string;
  readonly max: string;
}

function durationOf({ min, max }: Bounds, example: string) {
  return z
    .string()
    .regex(durationPattern)
    .meta({ patternErrorMessage: durationWords })
    .transform((text, context) => {
      const ms = parseDuration(text) ?? NaN;
      if (!(ms >= (parseDuration(min) ?? NaN) && ms <= (parseDuration(max) ?? NaN))) {
        fault(
          context,
          `expected a duration from ${min} to ${max}`,
          `write ${example}, or a value from ${min} to ${max}`,
        );
      }
      return new Duration(ms);
    });
}

export function duration(standard: string, description: string, { min, max }: Bounds) {
  return durationOf({ min, max }, `${standard}, the default`)
    .prefault(standard)
    .meta({ description: `${description} From ${min} to ${max}.` });
}

export function optionalDuration(example: string, description: string, { min, max }: Bounds) {
  return durationOf({ min, max }, example)
    .optional()
    .meta({ patternErrorMessage: durationWords, description: `${description} From ${min} to ${max}.` });
}

function sizeOf({ min, max }: Bounds) {
  return z
    .union([
      z.int().min(0).max(Number.MAX_SAFE_INTEGER),
      z.string().regex(sizePattern).meta({ patternErrorMessage: sizeWords }),
    ])
    .transform((value, context) => {
      const bytes = parseSize(value) ?? NaN;
      if (!(bytes >= (parseSize(min) ?? NaN) && bytes <= (parseSize(max) ?? NaN))) {
        fault(context, `expected a size from ${min} to ${max}`, `write a size with its unit from ${min} to ${max}`);
      }
      return new Size(bytes);
    })
    .meta({ patternErrorMessage: sizeWords });
}

export function size(standard: string, description: string, bounds: Bounds) {
  const range = `From ${bounds.min} to ${bounds.max}.`;
  return sizeOf(bounds)
    .prefault(standard)
    .meta({ description: `${description} ${range}` });
}

/** A size whose default depends on other fields; the description says how. */
export function optionalSize(description: string, bounds: Bounds) {
  const range = `From ${bounds.min} to ${bounds.max}.`;
  return sizeOf(bounds)
    .optional()
    .meta({ description: `${description} ${range}` });
}

export function integer(standard: number, description: string, min: number, max: number) {
  return z.int().min(min).max(max).default(standard).meta({ description });
}

export function flag(standard: boolean, description: string) {
  return z.boolean().default(standard).meta({ description });
}

/** A non-empty text. `words` says what the pattern asks for, as in "expected …". */
export function matching(pattern: RegExp, words: string) {
  return z.string().regex(pattern).meta({ patternErrorMessage: words });
}

/** A path; relative ones count from the folder of the configuration file. */
export function filePath() {
  return matching(/^[^\0]+$/, 'the path of a file').meta({
    patternErrorMessage: 'the path of a file',
    format: 'file-path',
  });
}

/** A text that is never shown: not in messages, not by `sluice check`. JSON Schema calls that writeOnly. */
export function secret(words: string) {
  return z.string().min(1).meta({ writeOnly: true, patternErrorMessage: words });
}
