/** Limits of a whole sluice, changed while clients are connected, with a buffer in memory and a Kafka that is none. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSluice, loadConfig, type SluiceConfigInput } from '../../src/index.ts';
import type { Sluice } from '../../src/sluice.ts';
import { RawClient } from '../mqtt/support/raw-client.ts';
import { eventually } from '../support/eventually.ts';
import { FakeSink } from '../support/fake-sink.ts';
import { metric, parseMetrics } from '../support/prometheus.ts';

let directory: string;
let sluice: Sluice;
let port: number;
let clients: RawClient[];

const configOf = (limits: SluiceConfigInput['limits']): SluiceConfigInput => ({
  listeners: { mqtt: { port: 0 }, ws: false },
  buffer: { store: 'memory', path: directory },
  routes: [{ from: 'r/#', to: 'topic' }],
  log: { level: 'info' },
  ...(limits === undefined ? {} : { limits }),
});

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-limits-'));
  clients = [];
  sluice = createSluice(configOf({}), { log: pino({ level: 'silent' }), sink: new FakeSink() });
  await sluice.start();
  port = (await sluice.status()).listeners[0]?.port ?? 0;
});
afterEach(async () => {
  for (const client of clients) client.destroy();
  await sluice.stop();
  await rm(directory, { recursive: true, force: true });
});

async function connect(clientId: string, version: 4 | 5 = 5): Promise<RawClient> {
  const client = await RawClient.connect(port, { clientId, version });
  clients.push(client);
  return client;
}

const limit = (limits: SluiceConfigInput['limits']) =>
  sluice.reload(loadConfig({ input: configOf(limits), env: {} }).config);

const throttled = async (): Promise<number> =>
  metric(parseMetrics(await sluice.metrics()), 'sluice_messages_throttled_total');

describe('limits that are changed', () => {
  it('hold for who is connected: rates slow it down, and let it go again', async () => {
    const client = await connect('fast');
    const publish = (from: number, to: number): void => {
      for (let id = from; id <= to; id++) client.publish('r/a', String(id), 1, id);
    };
    publish(1, 50);
    await client.until('puback', 50);
    expect(await throttled()).toBe(0);

    expect(await limit({ messagesPerSecond: 1 })).toEqual({ applied: ['limits.messagesPerSecond'], needRestart: [] });
    publish(51, 60);
    await eventually(async () => (await throttled()) > 0);
    expect(client.of('puback').length).toBeLessThan(60);

    // At one a second they would take another nine seconds.
    await limit({});
    await client.until('puback', 60);
    const ids = client.of('puback').map(({ messageId }) => messageId);
    expect(ids).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
    expect((await sluice.status()).ledger.accepted).toBe(60);
  });

  it('hold for who is connected: sizes, levels and subscriptions', async () => {
    const client = await connect('d');
    const subscriptions = ['r/a', 'r/b'].map((topic) => ({ topic, qos: 0 as const }));
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    await client.until('suback');
    await limit({ subscriptionsPerClient: 1, maxPayloadSize: '3B', topicLevels: 2, topicMaxBytes: '5B' });
    client.publish('r/a', 'long', 1, 1);
    client.publish('r/a/b', 'x', 1, 2);
    client.publish('r/long', 'x', 1, 3);
    client.publish('r/a', 'ok', 1, 4);
    await client.until('puback', 4);
    expect(client.of('puback').map(({ reasonCode = 0 }) => reasonCode)).toEqual([0x97, 0x90, 0x90, 0]);
    client.send({ cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: 'r/c', qos: 0 }] });
    await client.until('suback', 2);
    expect(client.of('suback')[1]?.granted).toEqual([0x97]);
  });

  it('hold for connections that come from now on; who is there stays', async () => {
    const first = await connect('a');
    const second = await connect('b', 4);
    expect(await limit({ connectionsPerAddress: 2, maxPacketSize: '1KB', connectTimeout: '1s' })).toEqual({
      applied: ['limits.connectionsPerAddress'],
      needRestart: ['limits.maxPacketSizeBytes', 'limits.connectTimeoutMs'],
    });
    const third = await RawClient.open(port);
    await third.untilClosed();
    await first.ping();
    await second.ping();
    await limit({ connections: 3 });
    const fourth = await connect('c');
    const fifth = await RawClient.open(port);
    await fifth.untilClosed();
    await fourth.ping();
    expect((await sluice.status()).connections).toMatchObject({ open: 3, turnedAway: 2 });
  });
});
