/** Runs the built command at the level debug, makes it meet every secret that it knows, and looks for them in all that it says. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import mqtt, { type IClientOptions } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { formatHash, hashPassword } from '../../src/auth/password.ts';
import { makeCertificates } from '../../src/cli/certs.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/services.ts';
import { runSluice, SluiceProcess } from '../support/sluice.ts';

const secrets: Record<string, string> = {
  password: 'pw-6f1d0b7c9e',
  wrongPassword: 'pw-wrong-33b1d2a0',
  userNobodyKnows: 'user-or-secret-91c7aa',
  jwtSecret: 'jwt-secret-of-at-least-32-bytes-55e0c1',
  callbackToken: 'callback-token-a81f',
  callbackUserinfo: 'callback-userinfo-77d0',
  callbackQuery: 'callback-query-0b6e',
  saslPassword: 'sasl-password-2c44',
  httpToken: 'http-token-operator-9d1e8f55aa017c3e',
  wrongHttpToken: 'http-token-wrong-4f4f4f1b7a9d0011',
  mistyped: 'mistyped-secret-e3e3',
};

/** Of the secrets, those that a text holds: as they are, or in one of the forms in which texts carry others. */
function leaksOf(text: string, of: Readonly<Record<string, string>> = secrets): string[] {
  return Object.entries(of).flatMap(([name, secret]) => {
    const bytes = Buffer.from(secret);
    const padded = [0, 1, 2].map((shift) =>
      // The same bytes at another place of a text in base64: without the characters that neighbours have a share in.
      Buffer.concat([Buffer.alloc(shift), bytes])
        .toString('base64url')
        .slice(shift === 0 ? 0 : shift + 1, -2),
    );
    const forms = [secret, encodeURIComponent(secret), bytes.toString('hex'), ...padded];
    const plain = text.replaceAll('+', '-').replaceAll('/', '_');
    return forms.some((form) => text.includes(form) || plain.includes(form)) ? [name] : [];
  });
}

let directory: string;
let sluice: SluiceProcess;
let httpPort: number;
let wsPort: number;
let tlsPort: number;
let service: http.Server;
let configFile: string;
const file = (name: string): string => join(directory, name);
const shown: string[] = [];

function configOf(more: object = {}): string {
  const { port } = service.address() as AddressInfo;
  return JSON.stringify({
    listeners: {
      http: { port: httpPort, tokens: [{ name: 'op', role: 'operator', token: secrets['httpToken'] }] },
      mqtts: { port: tlsPort, tls: { cert: file('server.crt'), key: file('server.key') } },
    },
    kafka: { sasl: { mechanism: 'plain', username: 'anna', password: secrets['saslPassword'] } },
    auth: {
      users: file('users.txt'),
      jwt: { secret: '${JWT_SECRET}' },
      http: {
        url: `http://x:${secrets['callbackUserinfo']}@127.0.0.1:${port}/auth?key=${secrets['callbackQuery']}`,
        token: secrets['callbackToken'],
        timeout: '500ms',
      },
      failures: { perAddress: 0 },
    },
    ...more,
  });
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-secrets-'));
  await makeCertificates({ directory, clients: ['device-1'] });
  const pem = await readFile(file('server.key'), 'utf8');
  const hash = formatHash(await hashPassword(Buffer.from(secrets['password']!), { ln: 10, r: 8, p: 1 }));
  await writeFile(file('users.txt'), `anna:${hash}\n`);
  secrets['serverKey'] = pem.split('\n')[1]!;
  secrets['passwordHash'] = hash.split('$').at(-1)!;
  let asked = 0;
  // In turn: a fault, no JSON, no answer, a refusal. What it is asked holds the password of the client.
  service = http.createServer((request, response) => {
    request.resume();
    const answers = [
      () => response.writeHead(500).end(secrets['callbackToken']),
      () => response.end(`no JSON but ${secrets['callbackToken']}`),
      () => undefined,
      () => response.end('{"result":"deny"}'),
    ];
    answers[asked++ % answers.length]?.();
  });
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
  [httpPort, wsPort, tlsPort] = [await freePort(), await freePort(), await freePort()];
  configFile = file('sluice.yaml');
  await writeFile(configFile, configOf());
  sluice = await SluiceProcess.start({
    brokers: ['127.0.0.1:1'],
    configFile,
    settings: { 'log.level': 'debug', 'listeners.ws.port': wsPort },
    env: { JWT_SECRET: secrets['jwtSecret']! },
  });
}, 60_000);
afterAll(async () => {
  await sluice?.discard();
  service.close();
  await rm(directory, { recursive: true, force: true });
});

async function attempt(options: IClientOptions): Promise<unknown> {
  try {
    const client = await mqtt.connectAsync(
      sluice.url,
      { protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 5_000, ...options },
      false,
    );
    await client.endAsync();
    return 'connected';
  } catch (error) {
    shown.push(String(error), JSON.stringify(error));
    return 'refused';
  }
}

async function ask(path: string, token: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${httpPort}${path}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  shown.push(await response.text(), JSON.stringify([...response.headers]));
  return response.status;
}

const tokenOf = (claims: Record<string, unknown>, secret: string): Promise<string> =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(secret));

describe('a run at the level debug', () => {
  it(
    'tells no secret: not in the log, metrics, status, answers, nor what commands print',
    { timeout: 90_000 },
    async () => {
      const good = await tokenOf({ sub: 'tom', note: 'claim-with-4711aa' }, secrets['jwtSecret']!);
      const bad = await tokenOf({ sub: 'tom', note: 'claim-with-4711bb' }, 'another-secret-of-at-least-32-bytes-');
      for (const [name, token] of Object.entries({ good, bad })) {
        secrets[`${name}TokenClaims`] = token.split('.')[1]!;
        secrets[`${name}TokenSignature`] = token.split('.')[2]!;
      }
      const { password, wrongPassword, userNobodyKnows } = secrets;
      expect(await attempt({ username: 'anna', password: password! })).toBe('connected');
      expect(await attempt({ username: 'x', password: good })).toBe('connected');
      expect(await attempt({ username: 'anna', password: wrongPassword! })).toBe('refused');
      // A password in the field of the user name: it happens. Four of them, for the four faults of the service.
      for (let turn = 0; turn < 4; turn++) {
        const refused = await attempt({ username: userNobodyKnows!, password: `${wrongPassword}${turn}` });
        expect(refused).toBe('refused');
      }
      expect(await attempt({ username: 'x', password: bad })).toBe('refused');
      expect(await attempt({ username: 'x', password: `${good}x` })).toBe('refused');
      expect(
        await attempt({
          username: 'x',
          password: good,
          properties: { authenticationMethod: 'JWT', authenticationData: Buffer.from(bad) },
        }),
      ).toBe('refused');

      for (const target of [`/mqtt?token=${wrongPassword}`, `/${wrongPassword}`]) {
        const socket = new WebSocket(`ws://127.0.0.1:${wsPort}${target}`, ['mqtt'], {
          headers: { authorization: `Bearer ${wrongPassword}`, cookie: `session=${wrongPassword}` },
        });
        await new Promise((resolve) => socket.once('open', resolve).once('error', resolve));
        socket.terminate();
      }

      for (const path of ['/metrics', '/api/v1/status', '/api/v1/clients', '/health', '/nowhere']) {
        await ask(path, secrets['httpToken']!);
        expect(await ask(path, secrets['wrongHttpToken']!)).not.toBe(500);
      }
      expect(await ask('/metrics', secrets['httpToken']!)).toBe(200);

      // Configurations and files that are wrong beside their secrets, over SIGHUP and in the commands.
      const commands = async (): Promise<void> => {
        for (const command of [['check'], ['check', '--connect'], ['status', '--json'], ['clients', '--json']]) {
          const { code, stdout, stderr } = await runSluice(
            [
              ...command,
              '-c',
              configFile,
              '--set',
              `buffer.path=${sluice.path}`,
              '--set',
              'kafka.brokers=127.0.0.1:1',
              '--set',
              'kafka.connectionTimeout=200ms',
            ],
            { env: { JWT_SECRET: secrets['jwtSecret']! } },
          );
          shown.push(`${command.join(' ')}: ${code}`, stdout, stderr);
        }
      };
      const reloaded = async (event: string, count: number): Promise<void> => {
        sluice.signal('SIGHUP');
        await eventually(
          () => sluice.log.filter((line) => line['event'] === event).length >= count,
          20_000,
          `no ${event}`,
        );
      };
      await commands();
      await writeFile(configFile, configOf({ buffer: { pasword: secrets['mistyped'] } }));
      await reloaded('config.rejected', 1);
      await commands();
      await writeFile(configFile, configOf({ log: { level: 'trace' } }));
      await writeFile(file('users.txt'), `anna:${secrets['mistyped']}\n`);
      await writeFile(
        file('server.key'),
        `-----BEGIN PRIVATE KEY-----\n${secrets['serverKey']}\n-----END PRIVATE KEY-----\n`,
      );
      await reloaded('auth.fault', 1);
      await eventually(
        () => sluice.log.some(({ event }) => event === 'listener.fault'),
        10_000,
        'the key was not looked at',
      );

      const said = [sluice.stderr, sluice.stdout, ...shown].join('\n');
      // It has met all of them, and said what was wrong.
      const topics = [
        'login.refused',
        'auth.http',
        'config.rejected',
        'auth.fault',
        'listener.fault',
        'sluice_build_info',
      ];
      expect(topics.filter((word) => !said.includes(word))).toEqual([]);
      expect(leaksOf(said)).toEqual([]);
    },
  );
});

describe('the search for secrets', () => {
  const forms: [name: string, form: (secret: string) => string][] = [
    ['as it is', (secret) => secret],
    ['in JSON', (secret) => JSON.stringify({ password: secret })],
    ['in a URL', (secret) => new URL(`http://x/?key=${encodeURIComponent(secret)}`).href],
    ['in base64', (secret) => Buffer.from(secret).toString('base64')],
    ['in the base64 of more', (secret) => Buffer.from(`user:${secret} and more`).toString('base64')],
    ['in base64url', (secret) => Buffer.from(`u${secret}!`).toString('base64url')],
    ['in hexadecimal digits', (secret) => Buffer.from(secret).toString('hex')],
  ];
  it.each(forms)('finds a planted one, %s', (_name, form) => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const planted = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString().split('\n')[1]!;
    for (const secret of ['hunter2-password', planted]) {
      expect(leaksOf(`{"event":"x","detail":"${form(secret)}"}`, { secret })).toEqual(['secret']);
      expect(leaksOf(`{"event":"x"}`, { secret })).toEqual([]);
    }
  });
});
