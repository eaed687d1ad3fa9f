import { describe, expect, it } from 'vitest';
import type { Authenticator, ConnectAttempt, Identity, Refusal, Verdict } from '../../src/auth/identity.ts';
import { eventually } from '../support/eventually.ts';
import { raw, rawOpen, start } from './support/harness.ts';
import type { TestBroker } from './support/test-broker.ts';

const identity = (user: string, more: Partial<Identity> = {}): Identity => ({
  user,
  method: 'users',
  attributes: new Map(),
  expiresAt: undefined,
  ...more,
});

/** Answers what the test says, and keeps what it was asked. */
function scripted(answer: (attempt: ConnectAttempt) => Verdict | Promise<Verdict>): Authenticator & {
  attempts: ConnectAttempt[];
} {
  const attempts: ConnectAttempt[] = [];
  return {
    attempts,
    authenticate: async (attempt) => {
      attempts.push(attempt);
      return answer(attempt);
    },
  };
}

const refusing = (refused: Refusal) => scripted(() => ({ refused, reason: 'the test says so' }));

async function connackOf(port: number, version: 4 | 5, clientId = 'c') {
  const client = await rawOpen({ port }, version);
  client.send({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: version,
    clientId,
    clean: true,
    keepalive: 0,
    username: 'anna',
    password: Buffer.from('x'),
  });
  await client.untilClosed();
  return client.of('connack')[0];
}

describe('a client that is refused', () => {
  it.each([
    ['credentials', 0x86, 4],
    ['not-authorized', 0x87, 5],
    ['blocked', 0x8a, 5],
    ['client-id', 0x85, 2],
  ] as const)('%s: is told so in its own version, and closed', async (refused, v5, v4) => {
    const test = await start({ authenticator: refusing(refused) });
    expect((await connackOf(test.port, 5))?.reasonCode).toBe(v5);
    expect((await connackOf(test.port, 4))?.returnCode).toBe(v4);
    expect(test.logins.map((one) => one.refused)).toEqual([refused, refused]);
    expect(test.broker.counters.refusedLogins).toBe(2);
    expect(test.broker.clients().total).toBe(0);
  });

  it('for an outage gets no CONNACK: clients take an error there as final and would not come back', async () => {
    const test = await start({ authenticator: refusing('unavailable') });
    expect(await connackOf(test.port, 5)).toBeUndefined();
    expect(await connackOf(test.port, 4)).toBeUndefined();
  });

  it('for a fault of the authentication is not let in either', async () => {
    const authenticator = { authenticate: () => Promise.reject(new Error('broken')) };
    const test = await start({ authenticator });
    expect(await connackOf(test.port, 5)).toBeUndefined();
    expect(test.faults).toEqual(['authentication: Error: broken']);
  });

  it('does not end the connection whose client id it claims', async () => {
    const authenticator = scripted(({ username }) =>
      username === 'owner' ? { identity: identity('owner') } : { refused: 'client-id', reason: 'not its own' },
    );
    const test = await start({ authenticator });
    const owner = await raw(test, { clientId: 'd1', username: 'owner', password: Buffer.from('x') });
    expect((await connackOf(test.port, 4, 'd1'))?.returnCode).toBe(2);
    await owner.ping();
    expect(owner.closed).toBe(false);
    expect(test.broker.clients().total).toBe(1);
  });

  it('leaves no will behind', async () => {
    const test = await start({ authenticator: refusing('credentials') });
    const client = await rawOpen(test, 4);
    const will = { topic: 'r/will', payload: Buffer.from('gone'), qos: 1 as const, retain: false };
    client.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clientId: 'c',
      clean: true,
      keepalive: 0,
      will,
    });
    await client.untilClosed();
    await eventually(() => test.logins.length === 1, 2_000, 'it was not refused');
    expect(test.broker.pendingWills + test.broker.counters.willsSent).toBe(0);
    expect(test.store.log).toEqual([]);
  });
});

describe('a client that is accepted', () => {
  it('publishes as its user', async () => {
    const test = await start({ authenticator: scripted(() => ({ identity: identity('anna') })) });
    const client = await raw(test, { clientId: 'd1' });
    client.publish('r/t', 'x', 1, 1);
    await client.until('puback');
    expect(test.store.log.map(({ user, clientId }) => ({ user, clientId }))).toEqual([
      { user: 'anna', clientId: 'd1' },
    ]);
  });

  it('is asked for what its CONNECT says, an assigned client id included', async () => {
    const authenticator = scripted(() => ({ identity: identity('anna') }));
    const test = await start({ authenticator });
    await raw(test, { version: 5, clientId: '', username: 'u', password: Buffer.of(0, 255) });
    expect(authenticator.attempts).toEqual([
      expect.objectContaining({
        clientIdAssigned: true,
        username: 'u',
        password: Buffer.of(0, 255),
        protocolVersion: 5,
        listener: 'mqtt',
        remoteAddress: '127.0.0.1',
        certificate: undefined,
      }),
    ]);
    expect(authenticator.attempts[0]?.clientId).not.toBe('');
  });

  it('that left before the answer came is not taken in', async () => {
    let answer: (verdict: Verdict) => void = () => undefined;
    const authenticator = scripted(() => new Promise((resolve) => (answer = resolve)));
    const test = await start({ authenticator });
    const client = await rawOpen(test, 4);
    client.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: 'c', clean: true, keepalive: 0 });
    await eventually(() => authenticator.attempts.length === 1, 2_000, 'nobody was asked');
    client.destroy();
    await eventually(() => test.broker.connections === 0, 2_000, 'the connection stays');
    answer({ identity: identity('anna') });
    await new Promise(setImmediate);
    expect(test.broker.clients().total).toBe(0);
  });

  it('is closed when its proof expires, and told so with 0xA0 (MQTT 5)', async () => {
    const expiring = scripted(() => ({ identity: identity('anna', { expiresAt: Date.now() + 300 }) }));
    const test = await start({ authenticator: expiring });
    const v5 = await raw(test, { version: 5, clientId: 'v5' });
    const v4 = await raw(test, { version: 4, clientId: 'v4' });
    await Promise.all([v5.untilClosed(), v4.untilClosed()]);
    expect(v5.of('disconnect')[0]?.reasonCode).toBe(0xa0);
    await eventually(() => test.broker.clients().total === 0, 2_000, 'clients stay');
  });

  it('whose time was over before CONNACK does not stay', async () => {
    const test = await start({ authenticator: scripted(() => ({ identity: identity('a', { expiresAt: 1 }) })) });
    const client = await rawOpen(test, 4);
    client.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: 'c', clean: true, keepalive: 0 });
    await client.untilClosed();
  });

  it('is ended with 0x87 when it may not stay', async () => {
    const test = await start({
      authenticator: scripted(({ username }) => ({ identity: identity(username ?? '') })),
    });
    const stays = await raw(test, { version: 5, clientId: 'a', username: 'stays' });
    const goes = await raw(test, { version: 5, clientId: 'b', username: 'goes' });
    expect(test.broker.endUnless(({ user }) => user === 'stays')).toBe(1);
    await goes.untilClosed();
    expect(goes.of('disconnect')[0]?.reasonCode).toBe(0x87);
    await stays.ping();
  });
});

describe('enhanced authentication (MQTT 5.0 §4.12)', () => {
  const hello = (authenticationMethod: string, data: string, more = {}) => ({
    cmd: 'connect' as const,
    protocolId: 'MQTT' as const,
    protocolVersion: 5 as const,
    clientId: 'c',
    clean: true,
    keepalive: 0,
    properties: { authenticationMethod, authenticationData: Buffer.from(data) },
    ...more,
  });
  const renewal = (data: string, method = 'JWT', reasonCode = 0x19) => ({
    cmd: 'auth' as const,
    reasonCode,
    properties: { authenticationMethod: method, authenticationData: Buffer.from(data) },
  });
  /** Offers JWT: the data is the name of the user, and how many seconds it may stay. */
  const tokens = () =>
    scripted(({ enhanced }) => {
      if (enhanced?.method !== 'JWT') return { refused: 'method', reason: 'not offered' };
      const [user = '', seconds] = enhanced.data.toString().split(' ');
      if (user === 'down') return { refused: 'unavailable', reason: 'down' };
      if (user === 'bad') return { refused: 'credentials', reason: 'a bad token' };
      const expiresAt = seconds === undefined ? undefined : Date.now() + Number(seconds) * 1_000;
      return { identity: identity(user, { method: 'jwt', expiresAt }) };
    });
  const connected = async (test: TestBroker, data: string) => {
    const client = await rawOpen(test, 5);
    client.send(hello('JWT', data));
    await client.until('connack');
    return client;
  };

  it('is not offered without a way that knows it, and never downgraded to user name and password', async () => {
    for (const authenticator of [tokens(), undefined]) {
      const test = await start(authenticator === undefined ? {} : { authenticator });
      const client = await rawOpen(test, 5);
      client.send(hello('SCRAM-SHA-256', 'n,,n=anna', { username: 'anna', password: Buffer.from('right') }));
      await client.untilClosed();
      expect(client.of('connack').map(({ reasonCode }) => reasonCode)).toEqual([0x8c]);
      expect(test.broker.clients().total).toBe(0);
    }
  });

  it('takes the data of the CONNECT, and names the method in the CONNACK [MQTT-4.12.0-5]', async () => {
    const authenticator = tokens();
    const test = await start({ authenticator });
    const client = await connected(test, 'anna');
    expect(client.of('connack')[0]).toMatchObject({ reasonCode: 0, properties: { authenticationMethod: 'JWT' } });
    expect(authenticator.attempts[0]?.enhanced).toEqual({ method: 'JWT', data: Buffer.from('anna') });
    client.publish('r/t', 'x', 1, 1);
    await client.until('puback');
    expect(test.store.log.map(({ user }) => user)).toEqual(['anna']);
    const refused = await connected(test, 'bad');
    await refused.untilClosed();
    expect(refused.of('connack')[0]?.reasonCode).toBe(0x86);
    // Who did not ask is not told.
    const plain = await raw(await start(), { version: 5 });
    expect(plain.of('connack')[0]?.properties?.authenticationMethod).toBeUndefined();
  });

  it('is renewed over AUTH: the connection outlives the first token', async () => {
    const test = await start({ authenticator: tokens() });
    const client = await connected(test, 'anna 1');
    const since = performance.now();
    client.send(renewal('anna 3'));
    await client.until('auth');
    expect(client.of('auth')[0]).toMatchObject({ reasonCode: 0, properties: { authenticationMethod: 'JWT' } });
    await client.untilClosed(10_000);
    expect(performance.now() - since).toBeGreaterThan(2_500);
    expect(client.of('disconnect')[0]?.reasonCode).toBe(0xa0);
  });

  it('that is renewed brings the rights of the new token, and takes those of the old one', async () => {
    const acl = [
      { effect: 'allow' as const, attributes: { 'jwt.role': 'admin' }, publish: ['#'], subscribe: ['#'] },
      { effect: 'allow' as const, publish: ['r/own'], subscribe: [] },
    ];
    const authenticator = scripted(({ enhanced }) => ({
      identity: identity('anna', { attributes: new Map([['jwt.role', enhanced?.data.toString() ?? '']]) }),
    }));
    const test = await start({ authenticator, acl });
    const client = await connected(test, 'admin');
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 0 }] });
    await client.until('suback');
    client.send(renewal('guest'));
    await client.until('auth');
    client.publish('r/any', 'x', 1, 2);
    client.publish('r/own', 'x', 1, 3);
    await client.until('puback', 2);
    expect(client.of('puback').map(({ reasonCode = 0 }) => reasonCode)).toEqual([0x87, 0]);
    await test.broker.publish({ topic: 'r/any', payload: Buffer.from('x'), qos: 0, retain: false });
    await client.ping();
    expect(client.of('publish')).toEqual([]);
  });

  it.each([
    ['another user', renewal('bert'), 0x87],
    ['no proof', renewal('bad'), 0x87],
    ['an outage', renewal('down'), 0x89],
    ['another method [MQTT-4.12.1-1]', renewal('anna', 'SCRAM-SHA-256'), 0x82],
    ['data that nobody asked for', renewal('anna', 'JWT', 0x18), 0x82],
  ])('that is to be renewed with %s ends the connection', async (_name, packet, code) => {
    const test = await start({ authenticator: tokens() });
    const client = await connected(test, 'anna');
    client.send(packet);
    await client.untilClosed();
    expect(client.of('disconnect').map(({ reasonCode }) => reasonCode)).toEqual([code]);
    expect(client.of('auth')).toEqual([]);
    expect(test.faults).toEqual([]);
  });

  it('is renewed one at a time, and not by who did not begin with it [MQTT-4.12.0-7]', async () => {
    const authenticator = tokens();
    const test = await start({ authenticator });
    const client = await connected(test, 'anna');
    client.send(renewal('anna'), renewal('anna'));
    await client.untilClosed();
    expect(client.of('disconnect')[0]?.reasonCode).toBe(0x82);
    const plain = await raw(await start(), { version: 5 });
    plain.send(renewal('anna'));
    await plain.untilClosed();
    expect(plain.of('disconnect')[0]?.reasonCode).toBe(0x82);
  });
});
