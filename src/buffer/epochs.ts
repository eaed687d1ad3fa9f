/**
 * Log epochs: which log id names which offsets of a shard. A new one begins wherever the log may have lost its end (it was
 * restored, emptied, rolled back), so that an offset that is taken a second time never makes the same `sluice-id` again.
 */
import { randomBytes } from 'node:crypto';
import { LOG_ID_BYTES } from './frame.ts';
import type { LogEpoch, OffsetRange } from './store.ts';

export function newLogId(): string {
  return randomBytes(LOG_ID_BYTES).toString('base64url');
}

/**
 * A new epoch behind `head`. An epoch that names no offset yet goes: this copy of the log knows nothing under it, but the
 * copy that was lost may have used it, so it is not used on.
 */
export function beginEpoch(epochs: readonly LogEpoch[], head: number, logId = newLogId()): LogEpoch[] {
  return [...epochs.filter((epoch) => epoch.from <= head), { logId, from: head + 1 }];
}

/** Without the epochs all of whose offsets are below `trimmed`; the last one stays. */
export function pruneEpochs(epochs: readonly LogEpoch[], trimmed: number): LogEpoch[] {
  return epochs.filter((_, index) => {
    const next = epochs[index + 1];
    return next === undefined || next.from > trimmed;
  });
}

/** How a log stands, as far as its identity goes. */
export interface LogIdentity {
  /** The log id it was created with: another one, another log. */
  readonly origin: string;
  readonly epochs: readonly LogEpoch[];
  /** Its head as it was found, before anything was put right. */
  readonly head: number;
}

/**
 * What of the offsets up to `seen` is gone from the log, or means other messages now: offsets beyond its head, and those
 * that an epoch names which was not known when they were seen. undefined: everything that was seen is still there.
 */
export function lostOffsets(known: LogIdentity | undefined, now: LogIdentity, seen: number): OffsetRange | undefined {
  if (seen === 0) return undefined;
  if (known !== undefined && known.origin !== now.origin) return { from: 1, to: seen };
  const ids = new Set(known?.epochs.map((epoch) => epoch.logId));
  let from = now.head < seen ? now.head + 1 : Infinity;
  for (const epoch of now.epochs) {
    if (known !== undefined && !ids.has(epoch.logId) && epoch.from <= seen) from = Math.min(from, epoch.from);
  }
  return from <= seen ? { from, to: seen } : undefined;
}
