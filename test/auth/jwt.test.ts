import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, type CryptoKey, type JWTPayload } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JwtMethod, type JwtOptions } from '../../src/auth/jwt.ts';
import { attempt, heard } from './attempt.ts';
import { json, startBackend } from './backend.ts';

const secret = 'a secret of at least thirty-two bytes';
let directory: string;
beforeAll(async () => (directory = await mkdtemp(join(tmpdir(), 'sluice-jwt-'))));
afterAll(() => rm(directory, { recursive: true, force: true }));

async function open(more: Partial<JwtOptions>) {
  const events = heard();
  const options = {
    jwksMaxAgeMs: 60_000,
    jwksCooldownMs: 60_000,
    timeoutMs: 300,
    clockToleranceMs: 0,
    user: 'sub',
    ...more,
  };
  return { events, method: await JwtMethod.open(options, events) };
}

async function pair(alg: string, kid?: string) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), alg, ...(kid === undefined ? {} : { kid }) };
  return { privateKey, publicKey, jwk, pem: await exportSPKI(publicKey) };
}

function tokenOf(key: CryptoKey | Uint8Array, alg: string, claims: JWTPayload = {}, kid?: string): Promise<string> {
  return new SignJWT({ sub: 'anna', exp: Math.floor(Date.now() / 1_000) + 60, ...claims })
    .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
    .sign(key);
}

const hmac = new TextEncoder().encode(secret);
const ask = (method: JwtMethod, token: string) =>
  method.authenticate(attempt({ username: 'x', password: token }), false);

describe('a token', () => {
  it('names the user, and its claims that are texts, numbers and truth values', async () => {
    const { method } = await open({ secret });
    const exp = Math.floor(Date.now() / 1_000) + 60;
    const answer = await ask(
      method,
      await tokenOf(hmac, 'HS256', { exp, tenant: 't/1', level: 3, roles: ['a'], x: null }),
    );
    if (answer.kind !== 'accept') throw new Error(JSON.stringify(answer));
    expect(answer.identity).toMatchObject({ user: 'anna', method: 'jwt', expiresAt: exp * 1_000 });
    expect(Object.fromEntries(answer.identity.attributes)).toEqual({
      'jwt.sub': 'anna',
      'jwt.exp': String(exp),
      'jwt.tenant': 't/1',
      'jwt.level': '3',
    });
  });

  it.each(['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'])(
    'is checked against a key file: %s, as JWKS and as PEM',
    async (alg) => {
      const { privateKey, jwk, pem } = await pair(alg);
      const token = await tokenOf(privateKey, alg);
      const forged = await tokenOf((await pair(alg)).privateKey, alg);
      for (const [name, content] of [
        ['jwks', JSON.stringify({ keys: [jwk] })],
        ['pem', pem],
      ] as const) {
        const keyFile = join(directory, `${alg}.${name}`);
        await writeFile(keyFile, content);
        const { method } = await open({ keyFile });
        expect((await ask(method, token)).kind).toBe('accept');
        expect(await ask(method, forged)).toMatchObject({
          refused: 'credentials',
          reason: expect.stringContaining('signature') as string,
        });
        method.close();
      }
    },
    60_000,
  );

  it('of one of two keys without ids is found', async () => {
    const [one, two] = [await pair('ES256'), await pair('ES256')];
    const keyFile = join(directory, 'two.pem');
    await writeFile(keyFile, one.pem + two.pem);
    const { method } = await open({ keyFile });
    expect((await ask(method, await tokenOf(two.privateKey, 'ES256'))).kind).toBe('accept');
    expect((await ask(method, await tokenOf((await pair('ES256')).privateKey, 'ES256'))).kind).toBe('refuse');
    method.close();
  });

  it('is refused for what is wrong with it, in words that do not quote it', async () => {
    const { method } = await open({ secret, issuer: 'me', audience: 'sluice' });
    const good = { iss: 'me', aud: ['sluice', 'other'] };
    const now = Math.floor(Date.now() / 1_000);
    const sign = (claims: JWTPayload) => tokenOf(hmac, 'HS256', { ...good, ...claims });
    expect((await ask(method, await sign({}))).kind).toBe('accept');
    const cases: [string, string][] = [
      [await sign({ exp: now - 10 }), 'expired'],
      [await sign({ nbf: now + 100 }), 'nbf'],
      [await sign({ iss: 'you' }), 'iss'],
      [await sign({ aud: 'other' }), 'aud'],
      [await sign({ sub: undefined } as unknown as JWTPayload), 'sub'],
      [await sign({ exp: undefined } as unknown as JWTPayload), 'exp'],
      [await tokenOf(new TextEncoder().encode('another secret of thirty-two bytes!!'), 'HS256', good), 'signature'],
      [
        `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"sub":"anna"}').toString('base64url')}.x`,
        'algorithm',
      ],
      ['eyJ.x.y', 'not a valid token'],
    ];
    for (const [token, says] of cases) {
      const answer = await ask(method, token);
      expect(answer).toMatchObject({
        kind: 'refuse',
        refused: 'credentials',
        reason: expect.stringContaining(says) as string,
      });
      expect(JSON.stringify(answer)).not.toContain(token.split('.')[1] === 'x' ? '\u0000' : token.split('.')[1]);
    }
  });

  it('cannot be signed with the public key as the secret of an HMAC', async () => {
    const { pem } = await pair('RS256');
    const keyFile = join(directory, 'confusion.pem');
    await writeFile(keyFile, pem);
    const { method } = await open({ keyFile });
    expect(await ask(method, await tokenOf(new TextEncoder().encode(pem), 'HS256'))).toMatchObject({ kind: 'refuse' });
    method.close();
  });

  it('is nobody’s where the password is no token, and not looked at from a blocked address', async () => {
    const { method } = await open({ secret });
    for (const password of ['hunter2', '', 'a.b.c', 'eyJ.b', Buffer.of(0, 255)])
      expect((await method.authenticate(attempt({ username: 'x', password }), false)).kind).toBe('not-mine');
    const good = attempt({ password: await tokenOf(hmac, 'HS256') });
    expect(await method.authenticate(good, true)).toMatchObject({ refused: 'blocked' });
  });
});

describe('a token as the data of enhanced authentication', () => {
  const ask = (method: JwtMethod, data: string | Buffer, password?: string) =>
    method.authenticate(
      attempt({
        enhanced: { method: 'JWT', data: Buffer.from(data) },
        ...(password === undefined ? {} : { password }),
      }),
      false,
    );

  it('is judged as one that is the password; what else is there says nothing', async () => {
    const { method } = await open({ secret });
    const good = await tokenOf(hmac, 'HS256');
    const other = await tokenOf(hmac, 'HS256', { sub: 'bert' });
    expect(await ask(method, good, other)).toMatchObject({ kind: 'accept', identity: { user: 'anna' } });
    const refused = { kind: 'refuse', refused: 'credentials' };
    expect(await ask(method, `${good}x`, good)).toMatchObject(refused);
    // Nobody else is to look at it: it would be a downgrade.
    expect(await ask(method, '', good)).toMatchObject(refused);
    expect(await ask(method, Buffer.of(0, 255, 1), good)).toMatchObject(refused);
  });
});

describe('a JWKS URL', () => {
  it('is asked once for many, and again for a key that is new, but not more often than the cooldown', async () => {
    const [old, next] = [await pair('ES256', 'k1'), await pair('ES256', 'k2')];
    const server = await startBackend(json({ keys: [old.jwk] }));
    const { method } = await open({ jwks: server.url, jwksCooldownMs: 400 });
    const oldToken = await tokenOf(old.privateKey, 'ES256', {}, 'k1');
    const many = await Promise.all(Array.from({ length: 20 }, () => ask(method, oldToken)));
    expect(many.every(({ kind }) => kind === 'accept')).toBe(true);
    expect(server.asked).toHaveLength(1);

    server.answer = json({ keys: [next.jwk] });
    const newToken = await tokenOf(next.privateKey, 'ES256', {}, 'k2');
    const start = performance.now();
    let answer = await ask(method, newToken);
    // In the cooldown nobody can tell: the device is to come again.
    while (answer.kind !== 'accept' && performance.now() - start < 10_000) {
      expect(answer).toMatchObject({ refused: 'unavailable' });
      await new Promise((resolve) => setTimeout(resolve, 20));
      answer = await ask(method, newToken);
    }
    expect(answer.kind).toBe('accept');
    expect(server.asked).toHaveLength(2);
    // The old key is gone with the rotation.
    expect((await ask(method, oldToken)).kind).toBe('refuse');
    for (let index = 0; index < 100; index++)
      await ask(method, await tokenOf(old.privateKey, 'ES256', {}, `none-${index}`));
    expect(server.asked.length).toBeLessThan(10);
    method.close();
  });

  it('that is down lets nobody in, but what is known goes on', async () => {
    const key = await pair('ES256', 'k1');
    const token = await tokenOf(key.privateKey, 'ES256', {}, 'k1');
    const server = await startBackend(json({}, 503));
    const { method, events } = await open({ jwks: server.url, jwksCooldownMs: 0, jwksMaxAgeMs: 50 });
    expect(await ask(method, token)).toMatchObject({ refused: 'unavailable' });
    server.answer = json({ keys: [key.jwk] });
    expect((await ask(method, token)).kind).toBe('accept');
    server.answer = () => undefined;
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect((await ask(method, token)).kind).toBe('accept');
    expect(events.faults.length).toBeGreaterThan(1);
    method.close();
  });

  it.each([
    ['a secret key', { keys: [{ kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' }] }],
    ['no keys', { keys: [] }],
    ['nonsense', 'x'],
  ])('that answers with %s is a fault', async (_, value) => {
    const server = await startBackend(json(value));
    const { method, events } = await open({ jwks: server.url });
    expect(await ask(method, await tokenOf(hmac, 'HS256'))).toMatchObject({ kind: 'refuse' });
    const { privateKey } = await pair('ES256');
    expect(await ask(method, await tokenOf(privateKey, 'ES256'))).toMatchObject({ refused: 'unavailable' });
    expect(events.faults.length).toBeGreaterThan(0);
    method.close();
  });
});
