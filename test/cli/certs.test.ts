import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeCertificates } from '../../src/cli/certs.ts';

describe('development certificates', () => {
  let directory: string;
  const file = (name: string): string => path.join(directory, name);
  const read = (name: string): string => readFileSync(file(name), 'utf8');

  beforeEach(() => {
    directory = path.join(mkdtempSync(path.join(tmpdir(), 'sluice-certs-')), 'certs');
  });
  afterEach(() => rmSync(path.dirname(directory), { recursive: true }));

  /** The common name that a TLS server with these certificates learned of a client, or why one refused the other. */
  async function handshake(client: tls.ConnectionOptions): Promise<string> {
    const options = { cert: read('server.crt'), key: read('server.key'), ca: read('ca.crt') };
    const server = tls.createServer({ ...options, requestCert: true, rejectUnauthorized: false });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = tls.connect({ port, host: '127.0.0.1', ca: read('ca.crt'), ...client });
    try {
      return await new Promise((resolve) => {
        server.on('secureConnection', (accepted) => {
          // Typed as an error, but it is the text of its code.
          const refusal = accepted.authorizationError as unknown as string | null;
          resolve(refusal ?? String(accepted.getPeerCertificate().subject.CN));
        });
        socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      });
    } finally {
      socket.destroy();
      server.close();
    }
  }

  const identity = (name: string) => ({ cert: read(`${name}.crt`), key: read(`${name}.key`) });

  it('let client and server know each other in a TLS handshake, by name and by address', async () => {
    await makeCertificates({
      directory,
      hosts: ['mqtt.example.com', '*.example.org', '2001:db8::7'],
      clients: ['sensor-1'],
    });
    const client = identity('client-sensor-1');
    expect(await handshake(client)).toBe('sensor-1');
    for (const servername of ['localhost', 'mqtt.example.com', 'any.example.org']) {
      expect(await handshake({ ...client, servername }), servername).toBe('sensor-1');
    }
    const server = new X509Certificate(read('server.crt'));
    for (const address of ['127.0.0.1', '::1', '2001:db8::7']) expect(server.checkIP(address)).toBeDefined();
    expect(server.checkIP('2001:db8::8')).toBeUndefined();
  });

  it('are refused for another host', async () => {
    await makeCertificates({ directory, clients: ['a'] });
    expect(await handshake({ ...identity('client-a'), servername: 'other.example.com' })).toBe(
      'ERR_TLS_CERT_ALTNAME_INVALID',
    );
  });

  it('are refused once expired', async () => {
    const longAgo = new Date(Date.now() - 3 * 86_400_000);
    await makeCertificates({ directory, clients: ['a'], days: 2, now: longAgo });
    expect(await handshake(identity('client-a'))).toBe('CERT_HAS_EXPIRED');
  });

  it('are refused where they came from another CA, or serve another purpose', async () => {
    await makeCertificates({ directory, clients: ['a'] });
    const other = path.join(path.dirname(directory), 'other');
    await makeCertificates({ directory: other, clients: ['a'] });
    const stranger = {
      cert: readFileSync(path.join(other, 'client-a.crt')),
      key: readFileSync(path.join(other, 'client-a.key')),
    };
    expect(await handshake(stranger)).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    expect(await handshake(identity('server'))).toBe('INVALID_PURPOSE');
  });

  it('pass the strict checks of openssl verify', async () => {
    await makeCertificates({ directory, clients: ['a/b ü'] });
    const verify = (name: string, purpose: string): string =>
      execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', file('ca.crt'), '-purpose', purpose, file(name)], {
        stdio: 'pipe',
      }).toString();
    expect(verify('server.crt', 'sslserver')).toContain('OK');
    expect(verify('client-a%2Fb%20%C3%BC.crt', 'sslclient')).toContain('OK');
    expect(() => verify('server.crt', 'sslclient')).toThrow();
  });

  it('have keys that only their owner can read', async () => {
    await makeCertificates({ directory, clients: ['a'] });
    const keys = readdirSync(directory).filter((name) => name.endsWith('.key'));
    expect(keys.sort()).toEqual(['ca.key', 'client-a.key', 'server.key']);
    for (const key of keys) expect(statSync(file(key)).mode & 0o777).toBe(0o600);
  });

  it('are valid for the days asked for, beyond 2049 too', async () => {
    const now = new Date('2046-01-01T00:00:00Z');
    const [ca, server] = await makeCertificates({ directory, days: 90, now });
    expect(server?.validTo).toEqual(new Date('2046-04-01T00:00:00Z'));
    expect(ca?.validTo.getUTCFullYear()).toBe(2055);
  });

  it('are kept when they are there, with the CA that signs new ones', async () => {
    await makeCertificates({ directory, clients: ['a'] });
    const before = Object.fromEntries(readdirSync(directory).map((name) => [name, read(name)]));
    const report = await makeCertificates({ directory, clients: ['a', 'b'] });
    expect(report.map(({ use, commonName, outcome }) => [use, commonName, outcome])).toEqual([
      ['ca', expect.stringMatching(/^sluice development CA/), 'kept'],
      ['server', 'sluice', 'kept'],
      ['client', 'a', 'kept'],
      ['client', 'b', 'made'],
    ]);
    for (const [name, text] of Object.entries(before)) expect(read(name), name).toBe(text);
    expect(await handshake(identity('client-b'))).toBe('b');
  });

  it('are replaced with force, under the same CA', async () => {
    await makeCertificates({ directory, clients: ['a'] });
    const [ca, server] = [read('ca.crt'), read('server.crt')];
    await makeCertificates({ directory, clients: ['a'], force: true });
    expect([read('ca.crt') === ca, read('server.crt') === server]).toEqual([true, false]);
    expect(await handshake(identity('client-a'))).toBe('a');
  });

  it.each([
    [
      'a key without its certificate',
      () => rmSync(file('server.crt')),
      {},
      /server\.key is there, but .*server\.crt is not/,
    ],
    [
      'certificates whose CA has gone',
      () => ['ca.crt', 'ca.key'].forEach((name) => rmSync(file(name))),
      {},
      /server\.crt/,
    ],
    [
      'a CA that is none',
      () => writeFileSync(file('ca.crt'), read('server.crt')),
      {},
      /not a CA that 'sluice certs' made/,
    ],
    ['a CA key that is not its own', () => writeFileSync(file('ca.key'), read('server.key')), {}, /does not belong/],
    ['a CA that cannot be read', () => writeFileSync(file('ca.crt'), 'rubbish'), {}, /cannot be read as a CA/],
    ['a host with a scheme', () => {}, { hosts: ['https://example.com'] }, /'https:\/\/example\.com' is neither/],
    ['an empty client id', () => {}, { clients: [''] }, /client id ''/],
    ['a client id that is too long', () => {}, { clients: ['x'.repeat(65)] }, /does not fit/],
    ['no days', () => {}, { days: 0 }, /days is 0/],
  ])('leave everything as it is and say why at %s', async (_, damage, options, message) => {
    await makeCertificates({ directory });
    damage();
    const before = readdirSync(directory).map((name) => [name, read(name)]);
    await expect(makeCertificates({ directory, ...options })).rejects.toThrow(message);
    expect(readdirSync(directory).map((name) => [name, read(name)])).toEqual(before);
  });
});
