import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/errors.ts';
import { KafkaFault } from '../../src/kafka/sink.ts';
import { FakeSink, type WrittenRecord } from '../support/fake-sink.ts';
import { expectBalanced, intercepted, message, Rig } from './support/rig.ts';
import { VirtualClock } from './support/virtual-clock.ts';

const values = (records: readonly WrittenRecord[]): string[] => records.map(({ value }) => String(value));
const numbers = (from: number, count: number): string[] => Array.from({ length: count }, (_, at) => String(from + at));
const topicFault = new KafkaFault('topic', 'NOT_LEADER_OR_FOLLOWER', 'no leader');

describe('leases', () => {
  it('are taken for every shard, kept for hours, and given back at the stop', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink, { shards: 4 });
    expect(rig.events('leaseAcquired').map(([shard]) => shard)).toEqual([0, 1, 2, 3]);
    await rig.clock.advance(3_600_000);
    expect(rig.events('leaseLost')).toEqual([]);
    const stopped = rig.forwarder.stop({ deadlineMs: 1_000 });
    await rig.clock.advance(1_000);
    await stopped;
    for (const shard of [0, 1, 2, 3]) expect((await rig.store.stats(shard)).owner).toBeUndefined();
  });

  it('that another process holds are tried for again', async () => {
    const clock = new VirtualClock();
    const sink = new FakeSink();
    const first = await Rig.started(sink, { clock, shards: 2 });
    const second = await Rig.started(sink, { clock, shards: 2, logs: first.logs });
    expect(second.events('leaseAcquired')).toEqual([]);
    const stopped = first.forwarder.stop({ deadlineMs: 1_000 });
    await clock.advance(10_000);
    await stopped;
    expect(second.events('leaseAcquired')).toHaveLength(2);
  });

  it('of a process that died run out, and the next owner delivers the rest in order', async () => {
    const clock = new VirtualClock();
    const sink = new FakeSink();
    const first = await Rig.started(sink, { clock });
    await first.publish('c', 't', 0, 10);
    await clock.until(() => first.settled);
    sink.hold();
    await first.publish('c', 't', 10, 10);
    await clock.advance(10);
    first.crash();
    sink.release();
    const second = await Rig.open(new FakeSink(), { clock, logs: first.logs });
    await second.forwarder.start();
    await clock.advance(5_000);
    expect(second.events('leaseAcquired')).toEqual([]);
    await clock.until(() => second.settled, 15_000);
    expect((await second.stats()).outcomes.delivered).toBe(20);
    expectBalanced(first.logs);
  });

  it('that run out stop new chunks at once; what was queued is dropped when the renewal is refused', async () => {
    const clock = new VirtualClock();
    const sink = new FakeSink();
    let answers = true;
    const rig = await Rig.started(sink, {
      clock,
      wrap: (store) =>
        intercepted(store, {
          renew: (lease, ttlMs) =>
            answers ? store.renew(lease, ttlMs) : Promise.reject(new SluiceError('STORE_TIMEOUT', 'no answer')),
        }),
    });
    await rig.publish('c', 't', 0, 1);
    await clock.until(() => rig.settled);
    answers = false;
    await clock.advance(11_000);
    const before = sink.sends.length;
    await rig.publish('c', 't', 1, 10);
    await clock.advance(5_000);
    expect(sink.sends.length).toBe(before);
    // Another process takes it meanwhile.
    const other = rig.logs.shards.get(0)!.log;
    other.acquire('other', clock.now(), 3_000);
    answers = true;
    await clock.until(() => rig.settled, 20_000);
    expect(rig.events('leaseLost')).toHaveLength(1);
    expect(values(sink.records('t'))).toEqual(numbers(0, 11));
    expectBalanced(rig.logs);
  });

  it('that are renewed after a doubt go on without a repeat', async () => {
    const clock = new VirtualClock();
    const sink = new FakeSink();
    let answers = true;
    const rig = await Rig.started(sink, {
      clock,
      wrap: (store) =>
        intercepted(store, {
          renew: (lease, ttlMs) =>
            answers ? store.renew(lease, ttlMs) : Promise.reject(new SluiceError('STORE_UNAVAILABLE', 'gone')),
        }),
    });
    await rig.publish('c', 't', 0, 1);
    await clock.until(() => rig.settled);
    answers = false;
    sink.failNext(topicFault, { count: 3 });
    await rig.publish('c', 't', 1, 5);
    await clock.advance(20_000);
    await rig.publish('c', 't', 6, 5);
    await clock.advance(5_000);
    answers = true;
    await clock.until(() => rig.settled, 5_000);
    expect(values(sink.records('t'))).toEqual(numbers(0, 11));
    expect(rig.events('leaseLost')).toEqual([]);
    expect(rig.events('storeFault').map(([, error]) => error !== undefined)).toEqual([true, false]);
  });

  it('lost while a chunk is on the wire: it ends, its result is ignored, other shards in it count', async () => {
    const clock = new VirtualClock();
    const sink = new FakeSink();
    const rig = await Rig.started(sink, { clock, shards: 2 });
    await rig.commit(0, [message('warm', 't', 'w')]);
    await clock.until(() => rig.settled);
    sink.hold();
    await rig.commit(0, [message('a', 't', '1')]);
    await rig.commit(1, [message('b', 't', '1')]);
    await clock.advance(10);
    await rig.commit(0, [message('a', 't', '2')]);
    await rig.commit(1, [message('b', 't', '2')]);
    await clock.advance(10);
    const { log } = rig.logs.shards.get(0)!;
    log.leaseUntil = -Infinity;
    log.acquire('other', clock.now(), 1e9);
    await clock.until(() => rig.events('leaseLost').length === 1);
    expect(rig.events('leaseLost')[0]![0]).toBe(0);
    sink.release();
    await clock.until(() => rig.logs.shards.get(1)!.log.settle.released === 2);
    await clock.advance(1_000);
    expect(values(sink.records('t').filter(({ key }) => String(key) === 'b'))).toEqual(['1', '2']);
    // 'a' 2 was only queued: the other owner's.
    expect(values(sink.records('t').filter(({ key }) => String(key) === 'a'))).toEqual(['1']);
    expect((await rig.stats(0)).released).toBe(1);
    expectBalanced(rig.logs);
  });

  it('lost while a chunk is on the wire that Kafka then refuses: what other shards have in it goes on', async () => {
    const clock = new VirtualClock();
    const sink = new FakeSink();
    const rig = await Rig.started(sink, { clock, shards: 2 });
    await rig.commit(0, [message('warm', 't', 'w')]);
    await clock.until(() => rig.settled);
    sink.refuseRecords(
      (record) =>
        record.topic === 't' && String(record.value) === 'poison'
          ? new KafkaFault('record', 'INVALID_RECORD', 'never')
          : undefined,
      { named: false },
    );
    sink.hold();
    await rig.commit(0, [message('a', 't', '1')]);
    await clock.advance(10);
    await rig.commit(0, [message('a', 't', '2'), message('a', 't', '3')]);
    await rig.commit(1, [message('b', 't', '1'), message('b', 't', 'poison'), message('b', 't', '2')]);
    await clock.advance(10);
    sink.release(1);
    await clock.advance(10);
    expect(sink.sends.at(-1)!.chunk.count).toBe(5);
    const { log } = rig.logs.shards.get(0)!;
    log.leaseUntil = -Infinity;
    log.acquire('other', clock.now(), 1e9);
    await clock.until(() => rig.events('leaseLost').length === 1);
    sink.release();
    await clock.until(() => rig.logs.shards.get(1)!.log.settle.released === 3, 5_000);
    expect(values(sink.records('t').filter(({ key }) => String(key) === 'b'))).toEqual(['1', '2']);
    expect(values(sink.records('dead'))).toEqual(['poison']);
    expectBalanced(rig.logs);
  });

  it('lost while a chunk waits to be sent again: it is given up where nobody needs it', async () => {
    const clock = new VirtualClock();
    const sink = new FakeSink();
    const rig = await Rig.started(sink, { clock });
    sink.failNext(topicFault, { count: 1_000 });
    await rig.publish('c', 't', 0, 5);
    await clock.advance(5_000);
    const { log } = rig.logs.shards.get(0)!;
    log.leaseUntil = -Infinity;
    log.acquire('other', clock.now(), 1e9);
    await clock.until(() => rig.events('leaseLost').length === 1);
    expect(sink.abandoned).toHaveLength(1);
    expect(rig.forwarder.status().lanes.every(({ queued }) => queued === 0)).toBe(true);
    const before = sink.sends.length;
    await clock.advance(60_000);
    expect(sink.sends.length).toBe(before);
    expect(rig.events('topicRecovered')).toHaveLength(1);
  });
});

describe('stop()', () => {
  const stop = async (rig: Rig, options: Parameters<Rig['forwarder']['stop']>[0]) => {
    const began = rig.clock.now();
    let result: { drained: boolean } | undefined;
    void rig.forwarder.stop(options).then((value) => (result = value));
    await rig.clock.until(() => result !== undefined, options.deadlineMs * 2);
    return { ...result!, tookMs: rig.clock.now() - began };
  };

  it('waits for chunks on the wire and settles what they confirm', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink);
    sink.hold();
    await rig.publish('c', 't', 0, 10);
    await rig.clock.advance(10);
    rig.clock.setTimeout(() => sink.release(), 300);
    const { tookMs } = await stop(rig, { deadlineMs: 5_000 });
    expect(tookMs).toBeLessThan(1_000);
    expect(await rig.stats()).toMatchObject({ released: 10, owner: undefined });
    expect(values(sink.records('t'))).toEqual(numbers(0, 10));
  });

  it('with drain delivers everything that is in the buffer', async () => {
    const sink = new FakeSink();
    const rig = await Rig.open(sink, { options: { windowMaxBytes: 20_000, readMaxBytes: 5_000 } });
    for (let at = 0; at < 100; at++) await rig.publish('c', 't', at * 10, 10, false);
    await rig.forwarder.start();
    const { drained } = await stop(rig, { deadlineMs: 60_000, drain: true });
    expect(drained).toBe(true);
    expect(values(sink.records('t'))).toEqual(numbers(0, 1_000));
    expect(await rig.stats()).toMatchObject({ logMessages: 0, owner: undefined });
  });

  it('ends at its deadline where Kafka does not answer, and leaves the rest in the buffer', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink);
    await rig.publish('c', 't', 0, 5);
    await rig.clock.until(() => rig.settled);
    sink.hold();
    await rig.publish('c', 't', 5, 10);
    await rig.clock.advance(10);
    const { drained, tookMs } = await stop(rig, { deadlineMs: 2_000, drain: true });
    expect(drained).toBe(false);
    expect(tookMs).toBeLessThanOrEqual(2_100);
    expect(await rig.stats()).toMatchObject({ released: 5, logMessages: 10, owner: undefined });
  });

  it('gives up what waits to be sent again, and sends nothing more', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink);
    sink.failNext(topicFault, { count: 1_000 });
    await rig.publish('c', 't', 0, 5);
    await rig.clock.advance(1_000);
    await stop(rig, { deadlineMs: 1_000 });
    const before = sink.sends.length;
    sink.heal();
    await rig.clock.advance(60_000);
    expect(sink.sends.length).toBe(before);
    expect(await rig.stats()).toMatchObject({ released: 0, owner: undefined });
    expectBalanced(rig.logs);
  });

  it('ends at its deadline where the store does not answer', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink);
    rig.store.hooks.beforeSettle = () => new Promise<void>(() => undefined);
    await rig.publish('c', 't', 0, 5);
    await rig.clock.advance(1_000);
    const { tookMs } = await stop(rig, { deadlineMs: 2_000 });
    expect(tookMs).toBeLessThanOrEqual(2_100);
  });
});
