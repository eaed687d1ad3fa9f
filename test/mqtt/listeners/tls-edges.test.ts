/** What a TLS listener does with clients that speak TLS badly, slowly, or not at all; openssl's client is one that is not ours. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCertificates } from '../../../src/cli/certs.ts';
import type { TlsOptions } from '../../../src/mqtt/listeners/certificate.ts';
import { eventually } from '../../support/eventually.ts';
import { afterTest } from '../support/harness.ts';
import { RawClient } from '../support/raw-client.ts';
import { serve, type Served } from '../support/served.ts';

const host = '127.0.0.1';
const names = ['mqtts', 'wss'] as const;
type Name = (typeof names)[number];

let certificates: string;
beforeAll(async () => {
  certificates = await mkdtemp(path.join(tmpdir(), 'sluice-tls-'));
  await makeCertificates({ directory: certificates });
});
afterAll(() => rm(certificates, { recursive: true, force: true }));

const secure = (more: Partial<TlsOptions> = {}): TlsOptions => ({
  cert: path.join(certificates, 'server.crt'),
  key: path.join(certificates, 'server.key'),
  clientCertificate: 'none',
  ...more,
});

function listening(
  name: Name,
  limits: Parameters<typeof serve>[1] = {},
  more: Partial<TlsOptions> = {},
): Promise<Served> {
  return serve({ [name]: { host, port: 0, path: '/mqtt', origins: [], tls: secure(more) } }, limits);
}

/** What openssl says of a connection that it makes; `input` is typed once the handshake is done. */
async function opensslSays(port: number, args: readonly string[], input = ''): Promise<string> {
  const child = spawn('openssl', ['s_client', '-connect', `${host}:${port}`, ...args]);
  afterTest(() => void child.kill());
  let said = '';
  let typed = false;
  const hear = (part: Buffer): void => {
    said += part.toString();
    if (typed || !said.includes('Verify return code')) return;
    typed = true;
    if (input === '') child.stdin.end();
    else child.stdin.write(input);
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  await new Promise((resolve) => child.once('close', resolve));
  return said;
}

/** OpenSSL has the old versions only at its lowest level of security. */
const anything = ['-cipher', 'ALL:@SECLEVEL=0'];

async function open(port: number, localAddress?: string): Promise<net.Socket> {
  const socket = net.connect({ port, host, ...(localAddress === undefined ? {} : { localAddress }) });
  afterTest(() => void socket.destroy());
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

async function handshake(port: number): Promise<tls.TLSSocket> {
  const socket = tls.connect({ port, host, rejectUnauthorized: false });
  afterTest(() => void socket.destroy());
  await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
  return socket;
}

describe.each(names)('%s', (name) => {
  it.each(['-tls1', '-tls1_1'])('refuses a client that wants no more than %s, and says so once', async (version) => {
    const test = await listening(name);
    const said = await opensslSays(test.portOf(name), [version, ...anything]);
    expect(said).toMatch(/alert protocol version|unsupported protocol/);
    expect(said).toMatch(/New, \(NONE\)/);
    await eventually(() => test.clientFaults.length > 0, 5_000, 'nothing was said');
    expect(test.clientFaults).toEqual([expect.stringContaining('an old version of TLS')]);
    expect(test.faultyAddresses).toEqual([host]);
    expect(test.infos).toEqual([]);
    await eventually(() => test.listeners.connections.open === 0, 5_000, 'a connection stays');
  });

  it.each(['-tls1_2', '-tls1_3'])('takes %s', async (version) => {
    const test = await listening(name);
    expect(await opensslSays(test.portOf(name), [version])).toMatch(/New, TLSv1\.[23], Cipher is \w+/);
    expect(test.clientFaults).toEqual([]);
  });

  it('refuses TLS 1.2 where 1.3 is the least', async () => {
    const test = await listening(name, {}, { minVersion: '1.3' });
    expect(await opensslSays(test.portOf(name), ['-tls1_2'])).toMatch(/alert protocol version/);
    expect(await opensslSays(test.portOf(name), ['-tls1_3'])).toMatch(/New, TLSv1\.3/);
  });

  it('does not renegotiate: a handshake costs it more than the client', async () => {
    const test = await listening(name);
    const said = await opensslSays(test.portOf(name), ['-tls1_2'], 'R\n');
    expect(said).toContain('RENEGOTIATING');
    expect(said).toMatch(/no renegotiation/);
  });

  it.each([
    ['MQTT', Buffer.from([0x10, 0x0c, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, 0])],
    ['HTTP', Buffer.from('GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['noise', Buffer.alloc(100, 0xa5)],
  ])('closes a client that speaks plain %s, and says so once', async (_what, bytes) => {
    const test = await listening(name);
    const client = await RawClient.open(test.portOf(name));
    client.write(bytes);
    await client.untilClosed();
    expect(client.received).toEqual([]);
    await eventually(() => test.clientFaults.length > 0, 5_000, 'nothing was said');
    expect(test.clientFaults).toEqual([expect.stringContaining('plaintext on a TLS port')]);
    expect(test.infos).toEqual([]);
    await eventually(() => test.listeners.connections.open === 0, 5_000, 'a connection stays');
  });

  it('ends handshakes that do not go on, at whatever point', async () => {
    const test = await listening(name, { connectTimeoutMs: 300 });
    const port = test.portOf(name);
    const silent = await RawClient.open(port);
    // The head of a record that announces a ClientHello, and a part of it.
    const half = await RawClient.open(port);
    half.write(Buffer.from([0x16, 3, 1, 0x02, 0, 1, 0, 0x01, 0xfc, 3, 3]));
    await Promise.all([silent.untilClosed(), half.untilClosed()]);
    await eventually(() => test.clientFaults.length === 2, 5_000, 'nothing was said');
    expect(test.clientFaults).toEqual(Array(2).fill(expect.stringContaining('handshake timeout')));
  });

  it('has no more handshakes under way than it may, and takes new ones when those have ended', async () => {
    const test = await listening(name, { tlsHandshakes: 3, connectTimeoutMs: 60_000 });
    const port = test.portOf(name);
    const done = await handshake(port);
    const idle = await Promise.all([open(port), open(port), open(port)]);
    await eventually(() => test.listeners.connections.open === 4, 5_000, 'they do not come in');
    await expect(handshake(port)).rejects.toThrow();
    expect(test.clientFaults).toEqual([`${name}: too many TLS handshakes at the same time`]);
    // A connection whose handshake is done is in nobody's way, and stays.
    expect(done.destroyed).toBe(false);
    idle[0]?.destroy();
    await eventually(() => test.listeners.connections.open === 3, 5_000, 'it does not go');
    await handshake(port);
  });
});

describe('connections of one address', () => {
  it.each(['mqtt', 'ws', ...names] as const)('to %s are bounded, those of others are not touched', async (name) => {
    const at = { host, port: 0, path: '/mqtt', origins: [], tls: secure() };
    const test = await serve({ mqtt: at, ws: at, mqtts: at, wss: at }, { connectionsPerAddress: 3 });
    const port = test.portOf(name);
    // Over all listeners together.
    const mine = [await open(test.portOf('mqtt')), await open(test.portOf('mqtts')), await open(test.portOf('ws'))];
    await eventually(() => test.listeners.connections.open === 3, 5_000, 'they do not come in');
    const beyond = await RawClient.open(port);
    await beyond.untilClosed();
    expect(test.listeners.connections).toMatchObject({ open: 3, turnedAway: 1 });
    const neighbour = await open(port, '127.0.0.2');
    await eventually(() => test.listeners.connections.open === 4, 5_000, 'another address is turned away');
    expect(neighbour.destroyed).toBe(false);
    mine[0]?.destroy();
    await eventually(() => test.listeners.connections.open === 3, 5_000, 'it does not go');
    await open(port);
    await eventually(() => test.listeners.connections.open === 4, 5_000, 'the place that became free is not given');
    expect(test.listeners.connections.turnedAway).toBe(1);
  });
});
