/** Time as the forward side knows it: monotonic, so that a wall clock that jumps moves neither lease nor retry. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  setTimeout(run: () => void, delayMs: number): TimerHandle;
  clearTimeout(handle: TimerHandle | undefined): void;
  /** Runs after what is being done now, and after I/O that is ready. */
  setImmediate(run: () => void): void;
}

/** What setTimeout gave; only for clearTimeout. */
export type TimerHandle = object;

export const systemClock: Clock = {
  now: () => performance.now(),
  setTimeout: (run, delayMs) => setTimeout(run, delayMs),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout | undefined),
  setImmediate: (run) => void setImmediate(run),
};

/** Delay before try number `attempt` (from 1): doubling from minMs to maxMs, of which the upper half is random. */
export function backoffMs(attempt: number, minMs: number, maxMs: number, random: () => number): number {
  const wholeMs = Math.min(maxMs, minMs * 2 ** Math.min(attempt - 1, 30));
  return wholeMs / 2 + (wholeMs / 2) * random();
}
