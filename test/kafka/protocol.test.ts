import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter } from '../../src/kafka/bytes.ts';
import { Metadata, Produce } from '../../src/kafka/protocol.ts';

/** int64s of -1, as in answers. */
const minusOnes = (writer: ByteWriter, count: number): ByteWriter => {
  for (let left = count * 2; left > 0; left--) writer.int32(-1);
  return writer;
};

describe('Produce', () => {
  it('asks for acks=all, and puts the partitions of a topic together, each batch as it is', () => {
    const batches = [
      { topic: 'a', partition: 3, batch: Buffer.from('first') },
      { topic: 'a', partition: 1, batch: Buffer.from('second') },
      { topic: 'b', partition: 0, batch: Buffer.from('third') },
    ];
    const parts = Produce.encode({ batches, timeoutMs: 27_000 }, 8);
    expect(parts.filter((part) => batches.some(({ batch }) => batch === part))).toHaveLength(3);
    const reader = new ByteReader(Buffer.concat(parts));
    expect(reader.nullableString()).toBeNull();
    expect(reader.int16()).toBe(-1);
    expect(reader.int32()).toBe(27_000);
    const topics = reader.array(() => ({
      topic: reader.string(),
      partitions: reader.array(() => {
        const [partition, length] = [reader.int32(), reader.int32()];
        reader.skip(length);
        return { partition, length };
      }),
    }));
    expect(topics).toEqual([
      {
        topic: 'a',
        partitions: [
          { partition: 3, length: 5 },
          { partition: 1, length: 6 },
        ],
      },
      { topic: 'b', partitions: [{ partition: 0, length: 5 }] },
    ]);
    expect(() => reader.int8()).toThrow(RangeError);
  });

  it.each([3, 4, 5, 6, 7])('reads an answer of version %i, which names no records', (version) => {
    const writer = new ByteWriter().int32(1).string('a').int32(1).int32(2).int16(10);
    const answer = minusOnes(writer, version >= 5 ? 3 : 2)
      .int32(7)
      .bytes();
    expect(Produce.decode(new ByteReader(answer), version)).toEqual({
      throttleMs: 7,
      partitions: [{ topic: 'a', partition: 2, errorCode: 10, records: [], message: null }],
    });
  });

  it('reads an answer of version 8 with the records that it names', () => {
    const writer = new ByteWriter().int32(1).string('a').int32(1).int32(2).int16(87);
    minusOnes(writer, 3).int32(2).int32(4).nullableString('no key').int32(6).nullableString(null);
    const answer = writer.nullableString(null).int32(0).bytes();
    expect(Produce.decode(new ByteReader(answer), 8).partitions).toEqual([
      { topic: 'a', partition: 2, errorCode: 87, records: [4, 6], message: 'no key' },
    ]);
  });

  it('does not take an answer that ends too early', () => {
    const answer = new ByteWriter().int32(1).string('a').int32(1).int32(2).int16(0).bytes();
    expect(() => Produce.decode(new ByteReader(answer), 8)).toThrow(RangeError);
  });
});

describe('Metadata', () => {
  it('asks for no topic, not for all, with an empty list, and never creates one', () => {
    expect(Buffer.concat(Metadata.encode([], 6))).toEqual(Buffer.from([0, 0, 0, 0, 0]));
  });

  it('keeps the error of one topic with that topic', () => {
    const writer = new ByteWriter().int32(0).int32(1).int32(5).string('host').int32(9092).nullableString(null);
    writer.nullableString('cluster').int32(5).int32(2);
    writer.int16(3).string('gone').int8(0).int32(0);
    writer.int16(0).string('here').int8(0).int32(1);
    writer.int16(5).int32(0).int32(-1).int32(1).int32(5).int32(0).int32(0);
    const answer = Metadata.decode(new ByteReader(writer.bytes()), 6);
    expect(answer).toEqual({
      throttleMs: 0,
      brokers: [{ nodeId: 5, host: 'host', port: 9092 }],
      clusterId: 'cluster',
      controllerId: 5,
      topics: [
        { errorCode: 3, topic: 'gone', partitions: [] },
        {
          errorCode: 0,
          topic: 'here',
          partitions: [{ errorCode: 5, partition: 0, leader: -1, replicas: [5], isr: [] }],
        },
      ],
    });
  });
});
