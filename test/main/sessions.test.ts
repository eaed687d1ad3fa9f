import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { consume, type Consumed } from '../support/kcat.ts';
import { occurs } from '../support/mqtt.ts';
import { sharedKafka, uniqueTopic, type Redis, type SharedKafka } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';
import { storeFor, stores } from './stores.ts';

function headersOf(record: Consumed | undefined): Record<string, string> {
  return Object.fromEntries((record?.headers ?? []).map(([name, value]) => [name, String(value)]));
}

describe.each(stores)('what MQTT keeps, on %s', (store) => {
  let kafka: SharedKafka;
  let redis: Redis | undefined;
  let sluice: SluiceProcess;
  let topic: string;
  beforeAll(async () => {
    kafka = await sharedKafka();
    const { redis: own, settings } = await storeFor(store);
    redis = own;
    topic = uniqueTopic('sessions');
    await kafka.createTopic(topic, 1);
    sluice = await SluiceProcess.start({
      brokers: kafka.brokers,
      ...settings,
      routes: [{ from: '#', to: topic }],
    });
  });
  afterAll(async () => {
    await sluice.discard();
    await redis?.stop();
  });

  it('the will of a device that dies without DISCONNECT reaches Kafka and MQTT subscribers', async () => {
    const watcher = mqtt.connect(sluice.url);
    await watcher.subscribeAsync('wills/#', { qos: 1 });
    const device = mqtt.connect(sluice.url, {
      clientId: 'mortal',
      reconnectPeriod: 0,
      will: { topic: 'wills/mortal', payload: Buffer.from('gone'), qos: 1, retain: false },
    });
    await occurs(device, 'connect');
    const seen = occurs<[string, Buffer]>(watcher, 'message');
    device.stream.destroy();
    expect((await seen)[0]).toBe('wills/mortal');
    await sluice.drained();
    const record = (await consume(kafka.brokers, topic)).find(({ key }) => String(key) === 'mortal');
    expect(String(record?.value)).toBe('gone');
    expect(headersOf(record)).toMatchObject({
      'mqtt-topic': 'wills/mortal',
      'mqtt-client-id': 'mortal',
      'mqtt-qos': '1',
    });
    await watcher.endAsync();
  });

  it('a polite DISCONNECT sends no will', async () => {
    const device = mqtt.connect(sluice.url, {
      clientId: 'polite',
      will: { topic: 'wills/polite', payload: Buffer.from('gone'), qos: 1, retain: false },
    });
    await occurs(device, 'connect');
    await device.publishAsync('marker', 'still here', { qos: 1 });
    await device.endAsync();
    await sluice.drained();
    const records = await consume(kafka.brokers, topic);
    expect(records.some(({ value }) => String(value) === 'still here')).toBe(true);
    expect(records.some((record) => headersOf(record)['mqtt-topic'] === 'wills/polite')).toBe(false);
  });

  it(
    'a retained message and a persistent session outlive a restart, with what came meanwhile',
    { timeout: 60_000 },
    async () => {
      const sleeper = mqtt.connect(sluice.url, { clientId: 'sleeper', clean: false });
      await sleeper.subscribeAsync('orders/#', { qos: 1 });
      await sleeper.endAsync();
      const publisher = mqtt.connect(sluice.url);
      await publisher.publishAsync('state/lamp', 'on', { qos: 1, retain: true });
      await publisher.publishAsync('orders/1', 'while asleep', { qos: 1 });
      await publisher.endAsync();
      expect(await sluice.stop()).toBe(0);
      await sluice.start();

      const messages: string[] = [];
      const again = mqtt.connect(sluice.url, { clientId: 'sleeper', clean: false });
      again.on('message', (name, payload) => messages.push(`${name} ${payload.toString()}`));
      const [connack] = await occurs<[{ sessionPresent: boolean }]>(again, 'connect');
      expect(connack.sessionPresent).toBe(true);
      await eventually(() => messages.includes('orders/1 while asleep'));
      await again.subscribeAsync('state/#');
      await eventually(() => messages.includes('state/lamp on'));
      await again.endAsync();
    },
  );

  it('MQTT 5 properties reach the record as headers', async () => {
    const client = mqtt.connect(sluice.url, { clientId: 'v5', protocolVersion: 5 });
    await client.publishAsync('props/1', Buffer.from([0, 1, 255]), {
      qos: 1,
      properties: {
        contentType: 'application/x-test',
        responseTopic: 'answers/here',
        correlationData: Buffer.from([9, 8, 7]),
        messageExpiryInterval: 300,
        userProperties: { site: 'oslo', tag: ['a', 'b'] },
      },
    });
    await client.endAsync();
    await sluice.drained();
    const record = (await consume(kafka.brokers, topic)).find(({ key }) => String(key) === 'v5');
    expect(record?.value).toEqual(Buffer.from([0, 1, 255]));
    const names = record?.headers.map(([name, value]) => `${name}=${String(value)}`);
    expect(names).toEqual(expect.arrayContaining(['content-type=application/x-test', 'site=oslo', 'tag=a', 'tag=b']));
    expect(Date.now() - (record?.timestamp ?? 0)).toBeLessThan(60_000);
  });

  it("$SYS is the broker's own: a publish there is refused and reaches nobody", async () => {
    const client = mqtt.connect(sluice.url, { clientId: 'intruder', protocolVersion: 5 });
    const outcome = await client.publishAsync('$SYS/fake', 'x', { qos: 1 }).then(
      () => 'accepted',
      (error: Error & { code?: number }) => `refused 0x${error.code?.toString(16)}`,
    );
    expect(outcome).toBe('refused 0x87');
    await client.publishAsync('marker/2', 'behind', { qos: 1 });
    await client.endAsync();
    await sluice.drained();
    const records = await consume(kafka.brokers, topic);
    expect(records.some(({ value }) => String(value) === 'behind')).toBe(true);
    expect(records.some((record) => headersOf(record)['mqtt-topic']?.startsWith('$SYS/') === true)).toBe(false);
  });
});
