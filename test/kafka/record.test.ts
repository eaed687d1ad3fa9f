import { describe, expect, it } from 'vitest';
import { keyHash } from '../../src/kafka/partitioner.ts';
import {
  encodedHeaderName,
  encodeHeader,
  RecordWriter,
  varintSize,
  varlongSize,
  writeVarint,
  writeVarlong,
  type Field,
} from '../../src/kafka/record.ts';
import type { RecordSlice } from '../../src/kafka/sink.ts';
import { randomFrom, type Random } from '../support/random.ts';

/** A zigzag varint as the protocol describes it, with integers of any size. */
function referenceVarint(value: bigint): Buffer {
  let zigzag = value >= 0n ? value * 2n : -value * 2n - 1n;
  const bytes: number[] = [];
  for (; zigzag > 0x7fn; zigzag >>= 7n) bytes.push(Number(zigzag & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(zigzag)]);
}

const bytesOf = (field: Field): Buffer | null => (field === null ? null : Buffer.from(field as string));

function referenceField(field: Field): Buffer {
  const bytes = bytesOf(field);
  return bytes === null ? referenceVarint(-1n) : Buffer.concat([referenceVarint(BigInt(bytes.length)), bytes]);
}

function referenceRecord(key: Field, value: Field, headers: [string, Field][]): Buffer {
  const encoded = headers.flatMap(([name, text]) => [referenceField(name), referenceField(text)]);
  return Buffer.concat([
    referenceField(key),
    referenceField(value),
    referenceVarint(BigInt(headers.length)),
    ...encoded,
  ]);
}

const bytesIn = ({ slab, start, end }: RecordSlice): Buffer => slab.subarray(start, end);

const TEXTS = [
  '',
  'a',
  'device-17',
  'température',
  '温度センサー',
  '🚀',
  'x'.repeat(24),
  'y'.repeat(25),
  'ü'.repeat(24),
];

function randomField(random: Random): Field {
  switch (random.int(4)) {
    case 0:
      return null;
    case 1:
      return Buffer.from(Array.from({ length: random.pick([0, 1, 31, 32, 33, 63, 64, 500]) }, () => random.int(256)));
    case 2:
      return 'z'.repeat(random.pick([62, 63, 64, 65, 8_191, 8_192]));
    default:
      return random.pick(TEXTS);
  }
}

describe('varints', () => {
  const edges = [0, 1, -1, 63, 64, -64, -65, 8_191, 8_192, -8_192, -8_193, 1_048_575, 1_048_576, 2 ** 27 - 1, 2 ** 27];
  it.each([...edges, 2 ** 31 - 1, -(2 ** 31)])('%i', (value) => {
    const target = Buffer.alloc(8);
    const expected = referenceVarint(BigInt(value));
    expect(target.subarray(0, writeVarint(target, 0, value))).toEqual(expected);
    expect(varintSize(value)).toBe(expected.length);
  });

  it.each([...edges, 2 ** 31, -(2 ** 31) - 1, 2 ** 40, -(2 ** 41), 2 ** 51 - 1])('%i as a varlong', (value) => {
    const target = Buffer.alloc(12);
    const expected = referenceVarint(BigInt(value));
    expect(target.subarray(0, writeVarlong(target, 0, value))).toEqual(expected);
    expect(varlongSize(value)).toBe(expected.length);
  });
});

describe('RecordWriter', () => {
  it('writes null and empty keys, values and header values differently', () => {
    const writer = new RecordWriter();
    writer.begin();
    writer.key(null);
    writer.value('');
    writer.header('a', null);
    writer.header('b', '');
    expect(bytesIn(writer.end(1))).toEqual(Buffer.from([0x01, 0x00, 0x04, 0x02, 0x61, 0x01, 0x02, 0x62, 0x00]));
  });

  it('writes any record as the reference does, over many slabs, and never touches an ended one again', () => {
    const random = randomFrom();
    const writer = new RecordWriter(2_048);
    const written: { slice: RecordSlice; expected: Buffer }[] = [];
    for (let round = 0; round < 2_000; round++) {
      const key = randomField(random);
      const value = randomField(random);
      const headers = Array.from({ length: random.pick([0, 1, 6, 63, 64, 65]) }, (): [string, Field] => [
        random.pick(TEXTS),
        random.pick([null, 'text', Buffer.from([0xff, 0x00])]),
      ]);
      writer.begin();
      writer.key(key);
      const hash = bytesOf(key);
      expect(writer.keyHash(), `seed ${random.seed}`).toBe(hash === null ? -1 : keyHash(hash));
      writer.value(value);
      for (const [name, text] of headers) {
        if (random.int(3) === 0) writer.encodedHeaders(encodeHeader(name, text), 1);
        else if (random.int(2) === 0) writer.namedHeader(encodedHeaderName(name), text);
        else writer.header(name, text);
      }
      const slice = writer.end(round);
      expect(slice.timestamp).toBe(round);
      written.push({ slice, expected: referenceRecord(key, value, headers) });
    }
    for (const { slice, expected } of written) {
      expect(bytesIn(slice).equals(expected), `seed ${random.seed}, record ${slice.timestamp}`).toBe(true);
    }
  });

  it('takes back what was begun and not ended', () => {
    const writer = new RecordWriter();
    writer.begin();
    writer.key('gone');
    writer.value('gone');
    writer.header('gone', 'gone');
    writer.begin();
    writer.key('k');
    writer.value('v');
    expect(bytesIn(writer.end(1))).toEqual(referenceRecord('k', 'v', []));
  });

  it('takes a record that is larger than a slab', () => {
    const writer = new RecordWriter(1_024);
    const value = Buffer.alloc(300_000, 7);
    writer.begin();
    writer.key('k');
    writer.value(value);
    writer.header('name', 'text');
    expect(bytesIn(writer.end(1)).equals(referenceRecord('k', value, [['name', 'text']]))).toBe(true);
  });
});
