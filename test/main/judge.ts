import { expect } from 'vitest';
import { Checker, summary, type DeviceLog, type Verdict } from '../faults/checker.ts';
import { consumeEach, type Consumed } from '../support/kcat.ts';

/** Reads the topic with kcat and judges it: nothing lost, invented, out of order or changed. */
export async function judge(
  brokers: readonly string[],
  topic: string,
  logs: readonly DeviceLog[],
  each?: (record: Consumed) => void,
): Promise<Verdict> {
  const checker = new Checker(logs);
  await consumeEach([...brokers], topic, (record) => {
    checker.add(record);
    each?.(record);
  });
  const verdict = checker.verdict();
  expect(
    {
      lost: verdict.lost.slice(0, 5),
      phantom: verdict.phantom.slice(0, 5),
      reordered: verdict.reordered.slice(0, 5),
      corrupt: verdict.corrupt.slice(0, 5),
      idsUsedTwice: verdict.idsUsedTwice.slice(0, 5),
    },
    summary(verdict),
  ).toEqual({ lost: [], phantom: [], reordered: [], corrupt: [], idsUsedTwice: [] });
  return verdict;
}
