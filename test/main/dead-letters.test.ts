/** Dead letters of a real sluice in a real Kafka: found by the command, put in again once each, through kills. */
import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { consume, type Consumed } from '../support/kcat.ts';
import { sharedKafka, uniqueTopic, type Redis, type SharedKafka } from '../support/services.ts';
import { runSluice, SluiceProcess, type Route } from '../support/sluice.ts';
import { storeFor, stores } from './stores.ts';

const DEVICES = 20;
const MESSAGES = 3_000;
const PER_DEVICE = MESSAGES / DEVICES;

const headers = (record: Consumed): Record<string, string> =>
  Object.fromEntries(record.headers.map(([name, value]) => [name, String(value)]));

describe.each(stores)('dead letters, on %s', (store) => {
  let kafka: SharedKafka;
  let redis: Redis | undefined;
  let settings: { redisUrl?: string };
  beforeAll(async () => {
    kafka = await sharedKafka();
    ({ redis, settings } = await storeFor(store));
  });
  afterAll(() => redis?.stop());

  it(
    'are listed, shown, counted, and put in again once each although kill -9 cuts it',
    { timeout: 180_000 },
    async () => {
      const deadLetterTopic = uniqueTopic('dead');
      const topic = uniqueTopic('good');
      await kafka.createTopic(topic, 3);
      await kafka.createTopic(deadLetterTopic, 3);
      const shared = redis === undefined ? {} : { 'buffer.namespace': uniqueTopic('dlq') };
      const common = {
        brokers: kafka.brokers,
        ...settings,
        settings: { 'deadLetter.topic': deadLetterTopic, ...shared },
      };
      // The level makes no Kafka topic: each message becomes a dead letter.
      const wrong: Route[] = [{ name: 'telemetry', from: 'devices/{deviceId}/{kind}', to: 'bad.{kind}' }];
      const first = await SluiceProcess.start({ ...common, routes: wrong });
      const args = [
        '--set',
        `kafka.brokers=${kafka.brokers.join(',')}`,
        '--set',
        `deadLetter.topic=${deadLetterTopic}`,
      ];
      const dlq = async (...words: string[]): Promise<string> => {
        const { code, stdout, stderr } = await runSluice(['dlq', ...words, ...args]);
        expect(code, stderr).toBe(0);
        return stdout;
      };
      expect(await dlq('list')).toContain('0 dead letters');
      await publish(first.url);
      await first.drained();
      await first.stop();

      expect(await dlq('list', '--limit', '2')).toContain('ROUTE_TOPIC_ILLEGAL');
      const listed = (await dlq('export', '--client', 'device-7')).trim().split('\n');
      expect(listed).toHaveLength(PER_DEVICE);
      const letter = JSON.parse(listed[3]!) as {
        partition: number;
        offset: number;
        payload: string;
        mqttTopic: string;
      };
      expect(letter.mqttTopic).toBe('devices/device-7/te mp');
      expect(Buffer.from(letter.payload, 'base64').toString()).toBe('{"n":3}');
      expect(await dlq('show', `${letter.partition}:${letter.offset}`)).toContain('mqtt-client-id: device-7');
      expect(await dlq('list', '--code', 'NO_ROUTE')).toContain('0 dead letters');

      // The same buffer, with the route put right.
      const right: Route[] = [{ name: 'telemetry', from: 'devices/{deviceId}/{kind}', to: topic }];
      const second = await SluiceProcess.prepare({ ...common, routes: right, path: first.path });
      const data = ['--set', `buffer.path=${second.path}`];
      try {
        await second.start();
        const dry = JSON.parse(await dlq('replay', '--dry-run', '--json', ...data)) as object;
        expect(dry).toEqual({ found: MESSAGES, replayed: MESSAGES, before: 0, noRoute: 0, incomplete: 0 });
        // Cut by a kill as soon as something was put in.
        const cut = runSluice(['dlq', 'replay', ...args, ...data]);
        await eventually(async () => (await second.status()).ledger.accepted > MESSAGES);
        await second.kill('SIGKILL');
        await cut;
        await second.start();
        const rest = JSON.parse(await dlq('replay', '--json', ...data)) as { before: number; replayed: number };
        expect(rest.before + rest.replayed).toBe(MESSAGES);
        expect(JSON.parse(await dlq('replay', '--json', ...data))).toMatchObject({ before: MESSAGES, replayed: 0 });
        await second.drained();
        const letters = await consume(kafka.brokers, deadLetterTopic);
        const records = await consume(kafka.brokers, topic);
        const ids = records.map((record) => headers(record)['sluice-id']);
        // Delivery may repeat a suffix after the kill; nothing was put in twice: the ledger has each once.
        expect(new Set(ids)).toEqual(new Set(letters.map((record) => headers(record)['sluice-id'])));
        expect((await second.status()).ledger).toMatchObject({
          accepted: 2 * MESSAGES,
          imbalance: 0,
          deadLettered: MESSAGES,
        });
        for (let device = 0; device < DEVICES; device++) {
          const own = records.filter((record) => String(record.key) === `device-${device}`);
          const firsts = [...new Set(own.map(({ value }) => String(value)))];
          expect(firsts).toEqual(Array.from({ length: PER_DEVICE }, (_, n) => `{"n":${n}}`));
        }
      } finally {
        await second.discard();
        await first.discard();
      }
    },
  );
});

async function publish(url: string): Promise<void> {
  const clients = await Promise.all(
    Array.from({ length: DEVICES }, (_, device) => mqtt.connectAsync(url, { clientId: `device-${device}` })),
  );
  await Promise.all(
    clients.map(async (client, device) => {
      for (let n = 0; n < PER_DEVICE; n++) {
        await client.publishAsync(`devices/device-${device}/te mp`, JSON.stringify({ n }), { qos: 1 });
      }
      await client.endAsync();
    }),
  );
}
