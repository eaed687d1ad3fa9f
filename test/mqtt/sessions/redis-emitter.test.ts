import { Redis as Client } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BusKind, BusWriter, readBusFrame, signal, type BusPacket } from '../../../src/mqtt/sessions/bus-frame.ts';
import { RedisEmitter } from '../../../src/mqtt/sessions/redis-emitter.ts';
import { eventually } from '../../support/eventually.ts';
import { startRedis, type Redis } from '../../support/services.ts';
import { afterTest } from '../support/harness.ts';

function packet(topic: string, overrides: Partial<BusPacket> = {}): BusPacket {
  const payload = Buffer.from(topic);
  return {
    cmd: 'publish',
    topic,
    payload,
    qos: 1,
    retain: false,
    dup: false,
    brokerId: 'b',
    brokerCounter: 7,
    ...overrides,
  };
}

describe('frames on the bus', () => {
  it('carry packets whole', () => {
    const writer = new BusWriter('me');
    const packets = [
      packet('a', { qos: 0, retain: true }),
      packet('ü/__proto__', {
        qos: 2,
        clientId: 'device',
        messageExpiry: 12,
        properties: { correlationData: Buffer.of(0, 255), userProperties: { a: ['1', '2'] } },
      }),
      packet('large', { payload: Buffer.alloc(70_000, 7) }),
      packet('empty', { payload: Buffer.alloc(0) }),
    ];
    for (const each of packets) writer.add(each);
    const frame = readBusFrame(writer.finish(), () => true);
    expect(frame).toMatchObject({ kind: BusKind.message, sender: 'me' });
    expect(frame.packets).toHaveLength(packets.length);
    for (const [index, each] of packets.entries()) expect(frame.packets[index]).toMatchObject(each);
    expect(writer.bytes).toBe(0);
    writer.add(packet('next'));
    expect(readBusFrame(writer.finish(), () => true).packets.map(({ topic }) => topic)).toEqual(['next']);
  });

  it('are read for the topics that are wanted only, and never beyond their end', () => {
    const writer = new BusWriter('me');
    for (const topic of ['a', 'b', 'c']) writer.add(packet(topic));
    const bytes = writer.finish();
    expect(readBusFrame(bytes, (topic) => topic !== 'b').packets.map(({ topic }) => topic)).toEqual(['a', 'c']);
    for (let length = 1; length < bytes.length; length++) {
      try {
        const { packets } = readBusFrame(bytes.subarray(0, length), () => true);
        expect(packets.length).toBeLessThan(3);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }
    expect(readBusFrame(signal(BusKind.hello, 'x'), () => true)).toEqual({
      kind: BusKind.hello,
      sender: 'x',
      packets: [],
    });
  });
});

describe('the emitter of several processes', () => {
  let redis: Redis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());
  let channels = 0;

  interface Member {
    readonly emitter: RedisEmitter;
    readonly got: string[];
    readonly faults: unknown[];
    leave(): void;
  }

  async function member(channel: string, id: string): Promise<Member> {
    const publisher = new Client(redis.url);
    const subscriber = new Client(redis.url);
    const faults: unknown[] = [];
    const emitter = new RedisEmitter({ publisher, subscriber }, channel, id, (_where, error) => faults.push(error));
    await emitter.join();
    const got: string[] = [];
    for (const filter of ['#', '$SYS/#']) emitter.on(filter, (each) => got.push(each.topic));
    const leave = (): void => {
      publisher.disconnect();
      subscriber.disconnect();
    };
    afterTest(leave);
    return { emitter, got, faults, leave };
  }

  it('sends nothing while it is alone, and misses nothing from the moment another has joined', async () => {
    const channel = `bus-${++channels}`;
    const spy = new Client(redis.url);
    afterTest(() => spy.disconnect());
    const a = await member(channel, 'a');
    expect(a.emitter.alone).toBe(true);
    a.emitter.emit(packet('alone'));
    const b = await member(channel, 'b');
    expect([a.emitter.alone, b.emitter.alone]).toEqual([false, false]);
    a.emitter.emit(packet('to b'));
    b.emitter.emit(packet('to a'));
    await eventually(() => a.got.length === 3 && b.got.length === 2);
    expect(new Set(a.got)).toEqual(new Set(['alone', 'to b', 'to a']));
    expect(new Set(b.got)).toEqual(new Set(['to b', 'to a']));
    const c = await member(channel, 'c');
    for (const each of [a, b, c]) each.emitter.emit(packet('all'));
    await eventually(() => [a, b, c].every(({ got }) => got.filter((topic) => topic === 'all').length === 3));
    expect([...a.faults, ...b.faults, ...c.faults]).toEqual([]);
  });

  it('keeps the order of one process, many messages to a PUBLISH', async () => {
    const channel = `bus-${++channels}`;
    const [a, b] = [await member(channel, 'a'), await member(channel, 'b')];
    const topics = Array.from({ length: 5_000 }, (_, index) => `t/${index}`);
    const info = new Client(redis.url);
    afterTest(() => info.disconnect());
    const publishes = async (): Promise<number> =>
      Number(/cmdstat_publish:calls=(\d+)/.exec(await info.info('commandstats'))?.[1] ?? 0);
    const before = await publishes();
    for (const topic of topics) a.emitter.emit(packet(topic));
    await eventually(() => b.got.length === topics.length);
    expect(b.got).toEqual(topics);
    expect(a.got).toEqual(topics);
    expect((await publishes()) - before).toBeLessThan(50);
  });

  it('is alone again when the others are gone', async () => {
    const channel = `bus-${++channels}`;
    const [a, b] = [await member(channel, 'a'), await member(channel, 'b')];
    b.leave();
    await eventually(() => {
      a.emitter.emit(packet('$SYS/a/heartbeat'));
      return a.emitter.alone;
    });
  });

  it('joins although a process that is counted does not answer', async () => {
    const channel = `bus-${++channels}`;
    const deaf = new Client(redis.url);
    afterTest(() => deaf.disconnect());
    await deaf.subscribe(channel);
    const a = await member(channel, 'a');
    expect(a.emitter.alone).toBe(false);
  });

  it('survives bytes on its channel that are none of its own', async () => {
    const channel = `bus-${++channels}`;
    const a = await member(channel, 'a');
    const stranger = new Client(redis.url);
    afterTest(() => stranger.disconnect());
    for (const bytes of [Buffer.alloc(0), Buffer.of(1), Buffer.of(1, 200), Buffer.of(9, 0), Buffer.of(1, 1, 0x78, 9)]) {
      await stranger.publish(channel, bytes);
    }
    const b = await member(channel, 'b');
    b.emitter.emit(packet('x'));
    await eventually(() => a.got.includes('x'));
    expect(a.faults.length).toBeGreaterThan(0);
  });
});
