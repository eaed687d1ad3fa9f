/** The buffer at its limits, through the whole process: Kafka is away until the buffer is full, and comes back. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fleet } from '../faults/fleet.ts';
import { RawClient } from '../mqtt/support/raw-client.ts';
import { eventually } from '../support/eventually.ts';
import { startProxy } from '../support/proxy.ts';
import { sharedKafka, uniqueTopic, type Redis, type SharedKafka } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';
import { judge } from './judge.ts';
import { storeFor, stores } from './stores.ts';

const MAX_BYTES = 4 * 2 ** 20;
const SOFT_LIMIT = 0.5;
const settings = {
  'buffer.maxBytes': MAX_BYTES,
  'buffer.softLimit': SOFT_LIMIT,
  'buffer.shards': 1,
  'buffer.appendTimeout': '3s',
  'forward.windowBytes': '1MB',
  'kafka.createTopics.enabled': 'false',
};

let kafka: SharedKafka;
beforeAll(async () => {
  kafka = await sharedKafka();
});

describe.each(stores)('the limits of the buffer, on %s', (store) => {
  let redis: Redis | undefined;
  let redisUrl: { redisUrl?: string };
  beforeAll(async () => {
    ({ redis, settings: redisUrl } = await storeFor(store));
  });
  afterAll(() => redis?.stop());

  it(
    'slow down at the soft one, refuse at the hard one (QoS 0, 1, 2; MQTT 3.1.1 and 5), and take all again without a restart',
    { timeout: 120_000 },
    async () => {
      const topic = uniqueTopic('limits');
      await kafka.createTopic(topic, 2);
      // sluice learns the cluster through it, and meets the broker directly from then on.
      const proxy = await startProxy(Number(kafka.brokers[0]!.split(':')[1]));
      await proxy.refuse();
      const sluice = await SluiceProcess.start({
        brokers: [`127.0.0.1:${proxy.port}`],
        ...redisUrl,
        routes: [
          { name: 'telemetry', from: 'devices/{deviceId}/telemetry', to: topic },
          { name: 'aside', from: 'aside', to: topic },
        ],
        settings,
      });
      // All four kinds of them: QoS 1 and 2, MQTT 3.1.1 and 5.
      const fleet = await Fleet.start({
        client: 'socket',
        urls: [sluice.url],
        devices: 8,
        qos: [1, 2],
        protocolVersion: 'both',
        bytes: 1_000,
        window: 20,
      });
      const aside = await RawClient.connect(sluice.port, { clientId: 'aside' });
      try {
        // ---- between the limits: slower, and nobody is refused ----
        let soft: { at: number; acknowledged: number } | undefined;
        const beganAt = performance.now();
        const before = await fleet.until(({ acknowledged, reconnects }) => {
          const bytes = acknowledged * 1_000;
          if (soft === undefined && bytes > SOFT_LIMIT * MAX_BYTES) soft = { at: performance.now(), acknowledged };
          return reconnects > 0 || bytes > 0.9 * MAX_BYTES;
        });
        expect(before.reconnects).toBe(0);
        expect(before.refused).toEqual({});
        const usual = soft!.acknowledged / (soft!.at - beganAt);
        const paced = (before.acknowledged - soft!.acknowledged) / (performance.now() - soft!.at);
        expect(paced).toBeLessThan(usual / 2);

        // ---- at the hard limit ----
        const full = await fleet.until(
          ({ disconnects, reconnects }) => (disconnects['0x97'] ?? 0) >= 4 && reconnects >= 8,
        );
        // MQTT 5 is told "quota exceeded", MQTT 3.1.1 is closed; nobody is told to give a message up.
        expect(Object.keys(full.disconnects)).toEqual(['0x97']);
        expect(full.refused).toEqual({});
        // A smaller frame may still fit in between.
        await eventually(async () => (await sluice.status()).buffer.error?.includes('STORE_FULL') === true, 20_000);
        const { ledger, buffer } = await sluice.status();
        expect(buffer.bytes).toBeLessThanOrEqual(MAX_BYTES);
        expect(buffer.bytes).toBeGreaterThan(0.9 * MAX_BYTES);
        expect(ledger).toMatchObject({ delivered: 0, imbalance: 0, buffered: ledger.accepted });

        // QoS 0 is dropped and counted, at once or with those that waited too long, and its connection goes on.
        const dropped = async (): Promise<number> => {
          const { droppedQos0 = 0, refusedQos0 = 0 } = (await sluice.status()).counters;
          return droppedQos0 + refusedQos0;
        };
        const droppedBefore = await dropped();
        for (let at = 0; at < 10; at++) aside.publish('aside', 'x'.repeat(100_000), 0, 0);
        await eventually(async () => (await dropped()) >= droppedBefore + 10, 20_000);
        await aside.ping();
        expect(aside.closed).toBe(false);

        // Nothing is acknowledged any more, however often devices come back.
        const count = async (): Promise<number> => (await fleet.counts()).acknowledged;
        await fleet.until(({ reconnects }) => reconnects >= full.reconnects + 8);
        const acknowledged = await count();
        await fleet.until(({ reconnects }) => reconnects >= full.reconnects + 16);
        expect((await count()) - acknowledged).toBeLessThan(50);

        // ---- Kafka is back ----
        await proxy.resume();
        await fleet.until((counts) => counts.acknowledged > acknowledged + 5_000, 60_000);
        await fleet.finish();
        const status = await sluice.drained();
        expect(status.buffer.error).toBeUndefined();
        expect(status.ledger).toMatchObject({ imbalance: 0, delivered: status.ledger.accepted, deadLettered: 0 });
        const verdict = await judge(kafka.brokers, topic, await fleet.logs());
        expect(verdict.twice).toEqual([]);
        expect((await fleet.counts()).acksOutOfOrder).toBe(0);
      } finally {
        fleet.stop();
        aside.destroy();
        await sluice.discard();
        await proxy.stop();
      }
    },
  );

  it(
    'with a topic that cannot be written: parked up to its bound and seen, then full means refused, and all comes in order once it works',
    { timeout: 120_000 },
    async () => {
      const good = uniqueTopic('good');
      const gone = uniqueTopic('gone');
      await kafka.createTopic(good, 2);
      const sluice = await SluiceProcess.start({
        brokers: kafka.brokers,
        ...redisUrl,
        routes: [
          { name: 'good', from: 'good/{deviceId}', to: good },
          { name: 'gone', from: 'gone/{deviceId}', to: gone },
        ],
        settings: { ...settings, 'buffer.namespace': 'parking', 'forward.parkingMaxBytes': '2MB' },
      });
      const fleet = await Fleet.start({
        client: 'socket',
        urls: [sluice.url],
        devices: 8,
        topic: ['good/{device}', 'gone/{device}'],
        protocolVersion: 'both',
        bytes: 1_000,
        perSecond: 2_000,
      });
      try {
        await fleet.until(({ disconnects }) => (disconnects['0x97'] ?? 0) >= 2, 90_000);
        const { buffer, ledger } = await sluice.status();
        const [parked] = buffer.shards[0]!.parked;
        expect(parked).toMatchObject({ topic: gone, full: true });
        expect(parked!.bytes).toBeGreaterThan(1.5 * 2 ** 20);
        expect(parked!.bytes).toBeLessThanOrEqual(2 * 2 ** 20);
        expect(buffer.bytes).toBeLessThanOrEqual(MAX_BYTES);
        expect(ledger.imbalance).toBe(0);
        // What was parked let the good topic go on for longer than its messages alone would have taken.
        expect(ledger.delivered).toBeGreaterThan(1_000);
        const events = sluice.log.map(({ event }) => event);
        expect(events).toContain('topic.parked');
        expect(events).toContain('parking.full');

        await kafka.createTopic(gone, 2);
        const { acknowledged } = await fleet.counts();
        await fleet.until((counts) => counts.acknowledged > acknowledged + 2_000, 60_000);
        await fleet.finish();
        const status = await sluice.drained();
        expect(status.ledger).toMatchObject({ imbalance: 0, delivered: status.ledger.accepted, deadLettered: 0 });
        await eventually(() => sluice.log.some(({ event }) => event === 'topic.unparked'));
        const logs = await fleet.logs();
        await judge(
          kafka.brokers,
          good,
          logs.filter((_log, index) => index % 2 === 0),
        );
        await judge(
          kafka.brokers,
          gone,
          logs.filter((_log, index) => index % 2 === 1),
        );
      } finally {
        fleet.stop();
        await sluice.discard();
      }
    },
  );
});
