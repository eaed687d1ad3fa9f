import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type IDisconnectPacket, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fleet } from '../faults/fleet.ts';
import { eventually } from '../support/eventually.ts';
import { occurs } from '../support/mqtt.ts';
import { startKafka, startRedis, uniqueTopic, type Kafka } from '../support/services.ts';
import { SluiceProcess, type Route } from '../support/sluice.ts';
import { judge } from './judge.ts';
import { storeFor, stores } from './stores.ts';

const route = (topic: string): Route[] => [{ name: 'telemetry', from: 'devices/{deviceId}/telemetry', to: topic }];

let kafka: Kafka;
beforeAll(async () => {
  kafka = await startKafka();
});
afterAll(() => kafka.stop());

describe('Kafka stopped for 60 s at 1,000 msg/s', () => {
  it(
    'acknowledges as usual, keeps its memory bounded and delivers all, on LevelDB and on Redis',
    { timeout: 240_000 },
    async () => {
      // Both stores at once: the outage is the same, and a minute long.
      const runs = await Promise.all(
        stores.map(async (store) => {
          const { redis, settings } = await storeFor(store);
          const topic = uniqueTopic(`outage-${store}`);
          await kafka.createTopic(topic, 4);
          const sluice = await SluiceProcess.start({
            brokers: kafka.brokers,
            ...settings,
            routes: route(topic),
            settings: { 'buffer.tailMaxBytes': '1MB', 'forward.windowBytes': '1MB' },
          });
          const fleet = await Fleet.start({ urls: [sluice.url], devices: 20, perSecond: 1_000 });
          return { store, redis, topic, sluice, fleet };
        }),
      );
      try {
        for (const { fleet } of runs) await fleet.until(({ acknowledged }) => acknowledged > 2_000);
        await Promise.all(runs.map(({ fleet }) => fleet.counts()));
        await sleep(5_000);
        const usual = await Promise.all(runs.map(({ fleet }) => fleet.counts()));
        const usualRss = runs.map(({ sluice }) => sluice.rss());
        await kafka.kill();
        await sleep(60_000);
        const during = await Promise.all(runs.map(({ fleet }) => fleet.counts()));
        const duringRss = runs.map(({ sluice }) => sluice.rss());
        await kafka.start();
        for (const [index, { store, fleet, sluice, topic }] of runs.entries()) {
          const before = usual[index]!;
          const outage = during[index]!;
          // The rate held: acknowledgements went on.
          expect(outage.acknowledged - before.acknowledged, store).toBeGreaterThan(50_000);
          expect(outage.reconnects, store).toBe(before.reconnects);
          console.log(
            `${store}: PUBACK p99 ${before.latency.p99.toFixed(1)} ms usually, ${outage.latency.p99.toFixed(1)} ms in the outage; ` +
              `RSS grew by ${((duringRss[index]! - usualRss[index]!) / 2 ** 20).toFixed(0)} MB`,
          );
          // Generous: this machine is shared. The fault campaign asserts the promise itself.
          expect(outage.latency.p99, store).toBeLessThan(Math.max(4 * before.latency.p99, before.latency.p99 + 50));
          expect(duringRss[index]! - usualRss[index]!, store).toBeLessThan(150 * 2 ** 20);
          await fleet.finish();
          const status = await sluice.drained();
          const verdict = await judge(kafka.brokers, topic, await fleet.logs());
          expect(verdict.acknowledged, store).toBeGreaterThan(60_000);
          expect(status.ledger.imbalance, store).toBe(0);
        }
      } finally {
        for (const { fleet, sluice, redis } of runs) {
          fleet.stop();
          await sluice.discard();
          await redis?.stop();
        }
      }
    },
  );
});

/** An MQTT 5 device that publishes and tells what it gets. */
function observer(url: string, clientId: string): { client: MqttClient; events: string[] } {
  const events: string[] = [];
  const client = mqtt.connect(url, {
    clientId,
    protocolVersion: 5,
    clean: false,
    properties: { sessionExpiryInterval: 3600 },
    reconnectPeriod: 100,
  });
  client.on('error', () => {});
  client.on('disconnect', (packet: IDisconnectPacket) =>
    events.push(`disconnect 0x${packet.reasonCode?.toString(16)}`),
  );
  return { client, events };
}

describe('the store stopped', () => {
  it(
    'Redis: no PUBACK, DISCONNECT 0x89 after appendTimeout; goes on by itself when it is back',
    { timeout: 60_000 },
    async () => {
      const redis = await startRedis();
      const topic = uniqueTopic('store-down');
      await kafka.createTopic(topic, 1);
      const sluice = await SluiceProcess.start({
        brokers: kafka.brokers,
        redisUrl: redis.url,
        routes: route(topic),
        settings: { 'buffer.appendTimeout': '1s' },
      });
      const { client, events } = observer(sluice.url, 'd1');
      try {
        await client.publishAsync('devices/d1/telemetry', 'before', { qos: 1 });
        await redis.kill();
        let acknowledged = false;
        const published = client
          .publishAsync('devices/d1/telemetry', 'during', { qos: 1 })
          .then(() => (acknowledged = true));
        await eventually(
          () => events.includes('disconnect 0x89'),
          20_000,
          () => `it got ${events.join()}`,
        );
        expect(acknowledged).toBe(false);
        expect((await sluice.status()).buffer.error).toBeDefined();
        await redis.start();
        await published;
        await client.publishAsync('devices/d1/telemetry', 'after', { qos: 1 });
        const status = await sluice.drained();
        expect(status.buffer.error).toBeUndefined();
        expect(status.ledger.imbalance).toBe(0);
      } finally {
        client.end(true);
        await sluice.discard();
        await redis.stop();
      }
    },
  );

  it(
    'LevelDB on a full disk: the same, and goes on by itself when there is room',
    { timeout: 90_000 },
    async (context) => {
      const directory = await mkdtemp(join(tmpdir(), 'sluice-full-'));
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', directory], { stdio: 'pipe' });
      } catch (error) {
        console.log(`skipped: a small file system cannot be mounted here (${String(error).split('\n')[0]})`);
        return context.skip();
      }
      const topic = uniqueTopic('disk-full');
      await kafka.createTopic(topic, 1);
      const sluice = await SluiceProcess.start({
        brokers: kafka.brokers,
        path: join(directory, 'data'),
        routes: route(topic),
        settings: { 'buffer.appendTimeout': '1s' },
      });
      const { client, events } = observer(sluice.url, 'd1');
      const ballast = join(directory, 'ballast');
      try {
        await client.publishAsync('devices/d1/telemetry', 'before', { qos: 1 });
        // Fills what is left of the disk.
        await writeFile(ballast, Buffer.alloc(64 * 2 ** 20)).catch(() => undefined);
        let acknowledged = 0;
        const payload = Buffer.alloc(100_000, 'x');
        const published = Promise.all(
          Array.from({ length: 20 }, () =>
            client.publishAsync('devices/d1/telemetry', payload, { qos: 1 }).then(() => acknowledged++),
          ),
        );
        await eventually(
          () => events.includes('disconnect 0x89'),
          30_000,
          () => `it got ${events.join()}`,
        );
        expect(acknowledged).toBeLessThan(20);
        await rm(ballast);
        await published;
        const status = await sluice.drained();
        expect(status.ledger.imbalance).toBe(0);
        expect(status.ledger.accepted).toBeGreaterThanOrEqual(21);
      } finally {
        client.end(true);
        await sluice.kill();
        execFileSync('umount', ['-l', directory]);
        await rm(directory, { recursive: true, force: true });
      }
    },
  );
});

describe('the end of the process', () => {
  it.each(stores)(
    'SIGTERM with Kafka away, on %s: ends with 0 and leaves the rest in the buffer',
    { timeout: 90_000 },
    async (store) => {
      const { redis, settings } = await storeFor(store);
      const topic = uniqueTopic('shutdown');
      const sluice = await SluiceProcess.start({
        brokers: ['127.0.0.1:1'],
        ...settings,
        routes: route(topic),
        settings: { shutdownTimeout: '1s' },
      });
      const { client, events } = observer(sluice.url, 'd1');
      try {
        for (let i = 0; i < 100; i++) await client.publishAsync('devices/d1/telemetry', `message ${i}`, { qos: 1 });
        const closed = occurs(client, 'close');
        expect(await sluice.stop()).toBe(0);
        await closed;
        expect(events).toContain('disconnect 0x8b');
        await sluice.start();
        expect((await sluice.status()).ledger).toMatchObject({ accepted: 100, buffered: 100, imbalance: 0 });
      } finally {
        client.end(true);
        await sluice.discard();
        await redis?.stop();
      }
    },
  );
});
