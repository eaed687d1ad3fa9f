import { describe, expect, it } from 'vitest';
import { crc32c } from '@node-rs/crc32';
import { readBatches } from '../../../bench/kafka/record-batches.mjs';

/** One byte of zigzag: values below 64 only. */
const small = (value: number) => value << 1;

/** A batch of format v2 as its specification lays it out, one record per value. */
function batch(baseOffset: number, values: string[]): Buffer {
  const records = values.map((value, index) => {
    const body = [0, small(0), small(index), small(1), 0x6b, small(value.length), ...Buffer.from(value), small(0)];
    return Buffer.from([small(body.length), ...body]);
  });
  const bytes = Buffer.concat([Buffer.alloc(61), ...records]);
  bytes.writeBigInt64BE(BigInt(baseOffset), 0);
  bytes.writeInt32BE(bytes.length - 12, 8);
  bytes[16] = 2;
  bytes.writeInt32BE(values.length - 1, 23);
  bytes.writeInt32BE(values.length, 57);
  bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17);
  return bytes;
}

function read(bytes: Buffer) {
  const values: string[] = [];
  const next = readBatches(bytes, (buffer, start, end) => values.push(buffer.toString('utf8', start, end)));
  return { next, values };
}

describe('the reader of record batches', () => {
  it('gives each value, and the offset to fetch next', () => {
    const bytes = Buffer.concat([batch(0, ['a', 'bc', '']), batch(3, ['d'])]);
    expect(read(bytes)).toEqual({ next: 4n, values: ['a', 'bc', '', 'd'] });
  });

  it('leaves a batch that is cut short for the next fetch', () => {
    const whole = batch(0, ['a']);
    const cut = Buffer.concat([whole, batch(1, ['b']).subarray(0, -1)]);
    expect(read(cut)).toEqual({ next: 1n, values: ['a'] });
    expect(read(whole.subarray(0, 40))).toEqual({ next: undefined, values: [] });
  });

  it('refuses a batch with a flipped byte', () => {
    const bytes = batch(7, ['abc']);
    const last = bytes.length - 2;
    bytes[last] = (bytes[last] ?? 0) ^ 1;
    expect(() => read(bytes)).toThrow('offset 7 does not pass its CRC');
  });
});
