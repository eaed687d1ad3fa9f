import { describe, expect, it } from 'vitest';
import { encodeBatch } from '../../src/kafka/batch.ts';
import {
  EncodedChunk,
  NOT_IDEMPOTENT,
  sequenceAfter,
  Sequences,
  type ProducerIdentity,
} from '../../src/kafka/sequences.ts';
import { decodeBatch } from './support/record-batch.ts';
import { numbered, slicesOf } from './support/records.ts';

function sequencesOf(init?: () => Promise<ProducerIdentity>): { sequences: Sequences; ids: bigint[] } {
  const ids: bigint[] = [];
  const next = async (): Promise<ProducerIdentity> => {
    const producerId = BigInt(100 + ids.length);
    ids.push(producerId);
    return { producerId, producerEpoch: 0 };
  };
  return { sequences: new Sequences(init ?? next), ids };
}

function chunkOf(count = 10, partition = 0, topic = 't'): EncodedChunk {
  return new EncodedChunk(topic, partition, count, encodeBatch(slicesOf(numbered(count)), 0, count));
}

/** What the broker would see. */
function seen(chunk: EncodedChunk): [producerId: bigint, baseSequence: number] {
  const { crcMatches, producerId, baseSequence } = decodeBatch(chunk.batch);
  expect(crcMatches).toBe(true);
  return [producerId, baseSequence];
}

async function stamped(sequences: Sequences, chunk: EncodedChunk): Promise<[bigint, number]> {
  await sequences.stamp(chunk);
  return seen(chunk);
}

describe('sequences', () => {
  it('move on by what was confirmed, per partition, under one producer id', async () => {
    const { sequences, ids } = sequencesOf();
    for (const expected of [0, 10, 20]) {
      const chunk = chunkOf();
      expect(await stamped(sequences, chunk)).toEqual([100n, expected]);
      sequences.confirmed(chunk);
    }
    expect(await stamped(sequences, chunkOf(5, 1))).toEqual([100n, 0]);
    expect(await stamped(sequences, chunkOf(5, 0, 'other'))).toEqual([100n, 0]);
    expect(ids).toHaveLength(1);
  });

  it('keep a chunk’s stamp through all its attempts', async () => {
    const { sequences } = sequencesOf();
    const first = chunkOf();
    await sequences.stamp(first);
    sequences.confirmed(first);
    const chunk = chunkOf();
    await sequences.stamp(chunk);
    const bytes = Buffer.from(chunk.batch);
    chunk.doubtful = true;
    expect(sequences.stamp(chunk)).toBeUndefined();
    expect(chunk.batch.equals(bytes)).toBe(true);
    expect(chunk.doubtful).toBe(true);
  });

  it('give the place of a chunk that was certainly not written to the next', async () => {
    const { sequences } = sequencesOf();
    const bad = chunkOf();
    await sequences.stamp(bad);
    sequences.refused(bad);
    expect(await stamped(sequences, chunkOf(5))).toEqual([100n, 0]);
  });

  it('begin anew under an id never used there when a chunk that may be written is given up', async () => {
    const { sequences } = sequencesOf();
    const refused = chunkOf();
    await sequences.stamp(refused);
    refused.doubtful = true;
    sequences.refused(refused);
    expect(await stamped(sequences, chunkOf())).toEqual([101n, 0]);

    const abandoned = chunkOf(10, 1);
    await sequences.stamp(abandoned);
    sequences.renew(abandoned);
    expect(await stamped(sequences, chunkOf(10, 1))).toEqual([102n, 0]);

    const forgotten = chunkOf(10, 2);
    await sequences.stamp(forgotten);
    expect(await stamped(sequences, chunkOf(10, 2))).toEqual([103n, 0]);
  });

  it('let a partition take an id that others got meanwhile, if it never had it', async () => {
    const { sequences, ids } = sequencesOf();
    const chunks = [chunkOf(1, 0), chunkOf(1, 1)];
    for (const chunk of chunks) await sequences.stamp(chunk);
    for (const chunk of chunks) sequences.renew(chunk);
    expect(await stamped(sequences, chunkOf(1, 0))).toEqual([101n, 0]);
    expect(sequences.stamp(chunkOf(1, 1))).toBeUndefined();
    expect(ids).toHaveLength(2);
  });

  it('stamp the same chunk anew when the broker does not take its sequence', async () => {
    const { sequences } = sequencesOf();
    const chunk = chunkOf();
    await sequences.stamp(chunk);
    chunk.doubtful = true;
    sequences.renew(chunk);
    expect(await stamped(sequences, chunk)).toEqual([101n, 0]);
    expect(chunk.doubtful).toBe(false);
    sequences.confirmed(chunk);
    expect(await stamped(sequences, chunkOf())).toEqual([101n, 10]);
  });

  it('do not move by an answer for a chunk that was abandoned while it was under way', async () => {
    const { sequences } = sequencesOf();
    const chunk = chunkOf();
    await sequences.stamp(chunk);
    sequences.renew(chunk);
    const next = chunkOf();
    await sequences.stamp(next);
    sequences.confirmed(chunk);
    sequences.confirmed(next);
    expect(await stamped(sequences, chunkOf())).toEqual([101n, 10]);
  });

  it('leave a chunk unstamped that is abandoned while it waits for an id', async () => {
    let give: (producer: ProducerIdentity) => void = () => {};
    const { sequences } = sequencesOf(() => new Promise((resolve) => (give = resolve)));
    const chunk = chunkOf();
    const waiting = sequences.stamp(chunk);
    sequences.renew(chunk);
    give({ producerId: 1n, producerEpoch: 0 });
    await waiting;
    expect(chunk.producer).toBeUndefined();
  });

  it('ask once for all partitions that wait, and again after a failure', async () => {
    let asked = 0;
    const { sequences } = sequencesOf(async () => {
      if (++asked === 1) throw new Error('not now');
      return { producerId: 5n, producerEpoch: 1 };
    });
    const chunks = [chunkOf(1, 0), chunkOf(1, 1), chunkOf(1, 2)];
    const stamp = async (chunk: EncodedChunk): Promise<void> => await sequences.stamp(chunk);
    const results = await Promise.allSettled(chunks.map(stamp));
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    await Promise.all(chunks.map(stamp));
    expect(asked).toBe(2);
    expect(chunks.map(seen)).toEqual(Array(3).fill([5n, 0]));
  });

  it('are left out where the producer is not idempotent', async () => {
    const { sequences } = sequencesOf(async () => NOT_IDEMPOTENT);
    for (let round = 0; round < 2; round++) {
      const chunk = chunkOf();
      expect(await stamped(sequences, chunk)).toEqual([-1n, -1]);
      sequences.confirmed(chunk);
    }
  });

  it('begin anew everywhere after reset()', async () => {
    const { sequences } = sequencesOf();
    const [done, open] = [chunkOf(1, 0), chunkOf(1, 1)];
    await sequences.stamp(done);
    sequences.confirmed(done);
    await sequences.stamp(open);
    sequences.reset();
    expect(await stamped(sequences, chunkOf(1, 0))).toEqual([101n, 0]);
    expect(await stamped(sequences, open)).toEqual([101n, 0]);
  });

  it('begin again at 0 behind 2^31 - 1', () => {
    expect(sequenceAfter(0, 1_000)).toBe(1_000);
    expect(sequenceAfter(2 ** 31 - 2, 1)).toBe(2 ** 31 - 1);
    expect(sequenceAfter(2 ** 31 - 1, 1)).toBe(0);
    expect(sequenceAfter(2 ** 31 - 5, 10)).toBe(5);
  });
});
