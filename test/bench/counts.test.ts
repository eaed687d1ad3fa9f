import { describe, expect, it } from 'vitest';
import { checkCounts, checkLedger } from '../../bench/counts.mjs';
import { Tally } from '../../bench/tally.mjs';

const sent = { published: 5, acknowledged: 5, acknowledgedBy: [3, 2], faults: [] };

/** What a consumer makes of records, given as [publisher, sequence]. */
function received(...records: [publisher: number, sequence: number][]) {
  const tally = new Tally();
  for (const [publisher, sequence] of records) tally.record(publisher, sequence);
  return { ...tally.totals(), faults: [] };
}

const all: [number, number][] = [
  [0, 0],
  [1, 0],
  [0, 1],
  [0, 2],
  [1, 1],
];

describe('the check of counts', () => {
  it('finds nothing wrong where every acknowledged message came out once and in order', () => {
    expect(checkCounts(sent, received(...all))).toEqual([]);
  });

  it('fails when the count of acknowledged messages is altered', () => {
    expect(checkCounts({ ...sent, acknowledged: 6 }, received(...all))).toEqual([
      'published 5, acknowledged 6',
      'publishers count 5 acknowledged, together 6',
    ]);
    expect(checkCounts({ ...sent, published: 6, acknowledged: 6, acknowledgedBy: [3, 3] }, received(...all))).toEqual([
      'publisher 1: acknowledged 3, in Kafka 2',
    ]);
  });

  it('fails when a message of one publisher makes up for a lost one of another', () => {
    const swapped = received([0, 0], [0, 1], [0, 2], [0, 3], [1, 0]);
    expect(swapped.records).toBe(sent.acknowledged);
    expect(checkCounts(sent, swapped)).toEqual([
      'publisher 0: acknowledged 3, in Kafka 4',
      'publisher 1: acknowledged 2, in Kafka 1',
    ]);
  });

  it('fails when a duplicate makes up for a lost message', () => {
    const wrong = checkCounts(sent, received([0, 0], [0, 0], [0, 2], [1, 0], [1, 1]));
    expect(wrong).toEqual(['publisher 0: acknowledged 3, in Kafka 2', '1 duplicates in Kafka', '1 missing in Kafka']);
  });

  it('fails when messages change places', () => {
    expect(checkCounts(sent, received([0, 1], [0, 0], [0, 2], [1, 0], [1, 1]))).toEqual(['1 reordered in Kafka']);
  });

  it('fails when nothing was acknowledged, and passes on what went wrong on the way', () => {
    const nothing = { published: 0, acknowledged: 0, acknowledgedBy: [], faults: ['closed'] };
    expect(checkCounts(nothing, undefined)).toEqual(['closed', 'nothing was acknowledged']);
  });

  it('compares the ledger with what was acknowledged, and with what the sink took', () => {
    expect(checkLedger(5, { accepted: 5, delivered: 5, taken: 5 })).toEqual([]);
    expect(checkLedger(5, { accepted: 5, delivered: 5, taken: undefined })).toEqual([]);
    expect(checkLedger(6, { accepted: 5, delivered: 4, taken: 3 })).toHaveLength(3);
  });
});
