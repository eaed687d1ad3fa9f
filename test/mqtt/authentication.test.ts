import { describe, expect, it } from 'vitest';
import type { Authenticator, ConnectAttempt, Identity, Refusal, Verdict } from '../../src/auth/identity.ts';
import { eventually } from '../support/eventually.ts';
import { raw, rawOpen, start } from './support/harness.ts';

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
  it('is refused with 0x8C, and never downgraded to user name and password', async () => {
    const authenticator = scripted(() => ({ identity: identity('anna') }));
    const test = await start({ authenticator });
    const client = await rawOpen(test, 5);
    client.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 5,
      clientId: 'c',
      clean: true,
      keepalive: 0,
      username: 'anna',
      password: Buffer.from('right'),
      properties: { authenticationMethod: 'SCRAM-SHA-256', authenticationData: Buffer.from('n,,n=anna') },
    });
    await client.untilClosed();
    expect(client.of('connack')[0]?.reasonCode).toBe(0x8c);
    expect(authenticator.attempts).toEqual([]);
  });
});
