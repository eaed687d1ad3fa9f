import { describe, expect, it } from 'vitest';
import { OffsetTracker, type TakenOffset } from '../../src/downlink/offsets.ts';
import { randomFrom } from '../support/random.ts';

describe('the offsets of a partition', () => {
  it('may be committed up to the first record that is not settled', () => {
    const offsets = new OffsetTracker();
    const [a, b, c] = [5, 6, 9].map((offset) => offsets.take(offset)!);
    expect(offsets.next).toBeUndefined();
    offsets.settle(b!);
    expect(offsets.next).toBeUndefined();
    offsets.settle(a!);
    expect(offsets.next).toBe(7);
    offsets.settle(c!);
    expect(offsets.next).toBe(10);
    expect(offsets.open).toBe(0);
  });

  it('that come again are not taken again', () => {
    const offsets = new OffsetTracker();
    offsets.take(5);
    expect(offsets.take(5)).toBeUndefined();
    expect(offsets.take(4)).toBeUndefined();
    expect(offsets.open).toBe(1);
  });

  it('are, in any order of settling, those of the longest settled run from the beginning', () => {
    const random = randomFrom();
    for (let round = 0; round < 300; round++) {
      const offsets = new OffsetTracker();
      const taken: TakenOffset[] = [];
      const settled = new Set<TakenOffset>();
      let offset = random.int(1_000);
      const steps = 1 + random.int(round === 0 ? 5_000 : 100);
      for (let step = 0; step < steps; step++) {
        if (random.int(2) === 0) {
          offset += 1 + (random.int(5) === 0 ? random.int(50) : 0);
          taken.push(offsets.take(offset)!);
        } else {
          const open = taken.filter((each) => !settled.has(each)).slice(0, 20);
          if (open.length === 0) continue;
          const chosen = random.pick(open);
          settled.add(chosen);
          offsets.settle(chosen);
        }
        // By the definition, without any state.
        const firstOpen = taken.findIndex((each) => !settled.has(each));
        const run = firstOpen < 0 ? taken.length : firstOpen;
        const expected = run === 0 ? undefined : taken[run - 1]!.offset + 1;
        if (offsets.next !== expected || offsets.open !== taken.length - run)
          throw new Error(`seed ${random.seed}: next ${offsets.next}, expected ${expected}, open ${offsets.open}`);
      }
    }
  });
});
