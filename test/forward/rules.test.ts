import { describe, expect, it } from 'vitest';
import { Mapper } from '../../src/forward/mapper.ts';
import { KafkaFault } from '../../src/kafka/sink.ts';
import { compileRouteSet, type FullRouteDefinition } from '../../src/payload/index.ts';
import { FakeSink } from '../support/fake-sink.ts';
import { expectBalanced, message, Rig, type RigOptions } from './support/rig.ts';

/** Messages of the rig are of November 2023. */
const LATER = 1_700_000_100_000;

const mapperOf = (routes: readonly Partial<FullRouteDefinition>[], now = LATER): Mapper =>
  new Mapper(
    compileRouteSet(routes.map((route, index) => ({ name: `r${index}`, from: '#', to: 'iot', ...route }))),
    {},
    () => now,
  );

/** A sink whose topics can be taken away and given back. */
class Topics extends FakeSink {
  readonly broken = new Set<string>();
  override async send(chunk: Parameters<FakeSink['send']>[0]): Promise<void> {
    if (!this.broken.has(chunk.topic)) return super.send(chunk);
    await Promise.resolve();
    throw new KafkaFault('topic', 'TOPIC_AUTHORIZATION_FAILED', 'not allowed');
  }
}

const values = (sink: FakeSink, topic: string): string[] => sink.records(topic).map(({ value }) => String(value));

describe('messages that make no record by a rule', () => {
  it('are counted under it, and those that are too old as expired', async () => {
    const mapper = mapperOf([
      { name: 'a', from: 'a', when: 'payload.t > 20.0', onInvalid: 'drop' },
      { name: 'b', from: 'b', expireMs: 1_000 },
      { name: 'c', from: 'c', sample: 0 },
      { name: 'd', from: 'd', split: true },
      { name: 'e', from: 'e', value: 'json' },
    ]);
    const sink = new FakeSink();
    const rig = await Rig.started(sink, { mapper });
    await rig.commit(
      0,
      ['a:{"t":1}', 'a:{"t":30}', 'a:{}', 'b:x', 'b:y', 'c:x', 'd:[]', 'd:[1,2]', 'e:x'].map((text) =>
        message('c', text.slice(0, 1), text.slice(2)),
      ),
    );
    await rig.clock.until(() => rig.settled);
    expect((await rig.stats()).outcomes).toEqual({
      delivered: 2,
      deadLettered: 1,
      expired: 2,
      discarded: { filtered: 1, invalid: 1, sampled: 1, empty: 1 },
    });
    expectBalanced(rig.logs);
    expect(values(sink, 'iot')).toEqual(['{"t":30}', '1', '2']);
    expect(values(sink, 'dead')).toEqual(['x']);
    expect(rig.forwarder.counters).toMatchObject({ delivered: 2, deadLettered: 1, expired: 2, discarded: 4 });
  });

  it('count as delivered where another route took them, and the strongest rule counts where none did', async () => {
    const mapper = mapperOf([
      { when: 'payload.t > 20.0', to: 'hot' },
      { from: 'both', to: 'all' },
      { from: 'old', expireMs: 1 },
    ]);
    const rig = await Rig.started(new FakeSink(), { mapper });
    await rig.commit(0, [
      message('c', 'both', '{"t":1}'),
      message('c', 'old', '{"t":1}'),
      message('c', 'x', '{"t":1}'),
    ]);
    await rig.clock.until(() => rig.settled);
    expect((await rig.stats()).outcomes).toEqual({
      delivered: 1,
      deadLettered: 0,
      expired: 1,
      discarded: { filtered: 1 },
    });
  });
});

describe('a batch', () => {
  const small: RigOptions['options'] = {
    windowMaxBytes: 10_000,
    readMaxBytes: 2_000,
    parkAfterMs: 500,
    chunkMaxRecords: 10,
  };

  it('is one message, delivered once all of its records are', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink, { mapper: mapperOf([{ split: true, to: 'iot.{payload.k}' }]) });
    await rig.commit(0, [message('c', 't', '[{"k":"a"},{"k":"b"},{"k":"a"},{"k":"not legal"}]')]);
    await rig.clock.until(() => rig.settled);
    expect(values(sink, 'iot.a')).toHaveLength(2);
    expect(values(sink, 'iot.b')).toHaveLength(1);
    // One of its elements is a dead letter: so is the message, whole.
    expect(values(sink, 'dead')).toEqual(['[{"k":"a"},{"k":"b"},{"k":"a"},{"k":"not legal"}]']);
    expect((await rig.stats()).outcomes).toMatchObject({ delivered: 0, deadLettered: 1 });
    expectBalanced(rig.logs);
  });

  it('has those of its records parked that go to a topic that cannot be written, and no other is sent twice', async () => {
    const sink = new Topics();
    const mapper = mapperOf([{ split: true, to: '{payload.k}' }]);
    const rig = await Rig.started(sink, { mapper, options: small });
    sink.broken.add('bad');
    for (let at = 0; at < 300; at++) {
      const batch = [
        { k: 'good', at },
        { k: 'bad', at },
        { k: 'good', at: at + 0.5 },
        { k: 'bad', at: at + 0.5 },
      ];
      await rig.commit(0, [message('c', 't', JSON.stringify(batch))]);
      if (at % 20 === 0) await rig.clock.advance(20);
    }
    await rig.clock.until(() => sink.records('good').length === 600, 60_000);
    expect(rig.events('topicParked')).toEqual([[0, 'bad']]);
    sink.broken.clear();
    await rig.clock.until(() => rig.settled && sink.records('bad').length >= 600, 120_000);
    await rig.clock.until(() => rig.forwarder.status().shards[0]!.parked.length === 0, 60_000);
    const places = (topic: string): number[] =>
      values(sink, topic).map((value) => (JSON.parse(value) as { at: number }).at);
    const expected = Array.from({ length: 600 }, (_, at) => at / 2);
    expect(places('good')).toEqual(expected);
    expect(places('bad')).toEqual(expected);
    expect((await rig.stats()).outcomes).toMatchObject({ delivered: 300, deadLettered: 0 });
    expectBalanced(rig.logs);
  });
});
