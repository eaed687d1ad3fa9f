/** Publishing over HTTP as a device: who it is, what it may and how fast, as over MQTT. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatHash, hashPassword } from '../../src/auth/password.ts';
import { createSluice, type Sluice } from '../../src/index.ts';
import { createNullSink } from '../../src/kafka/null-sink.ts';

const OPERATOR = 'operator-token-0123456789';
const VIEWER = 'viewer-token-0123456789';
const SECRET = 'a-secret-of-at-least-thirty-two-bytes';

let directory: string;
let sluice: Sluice;
let url: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-devices-'));
  const users = join(directory, 'users.txt');
  const hash = formatHash(await hashPassword(Buffer.from('right'), { ln: 10, r: 8, p: 1 }));
  await writeFile(users, `anna:${hash}\nbert:${hash}\n`);
  sluice = createSluice(
    {
      listeners: {
        mqtt: { port: 0 },
        ws: false,
        http: {
          port: 0,
          tokens: [
            { name: 'ops', role: 'operator', token: OPERATOR },
            { name: 'eyes', role: 'viewer', token: VIEWER },
          ],
        },
      },
      auth: { users, jwt: { secret: SECRET, algorithms: ['HS256'] }, clientId: '{user}*' },
      acl: [{ user: '*', publish: ['devices/{user}/#'] }],
      limits: { messagesPerSecond: 20 },
      routes: [{ from: '#', to: 'iot' }],
      buffer: { store: 'memory', path: join(directory, 'data') },
      log: { level: 'silent' },
    },
    { sink: createNullSink({ partitions: 1 }) },
  );
  await sluice.start();
  url = (await sluice.status()).listeners.find(({ name }) => name === 'http')!.url;
});
afterAll(async () => {
  await sluice.stop();
  await rm(directory, { recursive: true, force: true });
});

const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

async function post(path: string, authorization: string | undefined, body = 'x'): Promise<Response> {
  return fetch(`${url}${path}`, {
    method: 'POST',
    body,
    headers: authorization === undefined ? {} : { authorization },
  });
}
const status = async (...args: Parameters<typeof post>): Promise<number> => (await post(...args)).status;

describe('a device that publishes over HTTP', () => {
  it('proves who it is with a user name and password, or a JSON Web Token', async () => {
    const path = '/publish/devices/anna/t?clientId=anna-1';
    expect(await status(path, basic('anna', 'right'))).toBe(200);
    const wrong = await post(path, basic('anna', 'wrong'));
    expect(wrong.status).toBe(401);
    expect(wrong.headers.get('www-authenticate')).toContain('Basic');
    expect(await status(path, undefined)).toBe(401);
    const token = await new SignJWT({})
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('anna')
      .setExpirationTime('1h')
      .sign(Buffer.from(SECRET));
    expect(await status(path, `Bearer ${token}`)).toBe(200);
    expect(await status(path, `Bearer ${token}x`)).toBe(401);
  });

  it('may publish what the access rules say, under its own client ids', async () => {
    expect(await status('/publish/devices/bert/t?clientId=anna-1', basic('anna', 'right'))).toBe(403);
    expect(await status('/publish/devices/bert/t?clientId=anna-1', basic('bert', 'right'))).toBe(403);
    const line = (clientId: string): string => JSON.stringify({ topic: 'devices/anna/t', payload: 1, clientId });
    const batch = await post(
      '/publish?clientId=anna-1',
      basic('anna', 'right'),
      `${line('anna-2')}\n${line('bert-1')}`,
    );
    expect(batch.status).toBe(403);
    expect(await batch.json()).toMatchObject({
      accepted: 1,
      refused: 1,
      errors: [{ line: 2, code: 'PUBLISH_REFUSED' }],
    });
  });

  it('may do nothing else, and tokens go on as they were', async () => {
    expect((await fetch(`${url}/api/v1/status`, { headers: { authorization: basic('anna', 'right') } })).status).toBe(
      401,
    );
    expect(await status('/api/v1/clients/x/disconnect', basic('anna', 'right'))).toBe(401);
    expect(await status('/publish/anywhere', `Bearer ${OPERATOR}`)).toBe(200);
    expect(await status('/publish/anywhere', `Bearer ${VIEWER}`)).toBe(403);
  });

  it('is told to come later when it is faster than it may be, however many requests it makes at a time', async () => {
    const answers = await Promise.all(
      Array.from({ length: 60 }, () => post('/publish/devices/anna/t?clientId=anna-9', basic('anna', 'right'))),
    );
    const late = answers.filter((answer) => answer.status === 429);
    expect(answers.filter((answer) => answer.status === 200).length).toBeGreaterThan(0);
    expect(late.length).toBeGreaterThan(0);
    for (const answer of late) expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});
