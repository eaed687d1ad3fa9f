import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { batchBytes, encodeBatch, NO_PRODUCER, stampBatch } from '../../src/kafka/batch.ts';
import { codecFor } from '../../src/kafka/compression.ts';
import { randomFrom } from '../support/random.ts';
import { decodeBatch } from './support/record-batch.ts';
import { slicesOf, type PlainRecord } from './support/records.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

function randomRecords(count: number, random = randomFrom()): PlainRecord[] {
  return Array.from({ length: count }, () => ({
    key: random.pick([null, '', 'device-1', Buffer.from([0, 255])]),
    value: random.pick([null, '', 'x'.repeat(random.int(300)), Buffer.alloc(random.int(1_000), 1)]),
    headers: Array.from({ length: random.int(4) }, (): [string, string | null] => [
      'name',
      random.pick([null, 'text']),
    ]),
    timestamp: 1_700_000_000_000 + random.pick([0, 1, -HOUR, HOUR, 60 * DAY, -60 * DAY]),
  }));
}

const asBytes = (field: PlainRecord['key']): Buffer | null =>
  field === null || field === undefined ? null : Buffer.from(field as string);

describe('encodeBatch', () => {
  it('writes what the protocol describes: records, deltas, counts, times', () => {
    const random = randomFrom();
    for (const count of [1, 2, 63, 64, 65, 1_000]) {
      const records = randomRecords(count, random);
      const slices = slicesOf(records);
      const batch = encodeBatch(slices, 0, count);
      stampBatch(batch, NO_PRODUCER);
      const decoded = decodeBatch(batch);
      const times = records.map(({ timestamp }) => timestamp ?? 0);
      expect(decoded, `seed ${random.seed}`).toMatchObject({
        crcMatches: true,
        attributes: 0,
        lastOffsetDelta: count - 1,
        baseTimestamp: times[0],
        maxTimestamp: Math.max(...times),
        producerId: -1n,
        producerEpoch: -1,
        baseSequence: -1,
      });
      expect(decoded.records.map(({ timestamp }) => timestamp)).toEqual(times);
      expect(decoded.records.map(({ key }) => key)).toEqual(records.map(({ key }) => asBytes(key)));
      expect(decoded.records.map(({ value }) => value)).toEqual(records.map(({ value }) => asBytes(value)));
      expect(decoded.records.map(({ headers }) => headers)).toEqual(
        records.map(({ headers = [] }) => headers.map(([name, text]) => [name, asBytes(text)])),
      );
      expect(batch.readBigInt64BE(0)).toBe(0n);
      expect(batch.readInt32BE(12)).toBe(-1);
      expect(batchBytes(slices, 0, count)).toBeGreaterThanOrEqual(batch.length);
      expect(batchBytes(slices, 0, count)).toBeLessThan(batch.length + 8 * count + 1);
    }
  });

  it('takes a part of the records', () => {
    const batch = encodeBatch(slicesOf([{ value: 'a' }, { value: 'b' }, { value: 'c' }, { value: 'd' }]), 1, 3);
    stampBatch(batch, NO_PRODUCER);
    expect(decodeBatch(batch).records.map(({ value }) => String(value))).toEqual(['b', 'c']);
  });

  it('refuses an empty run', () => {
    expect(() => encodeBatch(slicesOf([{ value: 'a' }]), 1, 1)).toThrow(RangeError);
  });

  it('compresses the records and says so, unless that makes them larger', () => {
    const gzip = codecFor('gzip');
    const alike = encodeBatch(slicesOf(Array.from({ length: 100 }, () => ({ value: 'the same' }))), 0, 100, gzip);
    stampBatch(alike, NO_PRODUCER);
    const decoded = decodeBatch(alike, gunzipSync);
    expect(decoded).toMatchObject({ crcMatches: true, attributes: 1 });
    expect(decoded.records).toHaveLength(100);
    expect(alike.length).toBeLessThan(500);

    const single = encodeBatch(slicesOf([{ value: 'short' }]), 0, 1, gzip);
    stampBatch(single, NO_PRODUCER);
    expect(decodeBatch(single)).toMatchObject({ crcMatches: true, attributes: 0 });
  });
});

describe('stampBatch', () => {
  it('changes producer, epoch and sequence of an encoded batch, and the checksum with them', () => {
    const batch = encodeBatch(slicesOf([{ key: 'k', value: 'v' }]), 0, 1);
    for (const stamp of [
      { producerId: 7n, producerEpoch: 0, baseSequence: 0 },
      { producerId: 2n ** 40n, producerEpoch: 32_767, baseSequence: 2 ** 31 - 1 },
      NO_PRODUCER,
    ]) {
      stampBatch(batch, stamp);
      expect(decodeBatch(batch)).toMatchObject({ crcMatches: true, ...stamp });
    }
    batch[batch.length - 1]! ^= 1;
    expect(decodeBatch(batch).crcMatches).toBe(false);
  });
});
