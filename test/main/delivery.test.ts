import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCertificates } from '../../src/cli/certs.ts';
import { Fleet, type FleetOptions } from '../faults/fleet.ts';
import type { Consumed } from '../support/kcat.ts';
import { freePort, sharedKafka, uniqueTopic, type Redis, type SharedKafka } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';
import { judge } from './judge.ts';
import { storeFor, stores } from './stores.ts';

const DEVICES = 50;
const MESSAGES = 2_000;

let kafka: SharedKafka;
let certificates: string;
beforeAll(async () => {
  kafka = await sharedKafka();
  certificates = await mkdtemp(join(tmpdir(), 'sluice-certs-'));
  await makeCertificates({ directory: certificates, hosts: [], clients: ['fleet'], days: 2 });
});
afterAll(() => rm(certificates, { recursive: true, force: true }));

describe.each(stores)('100,000 messages from 50 clients, on %s', (store) => {
  let redis: Redis | undefined;
  let settings: { redisUrl?: string };
  beforeAll(async () => ({ redis, settings } = await storeFor(store)));
  afterAll(() => redis?.stop());

  async function run(
    fleetOptions: (sluice: SluiceProcess) => Promise<Partial<FleetOptions>> | Partial<FleetOptions>,
    extra: Record<string, string | number> = {},
  ): Promise<void> {
    const topic = uniqueTopic('delivery');
    await kafka.createTopic(topic, 6);
    const sluice = await SluiceProcess.start({
      brokers: kafka.brokers,
      ...settings,
      routes: [{ name: 'telemetry', from: 'devices/{deviceId}/telemetry', to: topic }],
      settings: extra,
    });
    const options = await fleetOptions(sluice);
    const fleet = await Fleet.start({ urls: [sluice.url], devices: DEVICES, messages: MESSAGES, ...options });
    try {
      await fleet.done(180_000);
      const status = await sluice.drained();
      const logs = await fleet.logs();
      const qos = String(options.qos ?? 1);
      let wrong: Consumed | undefined;
      const verdict = await judge(kafka.brokers, topic, logs, (record) => {
        const headers = Object.fromEntries(record.headers.map(([name, value]) => [name, String(value)]));
        const device = String(record.key);
        const right =
          headers['mqtt-topic'] === `devices/${device}/telemetry` &&
          headers['mqtt-client-id'] === device &&
          headers['mqtt-qos'] === qos &&
          headers['mqtt-retain'] === 'false' &&
          headers['sluice-route'] === 'telemetry' &&
          /^[\w-]{11}:\d+:\d+$/.test(headers['sluice-id'] ?? '');
        if (!right) wrong ??= record;
      });
      expect(wrong).toBeUndefined();
      expect(verdict).toMatchObject({ acknowledged: DEVICES * MESSAGES, records: DEVICES * MESSAGES, duplicates: 0 });
      expect(status.ledger).toMatchObject({
        accepted: DEVICES * MESSAGES,
        delivered: DEVICES * MESSAGES,
        imbalance: 0,
      });
    } finally {
      fleet.stop();
      await sluice.discard();
    }
  }

  it('QoS 1, MQTT 3.1.1', { timeout: 240_000 }, () => run(() => ({})));
  it('QoS 2, MQTT 5', { timeout: 240_000 }, () => run(() => ({ qos: 2, protocolVersion: 5 })));

  it('over TLS with a client certificate', { timeout: 240_000 }, async () => {
    const port = await freePort();
    const pem = (name: string): Promise<string> => readFile(join(certificates, name), 'utf8');
    const tls = { ca: await pem('ca.crt'), cert: await pem('client-fleet.crt'), key: await pem('client-fleet.key') };
    await run(() => ({ urls: [`mqtts://localhost:${port}`], tls }), {
      'listeners.mqtts.port': port,
      'listeners.mqtts.tls.cert': join(certificates, 'server.crt'),
      'listeners.mqtts.tls.key': join(certificates, 'server.key'),
      'listeners.mqtts.tls.ca': join(certificates, 'ca.crt'),
      'listeners.mqtts.tls.clientCertificate': 'required',
    });
  });

  it('over WebSocket', { timeout: 240_000 }, async () => {
    const port = await freePort();
    await run(() => ({ urls: [`ws://127.0.0.1:${port}/mqtt`] }), { 'listeners.ws.port': port });
  });
});
