/** A seeded generator for randomized tests (mulberry32): a failure prints the seed, SEED=… repeats it. */
export interface Random {
  readonly seed: number;
  /** 0 <= x < 1 */
  next(): number;
  /** 0 <= x < below, whole */
  int(below: number): number;
  pick<T>(items: readonly T[]): T;
}

export function randomFrom(seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 0xffffffff))): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const int = (below: number): number => Math.floor(next() * below);
  return { seed, next, int, pick: (items) => items[int(items.length)]! };
}
