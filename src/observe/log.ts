import { pino, type Logger } from 'pino';
import pretty from 'pino-pretty';

export type { Logger } from 'pino';

export interface LogOptions {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
  /** auto: pretty on a terminal, else one JSON object a line. */
  readonly format: 'auto' | 'json' | 'pretty';
}

/**
 * sluice's own log, on standard error, so that standard output stays for what a command prints. Every line has an `event`
 * with a stable name; what varies is in fields. NO_COLOR is honoured (https://no-color.org).
 */
export function createLog(options: LogOptions): Logger {
  const stream = process.stderr;
  const asText = options.format === 'pretty' || (options.format === 'auto' && stream.isTTY === true);
  const base = { level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (!asText) return pino(base, pino.destination({ fd: 2, sync: true }));
  const colorize = stream.isTTY === true && (process.env['NO_COLOR'] ?? '') === '';
  return pino(base, pretty({ colorize, destination: 2, sync: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'event' }));
}

/** A storm is one line and a count: `allow(key)` is true for the first of a key in each window. */
export class LogSampler {
  readonly #windowMs: number;
  readonly #seen = new Map<string, { since: number; suppressed: number }>();

  constructor(windowMs = 10_000) {
    this.#windowMs = windowMs;
  }

  /** undefined: keep quiet. Else how many of the key were kept quiet since the last line. */
  take(key: string, now = performance.now()): number | undefined {
    const entry = this.#seen.get(key);
    if (entry !== undefined && now - entry.since < this.#windowMs) {
      entry.suppressed++;
      return undefined;
    }
    // Keys come from clients in part: the map is emptied rather than grown without bound.
    if (this.#seen.size > 1_000) this.#seen.clear();
    this.#seen.set(key, { since: now, suppressed: 0 });
    return entry?.suppressed ?? 0;
  }
}
