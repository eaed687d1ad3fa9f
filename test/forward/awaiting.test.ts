/** Records that cannot be encoded yet, for a schema that the registry has not given: they wait as for a topic that cannot be written. */
import { describe, expect, it } from 'vitest';
import { FakeSink, type WrittenRecord } from '../support/fake-sink.ts';
import { randomFrom } from '../support/random.ts';
import { PlainMapper } from './support/plain-mapper.ts';
import { expectBalanced, message, Rig, type RigOptions } from './support/rig.ts';

const values = (records: readonly WrittenRecord[]): string[] => records.map(({ value }) => String(value));
const numbers = (from: number, count: number): string[] => Array.from({ length: count }, (_, at) => String(from + at));
const options: RigOptions['options'] = { windowMaxBytes: 10_000, readMaxBytes: 2_000, chunkMaxRecords: 10 };
const parkedOf = (rig: Rig) => [...rig.logs.shards.get(0)!.log.parked.values()];

async function publish(rig: Rig, from: number, count: number, topics: readonly string[]): Promise<void> {
  for (let at = from; at < from + count; at++) {
    await rig.commit(
      0,
      topics.map((topic) => message('c', topic, String(at))),
    );
    if (at % 20 === 0) await rig.clock.advance(20);
  }
}

describe('records that wait for a schema', () => {
  it('are parked at once, and come first and in order when it is there; the others go on', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink, { options });
    await publish(rig, 0, 5, ['raw', 'avro']);
    await rig.clock.until(() => rig.settled);
    const schema = { ready: false, what: 'a schema' };
    rig.mapper.awaited.set('avro', schema);
    await publish(rig, 5, 1_000, ['raw', 'avro']);
    await rig.clock.until(() => sink.records('raw').length === 1_005 && rig.settled, 60_000);
    expect(parkedOf(rig)).toMatchObject([{ topic: 'avro', messages: 1_000 }]);
    expect(values(sink.records('avro'))).toEqual(numbers(0, 5));
    expect(rig.events('topicParked')).toEqual([[0, 'avro']]);
    expectBalanced(rig.logs);

    schema.ready = true;
    rig.forwarder.encodable();
    await publish(rig, 1_005, 300, ['raw', 'avro']);
    await rig.clock.until(() => rig.settled && parkedOf(rig).length === 0, 60_000);
    expect(values(sink.records('avro'))).toEqual(numbers(0, 1_305));
    expect(values(sink.records('raw'))).toEqual(numbers(0, 1_305));
    expect(sink.records('dead')).toEqual([]);
    expect((await rig.stats()).outcomes.delivered).toBe(2_610);
    expect(rig.forwarder.status().shards[0]).toMatchObject({ parked: [], windowBytes: 0 });
    expectBalanced(rig.logs);
  });

  it('hold back what other routes make for the same topic, behind what was sent before', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink, { options });
    const schema = { ready: false, what: 'a schema' };
    await publish(rig, 0, 3, ['a']);
    await rig.clock.until(() => rig.settled);
    rig.mapper.awaited.set('a', schema);
    await publish(rig, 3, 3, ['a']);
    await rig.clock.advance(10);
    rig.mapper.awaited.delete('a');
    await publish(rig, 6, 3, ['a']);
    await rig.clock.until(() => rig.settled);
    expect(values(sink.records('a'))).toEqual(numbers(0, 3));
    schema.ready = true;
    rig.forwarder.encodable();
    await rig.clock.until(() => rig.settled && parkedOf(rig).length === 0);
    expect(values(sink.records('a'))).toEqual(numbers(0, 9));
    expectBalanced(rig.logs);
  });

  it('wait through a restart, while the schema is still away', async () => {
    const sink = new FakeSink();
    const schema = { ready: false, what: 'a schema' };
    const mapper = new PlainMapper();
    mapper.awaited.set('avro', schema);
    const first = await Rig.started(sink, { options, mapper });
    await publish(first, 0, 100, ['raw', 'avro', 'raw+avro']);
    await first.clock.until(() => first.settled, 60_000);
    first.crash();
    const second = await Rig.started(sink, { options, mapper, logs: first.logs, clock: first.clock });
    await second.clock.advance(30_000);
    await publish(second, 100, 50, ['raw', 'avro', 'raw+avro']);
    await second.clock.until(() => second.settled, 60_000);
    expect(sink.records('avro')).toEqual([]);
    expect(parkedOf(second)).toMatchObject([{ topic: 'avro', messages: 300 }]);
    expectBalanced(second.logs);
    schema.ready = true;
    second.forwarder.encodable();
    await second.clock.until(() => parkedOf(second).length === 0, 60_000);
    expect(values(sink.records('avro'))).toEqual(numbers(0, 150).flatMap((each) => [each, each]));
    expect((await second.stats()).outcomes).toMatchObject({ delivered: 450, deadLettered: 0 });
    expectBalanced(second.logs);
  });

  it('go on with other routes, where those that needed the schema are replaced', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink, { options });
    rig.mapper.awaited.set('avro', { ready: false, what: 'a schema' });
    await publish(rig, 0, 100, ['avro']);
    await rig.clock.until(() => rig.settled, 60_000);
    expect(sink.records('avro')).toEqual([]);
    rig.forwarder.useMapper(new PlainMapper());
    await rig.clock.until(() => parkedOf(rig).length === 0, 60_000);
    expect(values(sink.records('avro'))).toEqual(numbers(0, 100));
    expectBalanced(rig.logs);
  });

  it.each(Array.from({ length: 10 }, (_, seed) => seed))(
    'come and go at random, and nothing is lost or out of order (seed %i)',
    async (seed) => {
      const random = randomFrom(seed).next;
      const sink = new FakeSink();
      const mapper = new PlainMapper();
      const schemas = ['x', 'y'].map((topic) => {
        const schema = { ready: random() < 0.5, what: 'a schema' };
        mapper.awaited.set(topic, schema);
        return schema;
      });
      let rig = await Rig.started(sink, { options, mapper });
      let next = 0;
      for (let round = 0; round < 30; round++) {
        for (const schema of schemas) if (random() < 0.4) schema.ready = !schema.ready;
        if (random() < 0.5) rig.forwarder.encodable();
        if (random() < 0.1) {
          rig.crash();
          rig = await Rig.started(sink, { options, mapper, logs: rig.logs, clock: rig.clock });
          await rig.clock.advance(15_000);
        }
        const count = Math.floor(random() * 40);
        await publish(rig, next, count, ['x', 'y+z', 'z+x'].slice(0, 1 + Math.floor(random() * 3)));
        next += count;
        await rig.clock.advance(Math.floor(random() * 300));
        expectBalanced(rig.logs);
      }
      for (const schema of schemas) schema.ready = true;
      rig.forwarder.encodable();
      await rig.clock.until(() => rig.settled && parkedOf(rig).length === 0, 120_000);
      expectBalanced(rig.logs);
      expect(rig.forwarder.status().shards[0]).toMatchObject({ parked: [], windowBytes: 0 });
      const { delivered, deadLettered } = (await rig.stats()).outcomes;
      expect(delivered).toBe(rig.logs.shards.get(0)!.log.append.accepted);
      expect(deadLettered).toBe(0);
      for (const topic of ['x', 'y', 'z']) {
        const first = [...new Set(values(sink.records(topic)))].map(Number);
        expect(first, topic).toEqual([...first].sort((a, b) => a - b));
      }
      // Every message of the first filter is there.
      expect(new Set(values(sink.records('x'))).size).toBe(next);
    },
  );
});
