import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Checker } from '../faults/checker.ts';
import { Fleet } from '../faults/fleet.ts';
import { consumeEach } from '../support/kcat.ts';
import { randomFrom } from '../support/random.ts';
import { sharedKafka, startKafka, uniqueTopic, type Redis, type SharedKafka } from '../support/services.ts';
import { SluiceProcess, type Route } from '../support/sluice.ts';
import { judge } from './judge.ts';
import { storeFor, stores } from './stores.ts';

const route = (topic: string): Route[] => [{ name: 'telemetry', from: 'devices/{deviceId}/telemetry', to: topic }];

describe.each(stores)('kill -9 of sluice, on %s', (store) => {
  let kafka: SharedKafka;
  let redis: Redis | undefined;
  let settings: { redisUrl?: string };
  beforeAll(async () => {
    kafka = await sharedKafka();
    ({ redis, settings } = await storeFor(store));
  });
  afterAll(() => redis?.stop());

  it('10 times under load: nothing lost, invented, out of order or changed', { timeout: 180_000 }, async () => {
    const random = randomFrom();
    const topic = uniqueTopic('kill');
    await kafka.createTopic(topic, 4);
    const sluice = await SluiceProcess.start({ brokers: kafka.brokers, ...settings, routes: route(topic) });
    const fleet = await Fleet.start({ urls: [sluice.url], devices: 40, perSecond: 2_000 });
    try {
      for (let kill = 0; kill < 10; kill++) {
        const before = (await fleet.counts()).acknowledged;
        // Messages must have gone through since the last start, or the kill would prove nothing.
        await fleet.until(({ acknowledged }) => acknowledged > before + 100);
        await sleep(random.int(1_000));
        await sluice.kill('SIGKILL');
        await sluice.start();
      }
      await fleet.finish();
      const status = await sluice.drained();
      const verdict = await judge(kafka.brokers, topic, await fleet.logs());
      expect(verdict.acknowledged, `seed ${random.seed}`).toBeGreaterThan(1_000);
      expect(status.ledger.imbalance, `seed ${random.seed}`).toBe(0);
    } finally {
      fleet.stop();
      await sluice.discard();
    }
  });
});

describe.each(stores)('200,000 messages buffered while Kafka is away, on %s', (store) => {
  it('starts again and acknowledges within 5 s, and delivers all of it', { timeout: 300_000 }, async () => {
    const { redis, settings } = await storeFor(store);
    const kafka = await startKafka();
    const topic = uniqueTopic('backlog');
    await kafka.createTopic(topic, 4);
    await kafka.stop();
    // Kafka is away from the start: sluice starts all the same.
    const sluice = await SluiceProcess.start({ brokers: kafka.brokers, ...settings, routes: route(topic) });
    const fleet = await Fleet.start({ urls: [sluice.url], devices: 50, messages: 4_000, window: 100 });
    try {
      await fleet.done(180_000);
      expect((await sluice.status()).ledger).toMatchObject({ accepted: 200_000, buffered: 200_000, imbalance: 0 });
      await sluice.kill('SIGKILL');

      const killed = performance.now();
      const started = sluice.start();
      const client = mqtt.connect(sluice.url, { reconnectPeriod: 20 });
      await client.publishAsync('devices/first/telemetry', 'after the restart', { qos: 1 });
      const firstAckMs = performance.now() - killed;
      await started;
      await client.endAsync();
      expect(firstAckMs).toBeLessThan(5_000);

      await kafka.start();
      const status = await sluice.drained(120_000);
      expect(status.ledger).toMatchObject({ accepted: 200_001, delivered: 200_001, imbalance: 0 });
      let extra = 0;
      const checker = new Checker(await fleet.logs());
      await consumeEach(kafka.brokers, topic, (record) => {
        if (String(record.key) === 'first' || String(record.value) === 'after the restart') extra++;
        else checker.add(record);
      });
      expect(extra).toBe(1);
      expect(checker.verdict()).toMatchObject({
        acknowledged: 200_000,
        lost: [],
        phantom: [],
        reordered: [],
        corrupt: [],
      });
    } finally {
      fleet.stop();
      await sluice.discard();
      await kafka.stop();
      await redis?.stop();
    }
  });
});
