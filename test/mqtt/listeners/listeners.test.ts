import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { promisify } from 'node:util';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { beforeAll, afterAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { makeCertificates } from '../../../src/cli/certs.ts';
import type { TlsOptions } from '../../../src/mqtt/listeners/certificate.ts';
import { eventually } from '../../support/eventually.ts';
import { afterTest } from '../support/harness.ts';
import { RawClient } from '../support/raw-client.ts';
import { serve } from '../support/served.ts';

const run = promisify(execFile);
const host = '127.0.0.1';
let certificates: string;
const certificate = (name: string): string => path.join(certificates, name);
beforeAll(async () => {
  certificates = await mkdtemp(path.join(tmpdir(), 'sluice-certs-'));
  await makeCertificates({ directory: certificates, clients: ['device-1'] });
});
afterAll(() => rm(certificates, { recursive: true, force: true }));

const secure = (overrides: Partial<TlsOptions> = {}): TlsOptions => ({
  cert: certificate('server.crt'),
  key: certificate('server.key'),
  clientCertificate: 'none',
  ...overrides,
});

async function connect(url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await mqtt.connectAsync(url, { reconnectPeriod: 0, ...options }, false);
  afterTest(() => void client.end(true));
  return client;
}

async function roundTrip(client: MqttClient, payload: Buffer = Buffer.from('x')): Promise<void> {
  const got = new Promise<Buffer>((resolve) => client.once('message', (_topic, message) => resolve(message)));
  await client.subscribeAsync('r/echo');
  await client.publishAsync('r/echo', payload, { qos: 1 });
  expect((await got).equals(payload)).toBe(true);
}

const readFileUtf8 = async (name: string): Promise<string> => (await import('node:fs/promises')).readFile(name, 'utf8');

describe('listeners', () => {
  it('carry MQTT 3.1.1 and 5 over TCP, TLS, WebSocket and WebSocket with TLS', async () => {
    const ca = await readFileUtf8(certificate('ca.crt'));
    const at = { host, port: 0 };
    const test = await serve({
      mqtt: at,
      mqtts: { ...at, tls: secure() },
      ws: { ...at, path: '/mqtt', origins: [] },
      wss: { ...at, path: '/mqtt', origins: [], tls: secure() },
    });
    for (const protocolVersion of [4, 5] as const) {
      for (const [name, url] of [
        ['mqtt', `mqtt://${host}:${test.portOf('mqtt')}`],
        ['mqtts', `mqtts://${host}:${test.portOf('mqtts')}`],
        ['ws', `ws://${host}:${test.portOf('ws')}/mqtt`],
        ['wss', `wss://${host}:${test.portOf('wss')}/mqtt`],
      ] as const) {
        const client = await connect(url, { protocolVersion, ca });
        await roundTrip(client);
        await roundTrip(client, Buffer.alloc(200_000, 7));
        expect(test.infos.at(-1)).toMatchObject({ listener: name, remoteAddress: host });
      }
    }
    expect(test.ownFaults).toEqual([]);
    expect(test.listeners.connections.open).toBe(8);
  });

  it('serve clients that are not ours', async () => {
    const test = await serve({ mqtt: { host, port: 0 } });
    const port = String(test.portOf('mqtt'));
    const subscriber = run('mosquitto_sub', ['-h', host, '-p', port, '-t', 'r/#', '-q', '1', '-C', '1', '-W', '10']);
    await eventually(() => test.broker.clients().total === 1);
    await run('mosquitto_pub', [
      '-h',
      host,
      '-p',
      port,
      '-t',
      'r/m',
      '-q',
      '2',
      '-m',
      'hello',
      '-V',
      '5',
      '--repeat',
      '2',
    ]);
    expect((await subscriber).stdout).toBe('hello\n');
    expect(test.store.payloads('r/m')).toEqual(['hello', 'hello']);
  });

  it('say which listener, address and port is taken, and what to do; none listens then', async () => {
    const taken = net.createServer().listen(0, host);
    afterTest(() => void taken.close());
    await eventually(() => taken.listening);
    const { port } = taken.address() as net.AddressInfo;
    const free = net.createServer().listen(0, host);
    await eventually(() => free.listening);
    const other = (free.address() as net.AddressInfo).port;
    await new Promise((resolve) => free.close(resolve));
    await expect(
      serve({ mqtt: { host, port: other }, ws: { host, port, path: '/mqtt', origins: [] } }),
    ).rejects.toMatchObject({
      code: 'LISTENER_FAILED',
      message: `listener ws cannot listen on ${host} port ${port}: another process uses it`,
      hint: expect.stringContaining('listeners.ws.port') as string,
    });
    await expect(RawClient.open(other)).rejects.toThrow('ECONNREFUSED');
  });

  it('turn connections beyond the limit away, over all listeners, and take new ones when others have gone', async () => {
    const test = await serve(
      { mqtt: { host, port: 0 }, ws: { host, port: 0, path: '/mqtt', origins: [] } },
      { connections: 2 },
    );
    const first = await connect(`mqtt://${host}:${test.portOf('mqtt')}`);
    await connect(`ws://${host}:${test.portOf('ws')}/mqtt`);
    await expect(connect(`ws://${host}:${test.portOf('ws')}/mqtt`, { connectTimeout: 1_000 })).rejects.toThrow();
    const raw = await RawClient.open(test.portOf('mqtt'));
    await raw.untilClosed();
    expect(test.listeners.connections.turnedAway).toBe(2);
    await first.endAsync();
    await eventually(() => test.listeners.connections.open === 1);
    await connect(`mqtt://${host}:${test.portOf('mqtt')}`);
  });

  it('stop accepting while the connections that are open go on', async () => {
    const test = await serve({ mqtt: { host, port: 0 }, ws: { host, port: 0, path: '/mqtt', origins: [] } });
    const open = await connect(`mqtt://${host}:${test.portOf('mqtt')}`);
    const overWs = await connect(`ws://${host}:${test.portOf('ws')}/mqtt`);
    await test.listeners.stopAccepting();
    await expect(RawClient.open(test.portOf('mqtt'))).rejects.toThrow('ECONNREFUSED');
    await roundTrip(open);
    await roundTrip(overWs);
  });
});

describe('TLS', () => {
  it('turns connections beyond the limit away before the handshake', async () => {
    const test = await serve({ mqtts: { host, port: 0, tls: secure() } }, { connections: 1 });
    const open = await connect(`mqtts://${host}:${test.portOf('mqtts')}`, { rejectUnauthorized: false });
    for (let i = 0; i < 5; i++) {
      const socket = tls.connect({ port: test.portOf('mqtts'), host, rejectUnauthorized: false });
      await new Promise((resolve) => socket.once('error', resolve));
    }
    await roundTrip(open);
    expect(test.listeners.connections).toMatchObject({ open: 1, turnedAway: 5 });
    expect(test.ownFaults).toEqual([]);
  });

  it('takes clients with a certificate of its authority only, where one is required', async () => {
    const ca = certificate('ca.crt');
    const test = await serve({ mqtts: { host, port: 0, tls: secure({ ca, clientCertificate: 'required' }) } });
    const url = `mqtts://${host}:${test.portOf('mqtts')}`;
    const trust = { ca: await readFileUtf8(ca) };
    const own = {
      cert: await readFileUtf8(certificate('client-device-1.crt')),
      key: await readFileUtf8(certificate('client-device-1.key')),
    };
    await roundTrip(await connect(url, { ...trust, ...own }));
    expect(test.infos[0]?.certificate?.subject['CN']).toBe('device-1');
    expect(test.infos[0]?.certificate?.fingerprint256).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    await expect(connect(url, { ...trust, connectTimeout: 1_000 })).rejects.toThrow();
    const stranger = await mkdtemp(path.join(tmpdir(), 'sluice-certs-'));
    afterTest(() => rm(stranger, { recursive: true, force: true }));
    await makeCertificates({ directory: stranger, clients: ['device-1'] });
    const forged = {
      cert: await readFileUtf8(path.join(stranger, 'client-device-1.crt')),
      key: await readFileUtf8(path.join(stranger, 'client-device-1.key')),
    };
    await expect(connect(url, { ...trust, ...forged, connectTimeout: 1_000 })).rejects.toThrow();
    expect(test.infos).toHaveLength(1);
    expect(test.clientFaults.length).toBeGreaterThan(0);
  });

  it('knows a client by its certificate only where its authority has signed it, where one is optional', async () => {
    const ca = certificate('ca.crt');
    const test = await serve({ mqtts: { host, port: 0, tls: secure({ ca, clientCertificate: 'optional' }) } });
    await connect(`mqtts://${host}:${test.portOf('mqtts')}`, { ca: await readFileUtf8(ca) });
    expect(test.infos[0]?.certificate).toBeUndefined();
  });

  it('refuses versions before 1.2, and clients that do not speak TLS', async () => {
    const test = await serve({ mqtts: { host, port: 0, tls: secure() } });
    const port = test.portOf('mqtts');
    const old = tls.connect({
      port,
      host,
      rejectUnauthorized: false,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL:@SECLEVEL=0',
    });
    await new Promise((resolve) => old.once('error', resolve));
    const plain = await RawClient.open(port);
    plain.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clientId: 'plain',
      clean: true,
      keepalive: 0,
    });
    await plain.untilClosed();
    expect(plain.received).toEqual([]);
    await eventually(() => test.clientFaults.length === 2);
    expect(test.infos).toEqual([]);
    await eventually(() => test.listeners.connections.open === 0);
  });

  it('ends a handshake that does not go on', async () => {
    const test = await serve({ mqtts: { host, port: 0, tls: secure() } }, { connectTimeoutMs: 300 });
    const idle = await RawClient.open(test.portOf('mqtts'));
    await idle.untilClosed();
  });

  it('refuses to start with a key that is not that of the certificate, or a file that is not there', async () => {
    const mixed = secure({ key: certificate('ca.key') });
    await expect(serve({ mqtts: { host, port: 0, tls: mixed } })).rejects.toMatchObject({ code: 'LISTENER_FAILED' });
    const missing = secure({ cert: '/nowhere/server.crt' });
    await expect(serve({ wss: { host, port: 0, path: '/mqtt', origins: [], tls: missing } })).rejects.toMatchObject({
      code: 'LISTENER_FAILED',
      message: expect.stringContaining('listener wss cannot read cert /nowhere/server.crt') as string,
    });
  });

  it('takes up new certificate files, keeps the connections, and keeps the old certificate when the new one is broken', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'sluice-certs-'));
    const next = await mkdtemp(path.join(tmpdir(), 'sluice-certs-'));
    afterTest(() => rm(directory, { recursive: true, force: true }));
    afterTest(() => rm(next, { recursive: true, force: true }));
    await makeCertificates({ directory: next });
    const [cert, key] = [path.join(directory, 'server.crt'), path.join(directory, 'server.key')];
    await copyFile(certificate('server.crt'), cert);
    await copyFile(certificate('server.key'), key);
    const at = { host, port: 0, tls: secure({ cert, key, pollMs: 50 }) };
    const test = await serve({ mqtts: at, wss: { ...at, path: '/mqtt', origins: [] } });
    const serial = async (port: number): Promise<string> => {
      const socket = tls.connect({ port, host, rejectUnauthorized: false });
      await new Promise((resolve) => socket.once('secureConnect', resolve));
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return serialNumber;
    };
    const ports = [test.portOf('mqtts'), test.portOf('wss')];
    const before = await Promise.all(ports.map(serial));
    const open = await connect(`mqtts://${host}:${ports[0]}`, { rejectUnauthorized: false });

    await writeFile(cert, 'not a certificate');
    await eventually(() => test.ownFaults.length >= 2);
    expect(test.ownFaults[0]).toMatch(/certificate of listener (mqtts|wss): the old one stays/);
    expect(await Promise.all(ports.map(serial))).toEqual(before);

    // The usual way of tools that renew certificates: new files take the place of the old.
    for (const [name, file] of [
      ['server.crt', cert],
      ['server.key', key],
    ] as const) {
      await copyFile(path.join(next, name), `${file}.new`);
      await rename(`${file}.new`, file);
    }
    await eventually(async () => (await Promise.all(ports.map(serial))).every((each, index) => each !== before[index]));
    await roundTrip(open);
    expect(open.connected).toBe(true);
  });
});

describe('WebSocket', () => {
  const at = { host, port: 0, path: '/mqtt', origins: ['https://app.example.com'] };

  const upgrade = (port: number, where: string, protocols: string[], headers = {}): Promise<WebSocket> =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(`ws://${host}:${port}${where}`, protocols, { headers });
      afterTest(() => socket.terminate());
      socket.once('open', () => resolve(socket));
      socket.once('error', reject);
    });

  it('takes the path, subprotocol and origins that it is given, and no others', async () => {
    const test = await serve({ ws: at });
    const port = test.portOf('ws');
    await expect(upgrade(port, '/other', ['mqtt'])).rejects.toThrow('404');
    await expect(upgrade(port, '/mqtt', [])).rejects.toThrow('400');
    await expect(upgrade(port, '/mqtt', ['chat'])).rejects.toThrow('400');
    await expect(upgrade(port, '/mqtt', ['mqtt'], { origin: 'https://evil.example.com' })).rejects.toThrow('403');
    await expect(upgrade(port, '/mqtt', ['mqtt'], { origin: 'null' })).rejects.toThrow('403');
    expect(test.clientFaults).toHaveLength(5);
    const page = await upgrade(port, '/mqtt?token=1', ['chat', 'mqtt'], { origin: 'https://app.example.com' });
    expect(page.protocol).toBe('mqtt');
    expect((await upgrade(port, '/mqtt', ['mqttv3.1'])).protocol).toBe('mqttv3.1');
    expect(page.extensions).toBe('');
    const response = await new Promise<http.IncomingMessage>((resolve) =>
      http.get({ host, port, path: '/mqtt' }, resolve),
    );
    expect(response.statusCode).toBe(426);
    response.resume();
  });

  it('takes any origin where "*" is configured', async () => {
    const test = await serve({ ws: { ...at, origins: ['*'] } });
    await upgrade(test.portOf('ws'), '/mqtt', ['mqtt'], { origin: 'https://anywhere.example.com' });
  });

  it('closes a client that sends text, too large a frame, headers without end, or no HTTP', async () => {
    const test = await serve({ ws: at }, { maxPacketSizeBytes: 1_000, connectTimeoutMs: 500 });
    const port = test.portOf('ws');
    const closed = (socket: WebSocket): Promise<number> =>
      new Promise((resolve) => {
        socket.on('error', () => undefined);
        socket.once('close', resolve);
      });
    const text = await upgrade(port, '/mqtt', ['mqtt']);
    text.send('text');
    await closed(text);
    const large = await upgrade(port, '/mqtt', ['mqtt']);
    large.send(Buffer.alloc(100_000));
    await closed(large);
    const headers = await RawClient.open(port);
    headers.write(Buffer.from(`GET /mqtt HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}`));
    await headers.untilClosed();
    const noise = await RawClient.open(port);
    noise.write(Buffer.from([0x10, 0x0c, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, 0]));
    await noise.untilClosed();
    const silent = await RawClient.open(port);
    await silent.untilClosed(10_000);
    await eventually(() => test.listeners.connections.open === 0);
  });

  it('takes packets that are split over frames, and frames that hold several', async () => {
    const test = await serve({ ws: at });
    const socket = await upgrade(test.portOf('ws'), '/mqtt', ['mqtt']);
    const frames: Buffer[] = [];
    socket.on('message', (data: Buffer) => frames.push(data));
    const connectPacket = Buffer.from([0x10, 0x0d, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, 1, 0x61]);
    for (const byte of connectPacket) socket.send(Buffer.of(byte));
    await eventually(() => frames.length === 1);
    const publish = (id: number): Buffer => Buffer.from([0x32, 8, 0, 3, 0x72, 0x2f, 0x31, 0, id, 0x78]);
    socket.send(Buffer.concat([publish(1), publish(2), publish(3)]));
    await eventually(() => Buffer.concat(frames).length === 4 + 12);
    // What is written in one turn of the event loop is one frame.
    expect(frames).toHaveLength(2);
  });

  it('reads no faster than messages are taken', async () => {
    const test = await serve({ ws: at });
    const client = await connect(`ws://${host}:${test.portOf('ws')}/mqtt`);
    test.store.mode = 'hang';
    for (let i = 0; i < 100; i++) client.publish('r/1', Buffer.alloc(100_000), { qos: 1 });
    await eventually(() => test.broker.counters.published[1] > 0);
    const other = await connect(`ws://${host}:${test.portOf('ws')}/mqtt`);
    await other.subscribeAsync('x');
    expect(test.broker.counters.published[1]).toBeLessThan(20);
    test.store.mode = 'ok';
    await eventually(() => test.store.log.length === 100, 20_000);
  });

  it('sends no faster than the client reads', async () => {
    const test = await serve({ ws: at });
    const socket = await upgrade(test.portOf('ws'), '/mqtt', ['mqtt']);
    socket.send(Buffer.from([0x10, 0x0d, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, 1, 0x61]));
    socket.send(Buffer.from([0x82, 6, 0, 1, 0, 1, 0x23, 0]));
    await eventually(() => test.broker.clients().total === 1);
    socket.pause();
    const sender = await connect(`ws://${host}:${test.portOf('ws')}/mqtt`);
    const payload = Buffer.alloc(200_000);
    for (let i = 0; i < 200 && test.broker.counters.undelivered === 0; i++) {
      await sender.publishAsync('r/1', payload, { qos: 1 });
    }
    expect(test.broker.counters.undelivered).toBeGreaterThan(0);
  });
});
