import { describe, expect, it } from 'vitest';
import { KafkaFault } from '../../src/kafka/sink.ts';
import { FakeSink, type WrittenRecord } from '../support/fake-sink.ts';
import { expectBalanced, intercepted, message, Rig, type RigOptions } from './support/rig.ts';
import { VirtualClock } from './support/virtual-clock.ts';

const values = (records: readonly WrittenRecord[]): string[] => records.map(({ value }) => String(value));
const numbers = (from: number, count: number): string[] => Array.from({ length: count }, (_, at) => String(from + at));
const denied = new KafkaFault('topic', 'TOPIC_AUTHORIZATION_FAILED', 'not allowed');

const small: RigOptions['options'] = {
  windowMaxBytes: 10_000,
  readMaxBytes: 2_000,
  parkAfterMs: 500,
  chunkMaxRecords: 10,
};

/** A sink whose topics can be taken away and given back. */
class Topics extends FakeSink {
  readonly broken = new Set<string>();
  override async send(chunk: Parameters<FakeSink['send']>[0]): Promise<void> {
    if (!this.broken.has(chunk.topic)) return super.send(chunk);
    this.sends.push({ chunk, records: [] });
    await Promise.resolve();
    throw denied;
  }
}

async function publishAlternately(rig: Rig, from: number, count: number, topics = ['good', 'bad']): Promise<void> {
  for (let at = from; at < from + count; at++) {
    await rig.commit(
      0,
      topics.map((topic) => message('c', topic, String(at))),
    );
    if (at % 20 === 0) await rig.clock.advance(20);
  }
}

const parkedOf = (rig: Rig) => [...rig.logs.shards.get(0)!.log.parked.values()];

describe('parking', () => {
  it('lets the others go on while a topic cannot be written, and delivers it in order once it can', async () => {
    const sink = new Topics();
    const rig = await Rig.started(sink, { options: small });
    await publishAlternately(rig, 0, 5);
    await rig.clock.until(() => rig.settled);
    sink.broken.add('bad');
    await publishAlternately(rig, 5, 1_000);
    await rig.clock.until(() => sink.records('good').length === 1_005, 60_000);
    await rig.clock.until(() => rig.settled, 5_000);
    // Far more than the window: all of it is in the parking log, none in the log.
    expect(parkedOf(rig)).toMatchObject([{ topic: 'bad', messages: 1_000 }]);
    expect((await rig.stats()).outcomes.delivered).toBe(1_005 + 5);
    expectBalanced(rig.logs);
    expect(rig.events('topicParked')).toEqual([[0, 'bad']]);
    expect(rig.events('topicFault').map(([topic]) => topic)).toEqual(['bad']);
    expect(rig.forwarder.status().shards[0]!.parked).toMatchObject([{ topic: 'bad', messages: 1_000, holding: true }]);

    sink.broken.clear();
    await publishAlternately(rig, 1_005, 300);
    await rig.clock.until(() => rig.settled && parkedOf(rig).length === 0, 60_000);
    expect(values(sink.records('bad'))).toEqual(numbers(0, 1_305));
    expect(values(sink.records('good'))).toEqual(numbers(0, 1_305));
    expect(rig.events('topicRecovered').map(([topic]) => topic)).toEqual(['bad']);
    expect(rig.events('topicUnparked')).toEqual([[0, 'bad']]);
    expect((await rig.stats()).outcomes.delivered).toBe(2_610);
    expect(rig.forwarder.status().shards[0]).toMatchObject({ parked: [], windowBytes: 0 });
    expectBalanced(rig.logs);
  });

  it('holds no more in memory while it goes on', async () => {
    const sink = new Topics();
    const rig = await Rig.started(sink, { options: small });
    sink.broken.add('bad');
    let most = 0;
    for (let at = 0; at < 200; at++) {
      await publishAlternately(rig, at * 10, 10);
      await rig.clock.advance(50);
      most = Math.max(most, rig.forwarder.status().shards[0]!.windowBytes);
    }
    expect(most).toBeLessThan(12_000);
    // One chunk of parked records finds out whether the topic works again.
    const lane = rig.forwarder.status().lanes.find(({ topic }) => topic === 'bad');
    expect(lane!.queued).toBeLessThanOrEqual(400);
    expectBalanced(rig.logs);
  });

  it('parks a chunk that was on the wire, too, once it has come back', async () => {
    const sink = new Topics();
    const rig = await Rig.started(sink, { options: small });
    await publishAlternately(rig, 0, 5);
    await rig.clock.until(() => rig.settled);
    const send = sink.send.bind(sink);
    let tries = 0;
    sink.send = async (chunk) => {
      if (chunk.topic === 'bad') await rig.clock.sleep(tries++ === 0 ? 10 : 3_000);
      return send(chunk);
    };
    sink.broken.add('bad');
    await publishAlternately(rig, 5, 500);
    await rig.clock.until(() => rig.events('topicParked').length === 1);
    expect(rig.forwarder.status().lanes.find(({ topic }) => topic === 'bad')!.state).toBe('sending');
    await rig.clock.until(() => sink.records('good').length === 505 && rig.settled, 10_000);
    sink.broken.clear();
    await rig.clock.until(() => parkedOf(rig).length === 0);
    expect(values(sink.records('bad'))).toEqual(numbers(0, 505));
    expectBalanced(rig.logs);
  });

  it('does not park for a fault that is over before the window has been full for a while', async () => {
    const sink = new Topics();
    const rig = await Rig.started(sink, { options: { ...small, parkAfterMs: 5_000 } });
    sink.broken.add('bad');
    await publishAlternately(rig, 0, 200);
    await rig.clock.advance(2_000);
    sink.broken.clear();
    await rig.clock.until(() => rig.settled);
    expect(rig.events('topicParked')).toEqual([]);
    expect(values(sink.records('bad'))).toEqual(numbers(0, 200));
  });

  it('does not park while the whole cluster is away', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink, { options: small });
    sink.failNext(new KafkaFault('cluster', 'CONNECTION_REFUSED', 'away'), { count: 1e9 });
    await publishAlternately(rig, 0, 500);
    await rig.clock.advance(60_000);
    expect(parkedOf(rig)).toEqual([]);
    sink.heal();
    await rig.clock.until(() => rig.settled);
    expect(values(sink.records('bad'))).toEqual(numbers(0, 500));
  });

  it('parks for a topic that is not even known', async () => {
    const sink = new Topics({ topics: { bad: 0 } });
    const rig = await Rig.started(sink, { options: small });
    await publishAlternately(rig, 0, 500);
    await rig.clock.until(() => sink.records('good').length === 500, 60_000);
    expect(parkedOf(rig)[0]!.messages).toBeGreaterThan(300);
    sink.setPartitions('bad', 2);
    await rig.clock.until(() => rig.settled && parkedOf(rig).length === 0, 60_000);
    expect(values(sink.records('bad'))).toEqual(numbers(0, 500));
    expectBalanced(rig.logs);
  });

  it('converges under steady load with a slow store: the topic leaves parking once it has caught up', async () => {
    const sink = new Topics();
    const clock = new VirtualClock();
    const rig = await Rig.started(sink, {
      options: small,
      clock,
      // Longer than a settlement takes to begin again.
      wrap: (store) =>
        intercepted(store, {
          readParked: async (...parameters) => {
            await clock.sleep(20);
            return store.readParked(...parameters);
          },
        }),
    });
    rig.store.hooks.beforeSettle = () => rig.clock.sleep(60);
    sink.broken.add('bad');
    await publishAlternately(rig, 0, 300);
    await rig.clock.until(() => parkedOf(rig).length === 1);
    sink.broken.clear();
    let at = 300;
    while (rig.events('topicUnparked').length === 0 && at < 4_000) {
      await publishAlternately(rig, at++, 1);
      await rig.clock.advance(10);
    }
    expect(at).toBeLessThan(3_000);
    await rig.clock.until(() => rig.settled);
    expect(values(sink.records('bad'))).toEqual(numbers(0, at));
    expectBalanced(rig.logs);
  });

  it('goes on where it was after a crash at any step, parked records first', async () => {
    for (let crashAfterMs = 0; crashAfterMs < 4_000; crashAfterMs += 130) {
      const sink = new Topics();
      const first = await Rig.started(sink, { options: small });
      sink.broken.add('bad');
      await publishAlternately(first, 0, 200);
      await first.clock.advance(1_500);
      first.clock.setTimeout(() => sink.broken.clear(), 500);
      await first.clock.advance(crashAfterMs);
      first.crash();
      sink.broken.clear();
      const next = await Rig.open(sink, { options: small, logs: first.logs, clock: first.clock });
      await next.clock.advance(11_000);
      await next.forwarder.start();
      await publishAlternately(next, 200, 20);
      await next.clock.until(() => next.settled && parkedOf(next).length === 0, 60_000);
      const firsts = values(sink.records('bad')).filter((value, at, all) => all.indexOf(value) === at);
      expect(firsts, `crash after ${crashAfterMs} ms`).toEqual(numbers(0, 220));
      expect((await next.stats()).outcomes).toMatchObject({ delivered: 440, deadLettered: 0, discarded: {} });
      expectBalanced(first.logs);
    }
  });

  it.each([['bad'], ['worse']])(
    'keeps two topics at once in order through a crash at any step; %s works again first',
    async (earlier) => {
      const topics = ['good', 'bad', 'worse', 'bad+worse'];
      for (let crashAfterMs = 0; crashAfterMs < 4_000; crashAfterMs += 330) {
        const sink = new Topics();
        const first = await Rig.started(sink, { options: small });
        sink.broken.add('bad').add('worse');
        await publishAlternately(first, 0, 100, topics);
        await first.clock.advance(1_500);
        first.clock.setTimeout(() => sink.broken.delete(earlier), 500);
        first.clock.setTimeout(() => sink.broken.clear(), 2_000);
        await first.clock.advance(crashAfterMs);
        first.crash();
        const next = await Rig.open(sink, { options: small, logs: first.logs, clock: first.clock });
        await next.clock.advance(11_000);
        await next.forwarder.start();
        await publishAlternately(next, 100, 20, topics);
        await next.clock.advance(3_000);
        sink.broken.clear();
        await next.clock.until(() => next.settled && parkedOf(next).length === 0, 60_000);
        for (const topic of ['bad', 'worse']) {
          const firsts = sink.records(topic).map(({ value, headers }) => {
            const id = headers.find(([name]) => name === 'id')?.[1];
            return `${String(id)} ${String(value)}`;
          });
          const once = firsts.filter((value, at) => firsts.indexOf(value) === at);
          expect(
            once.map((each) => each.split(' ')[1]),
            `${topic}, crash after ${crashAfterMs} ms`,
          ).toEqual(numbers(0, 120).flatMap((value) => [value, value]));
        }
        expect((await next.stats()).outcomes).toMatchObject({ delivered: 480, deadLettered: 0, discarded: {} });
        expectBalanced(first.logs);
      }
    },
  );

  it('is bounded: a full parking log holds up the log, and nothing is dropped', async () => {
    const sink = new Topics();
    const rig = await Rig.started(sink, { options: { ...small, parkingMaxBytes: 20_000 } });
    sink.broken.add('bad');
    await publishAlternately(rig, 0, 1_000);
    await rig.clock.advance(60_000);
    const [parked] = parkedOf(rig);
    expect(parked!.bytes).toBeLessThan(20_000);
    expect(parked!.messages).toBeGreaterThan(10);
    expect(rig.events('parkingFull')).toEqual([[0, 'bad']]);
    expect(rig.forwarder.status().shards[0]!.parked).toMatchObject([{ topic: 'bad', full: true }]);
    const stats = await rig.stats();
    expect(stats.logMessages).toBeGreaterThan(500);
    expect(sink.records('good').length).toBeLessThan(1_000);
    expectBalanced(rig.logs);
    sink.broken.clear();
    await rig.clock.until(() => rig.settled && parkedOf(rig).length === 0, 120_000);
    expect(values(sink.records('bad'))).toEqual(numbers(0, 1_000));
    expect(values(sink.records('good'))).toEqual(numbers(0, 1_000));
    expectBalanced(rig.logs);
  });

  it('with no bytes allowed parks nothing', async () => {
    const sink = new Topics();
    const rig = await Rig.started(sink, { options: { ...small, parkingMaxBytes: 0 } });
    sink.broken.add('bad');
    await publishAlternately(rig, 0, 500);
    await rig.clock.advance(60_000);
    expect(parkedOf(rig)).toEqual([]);
    sink.broken.clear();
    await rig.clock.until(() => rig.settled);
    expect(values(sink.records('bad'))).toEqual(numbers(0, 500));
  });

  describe('a message with records for several topics', () => {
    const topics = ['good', 'bad+good', 'good+worse+bad', 'worse'];

    it.each([
      ['the first that was parked', ['bad', 'worse']],
      ['the other one', ['worse', 'bad']],
    ])('is settled once, when all of them have it: %s comes back first', async (_text, order) => {
      const sink = new Topics();
      const rig = await Rig.started(sink, { options: small });
      for (const topic of order) sink.broken.add(topic);
      await publishAlternately(rig, 0, 200, topics);
      await rig.clock.until(() => rig.settled, 60_000);
      expect(parkedOf(rig)).toHaveLength(2);
      expectBalanced(rig.logs);
      // Every message that waits in both is counted in one of them.
      const held = 3 * 200 - sink.records('good').length + 200;
      expect(parkedOf(rig).reduce((sum, { messages }) => sum + messages, 0)).toBeLessThanOrEqual(600);
      expect(held).toBeGreaterThan(0);
      for (const topic of order) {
        sink.broken.delete(topic);
        await rig.clock.until(() => parkedOf(rig).every((each) => each.topic !== topic), 60_000);
        expectBalanced(rig.logs);
      }
      await rig.clock.until(() => rig.settled);
      expect((await rig.stats()).outcomes).toMatchObject({ delivered: 800, deadLettered: 0 });
      expect(values(sink.records('good'))).toEqual(numbers(0, 200).flatMap((value) => [value, value, value]));
      expect(values(sink.records('bad'))).toEqual(numbers(0, 200).flatMap((value) => [value, value]));
      expect(values(sink.records('worse'))).toEqual(numbers(0, 200).flatMap((value) => [value, value]));
      expectBalanced(rig.logs);
    });

    it.each([
      ['before it was parked', 'good'],
      ['while the other topic still waits', 'bad'],
      ['last of all', 'worse'],
    ])('is dead-lettered if one of them was, through a restart: %s', async (_text, refusing) => {
      const sink = new Topics();
      sink.refuseRecords((record) =>
        record.topic === refusing && String(record.value) === '77'
          ? new KafkaFault('record', 'INVALID_RECORD', 'never')
          : undefined,
      );
      const rig = await Rig.started(sink, { options: small });
      sink.broken.add('bad').add('worse');
      await publishAlternately(rig, 0, 150, ['good+bad+worse']);
      await rig.clock.until(() => rig.settled, 60_000);
      sink.broken.delete('bad');
      await rig.clock.until(() => parkedOf(rig).every(({ topic }) => topic !== 'bad'), 60_000);
      expectBalanced(rig.logs);
      const marks = refusing === 'bad' ? 1 : 0;
      expect(Object.keys(rig.logs.shards.get(0)!.log.settle.marks)).toHaveLength(marks);
      rig.crash();
      sink.broken.clear();
      const next = await Rig.open(sink, { options: small, logs: rig.logs, clock: rig.clock });
      await next.clock.advance(11_000);
      await next.forwarder.start();
      await next.clock.until(() => parkedOf(next).length === 0, 60_000);
      expect((await next.stats()).outcomes).toMatchObject({ delivered: 149, deadLettered: 1 });
      expect(rig.logs.shards.get(0)!.log.settle.marks).toEqual({});
      expectBalanced(rig.logs);
    });
  });

  describe('dead letters', () => {
    it('are made of parked records whose route is gone', async () => {
      const sink = new Topics();
      const rig = await Rig.started(sink, { options: small });
      sink.broken.add('bad');
      await publishAlternately(rig, 0, 100);
      await rig.clock.until(() => rig.settled, 60_000);
      const parked = parkedOf(rig)[0]!.messages;
      rig.mapper.gone.add('bad');
      sink.broken.clear();
      await rig.clock.until(() => parkedOf(rig).length === 0, 60_000);
      // What was in the lane to find out whether the topic works was mapped before.
      const delivered = sink.records('bad').length;
      expect(delivered).toBeLessThan(parked);
      expect(delivered + sink.records('dead').length).toBe(100);
      expect(values([...sink.records('bad'), ...sink.records('dead')])).toEqual(numbers(0, 100));
      const [letter] = sink.records('dead');
      expect(letter!.headers.map(([name, value]) => [name, String(value)])).toContainEqual(['code', 'NO_ROUTE']);
      expect((await rig.stats()).outcomes).toMatchObject({ deadLettered: sink.records('dead').length });
      expectBalanced(rig.logs);
    });

    it('are parked themselves while their topic cannot be written, and keep their reason', async () => {
      const sink = new Topics();
      sink.refuseRecords((record) =>
        record.topic === 'good' && Number(record.value) % 5 === 0
          ? new KafkaFault('record', 'INVALID_RECORD', 'never')
          : undefined,
      );
      const rig = await Rig.started(sink, { options: small });
      sink.broken.add('dead');
      await publishAlternately(rig, 0, 500, ['good', 'none']);
      await rig.clock.until(() => sink.records('good').length === 400, 60_000);
      await rig.clock.until(() => rig.settled, 5_000);
      expect(parkedOf(rig)).toMatchObject([{ topic: 'dead', messages: 600 }]);
      sink.broken.clear();
      await rig.clock.until(() => parkedOf(rig).length === 0, 60_000);
      const codes = sink.records('dead').map(({ headers }) => String(headers.find(([name]) => name === 'code')?.[1]));
      expect(codes.filter((code) => code === 'NO_ROUTE')).toHaveLength(500);
      expect(codes.filter((code) => code === 'INVALID_RECORD')).toHaveLength(100);
      expect((await rig.stats()).outcomes).toMatchObject({ delivered: 400, deadLettered: 600 });
      expectBalanced(rig.logs);
    });
  });

  it('leaves a shard whose parking log is of a newer version to a process that can read it', async () => {
    const sink = new Topics();
    const rig = await Rig.started(sink, { options: small });
    sink.broken.add('bad');
    await publishAlternately(rig, 0, 200);
    await rig.clock.until(() => rig.settled, 60_000);
    rig.crash();
    const [first] = rig.logs.shards.get(0)!.parking.get('bad')!;
    first!.bytes = Buffer.from(first!.bytes);
    first!.bytes[0] = 9;
    const next = await Rig.open(sink, { options: small, logs: rig.logs, clock: rig.clock });
    await next.clock.advance(11_000);
    await next.forwarder.start();
    await next.clock.advance(1_000);
    expect(next.events('shardStopped').map(([shard, error]) => [shard, (error as { code: string }).code])).toEqual([
      [0, 'STORE_FORMAT'],
    ]);
    expect(await next.stats()).toMatchObject({ owner: undefined, parkedMessages: 200 });
    expectBalanced(rig.logs);
  });

  it('empties while nothing else moves, however long a settlement takes', async () => {
    const sink = new Topics();
    const rig = await Rig.started(sink, { options: { ...small, parkedWindowMaxBytes: 1_000 } });
    sink.broken.add('bad');
    await publishAlternately(rig, 0, 300);
    await rig.clock.until(() => rig.settled, 60_000);
    rig.store.hooks.beforeSettle = () => rig.clock.sleep(250);
    sink.broken.clear();
    await rig.clock.until(() => parkedOf(rig).length === 0, 60_000);
    expect(values(sink.records('bad'))).toEqual(numbers(0, 300));
    expectBalanced(rig.logs);
  });

  it('ends although a partition that had failed has nothing left to try', async () => {
    const sink = new Topics({ topics: { bad: 2, good: 1 } });
    const rig = await Rig.started(sink, { options: small });
    const clients = Array.from({ length: 8 }, (_, at) => `client-${at}`);
    await rig.commit(
      0,
      clients.map((client) => message(client, 'bad', 'first')),
    );
    await rig.clock.until(() => rig.settled);
    const second = new Set(sink.records('bad', 1).map(({ key }) => String(key)));
    expect(second.size).toBeGreaterThan(0);
    expect(second.size).toBeLessThan(8);
    sink.broken.add('bad');
    for (let at = 0; at < 100; at++) {
      await rig.commit(
        0,
        clients.map((client) => message(client, 'bad', String(at))),
      );
    }
    await rig.clock.advance(100);
    expect(rig.forwarder.status().lanes.filter(({ lastError }) => lastError !== undefined)).toHaveLength(2);
    // By another set of routes nothing goes to the second partition any more.
    const map = rig.mapper.map.bind(rig.mapper);
    rig.mapper.map = (each, ...rest) =>
      map(second.has(each.clientId) ? { ...each, topic: 'elsewhere' } : each, ...rest);
    await rig.clock.until(() => parkedOf(rig).length === 1);
    sink.broken.clear();
    await rig.clock.until(() => rig.settled && parkedOf(rig).length === 0, 60_000);
    expect(rig.forwarder.status().topics.every(({ lastError }) => lastError === undefined)).toBe(true);
    expect(rig.events('topicUnparked')).toHaveLength(1);
    expectBalanced(rig.logs);
  });

  it('counts what a corrupt entry held, reports it, and goes on with the rest in order', async () => {
    const sink = new Topics();
    const rig = await Rig.started(sink, { options: small });
    sink.broken.add('bad');
    await publishAlternately(rig, 0, 300);
    await rig.clock.until(() => rig.settled, 60_000);
    rig.crash();
    const entries = rig.logs.shards.get(0)!.parking.get('bad')!;
    expect(entries.length).toBeGreaterThan(3);
    const [, second] = entries;
    second!.bytes = Buffer.from(second!.bytes);
    second!.bytes[30]! ^= 1;
    sink.broken.clear();
    const next = await Rig.open(sink, { options: small, logs: rig.logs, clock: rig.clock });
    await next.clock.advance(11_000);
    await next.forwarder.start();
    await next.clock.until(() => parkedOf(next).length === 0, 60_000);
    expect(next.events('parkedCorrupt')).toHaveLength(1);
    const { outcomes } = await next.stats();
    expect(outcomes.discarded['corrupt']).toBeGreaterThan(0);
    expect(outcomes.delivered + outcomes.discarded['corrupt']!).toBe(600);
    const got = values(sink.records('bad')).map(Number);
    expect(got).toEqual([...got].sort((a, b) => a - b));
    expect(got.length + outcomes.discarded['corrupt']!).toBe(300);
    expectBalanced(rig.logs);
  });
});
