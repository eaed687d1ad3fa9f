import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { Redis as RedisClient } from 'ioredis';
import mqtt from 'mqtt';
import { describe, expect, it } from 'vitest';
import { shardOf } from '../../src/buffer/shard.ts';
import { consume } from '../support/kcat.ts';
import { sharedKafka, uniqueTopic } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';
import { storeFor, stores, type StoreName } from './stores.ts';

const CLIENT = 'd1';
const SHARD = shardOf(CLIENT, 4);
const MESSAGES = 30;

type Tamper = (frames: [base: number, bytes: Buffer][]) => [base: number, bytes: Buffer][];

/** Changes the stored frames of the client's shard, with sluice stopped. */
async function tamperWith(
  store: StoreName,
  path: string,
  redisUrl: string,
  namespace: string,
  tamper: Tamper,
): Promise<void> {
  if (store === 'level') {
    const db = new ClassicLevel<Buffer, Buffer>(join(path, 'buffer'), {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
    });
    const prefix = Buffer.from([0x66, SHARD >> 8, SHARD & 0xff]);
    const keys = new Map<number, Buffer>();
    const frames: [number, Buffer][] = [];
    for await (const [key, value] of db.iterator({
      gte: prefix,
      lt: Buffer.from([0x66, SHARD >> 8, (SHARD & 0xff) + 1]),
    })) {
      const base = Number(key.readBigUInt64BE(3));
      keys.set(base, key);
      frames.push([base, value]);
    }
    await db.batch([...keys.values()].map((key) => ({ type: 'del' as const, key })));
    await db.batch(tamper(frames).map(([base, value]) => ({ type: 'put' as const, key: keys.get(base)!, value })));
    await db.close();
    return;
  }
  const redis = new RedisClient(redisUrl);
  const log = `{${namespace}:${SHARD}}:log`;
  const entries = await redis.xrangeBuffer(log, '-', '+');
  const fieldsOf = new Map(entries.map(([id, fields]) => [Number(id.toString().split('-')[0]), fields]));
  const frames = [...fieldsOf].map(([base, fields]): [number, Buffer] => [
    base,
    fields[fields.findIndex((name) => name.toString() === 'f') + 1]!,
  ]);
  await redis.del(log);
  for (const [base, bytes] of tamper(frames)) {
    const fields = [...fieldsOf.get(base)!];
    fields[fields.findIndex((name) => name.toString() === 'f') + 1] = bytes;
    await redis.xadd(log, `${base}-0`, ...fields);
  }
  await redis.quit();
}

describe.each(stores)('damaged frames in the store, on %s', (store) => {
  it('are set aside and reported with their offsets; the rest is delivered in order', { timeout: 90_000 }, async () => {
    const kafka = await sharedKafka();
    const topic = uniqueTopic('corrupt');
    await kafka.createTopic(topic, 1);
    const { redis, settings } = await storeFor(store);
    const path = join(process.cwd(), '.services', `corrupt-${store}-${process.pid}`);
    const namespace = `corrupt-${process.pid}`;
    const common = {
      ...settings,
      path,
      routes: [{ from: 'devices/#', to: topic }],
      settings: { 'buffer.namespace': namespace, shutdownTimeout: '0s' },
    };
    const before = await SluiceProcess.start({ ...common, brokers: ['127.0.0.1:1'] });
    const client = mqtt.connect(before.url, { clientId: CLIENT });
    // One at a time: each in a frame of its own.
    for (let i = 1; i <= MESSAGES; i++) await client.publishAsync('devices/d1', `message ${i}`, { qos: 1 });
    await client.endAsync();
    await before.stop();

    await tamperWith(store, path, redis?.url ?? '', namespace, (frames) => {
      expect(frames.map(([base]) => base)).toEqual(Array.from({ length: MESSAGES }, (_, i) => i + 1));
      return frames.flatMap(([base, bytes]): [number, Buffer][] => {
        switch (base) {
          case 5: {
            const flipped = Buffer.from(bytes);
            flipped[bytes.length - 3]! ^= 0x10;
            return [[base, flipped]];
          }
          case 12:
            return [[base, bytes.subarray(0, bytes.length - 4)]];
          case 20:
            return [];
          default:
            return [[base, bytes]];
        }
      });
    });

    const after = await SluiceProcess.start({ ...common, brokers: kafka.brokers });
    try {
      const status = await after.drained();
      expect(status.ledger).toMatchObject({
        accepted: MESSAGES,
        delivered: MESSAGES - 3,
        discarded: { corrupt: 2, missing: 1 },
        imbalance: 0,
      });
      expect(status.buffer.shards[SHARD]?.setAside).toBe(2);
      const events = after.log.filter(({ event }) => event === 'frame.corrupt' || event === 'offsets.missing');
      expect(events).toMatchObject([
        { event: 'frame.corrupt', code: 'FRAME_CORRUPT', shard: SHARD, base: 5, count: 1 },
        { event: 'frame.corrupt', code: 'FRAME_CORRUPT', shard: SHARD, base: 12, count: 1 },
        { event: 'offsets.missing', code: 'OFFSETS_MISSING', shard: SHARD, from: 20, to: 20 },
      ]);
      const values = (await consume(kafka.brokers, topic)).map(({ value }) => String(value));
      const damaged = new Set([5, 12, 20]);
      expect(values).toEqual(
        Array.from({ length: MESSAGES }, (_, i) => i + 1)
          .filter((i) => !damaged.has(i))
          .map((i) => `message ${i}`),
      );
    } finally {
      await after.discard();
      await before.discard();
      await redis?.stop();
    }
  });
});
