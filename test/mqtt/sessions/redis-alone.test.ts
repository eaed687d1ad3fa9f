import { Redis as Client } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BusPacket } from '../../../src/mqtt/sessions/bus-frame.ts';
import { RedisEmitter } from '../../../src/mqtt/sessions/redis-emitter.ts';
import { eventually } from '../../support/eventually.ts';
import { startRedis, type Redis } from '../../support/services.ts';
import { afterTest } from '../support/harness.ts';

function packet(topic: string): BusPacket {
  const payload = Buffer.from(topic);
  return { cmd: 'publish', topic, payload, qos: 1, retain: false, dup: false, brokerId: 'b', brokerCounter: 7 };
}

describe('a process takes itself for alone only while it would hear of another', () => {
  let redis: Redis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());
  let channels = 0;

  interface Member {
    readonly emitter: RedisEmitter;
    readonly publisher: Client;
    readonly subscriber: Client;
    readonly got: string[];
  }

  async function member(channel: string, id: string): Promise<Member> {
    const publisher = new Client(redis.url, { enableOfflineQueue: false, lazyConnect: true, maxRetriesPerRequest: 0 });
    const subscriber = new Client(redis.url, { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: null });
    await publisher.connect();
    for (const each of [publisher, subscriber]) each.on('error', () => undefined);
    const emitter = new RedisEmitter({ publisher, subscriber }, channel, id, () => undefined);
    await emitter.join();
    const got: string[] = [];
    for (const filter of ['#', '$SYS/#']) emitter.on(filter, (each) => got.push(each.topic));
    afterTest(() => {
      publisher.disconnect();
      subscriber.disconnect();
      emitter.closed = true;
    });
    return { emitter, publisher, subscriber, got };
  }

  it('not while its own subscription is away, though PUBLISH reaches as many as it alone would be', async () => {
    const channel = `alone-${++channels}`;
    const a = await member(channel, 'a');
    await eventually(() => a.emitter.alone);
    a.subscriber.disconnect();
    await eventually(() => a.subscriber.status === 'end');
    const b = await member(channel, 'b');
    for (let i = 0; i < 10; i++) a.emitter.emit(packet('$SYS/a/heartbeat'));
    await eventually(() => b.got.includes('$SYS/a/heartbeat'));
    await a.publisher.ping();
    expect(a.emitter.alone).toBe(false);
    a.emitter.emit(packet('to b'));
    await eventually(() => b.got.includes('to b'), 1_000);
  });

  it('not when the process that came while it was away could not be told of it at once', async () => {
    const channel = `alone-${++channels}`;
    const a = await member(channel, 'a');
    await eventually(() => a.emitter.alone);
    a.publisher.disconnect();
    a.subscriber.disconnect();
    await eventually(() => a.subscriber.status === 'end' && a.publisher.status === 'end');
    const b = await member(channel, 'b');
    await a.subscriber.connect();
    await eventually(() => a.subscriber.status === 'ready');
    expect(a.emitter.alone).toBe(false);
    await a.publisher.connect();
    await eventually(() => {
      a.emitter.emit(packet('x'));
      b.emitter.emit(packet('y'));
      return b.got.includes('x') && a.got.includes('y');
    }, 3_000);
  });

  it('not while it cannot ask', async () => {
    const channel = `alone-${++channels}`;
    const a = await member(channel, 'a');
    await eventually(() => a.emitter.alone);
    a.publisher.disconnect();
    await eventually(() => a.publisher.status === 'end');
    a.emitter.emit(packet('$SYS/a/heartbeat'));
    await eventually(() => !a.emitter.alone, 1_000);
    await a.publisher.connect();
    await eventually(() => {
      a.emitter.emit(packet('$SYS/a/heartbeat'));
      return a.emitter.alone;
    }, 3_000);
  });
});
