import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../../src/buffer/memory/store.ts';
import { SluiceError } from '../../src/errors.ts';
import { KafkaFault } from '../../src/kafka/sink.ts';
import { FakeSink, type WrittenRecord } from '../support/fake-sink.ts';
import { expectBalanced, message, Rig } from './support/rig.ts';

const values = (records: readonly WrittenRecord[]): string[] => records.map(({ value }) => String(value));
const numbers = (from: number, count: number): string[] => Array.from({ length: count }, (_, at) => String(from + at));

/** Ten frames of ten messages, 0..99, in the store; the forwarder has not started. */
async function filled(sink: FakeSink): Promise<Rig> {
  const rig = await Rig.open(sink);
  for (let at = 0; at < 10; at++) await rig.publish('c', 't', at * 10, 10, false);
  return rig;
}

function damage(rig: Rig, at: number, how: (bytes: Buffer) => Buffer): void {
  const { frames } = rig.logs.shards.get(0)!;
  const frame = frames[at]!;
  frames[at] = { ...frame, bytes: how(Buffer.from(frame.bytes)) };
}

const flip = (bytes: Buffer): Buffer => {
  bytes[40]! ^= 1;
  return bytes;
};

describe('ShardReader', () => {
  it('reads the store for frames that another process appended', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink);
    await rig.clock.advance(100);
    await rig.publish('c', 't', 0, 3, false);
    rig.forwarder.appended(0);
    await rig.clock.until(() => rig.settled, 50);
    expect(values(sink.records('t'))).toEqual(['0', '1', '2']);
  });

  it('finds frames whose wake-up was lost', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink);
    await rig.clock.advance(100);
    await rig.publish('c', 't', 0, 3, false);
    await rig.clock.until(() => rig.settled, 2_100);
    expect(values(sink.records('t'))).toEqual(['0', '1', '2']);
  });

  it('keeps order where frames of this and of another process alternate', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink);
    for (let at = 0; at < 40; at++) {
      await rig.publish('c', 't', at * 5, 5, at % 3 === 0);
      if (at % 7 === 0) await rig.clock.advance(3);
    }
    await rig.clock.until(() => rig.settled);
    expect(values(sink.records('t'))).toEqual(numbers(0, 200));
    expect(rig.events('offsetsMissing')).toEqual([]);
  });

  it('reads the store where the tail was dropped, and comes back to the tail', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink, { tailMaxBytes: 2_000 });
    sink.hold();
    for (let at = 0; at < 100; at++) await rig.publish('c', 't', at * 10, 10);
    expect(rig.tail.overflows).toBeGreaterThan(0);
    sink.release();
    await rig.clock.until(() => rig.settled);
    let reads = 0;
    rig.store.hooks.beforeRead = () => void reads++;
    await rig.clock.advance(100);
    await rig.publish('c', 't', 1_000, 10);
    await rig.clock.until(() => rig.settled);
    expect(values(sink.records('t'))).toEqual(numbers(0, 1_010));
    expect(reads).toBe(0);
  });

  it('holds no more than its window, whatever the backlog', async () => {
    const sink = new FakeSink();
    const rig = await Rig.open(sink, { options: { windowMaxBytes: 50_000, readMaxBytes: 10_000 } });
    for (let at = 0; at < 200; at++) await rig.publish('c', 't', at * 50, 50, false);
    sink.failNext(new KafkaFault('topic', 'NOT_LEADER_OR_FOLLOWER', 'no leader'), { count: 5 });
    await rig.forwarder.start();
    let most = 0;
    for (let at = 0; at < 400; at++) {
      await rig.clock.advance(5);
      most = Math.max(most, rig.forwarder.status().shards[0]!.windowBytes);
    }
    await rig.clock.until(() => rig.settled);
    // One frame's records more than the bound.
    expect(most).toBeGreaterThan(40_000);
    expect(most).toBeLessThan(60_000);
    expect(values(sink.records('t'))).toEqual(numbers(0, 10_000));
    expect(rig.forwarder.status().shards[0]!.windowBytes).toBe(0);
  });

  it('waits out a store that fails, and says so once', async () => {
    const sink = new FakeSink();
    const rig = await filled(sink);
    let failures = 0;
    rig.store.hooks.beforeRead = () => {
      if (failures++ < 8) throw new SluiceError('STORE_UNAVAILABLE', 'gone');
    };
    await rig.forwarder.start();
    await rig.clock.until(() => rig.settled);
    expect(values(sink.records('t'))).toEqual(numbers(0, 100));
    expect(rig.events('storeFault').map(([, error]) => (error as SluiceError | undefined)?.code)).toEqual([
      'STORE_UNAVAILABLE',
      undefined,
    ]);
  });

  describe('a corrupt frame', () => {
    it.each([
      ['the first', 0],
      ['one between', 4],
      ['the last', 9],
    ])('is set aside, reported and counted; the rest goes on: %s', async (_text, at) => {
      const sink = new FakeSink();
      const rig = await filled(sink);
      damage(rig, at, flip);
      await rig.forwarder.start();
      await rig.clock.until(() => rig.settled);
      const gone = new Set(numbers(at * 10, 10));
      expect(values(sink.records('t'))).toEqual(numbers(0, 100).filter((value) => !gone.has(value)));
      expect(rig.events('frameCorrupt').map(([shard, base, count]) => [shard, base, count])).toEqual([
        [0, at * 10 + 1, 10],
      ]);
      const stats = await rig.stats();
      expect(stats.outcomes).toMatchObject({ delivered: 90, discarded: { corrupt: 10 } });
      expect(stats.setAside).toBe(1);
      expect(rig.logs.shards.get(0)!.aside[0]!.base).toBe(at * 10 + 1);
      expectBalanced(rig.logs);
      await rig.publish('c', 't', 100, 5);
      await rig.clock.until(() => rig.settled);
      expect(values(sink.records('t')).slice(-5)).toEqual(numbers(100, 5));
    });

    it.each([
      ['cut short', (bytes: Buffer) => bytes.subarray(0, bytes.length - 7)],
      ['cut to nothing', () => Buffer.alloc(0)],
      ['overwritten', (bytes: Buffer) => Buffer.alloc(bytes.length, 0xff)],
    ])('may be %s, at the end of the log too', async (_text, how) => {
      const sink = new FakeSink();
      const rig = await filled(sink);
      damage(rig, 3, how);
      damage(rig, 9, how);
      await rig.forwarder.start();
      await rig.clock.until(() => rig.settled);
      expect(sink.records('t')).toHaveLength(80);
      expect((await rig.stats()).outcomes.discarded).toEqual({ corrupt: 20 });
      expectBalanced(rig.logs);
    });

    it('in memory only is read again from the store', async () => {
      const sink = new FakeSink();
      const rig = await Rig.started(sink);
      await rig.clock.advance(10);
      await rig.publish('c', 't', 0, 10, false);
      rig.forwarder.committed(0, 1, 10, Buffer.alloc(100, 7));
      await rig.clock.until(() => rig.settled);
      expect(values(sink.records('t'))).toEqual(numbers(0, 10));
      expect(rig.events('frameCorrupt')).toEqual([]);
    });

    it('that is partly settled counts for the rest only', async () => {
      const sink = new FakeSink({ topics: { t: 1, u: 1 } });
      const rig = await Rig.started(sink);
      sink.failNext(new KafkaFault('topic', 'NOT_LEADER_OR_FOLLOWER', ''), { topic: 'u', count: 1_000 });
      await rig.commit(
        0,
        ['t', 't', 'u', 't'].map((topic, at) => message('c', topic, String(at))),
      );
      await rig.clock.advance(100);
      expect((await rig.stats()).released).toBe(2);
      rig.crash();
      sink.heal();
      damage(rig, 0, flip);
      const next = await Rig.open(sink, { logs: rig.logs, clock: rig.clock });
      await next.clock.advance(11_000);
      await next.forwarder.start();
      await next.clock.until(() => next.settled);
      expect((await next.stats()).outcomes).toMatchObject({ delivered: 2, discarded: { corrupt: 2 } });
      expectBalanced(rig.logs);
    });
  });

  describe('missing offsets', () => {
    it('are reported and counted, never skipped in silence', async () => {
      const sink = new FakeSink();
      const rig = await filled(sink);
      rig.logs.shards.get(0)!.frames.splice(3, 2);
      await rig.forwarder.start();
      await rig.clock.until(() => rig.settled);
      expect(rig.events('offsetsMissing').map(([shard, from, to]) => [shard, from, to])).toEqual([[0, 31, 50]]);
      expect(rig.events('offsetsMissing')[0]![3]).toMatchObject({ code: 'OFFSETS_MISSING' });
      expect((await rig.stats()).outcomes).toMatchObject({ delivered: 80, discarded: { missing: 20 } });
      expectBalanced(rig.logs);
    });

    it('are no loss where another owner has trimmed them', async () => {
      const sink = new FakeSink();
      const rig = await filled(sink);
      let stolen = false;
      rig.store.hooks.beforeRead = () => {
        if (stolen) return;
        stolen = true;
        const other = rig.logs.shards.get(0)!;
        other.log.leaseUntil = -Infinity;
        other.log.acquire('other', rig.clock.now(), 1_000_000);
        other.log.settle.released = 50;
        other.frames.splice(0, 5);
      };
      await rig.forwarder.start();
      await rig.clock.advance(5_000);
      expect(rig.events('offsetsMissing')).toEqual([]);
      expect(rig.events('leaseLost')).toHaveLength(1);
      expect(sink.written).toEqual([]);
    });

    it('at the end of the log, after what was read, restart the shard', async () => {
      const sink = new FakeSink();
      const rig = await Rig.started(sink);
      await rig.publish('c', 't', 0, 5);
      await rig.clock.until(() => rig.settled);
      const before = rig.logs.snapshot();
      await rig.publish('c', 't', 5, 5);
      await rig.clock.until(() => rig.settled);
      before();
      await rig.store.reopen(0, 0);
      await rig.clock.until(() => rig.events('leaseAcquired').length === 2, 10_000);
      expect(rig.events('leaseLost')).toHaveLength(1);
    });
  });

  it('stops a shard whose frames are of a newer version: loudly, with all before it delivered and nothing lost', async () => {
    const sink = new FakeSink();
    const rig = await filled(sink);
    damage(rig, 5, (bytes) => {
      bytes[2] = 99;
      return bytes;
    });
    await rig.forwarder.start();
    await rig.clock.advance(30_000);
    expect(rig.events('shardStopped').map(([shard, error]) => [shard, (error as SluiceError).code])).toEqual([
      [0, 'STORE_FORMAT'],
    ]);
    expect(values(sink.records('t'))).toEqual(numbers(0, 50));
    expect(await rig.stats()).toMatchObject({ released: 50, logMessages: 50, owner: undefined });
    expect(rig.forwarder.status().shards[0]).toMatchObject({ owned: false });
    expect(rig.forwarder.status().shards[0]!.stopped).toContain('version 99');
    expect(rig.store).toBeInstanceOf(MemoryStore);
    expectBalanced(rig.logs);
  });
});
