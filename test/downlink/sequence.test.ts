import { expect, it } from 'vitest';
import { Sequence } from '../../src/downlink/sequence.ts';
import { eventually } from '../support/eventually.ts';
import { randomFrom } from '../support/random.ts';

it('work of one name is done in its order, whichever of its names it shares, and other work beside it', async () => {
  const random = randomFrom();
  const sequence = new Sequence();
  const begun: number[] = [];
  const open: { index: number; names: string[]; end: () => void }[] = [];
  const works = Array.from({ length: 200 }, (_, index) => ({
    index,
    names: [`k${random.int(8)}`, `t${random.int(12)}`],
  }));
  for (const { index, names } of works) {
    sequence.run(names, () => {
      begun.push(index);
      return new Promise((end) => open.push({ index, names, end }));
    });
  }
  let most = 0;
  await eventually(() => {
    most = Math.max(most, open.length);
    const taken = new Set<string>();
    for (const { names } of open) {
      for (const name of names) {
        if (taken.has(name)) throw new Error(`seed ${random.seed}: two of ${name} at a time`);
        taken.add(name);
      }
    }
    if (open.length > 0) open.splice(random.int(open.length), 1)[0]!.end();
    return begun.length === works.length && open.length === 0;
  }, 20_000);
  expect(most).toBeGreaterThan(1);
  for (const name of new Set(works.flatMap(({ names }) => names))) {
    const ofName = begun.filter((index) => works[index]!.names.includes(name));
    expect(ofName, `seed ${random.seed}`).toEqual(ofName.toSorted((a, b) => a - b));
  }
  await eventually(() => sequence.size === 0);
});
