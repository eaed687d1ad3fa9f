/** A whole sluice that knows who is connected, with a buffer in memory and a Kafka that is none. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatHash, hashPassword } from '../../src/auth/password.ts';
import { describeConfig } from '../../src/config/describe.ts';
import { createSluice, loadConfig, type SluiceConfigInput } from '../../src/index.ts';
import type { Sluice } from '../../src/sluice.ts';
import { eventually } from '../support/eventually.ts';
import { FakeSink } from '../support/fake-sink.ts';

const secret = 'hunter2-secret-of-at-least-thirty-two-bytes';
const password = 'hunter2-password';
const backendToken = 'hunter2-backend-token';

let directory: string;
let users: string;
const stops: (() => unknown)[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-auth-'));
  users = join(directory, 'users.txt');
  await writeFile(users, await lineOf('anna', password));
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  await rm(directory, { recursive: true, force: true });
});

async function lineOf(name: string, word: string): Promise<string> {
  return `${name}:${formatHash(await hashPassword(Buffer.from(word), { ln: 12, r: 8, p: 1 }))}\n`;
}

async function start(auth: SluiceConfigInput['auth']) {
  let logged = '';
  const log = pino({ level: 'trace' }, { write: (line: string) => void (logged += line) });
  const sink = new FakeSink();
  const input: SluiceConfigInput = {
    listeners: { mqtt: { port: 0 }, ws: false },
    buffer: { store: 'memory', path: directory },
    routes: [{ from: 'r/#', to: 'topic', key: '{user}' }],
    log: { level: 'trace' },
    auth,
  };
  const sluice: Sluice = createSluice(input, { log, sink });
  await sluice.start();
  stops.push(() => sluice.stop());
  const port = (await sluice.status()).listeners[0]?.port ?? 0;
  const configWith = (change: SluiceConfigInput['auth']) =>
    loadConfig({ input: { ...input, auth: change }, env: {} }).config;
  return { sluice, sink, port, logged: () => logged, configWith };
}

async function connect(port: number, options: IClientOptions): Promise<MqttClient> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, ...options }, false);
  stops.push(() => client.end(true));
  client.on('error', () => undefined);
  return client;
}

const refusal = (port: number, options: IClientOptions): Promise<unknown> =>
  connect(port, { protocolVersion: 5, ...options }).then(
    () => 'connected',
    (error: { code?: number }) => error.code,
  );

const token = (exp: number, claims = {}): Promise<string> =>
  new SignJWT({ sub: 'tom', exp, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(secret));
const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1_000) + seconds;

describe('a sluice with users', () => {
  it('lets in who proves who it is, and puts the user into the records', async () => {
    const { port, sink } = await start({ users, jwt: { secret } });
    const anna = await connect(port, { username: 'anna', password });
    await anna.publishAsync('r/x', '1', { qos: 1 });
    const tom = await connect(port, { username: 'whoever', password: await token(inSeconds(60)) });
    await tom.publishAsync('r/x', '2', { qos: 1 });
    await eventually(() => sink.written.length === 2, 5_000, 'the records do not come');
    expect(sink.written.map(({ key }) => key?.toString()).sort()).toEqual(['anna', 'tom']);
    expect(await refusal(port, { username: 'anna', password: 'wrong' })).toBe(0x86);
    expect(await refusal(port, { username: 'nobody', password })).toBe(0x86);
    expect(await refusal(port, {})).toBe(0x87);
  });

  it('ends the connection when the token expires', async () => {
    const { port } = await start({ jwt: { secret, clockTolerance: '0s' } });
    const tom = await connect(port, { protocolVersion: 5, username: 'x', password: await token(inSeconds(2)) });
    const code = await new Promise((resolve) => tom.once('disconnect', (packet) => resolve(packet.reasonCode)));
    expect(code).toBe(0xa0);
  });

  it('does not let a device take the client id of another', async () => {
    await writeFile(users, (await lineOf('anna', password)) + (await lineOf('bert', 'b')));
    const { port } = await start({ users, clientId: '{user}-*' });
    const anna = await connect(port, { clientId: 'anna-1', username: 'anna', password });
    expect(await refusal(port, { clientId: 'anna-1', username: 'bert', password: 'b' })).toBe(0x85);
    await anna.publishAsync('x', '1', { qos: 1 });
    expect(anna.connected).toBe(true);
  });

  it('takes a new configuration: who may not stay is told to go; a bad one changes nothing', async () => {
    const { sluice, port, configWith, logged } = await start({ users, allowAnonymous: true });
    const anna = await connect(port, { protocolVersion: 5, username: 'anna', password });
    const guest = await connect(port, { protocolVersion: 5 });
    const gone = new Promise((resolve) => guest.once('disconnect', (packet) => resolve(packet.reasonCode)));
    expect(await sluice.reload(configWith({ users }))).toEqual({ applied: ['auth.allowAnonymous'], needRestart: [] });
    expect(await gone).toBe(0x87);
    await anna.publishAsync('x', '1', { qos: 1 });

    const bad = join(directory, 'bad.txt');
    await writeFile(bad, 'hunter2\n');
    await expect(sluice.reload(configWith({ users: bad }))).rejects.toMatchObject({ code: 'AUTH_FILE' });
    expect(sluice.config.auth.users).toBe(users);
    await connect(port, { username: 'anna', password });

    const left = new Promise((resolve) => anna.once('disconnect', (packet) => resolve(packet.reasonCode)));
    await writeFile(users, await lineOf('carl', 'c'));
    await sluice.reload(sluice.config);
    expect(await left).toBe(0x87);
    expect(logged()).toContain('auth.ended');
  });

  it('tells no secret, neither in its log at the finest level nor in what check and status print', async () => {
    const http = { url: `http://x:${backendToken}@127.0.0.1:1/auth`, token: backendToken };
    const { sluice, port, logged, configWith } = await start({ users, jwt: { secret }, http });
    const good = await token(inSeconds(60));
    await connect(port, { username: 'anna', password });
    await connect(port, { username: 'x', password: good });
    await refusal(port, { username: 'anna', password: 'hunter2-wrong' });
    await refusal(port, { username: 'hunter2-user', password: 'hunter2-wrong' });
    await refusal(port, { username: 'x', password: `${good}x` });
    await refusal(port, { username: 'x', password: await token(inSeconds(-60), { note: 'hunter2' }) });
    await sluice.reload(configWith({ users, jwt: { secret }, http, allowAnonymous: true }));
    await writeFile(users, 'hunter2-no-hash\n');
    await sluice.reload(sluice.config);
    await eventually(() => logged().includes('auth.fault'), 5_000, 'the fault was not logged');
    const shown = [logged(), describeConfig(sluice.config), JSON.stringify(await sluice.status())].join('\n');
    expect(shown).toContain('login.refused');
    for (const word of ['hunter2', good, good.split('.')[2] ?? '', '$scrypt$']) expect(shown).not.toContain(word);
  });
});

describe('a storm of wrong passwords', () => {
  it('is refused, bounded, and holds up no acknowledgement of a device that is logged in', async () => {
    const { sluice, port } = await start({ users, failures: { perAddress: 0 } });
    const anna = await connect(port, { username: 'anna', password });
    let running = true;
    let attempts = 0;
    const storm = Promise.all(
      Array.from({ length: 20 }, async () => {
        while (running) {
          await refusal(port, { username: 'anna', password: `wrong ${attempts++}`, connectTimeout: 20_000 });
        }
      }),
    );
    const waits: number[] = [];
    while (attempts < 100) {
      const since = performance.now();
      await anna.publishAsync('r/x', 'x', { qos: 1 });
      waits.push(performance.now() - since);
      // A device that reports ten times a second, and leaves the storm its time.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    running = false;
    await storm;
    waits.sort((a, b) => a - b);
    expect(waits.length).toBeGreaterThan(2);
    expect(waits[Math.floor(waits.length / 2)]).toBeLessThan(500);
    const { counters } = await sluice.status();
    expect(counters['refusedLogins']).toBeGreaterThanOrEqual(100);
    expect(counters['logins']).toBe(1);
  }, 90_000);
});
