import { describe, expect, it } from 'vitest';
import { Mapper } from '../../src/forward/mapper.ts';
import { compileRouteSet, type FullRouteDefinition } from '../../src/payload/index.ts';
import { KafkaFault } from '../../src/kafka/sink.ts';
import { FakeSink } from '../support/fake-sink.ts';
import { expectBalanced, Rig } from './support/rig.ts';
import { VirtualClock } from './support/virtual-clock.ts';

const mapperOf = (routes: readonly Partial<FullRouteDefinition>[]): Mapper =>
  new Mapper(compileRouteSet(routes.map((route, index) => ({ name: `r${index}`, from: '#', to: 'iot', ...route }))));

/** Holds every chunk until it is let go. */
class Gate extends FakeSink {
  readonly stopped: (() => void)[] = [];
  shut = false;
  override async send(chunk: Parameters<FakeSink['send']>[0]): Promise<void> {
    if (this.shut) await new Promise<void>((resolve) => this.stopped.push(resolve));
    return super.send(chunk);
  }
  letGo(): void {
    this.shut = false;
    for (const go of this.stopped.splice(0)) go();
  }
}

describe('a reload of the routes', () => {
  it('keeps the order of a key whose partition is another one by the new routes', async () => {
    const sink = new Gate();
    const rig = await Rig.started(sink, { mapper: mapperOf([{ partition: 0 }]) });
    await rig.publish('c', 't', 0, 10);
    await rig.clock.until(() => rig.settled);
    sink.shut = true;
    await rig.publish('c', 't', 10, 10);
    await rig.clock.until(() => sink.stopped.length > 0);
    rig.forwarder.useMapper(mapperOf([{ partition: 1 }]));
    await rig.publish('c', 't', 20, 10);
    await rig.clock.advance(1_000);
    // The new partition has to wait for the old one.
    expect(sink.stopped).toHaveLength(1);
    sink.letGo();
    await rig.clock.until(() => rig.settled);
    const numbers = sink.records('iot').map(({ value }) => Number(String(value)));
    expect(numbers).toEqual(Array.from({ length: 30 }, (_, at) => at));
    expectBalanced(rig.logs);
  });

  it('does not hold up a topic whose lanes are empty, nor lose what no longer matches', async () => {
    const sink = new Gate();
    const rig = await Rig.started(sink, {
      mapper: mapperOf([
        { from: 'a', to: 'a' },
        { from: 'b', to: 'b' },
      ]),
    });
    await rig.publish('c', 'b', 0, 1);
    await rig.clock.until(() => rig.settled);
    rig.forwarder.useMapper(mapperOf([{ from: 'b', to: 'b' }]));
    await rig.publish('c', 'a', 1, 2);
    await rig.publish('c', 'b', 3, 2);
    await rig.clock.until(() => rig.settled);
    expect(sink.records('b')).toHaveLength(3);
    expect(sink.records('dead')).toHaveLength(2);
    expect((await rig.stats()).outcomes).toMatchObject({ delivered: 3, deadLettered: 2 });
    expectBalanced(rig.logs);
  });

  it.each([0, 400])(
    'delivers what was parked to the topic that the new routes name, once each and in its order, where an answer takes %i ms',
    async (answerMs) => {
      const clock = new VirtualClock();
      const sink = new (class extends FakeSink {
        override async send(chunk: Parameters<FakeSink['send']>[0]): Promise<void> {
          if (chunk.topic === 'old' && answerMs > 0)
            await new Promise<void>((resolve) => clock.setTimeout(resolve, answerMs));
          if (chunk.topic === 'old') throw new KafkaFault('topic', 'TOPIC_AUTHORIZATION_FAILED', 'not allowed');
          return super.send(chunk);
        }
      })();
      const options = { windowMaxBytes: 10_000, readMaxBytes: 2_000, parkAfterMs: 500, chunkMaxRecords: 10 };
      const rig = await Rig.started(sink, { options, clock, mapper: mapperOf([{ to: 'old' }]) });
      for (let at = 0; at < 500; at += 10) {
        await rig.publish('c', 't', at, 10);
        await rig.clock.advance(100);
      }
      const parked = (): number => rig.logs.shards.get(0)!.log.parkedMessages();
      expect(parked()).toBeGreaterThan(100);
      rig.forwarder.useMapper(mapperOf([{ to: 'new' }]));
      await rig.clock.until(() => rig.settled && parked() === 0, 120_000);
      const numbers = sink.records('new').map(({ value }) => Number(String(value)));
      expect(numbers).toEqual(Array.from({ length: 500 }, (_, at) => at));
      expect((await rig.stats()).outcomes).toMatchObject({ delivered: 500, deadLettered: 0 });
      expectBalanced(rig.logs);
    },
  );
});
