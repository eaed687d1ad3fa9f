/** MQTT over WebSocket on the HTTP listener: for the dashboard, behind the same door as everything else there. */
import { connectAsync, type MqttClient } from 'mqtt';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { formatHash, hashPassword } from '../../src/auth/password.ts';
import { createSluice, type Sluice, type SluiceConfigInput } from '../../src/index.ts';
import { createNullSink } from '../../src/kafka/null-sink.ts';

const OPERATOR = 'operator+token/0123456789';
const VIEWER = 'viewer+token/0123456789';

let directory: string;
const sluices: Sluice[] = [];
let open: string;
let guarded: string;
let proven: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-upgrade-'));
  const users = join(directory, 'users.txt');
  await writeFile(users, `anna:${formatHash(await hashPassword(Buffer.from('right'), { ln: 10, r: 8, p: 1 }))}\n`);
  const tokens = [
    { name: 'ops', role: 'operator' as const, token: OPERATOR },
    { name: 'eyes', role: 'viewer' as const, token: VIEWER },
  ];
  open = await start('open', { listeners: { http: { port: 0 } } });
  guarded = await start('guarded', { listeners: { http: { port: 0, tokens } } });
  proven = await start('proven', {
    listeners: { http: { port: 0, tokens } },
    auth: { users },
    acl: [{ user: 'anna', publish: ['devices/#'], subscribe: ['devices/#'] }],
  });
});
afterAll(async () => {
  for (const sluice of sluices) await sluice.stop();
  await rm(directory, { recursive: true, force: true });
});

async function start(name: string, config: SluiceConfigInput): Promise<string> {
  const sluice = createSluice(
    {
      ...config,
      listeners: { mqtt: { port: 0 }, ws: false, ...config.listeners },
      buffer: { store: 'memory', path: join(directory, name) },
      log: { level: 'silent' },
    },
    { sink: createNullSink({ partitions: 1 }) },
  );
  await sluice.start();
  sluices.push(sluice);
  return (await sluice.status()).listeners.find(({ name }) => name === 'http')!.url.replace('http', 'ws');
}

const bearer = (token: string): string => `bearer.${Buffer.from(token).toString('base64url')}`;

/** 101, or the status of the refusal. */
async function attempt(url: string, path: string, protocols: string[], origin?: string): Promise<number> {
  const socket = new WebSocket(`${url}${path}`, protocols, origin === undefined ? {} : { origin });
  return new Promise((done) => {
    socket.on('open', () => {
      socket.terminate();
      done(101);
    });
    socket.on('unexpected-response', (_request, response) => {
      response.resume();
      done(response.statusCode ?? 0);
    });
    socket.on('error', () => undefined);
  });
}

async function connect(url: string, options: object = {}): Promise<MqttClient> {
  return connectAsync(`${url}/mqtt`, {
    reconnectPeriod: 0,
    createWebsocket: (address) => new WebSocket(address, ['mqtt', bearer(VIEWER)]) as never,
    protocolVersion: 5,
    ...options,
  });
}

describe('MQTT over WebSocket on the HTTP listener', () => {
  it('is had on one path, by pages of its own alone', async () => {
    const own = open.replace('ws', 'http');
    expect(await attempt(open, '/mqtt', ['mqtt'])).toBe(101);
    expect(await attempt(open, '/mqtt', ['mqtt'], own)).toBe(101);
    expect(await attempt(open, '/mqtt', ['mqtt'], 'https://evil.example')).toBe(403);
    expect(await attempt(open, '/elsewhere', ['mqtt'])).toBe(404);
    expect(await attempt(open, '/mqtt', ['chat'])).toBe(400);
  });

  it('asks for a token of the operator where MQTT clients prove nothing', async () => {
    expect(await attempt(guarded, '/mqtt', ['mqtt'])).toBe(401);
    expect(await attempt(guarded, '/mqtt', ['mqtt', bearer('no-such-token-0123456789')])).toBe(401);
    expect(await attempt(guarded, '/mqtt', ['mqtt', bearer(VIEWER)])).toBe(403);
    expect(await attempt(guarded, '/mqtt', ['mqtt', bearer(OPERATOR)])).toBe(101);
  });

  it('asks for any token where they do, and then for who it is', async () => {
    expect(await attempt(proven, '/mqtt', ['mqtt'])).toBe(401);
    expect(await attempt(proven, '/mqtt', ['mqtt', bearer(VIEWER)])).toBe(101);
    await expect(connect(proven)).rejects.toThrow();
    await expect(connect(proven, { username: 'anna', password: 'wrong' })).rejects.toThrow();
    const anna = await connect(proven, { username: 'anna', password: 'right' });
    const granted = await anna
      .subscribeAsync({ 'devices/#': { qos: 0 }, 'secrets/#': { qos: 0 } })
      .catch(() => undefined);
    expect(granted?.map(({ qos }) => qos) ?? [0, 0x87]).toEqual([0, 0x87]);
    await anna.endAsync(true);
  });

  it('is counted and closed like any other connection', async () => {
    const client = await connect(open);
    expect((await sluices[0]!.status()).connections.open).toBe(1);
    let closed = false;
    client.on('close', () => (closed = true));
    await sluices[0]!.stop();
    expect(closed || !client.connected).toBe(true);
  });
});
