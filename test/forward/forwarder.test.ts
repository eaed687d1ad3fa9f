import { describe, expect, it } from 'vitest';
import { KafkaFault } from '../../src/kafka/sink.ts';
import { FakeSink, type WrittenRecord } from '../support/fake-sink.ts';
import { expectBalanced, message, Rig } from './support/rig.ts';

const topicFault = new KafkaFault('topic', 'NOT_LEADER_OR_FOLLOWER', 'no leader');
const clusterFault = new KafkaFault('cluster', 'CONNECTION_REFUSED', 'nobody is there');

const values = (records: readonly WrittenRecord[]): string[] => records.map(({ value }) => String(value));
const numbers = (from: number, count: number): string[] => Array.from({ length: count }, (_, at) => String(from + at));

describe('Forwarder', () => {
  it('delivers what this process commits, in order, without reading the store', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink);
    await rig.clock.advance(10);
    let reads = 0;
    rig.store.hooks.beforeRead = () => void reads++;
    for (let at = 0; at < 50; at++) await rig.publish('c', 't', at * 10, 10);
    await rig.clock.until(() => rig.settled);
    expect(values(sink.records('t'))).toEqual(numbers(0, 500));
    expect(reads).toBe(0);
    expect((await rig.stats()).outcomes.delivered).toBe(500);
    expectBalanced(rig.logs);
  });

  it('delivers what was in the store before it started', async () => {
    const sink = new FakeSink();
    const rig = await Rig.open(sink);
    for (let at = 0; at < 20; at++) await rig.publish('c', 't', at * 10, 10, false);
    await rig.forwarder.start();
    await rig.clock.until(() => rig.settled);
    expect(values(sink.records('t'))).toEqual(numbers(0, 200));
    expectBalanced(rig.logs);
  });

  it('settles nothing before Kafka has confirmed it', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink);
    sink.hold();
    await rig.publish('c', 't', 0, 10);
    await rig.clock.advance(5_000);
    expect((await rig.stats()).released).toBe(0);
    sink.release();
    await rig.clock.until(() => rig.settled);
    expect((await rig.stats()).outcomes.delivered).toBe(10);
  });

  it('settles a contiguous prefix only: a later partition does not overtake the release point', async () => {
    const sink = new FakeSink({ topics: { slow: 1, fast: 1 } });
    const rig = await Rig.started(sink);
    sink.failNext(topicFault, { count: 3, topic: 'slow' });
    await rig.commit(0, [message('c', 'fast', '1'), message('c', 'slow', '2'), message('c', 'fast', '3')]);
    await rig.clock.until(() => sink.records('fast').length === 2);
    await rig.clock.advance(20);
    expect((await rig.stats()).released).toBe(1);
    await rig.clock.until(() => rig.settled);
    expect(values(sink.records('slow'))).toEqual(['2']);
    expectBalanced(rig.logs);
  });

  it('sends the identical chunk again, and nothing else of that partition, until Kafka answers', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink);
    sink.failNext(topicFault, { count: 4 });
    await rig.publish('c', 't', 0, 5);
    await rig.clock.advance(10);
    await rig.publish('c', 't', 5, 5);
    await rig.clock.until(() => rig.settled);
    const first = sink.sends[0]!.chunk;
    expect(sink.sends.slice(0, 5).map(({ chunk }) => chunk === first)).toEqual([true, true, true, true, true]);
    expect(values(sink.records('t'))).toEqual(numbers(0, 10));
    expect(rig.events('topicFault')).toHaveLength(1);
    expect(rig.events('topicRecovered')).toHaveLength(1);
    expect(rig.forwarder.counters.retries).toBe(4);
  });

  it('keeps the bounds of a chunk', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink, { options: { chunkMaxRecords: 7, chunkMaxBytes: 1_000 } });
    await rig.publish('c', 't', 0, 40);
    await rig.commit(0, [message('c', 't', 'x'.repeat(5_000)), message('c', 't', 'y')]);
    await rig.clock.until(() => rig.settled);
    expect(Math.max(...sink.sends.map(({ chunk }) => chunk.count))).toBe(7);
    const large = sink.sends.filter(({ chunk }) => chunk.bytes > 1_000);
    expect(large.map(({ chunk }) => chunk.count)).toEqual([1]);
    expect(sink.records('t')).toHaveLength(42);
  });

  it('goes on after a crash from the release point, in the middle of a frame too', async () => {
    const sink = new FakeSink({ topics: { a: 1, b: 1 } });
    const rig = await Rig.started(sink);
    sink.failNext(topicFault, { count: 1_000, topic: 'b' });
    await rig.commit(0, [
      message('c', 'a', '1'),
      message('c', 'a', '2'),
      message('c', 'b', '3'),
      message('c', 'a', '4'),
    ]);
    await rig.clock.advance(200);
    expect(await rig.stats()).toMatchObject({ released: 2, outcomes: { delivered: 2 } });
    rig.crash();
    sink.heal();
    const next = await Rig.open(sink, { logs: rig.logs, clock: rig.clock });
    await rig.clock.advance(11_000);
    await next.forwarder.start();
    await next.clock.until(() => next.settled);
    expect(values(sink.records('a'))).toEqual(['1', '2', '4', '4']);
    expect(values(sink.records('b'))).toEqual(['3']);
    expect((await next.stats()).outcomes.delivered).toBe(4);
    expectBalanced(rig.logs);
  });

  it('frees the bytes of what is settled', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink);
    for (let at = 0; at < 10; at++) await rig.publish('c', 't', at, 1);
    await rig.clock.until(() => rig.settled);
    expect(await rig.stats()).toMatchObject({ bytes: 0, logMessages: 0 });
    expect(rig.logs.shards.get(0)!.frames).toHaveLength(0);
  });

  it('settles under load at most once per interval', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink, { options: { settleIntervalMs: 50 } });
    for (let at = 0; at < 100; at++) {
      await rig.publish('c', 't', at, 1);
      await rig.clock.advance(5);
    }
    await rig.clock.until(() => rig.settled);
    expect(rig.forwarder.counters.settlements).toBeLessThanOrEqual(12);
    expectBalanced(rig.logs);
  });

  describe('a record that Kafka will never take', () => {
    const refuse = (bad: readonly string[]) => (record: WrittenRecord) =>
      record.topic === 't' && bad.includes(String(record.value))
        ? new KafkaFault('record', 'INVALID_RECORD', 'Kafka says no')
        : undefined;

    it.each([
      ['that Kafka names', true],
      ['found by bisection', false],
    ])('goes to the dead letters, %s, and the others go on in order', async (_text, named) => {
      const sink = new FakeSink();
      const rig = await Rig.started(sink);
      const bad = ['0', '3', '4', '61', '99'];
      sink.refuseRecords(refuse(bad), { named });
      await rig.publish('c', 't', 0, 100);
      await rig.clock.until(() => rig.settled);
      expect(values(sink.records('t'))).toEqual(numbers(0, 100).filter((value) => !bad.includes(value)));
      expect(values(sink.records('dead'))).toEqual(bad);
      const headers = Object.fromEntries(
        sink.records('dead')[0]!.headers.map(([name, value]) => [name, String(value)]),
      );
      expect(headers).toMatchObject({ code: 'INVALID_RECORD', reason: 'Kafka says no', topic: 't' });
      expect((await rig.stats()).outcomes).toMatchObject({ delivered: 95, deadLettered: 5 });
      expect(rig.events('deadLetter')).toHaveLength(5);
      expectBalanced(rig.logs);
    });

    it('is found in few sends', async () => {
      const sink = new FakeSink();
      const rig = await Rig.started(sink);
      sink.refuseRecords(refuse(['700']), { named: false });
      await rig.publish('c', 't', 0, 1_000);
      await rig.clock.until(() => rig.settled);
      expect(sink.sends.length).toBeLessThanOrEqual(24);
      expect(sink.records('t')).toHaveLength(999);
    });

    it('may be one that does not encode', async () => {
      const sink = new FakeSink();
      const rig = await Rig.started(sink);
      sink.failEncoding((record) => String(record.value) === '5' && !record.headers.some(([name]) => name === 'code'));
      await rig.publish('c', 't', 0, 10);
      await rig.clock.until(() => rig.settled);
      expect(values(sink.records('t'))).toEqual(numbers(0, 10).filter((value) => value !== '5'));
      expect(values(sink.records('dead'))).toEqual(['5']);
      expectBalanced(rig.logs);
    });

    it('counts its message as dead-lettered although another record of it was written', async () => {
      const sink = new FakeSink({ topics: { t: 1, u: 1, dead: 1 } });
      const rig = await Rig.started(sink);
      sink.refuseRecords(refuse(['7']));
      await rig.commit(0, [message('c', 't+u', '7'), message('c', 'u+t', '8')]);
      await rig.clock.until(() => rig.settled);
      expect((await rig.stats()).outcomes).toMatchObject({ delivered: 1, deadLettered: 1 });
      expect(values(sink.records('u'))).toEqual(['7', '8']);
      expectBalanced(rig.logs);
    });

    it('counts its message as dead-lettered although another record of it is written afterwards', async () => {
      const sink = new FakeSink({ topics: { t: 1, u: 1, dead: 1 } });
      const rig = await Rig.started(sink);
      sink.refuseRecords(refuse(['7']));
      sink.failNext(topicFault, { topic: 'u', count: 3 });
      await rig.commit(0, [message('c', 't+u', '7')]);
      await rig.clock.until(() => sink.records('dead').length === 1);
      expect(sink.records('u')).toEqual([]);
      await rig.clock.until(() => rig.settled);
      expect((await rig.stats()).outcomes).toMatchObject({ delivered: 0, deadLettered: 1 });
    });

    it('does not make Kafka refuse chunk after chunk: one that is too large halves the next', async () => {
      const sink = new FakeSink();
      const rig = await Rig.started(sink);
      sink.refuseRecords(() => undefined);
      const limit = 40_000;
      const send = sink.send.bind(sink);
      let refused = 0;
      sink.send = async (chunk) => {
        if (chunk.bytes > limit) {
          refused++;
          await Promise.resolve();
          throw new KafkaFault('record', 'MESSAGE_TOO_LARGE', 'more than the topic takes');
        }
        return send(chunk);
      };
      for (let at = 0; at < 100; at++) await rig.publish('c', 't', at * 100, 100);
      await rig.clock.until(() => rig.settled);
      expect(values(sink.records('t'))).toEqual(numbers(0, 10_000));
      expect(refused).toBeLessThan(12);
      expect(sink.records('dead')).toHaveLength(0);
    });
  });

  describe('dead letters', () => {
    it('are what no route matches, and what cannot be mapped', async () => {
      const sink = new FakeSink();
      const rig = await Rig.started(sink);
      await rig.commit(0, [message('c', 'none', '1'), message('c', 't', '2'), message('c', 'bad!', '3')]);
      await rig.clock.until(() => rig.settled);
      expect(values(sink.records('dead'))).toEqual(['1', '3']);
      expect(values(sink.records('t'))).toEqual(['2']);
      expect((await rig.stats()).outcomes).toMatchObject({ delivered: 1, deadLettered: 2 });
      expectBalanced(rig.logs);
    });

    it('wait, unsettled, while their topic cannot be written', async () => {
      const sink = new FakeSink();
      const rig = await Rig.started(sink);
      sink.failNext(topicFault, { topic: 'dead', count: 10 });
      await rig.commit(0, [message('c', 'none', '1'), message('c', 't', '2')]);
      await rig.clock.until(() => sink.records('t').length === 1);
      await rig.clock.advance(1_000);
      expect((await rig.stats()).released).toBe(0);
      await rig.clock.until(() => rig.settled);
      expect(values(sink.records('dead'))).toEqual(['1']);
    });

    it('are cut where Kafka refuses them as too large', async () => {
      const sink = new FakeSink();
      const rig = await Rig.started(sink);
      sink.refuseRecords((record) =>
        record.value!.length > 20_000 ? new KafkaFault('record', 'MESSAGE_TOO_LARGE', 'too large') : undefined,
      );
      await rig.commit(0, [message('c', 't', 'x'.repeat(100_000)), message('c', 't', 'y')]);
      await rig.clock.until(() => rig.settled);
      expect(values(sink.records('t'))).toEqual(['y']);
      const [letter] = sink.records('dead');
      expect(letter!.value!.length).toBeLessThanOrEqual(20_000);
      expect(letter!.value!.length).toBeGreaterThan(5_000);
      expectBalanced(rig.logs);
    });

    it('that are refused for good wait for the topic to change, and hold only the dead letters', async () => {
      const sink = new FakeSink();
      const rig = await Rig.started(sink);
      sink.refuseRecords((record) =>
        record.topic === 'dead' && String(record.value) === '2'
          ? new KafkaFault('record', 'INVALID_RECORD', 'never')
          : undefined,
      );
      await rig.commit(
        0,
        ['1', '2', '3'].map((value) => message('c', 'none', value)),
      );
      await rig.publish('c', 't', 0, 5);
      await rig.clock.advance(60_000);
      expect(values(sink.records('dead'))).toEqual(['1']);
      expect(sink.records('t')).toHaveLength(5);
      expect(rig.events('topicFault')).toHaveLength(1);
      expect((await rig.stats()).released).toBe(1);
      sink.heal();
      await rig.clock.until(() => rig.settled);
      expect(values(sink.records('dead'))).toEqual(['1', '2', '3']);
      expectBalanced(rig.logs);
    });
  });

  describe('a cluster that is away', () => {
    it('pauses everything, is probed by one chunk at a time, and goes on by itself', async () => {
      const sink = new FakeSink({ partitions: 8 });
      const rig = await Rig.started(sink);
      await rig.commit(
        0,
        Array.from({ length: 64 }, (_, at) => message(`c${at}`, 't', 'warm')),
      );
      await rig.clock.until(() => rig.settled);
      sink.failNext(clusterFault, { count: 1_000_000 });
      const before = sink.sends.length;
      await rig.commit(
        0,
        Array.from({ length: 640 }, (_, at) => message(`c${at % 64}`, 't', String(at))),
      );
      await rig.clock.advance(60_000);
      // Eight lanes found out; then one probe every 1 to 2 s.
      expect(sink.sends.length - before).toBeLessThan(8 + 60);
      expect(rig.events('clusterPaused')).toHaveLength(1);
      expect(rig.forwarder.status().cluster).toMatchObject({ reason: 'CONNECTION_REFUSED' });
      expect(rig.events('topicFault')).toHaveLength(0);
      sink.heal();
      await rig.clock.until(() => rig.settled, 5_000);
      expect(rig.events('clusterResumed')).toHaveLength(1);
      expect(rig.forwarder.status().cluster).toBeUndefined();
      expect(sink.records('t')).toHaveLength(64 + 640);
      expectBalanced(rig.logs);
    });

    it('is found out by a topic look-up as well', async () => {
      const sink = new FakeSink();
      sink.failLoad('t', clusterFault, 5);
      const rig = await Rig.started(sink);
      await rig.publish('c', 't', 0, 5);
      await rig.publish('c', 'u', 0, 5);
      await rig.clock.until(() => rig.settled);
      expect(rig.events('clusterPaused').length).toBeGreaterThan(0);
      expect(rig.events('clusterPaused').length).toBe(rig.events('clusterResumed').length);
      expect(values(sink.records('t'))).toEqual(numbers(0, 5));
    });

    it('is not assumed where others are confirmed meanwhile: one broker holds up its partitions only', async () => {
      const sink = new FakeSink({ topics: { good: 1, bad: 1 } });
      const rig = await Rig.started(sink);
      await rig.publish('c', 'good', 0, 1);
      await rig.publish('c', 'bad', 0, 1);
      await rig.clock.until(() => rig.settled);
      const send = sink.send.bind(sink);
      let down = true;
      sink.send = async (chunk) => {
        if (chunk.topic !== 'bad' || !down) return send(chunk);
        await rig.clock.sleep(30);
        throw clusterFault;
      };
      for (let at = 1; at <= 200; at++) {
        await rig.publish('c', at % 2 === 0 ? 'good' : 'bad', at, 1);
        await rig.clock.advance(10);
      }
      expect(rig.events('clusterPaused')).toHaveLength(0);
      expect(sink.records('good')).toHaveLength(101);
      down = false;
      await rig.clock.until(() => rig.settled);
      expect(sink.records('bad')).toHaveLength(101);
      expectBalanced(rig.logs);
    });
  });

  it('finds out that only one broker is away, although nothing was confirmed since', async () => {
    const sink = new FakeSink({ topics: { good: 1, bad: 1 } });
    const rig = await Rig.started(sink);
    for (const topic of ['good', 'bad']) await rig.publish('c', topic, 0, 1);
    await rig.clock.until(() => rig.settled);
    sink.failNext(clusterFault, { topic: 'bad', count: 1e9 });
    await rig.publish('c', 'bad', 1, 1);
    await rig.clock.until(() => rig.events('clusterPaused').length === 1);
    await rig.publish('c', 'good', 1, 1);
    await rig.clock.until(() => sink.records('good').length === 2, 10_000);
    sink.heal();
    await rig.clock.until(() => rig.settled);
    expect(values(sink.records('bad'))).toEqual(['0', '1']);
  });

  describe('topics', () => {
    it('are looked up first, while their records wait in order and other topics go on', async () => {
      const sink = new FakeSink();
      sink.failLoad('late', new KafkaFault('topic', 'UNKNOWN_TOPIC_OR_PARTITION', 'not there'), 5);
      const rig = await Rig.started(sink);
      for (let at = 0; at < 5; at++) await rig.publish('c', 'late', at * 10, 10);
      await rig.publish('c', 't', 0, 3);
      await rig.clock.until(() => sink.records('t').length === 3);
      expect(sink.records('late')).toHaveLength(0);
      expect(rig.events('topicFault').map(([topic]) => topic)).toEqual(['late']);
      await rig.clock.until(() => rig.settled);
      expect(values(sink.records('late'))).toEqual(numbers(0, 50));
      expect(rig.events('topicRecovered').map(([topic]) => topic)).toEqual(['late']);
    });

    it('are drained before another number of partitions applies', async () => {
      const sink = new FakeSink({ topics: { t: 1 } });
      const rig = await Rig.started(sink);
      await rig.publish('warm', 't', 0, 1);
      await rig.clock.until(() => rig.settled);
      sink.hold();
      const clients = Array.from({ length: 20 }, (_, at) => `client-${at}`);
      await rig.commit(
        0,
        clients.map((client) => message(client, 't', '1')),
      );
      await rig.clock.advance(20);
      sink.setPartitions('t', 8);
      await rig.commit(
        0,
        clients.map((client) => message(client, 't', '2')),
      );
      await rig.clock.advance(1_000);
      expect(sink.held).toBe(1);
      sink.release();
      await rig.clock.until(() => rig.settled);
      const firsts = sink.records('t').slice(1, 21);
      expect(values(firsts)).toEqual(clients.map(() => '1'));
      expect(firsts.every(({ partition }) => partition === 0)).toBe(true);
      expect(
        new Set(
          sink
            .records('t')
            .slice(21)
            .map(({ partition }) => partition),
        ).size,
      ).toBeGreaterThan(1);
      expectBalanced(rig.logs);
    });

    it('that come back with fewer partitions take what waited for those that are gone', async () => {
      const sink = new FakeSink({ topics: { t: 8 } });
      const rig = await Rig.started(sink);
      const clients = Array.from({ length: 40 }, (_, at) => `client-${at}`);
      await rig.commit(
        0,
        clients.map((client) => message(client, 't', '0')),
      );
      await rig.clock.until(() => rig.settled);
      sink.failNext(new KafkaFault('topic', 'UNKNOWN_TOPIC_OR_PARTITION', 'gone'), { count: 16 });
      for (const value of ['1', '2', '3'])
        await rig.commit(
          0,
          clients.map((client) => message(client, 't', value)),
        );
      await rig.clock.advance(50);
      const send = sink.send.bind(sink);
      sink.send = (chunk) =>
        chunk.partition < 2
          ? send(chunk)
          : Promise.reject(new KafkaFault('topic', 'UNKNOWN_TOPIC_OR_PARTITION', 'no such partition'));
      sink.setPartitions('t', 2);
      await rig.commit(
        0,
        clients.map((client) => message(client, 't', '4')),
      );
      await rig.clock.until(() => rig.settled);
      for (const client of clients) {
        const own = sink.records('t').filter(({ key }) => String(key) === client);
        expect(values(own)).toEqual(['0', '1', '2', '3', '4']);
      }
      expectBalanced(rig.logs);
    });
  });
});
