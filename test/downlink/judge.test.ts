import { expect, it } from 'vitest';
import { judge } from './judge.ts';

const sent = new Map([['a', 3]]);
const verdict = (...numbers: number[]) => judge(new Map([['a', numbers]]), sent);

it('the judge finds what is missing, out of order, strange and repeated', () => {
  expect(verdict(0, 1, 2)).toEqual({ missing: 0, disordered: [], strange: 0, duplicates: 0 });
  expect(verdict(0, 1, 0, 1, 2)).toMatchObject({ missing: 0, disordered: [], duplicates: 2 });
  expect(verdict(0, 2)).toMatchObject({ missing: 1 });
  expect(verdict(0, 2, 1)).toMatchObject({ missing: 0, disordered: ['a'] });
  expect(verdict(0, 1, 2, 3, NaN)).toMatchObject({ strange: 2 });
  expect(judge(new Map([['b', []]]), sent)).toMatchObject({ missing: 3, strange: 1 });
});
