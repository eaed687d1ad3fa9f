/** Mutual TLS with an authority, certificates and revocation lists that openssl makes, and openssl's client. */
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { alternativeNames, certificateKey, revokedCertificates } from '../../../src/auth/x509-fields.ts';
import type { ConnectionInfo } from '../../../src/mqtt/connection.ts';
import type { TlsOptions } from '../../../src/mqtt/listeners/certificate.ts';
import { startListeners } from '../../../src/mqtt/listeners/listeners.ts';
import { eventually } from '../../support/eventually.ts';
import { OpensslAuthority } from '../../support/openssl.ts';
import { afterTest, start } from '../support/harness.ts';

const run = promisify(execFile);
const host = '127.0.0.1';
let directory: string;
let ca: OpensslAuthority;
let other: OpensslAuthority;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'sluice-mtls-'));
  ca = await OpensslAuthority.make(path.join(directory, 'ca'));
  other = await OpensslAuthority.make(path.join(directory, 'other'));
  await ca.issue('server', { san: 'IP:127.0.0.1,DNS:localhost' });
  await ca.issue('good', { san: 'DNS:d7.example.com,URI:urn:device:7,email:d7@example.com' });
  await ca.issue('revoked');
  await ca.issue('later');
  await ca.issue('expired', { from: '20200101000000Z', until: '20200201000000Z' });
  await ca.issue('early', { from: '20900101000000Z', until: '20910101000000Z' });
  await other.issue('stranger');
  await ca.revoke('revoked');
}, 60_000);
afterAll(() => rm(directory, { recursive: true, force: true }));

async function serve(tls: Partial<TlsOptions>, name: 'mqtts' | 'wss' = 'mqtts') {
  const test = await start();
  const infos: ConnectionInfo[] = [];
  const clientFaults: string[] = [];
  const ownFaults: string[] = [];
  const revocations: string[] = [];
  const options: TlsOptions = {
    cert: ca.certificate('server'),
    key: ca.key('server'),
    ca: ca.certificate(),
    clientCertificate: 'required',
    pollMs: 50,
    ...tls,
  };
  const listener = { host, port: 0, path: '/mqtt', origins: [], tls: options };
  const listeners = await startListeners(
    { [name]: listener },
    (stream, info) => {
      infos.push(info);
      test.broker.handle(stream, info);
    },
    {
      limits: { connections: 1_000, maxPacketSizeBytes: 262_144, connectTimeoutMs: 5_000 },
      clientFault: (_listener, address, error) => clientFaults.push(`${address}: ${error.message}`),
      fault: (where, error) => ownFaults.push(`${where}: ${String(error)}`),
      revoked: (which, lists) => {
        revocations.push(which);
        const revoked = revokedCertificates(lists);
        test.broker.endUnless(
          (_who, _id, { certificate }) => !certificate || !revoked.has(certificateKey(certificate.raw)),
        );
      },
    },
  );
  afterTest(() => listeners.close());
  const port = listeners.listening[0]?.port ?? 0;
  const scheme = name === 'wss' ? 'wss' : 'mqtts';
  const suffix = name === 'wss' ? '/mqtt' : '';
  const connect = async (of?: OpensslAuthority, device?: string) => {
    const mine = of === undefined || device === undefined ? {} : await of.pair(device);
    const client = mqtt.connect(`${scheme}://${host}:${port}${suffix}`, {
      ca: await readFile(ca.certificate()),
      reconnectPeriod: 0,
      clientId: device ?? 'nobody',
      ...mine,
    });
    afterTest(() => void client.end(true));
    const outcome = await new Promise<'connected' | 'refused'>((resolve) => {
      client.once('connect', () => resolve('connected'));
      client.on('error', () => resolve('refused'));
      client.once('close', () => resolve('refused'));
    });
    return { client, outcome };
  };
  return { ...test, listeners, infos, clientFaults, ownFaults, revocations, connect, port };
}

describe.each(['mqtts', 'wss'] as const)('%s: a client certificate', (name) => {
  it.each([
    ['expired', 'the client certificate has expired'],
    ['early', 'the client certificate is not valid yet'],
    ['revoked', 'the client certificate is revoked'],
    ['stranger', 'the client certificate is of an authority that is not trusted'],
  ])('that is %s is refused, and the log says why', async (device, why) => {
    for (const clientCertificate of ['required', 'optional'] as const) {
      const test = await serve({ clientCertificate, crl: await ca.revocationList() }, name);
      const { outcome } = await test.connect(device === 'stranger' ? other : ca, device);
      expect(outcome).toBe('refused');
      await eventually(() => test.clientFaults.length > 0, 5_000, 'nothing was said');
      expect(test.clientFaults).toEqual([`${host}: ${why}`]);
      expect(test.infos).toEqual([]);
      expect(test.ownFaults).toEqual([]);
    }
  });

  it('that holds gets in with what it proves; where one is optional, none does not hinder', async () => {
    const test = await serve({ clientCertificate: 'optional', crl: await ca.revocationList() }, name);
    expect((await test.connect(ca, 'good')).outcome).toBe('connected');
    expect((await test.connect()).outcome).toBe('connected');
    const [good, none] = test.infos;
    expect(good?.certificate?.subject['CN']).toBe('good');
    expect(alternativeNames(good?.certificate?.raw ?? Buffer.of())).toEqual({
      dns: ['d7.example.com'],
      uri: ['urn:device:7'],
      email: ['d7@example.com'],
    });
    expect(none?.certificate).toBeUndefined();
  });

  it('is asked for where it is required', async () => {
    const test = await serve({}, name);
    expect((await test.connect()).outcome).toBe('refused');
    await eventually(() => test.clientFaults.length > 0, 5_000, 'nothing was said');
    expect(test.clientFaults).toEqual([`${host}: the client did not present a certificate`]);
    expect(test.infos).toEqual([]);
  });
});

describe('a revocation list', () => {
  it('that changes counts for new and for connected clients, and spares the others', async () => {
    const crl = path.join(directory, 'live.crl');
    await writeFile(crl, await readFile(await ca.revocationList()));
    const test = await serve({ crl });
    const later = await test.connect(ca, 'later');
    const good = await test.connect(ca, 'good');
    expect([later.outcome, good.outcome]).toEqual(['connected', 'connected']);
    const closed = new Promise<void>((resolve) => later.client.once('close', () => resolve()));
    await ca.revoke('later');
    await writeFile(crl, await readFile(await ca.revocationList()));
    await closed;
    expect(test.revocations).toEqual(['mqtts']);
    expect((await test.connect(ca, 'later')).outcome).toBe('refused');
    expect(test.clientFaults.at(-1)).toContain('is revoked');
    await good.client.publishAsync('r/x', 'x', { qos: 1 });
    expect(good.client.connected).toBe(true);
  });

  it('that is broken keeps the old one, and says so', async () => {
    const crl = path.join(directory, 'broken.crl');
    await writeFile(crl, await readFile(await ca.revocationList()));
    const test = await serve({ crl });
    await writeFile(crl, 'not a list');
    await eventually(() => test.ownFaults.length > 0, 5_000, 'nothing was said');
    expect(test.ownFaults[0]).toContain('the old one stays');
    expect((await test.connect(ca, 'revoked')).outcome).toBe('refused');
    expect((await test.connect(ca, 'good')).outcome).toBe('connected');
  });

  it('that is missing for an authority, or has expired, lets nobody in', async () => {
    const missing = await serve({ crl: await other.revocationList() });
    expect((await missing.connect(ca, 'good')).outcome).toBe('refused');
    expect(missing.clientFaults).toEqual([expect.stringContaining('no revocation list of the authority')]);
    const old = await serve({ crl: await ca.revocationList({ from: '20200101000000Z', until: '20200201000000Z' }) });
    expect((await old.connect(ca, 'good')).outcome).toBe('refused');
    expect(old.clientFaults).toEqual([expect.stringContaining('revocation list has expired')]);
  });

  it('is read as OpenSSL reads it', async () => {
    const list = await readFile(await ca.revocationList());
    const { stdout } = await run('openssl', ['crl', '-in', await ca.revocationList(), '-noout', '-text']);
    const serials = [...stdout.matchAll(/Serial Number: ([0-9A-F]+)/g)].map(([, serial]) => serial?.toLowerCase());
    const ours = [...revokedCertificates(list)].map((key) => key.split(' ')[1]?.replace(/^00(?=[89a-f])/, ''));
    expect(serials.length).toBeGreaterThan(0);
    expect(ours).toEqual(serials);
  });
});

describe('a TLS session', () => {
  it.each(['-tls1_2', '-tls1_3'])(
    'is not resumed where certificates count: it would come back unchecked (%s)',
    async (version) => {
      const test = await serve({});
      const session = path.join(directory, `session${version}`);
      const client = (...more: string[]): Promise<string> =>
        new Promise((resolve) => {
          const args = ['s_client', '-connect', `${host}:${test.port}`, version, '-CAfile', ca.certificate()];
          const child = spawn('openssl', [...args, '-cert', ca.certificate('good'), '-key', ca.key('good'), ...more]);
          let said = '';
          child.stdout.on('data', (part: Buffer) => {
            said += part.toString();
            if (said.includes('---\nread R BLOCK') || said.includes('Verify return code'))
              setTimeout(() => child.kill(), 300);
          });
          child.on('close', () => resolve(said));
        });
      await client('-sess_out', session);
      const again = await readFile(session).then(
        () => client('-sess_in', session),
        () => 'no session was given',
      );
      expect(again).toMatch(/no session was given|New, TLS/);
      expect(again).not.toContain('Reused');
    },
  );
});
