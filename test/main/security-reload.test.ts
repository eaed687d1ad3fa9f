/** SIGHUP on the built command: what new files take away is taken from who is connected, and bad files change nothing. */
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatHash, hashPassword } from '../../src/auth/password.ts';
import { RawClient } from '../mqtt/support/raw-client.ts';
import { eventually } from '../support/eventually.ts';
import { OpensslAuthority } from '../support/openssl.ts';
import { freePort } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';

const host = '127.0.0.1';
let directory: string;
let ca: OpensslAuthority;
let sluice: SluiceProcess;
let tlsPort: number;
const stops: (() => void)[] = [];
const file = (name: string): string => join(directory, name);

const rules = {
  wide: [{ publish: ['r/#'], subscribe: ['r/#'] }],
  narrow: [
    { name: 'nothing secret', effect: 'deny', publish: ['r/secret'], subscribe: ['r/secret'] },
    { publish: ['r/#'], subscribe: ['r/open', 'r/secret'] },
  ],
};

/** JSON is YAML. */
async function configure(acl: unknown, limits: object = {}): Promise<void> {
  const certificates = { cert: file('server.crt'), key: file('server.key'), ca: ca.certificate(), crl: file('ca.crl') };
  const config = {
    listeners: { mqtts: { port: tlsPort, tls: { ...certificates, clientCertificate: 'optional' } } },
    auth: { users: file('users.txt'), failures: { perAddress: 0 } },
    acl,
    limits,
  };
  await writeFile(file('sluice.yaml'), JSON.stringify(config));
}

/** Another hash would be another password, and its user disconnected. */
const lines = new Map<string, string>();

async function setUsers(...names: string[]): Promise<void> {
  for (const name of names) {
    if (lines.has(name)) continue;
    lines.set(name, `${name}:${formatHash(await hashPassword(Buffer.from(name), { ln: 10, r: 8, p: 1 }))}\n`);
  }
  await writeFile(file('users.txt'), names.map((name) => lines.get(name)).join(''));
}

/** Sends SIGHUP; resolves when the log says what became of it. */
async function reload(): Promise<Record<string, unknown>> {
  const answers = () => sluice.log.filter(({ event }) => event === 'config.reloaded' || event === 'config.rejected');
  const before = answers().length;
  sluice.signal('SIGHUP');
  await eventually(() => answers().length > before, 20_000, 'nothing was said of the reload');
  return answers().at(-1)!;
}

/** Over TCP, with its name for a password. */
async function login(user: string, clientId = user): Promise<RawClient> {
  const who = { username: user, password: Buffer.from(user) };
  const client = await RawClient.connect(sluice.port, { version: 5, clientId, ...who });
  stops.push(() => client.destroy());
  return client;
}

/** Over TLS, with a certificate. */
async function present(name: string): Promise<MqttClient> {
  const options = {
    ...(await ca.pair(name)),
    rejectUnauthorized: false,
    reconnectPeriod: 0,
    protocolVersion: 5,
  } as const;
  const client = await mqtt.connectAsync(`mqtts://${host}:${tlsPort}`, { clientId: name, ...options }, false);
  client.on('error', () => undefined);
  stops.push(() => void client.end(true));
  return client;
}

/** The reason code of the PUBACK. */
async function publish(client: RawClient, topic: string): Promise<number> {
  const before = client.of('puback').length;
  client.publish(topic, 'x', 1, before + 1);
  await client.until('puback', before + 1);
  return client.of('puback')[before]?.reasonCode ?? 0;
}

async function subscribe(client: RawClient, ...filters: string[]): Promise<unknown[]> {
  const before = client.of('suback').length;
  client.send({
    cmd: 'subscribe',
    messageId: 100 + before,
    subscriptions: filters.map((topic) => ({ topic, qos: 1 })),
  });
  await client.until('suback', before + 1);
  return client.of('suback')[before]?.granted ?? [];
}

const heard = (client: RawClient): string[] => client.of('publish').map(({ topic }) => topic);

async function serial(): Promise<string> {
  const socket = tls.connect({ port: tlsPort, host, rejectUnauthorized: false });
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-sighup-'));
  ca = await OpensslAuthority.make(file('ca'));
  tlsPort = await freePort();
  for (const name of ['server', 'renewed', 'device', 'stolen']) await ca.issue(name);
  await copyFile(ca.certificate('server'), file('server.crt'));
  await copyFile(ca.key('server'), file('server.key'));
  await copyFile(await ca.revocationList(), file('ca.crl'));
  await setUsers('anna', 'bert');
  await configure(rules.wide);
  sluice = await SluiceProcess.start({ brokers: ['127.0.0.1:1'], configFile: file('sluice.yaml') });
}, 60_000);
afterAll(async () => {
  for (const stop of stops) stop();
  await sluice?.discard();
  await rm(directory, { recursive: true, force: true });
});

describe('SIGHUP', () => {
  it('takes rules, users, rates, certificates and revocations from who is connected', { timeout: 60_000 }, async () => {
    const anna = await login('anna');
    const bert = await login('bert');
    const device = await present('device');
    const stolen = await present('stolen');
    expect(await subscribe(bert, 'r/#', 'r/secret')).toEqual([1, 1]);
    expect(await publish(anna, 'r/secret')).toBe(0);
    await eventually(() => heard(bert).includes('r/secret'), 5_000, 'it does not hear what it may');

    // ---- bad files: each keeps what was, and says so ----
    await configure([{ effekt: 'deny' }]);
    expect(await reload()).toMatchObject({
      event: 'config.rejected',
      error: expect.stringContaining('effekt') as string,
    });
    await configure(rules.narrow, { connections: -1 });
    expect((await reload())['event']).toBe('config.rejected');
    await configure(rules.wide);
    await writeFile(file('users.txt'), 'no hash\n');
    await writeFile(file('ca.crl'), 'no list');
    await writeFile(file('server.crt'), 'no certificate');
    expect((await reload())['event']).toBe('config.reloaded');
    await eventually(
      () => sluice.log.some(({ event }) => event === 'auth.fault'),
      5_000,
      'nothing was said of the users',
    );
    await eventually(
      () =>
        sluice.log.some(
          ({ event, where }) => event === 'listener.fault' && String(where).includes('the old one stays'),
        ),
      5_000,
      'nothing was said of the certificate',
    );
    const before = await serial();
    expect(await publish(anna, 'r/secret')).toBe(0);
    await stolen.publishAsync('r/secret', 'x', { qos: 1 });
    expect((await login('anna', 'another')).of('connack')[0]?.reasonCode).toBe(0);

    // ---- rules ----
    await setUsers('anna', 'bert');
    await copyFile(ca.certificate('server'), file('server.crt'));
    await copyFile(await ca.revocationList(), file('ca.crl'));
    await configure(rules.narrow);
    expect(await reload()).toMatchObject({ event: 'config.reloaded', applied: ['acl'] });
    const heardBefore = heard(bert).length;
    expect(await publish(anna, 'r/secret')).toBe(0x87);
    expect(await subscribe(anna, 'r/secret', 'r/open')).toEqual([0x87, 1]);
    expect(await publish(anna, 'r/open')).toBe(0);
    await eventually(() => heard(anna).includes('r/open'), 5_000, 'it does not hear what it still may');
    // r/# is not contained in what is allowed now, r/secret is denied: both are taken from it.
    await bert.ping();
    expect(heard(bert).slice(heardBefore)).toEqual([]);
    expect(sluice.log.some(({ event, rule }) => event === 'access.denied' && rule === 'nothing secret')).toBe(true);

    // ---- a rate ----
    await configure(rules.narrow, { messagesPerSecond: 1, overRate: 'disconnect' });
    await reload();
    for (let id = 1; id <= 5; id++) bert.publish('r/open', 'x', 1, id);
    await bert.untilClosed();
    expect(bert.of('disconnect')[0]?.reasonCode).toBe(0x96);

    // ---- a user, a certificate of the server, and one of a client ----
    await configure(rules.narrow);
    await setUsers('bert');
    await ca.revoke('stolen');
    await copyFile(await ca.revocationList(), file('ca.crl'));
    await copyFile(ca.certificate('renewed'), file('server.crt'));
    await copyFile(ca.key('renewed'), file('server.key'));
    const stolenTold = new Promise((resolve) => stolen.once('disconnect', ({ reasonCode }) => resolve(reasonCode)));
    expect((await reload())['event']).toBe('config.reloaded');
    await anna.untilClosed();
    expect(anna.of('disconnect')[0]?.reasonCode).toBe(0x87);
    expect(await stolenTold).toBe(0x87);
    expect(await serial()).not.toBe(before);
    expect((await login('anna')).of('connack')[0]?.reasonCode).toBe(0x86);
    await expect(present('stolen')).rejects.toThrow();
    // Who lost nothing stays.
    await device.publishAsync('r/open', 'x', { qos: 1 });
    expect(device.connected).toBe(true);
    const refused = sluice.log.filter(({ event }) => event === 'connection.failed').map(({ error }) => String(error));
    expect(refused).toContain('the client certificate is revoked');
  });
});
