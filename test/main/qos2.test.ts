/**
 * QoS 2 enters the buffer exactly once, wherever in its handshake ([MQTT-4.3.3]) something is killed: the devices do what the
 * protocol asks of them when they come back, and the log holds each message once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RawClient } from '../mqtt/support/raw-client.ts';
import { eventually } from '../support/eventually.ts';
import { consume } from '../support/kcat.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { randomFrom } from '../support/random.ts';
import { sharedKafka, uniqueTopic, type Redis, type SharedKafka } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';
import { storeFor } from './stores.ts';

const PACKET_ID = 7;

/** What the protocol has a device do next. */
type Next = 'publish' | 'resend' | 'release' | 'nothing';

/** One device: a persistent session, one message at a time, always under the same packet id. */
class Device {
  readonly name: string;
  readonly sent: string[] = [];
  readonly #version: 4 | 5;
  readonly #port: number;
  #client: RawClient | undefined;

  constructor(version: 4 | 5, port: number) {
    this.name = `v${version}`;
    this.#version = version;
    this.#port = port;
  }

  get client(): RawClient {
    return this.#client!;
  }

  /** As devices do, again and again: who is not answered for want of the session store is closed without CONNACK. */
  async connect(): Promise<void> {
    this.#client?.destroy();
    await eventually(async () => {
      const client = await RawClient.open(this.#port, this.#version);
      client.send({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: this.#version,
        clientId: this.name,
        clean: false,
        keepalive: 0,
        ...(this.#version === 5 ? { properties: { sessionExpiryInterval: 3_600 } } : {}),
      });
      await eventually(() => client.closed || client.of('connack').length > 0);
      this.#client = client;
      return !client.closed;
    }, 30_000);
  }

  publish(dup = false): void {
    if (!dup) this.sent.push(`${this.name}-${this.sent.length}`);
    this.client.publish(`devices/${this.name}`, this.sent.at(-1)!, 2, PACKET_ID, dup);
  }

  release(): void {
    this.client.send({ cmd: 'pubrel', messageId: PACKET_ID });
  }

  /** Completes the handshake over the connection of now. */
  async complete(next: Next): Promise<void> {
    if (next === 'nothing') return;
    const { client } = this;
    if (next !== 'release') {
      const received = client.of('pubrec').length;
      this.publish(next === 'resend');
      await client.until('pubrec', received + 1);
    }
    const completed = client.of('pubcomp').length;
    this.release();
    await client.until('pubcomp', completed + 1);
  }

  close(): void {
    this.#client?.destroy();
  }
}

interface Stage {
  readonly devices: readonly Device[];
  /** Between devices and sluice. */
  readonly proxy: Proxy;
  status(): ReturnType<SluiceProcess['status']>;
}

/** Every place where a handshake may be cut: brings the devices there, and says what they do when they come back. */
const points: readonly [name: string, reach: (stage: Stage) => Promise<Next>][] = [
  ['before PUBLISH', () => Promise.resolve('publish')],
  [
    'PUBLISH is sent',
    ({ devices }) => {
      for (const device of devices) device.publish();
      return Promise.resolve('resend');
    },
  ],
  [
    'the message is committed, PUBREC lost',
    async ({ devices, proxy, status }) => {
      const { accepted } = (await status()).ledger;
      proxy.hang('down');
      for (const device of devices) device.publish();
      await eventually(async () => (await status()).ledger.accepted === accepted + devices.length);
      return 'resend';
    },
  ],
  [
    'PUBREC is received',
    async ({ devices }) => {
      for (const device of devices) device.publish();
      for (const device of devices) await device.client.until('pubrec');
      return 'release';
    },
  ],
  [
    'PUBREL is sent',
    async ({ devices }) => {
      for (const device of devices) device.publish();
      for (const device of devices) await device.client.until('pubrec');
      for (const device of devices) device.release();
      return 'release';
    },
  ],
  [
    'the packet id is forgotten, PUBCOMP lost',
    async ({ devices, proxy, status }) => {
      for (const device of devices) device.publish();
      for (const device of devices) await device.client.until('pubrec');
      const appends = async (): Promise<number> => (await status()).counters['appends'] ?? 0;
      const before = await appends();
      proxy.hang('down');
      for (const device of devices) device.release();
      await eventually(async () => (await appends()) > before);
      return 'release';
    },
  ],
  [
    'PUBCOMP is received',
    async ({ devices }) => {
      for (const device of devices) await device.complete('publish');
      return 'nothing';
    },
  ],
];

describe.each([
  ['sluice', 'level'],
  ['sluice', 'redis'],
  ['redis', 'redis'],
] as const)('kill -9 of %s (%s) in the middle of QoS 2', (victim, store) => {
  let kafka: SharedKafka;
  let redis: Redis | undefined;
  let settings: { redisUrl?: string };
  beforeAll(async () => {
    kafka = await sharedKafka();
    ({ redis, settings } = await storeFor(store));
  });
  afterAll(() => redis?.stop());

  it(
    'at every step of the handshake: exactly one entry in the buffer, and the packet id is free again',
    { timeout: 240_000 },
    async () => {
      const random = randomFrom();
      const topic = uniqueTopic('qos2');
      await kafka.createTopic(topic, 1);
      const sluice = await SluiceProcess.start({
        brokers: kafka.brokers,
        ...settings,
        routes: [{ name: 'devices', from: 'devices/{deviceId}', to: topic }],
      });
      const proxy = await startProxy(sluice.port);
      const devices = ([4, 5] as const).map((version) => new Device(version, proxy.port));
      const stage: Stage = { devices, proxy, status: () => sluice.status() };
      try {
        for (const [point, reach] of points) {
          // What is only sent may be on any side of the commit: once at once, once a moment later.
          const rounds = point.endsWith('is sent') ? 2 : 1;
          for (let round = 0; round < rounds; round++) {
            for (const device of devices) await device.connect();
            const next = await reach(stage);
            if (round > 0) await sleep(random.int(8));
            if (victim === 'sluice') {
              await sluice.kill();
              await sluice.start();
            } else {
              await redis!.kill();
              await redis!.start();
            }
            await proxy.resume();
            await eventually(async () => (await sluice.status()).buffer.error === undefined);
            for (const device of devices) {
              await device.connect();
              await device.complete(next);
              // The same packet id is another message now.
              await device.complete('publish');
            }
            const sent = devices.reduce((sum, device) => sum + device.sent.length, 0);
            const { ledger } = await sluice.status();
            expect(ledger.accepted, `${point}, round ${round}, seed ${random.seed}`).toBe(sent);
            expect(ledger.imbalance).toBe(0);
          }
        }
        await sluice.drained();
        const records = (await consume([...kafka.brokers], topic)).map(({ value }) => String(value));
        for (const device of devices) {
          const own = records.filter((value) => value.startsWith(device.name));
          const firsts = own.filter((value, at) => own.indexOf(value) === at);
          expect(firsts, `seed ${random.seed}`).toEqual(device.sent);
        }
      } finally {
        for (const device of devices) device.close();
        await proxy.stop();
        await sluice.discard();
      }
    },
  );
});
