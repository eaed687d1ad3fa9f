import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import type { Authenticator } from '../../src/auth/identity.ts';
import { networkOf } from '../../src/mqtt/listeners/gate.ts';
import { raw, rawOpen, start } from './support/harness.ts';

const rates = (messagesPerSecond: number, overRate: 'slow' | 'disconnect' = 'slow') => ({
  messagesPerSecond,
  bytesPerSecond: 0,
  overRate,
});

describe('a client that publishes too fast', () => {
  it('is slowed down: nothing is lost, the order is kept, and others are served meanwhile', async () => {
    const test = await start({ rates: rates(50) });
    const count = 150;
    const fast = await raw(test, { clientId: 'fast', keepalive: 1 });
    const started = performance.now();
    for (let id = 1; id <= count; id++) fast.publish('r/fast', String(id), 1, id);
    const steady = await raw(test, { clientId: 'steady' });
    for (let id = 1; id <= 20; id++) {
      steady.publish('r/steady', String(id), 1, id);
      await eventually(() => steady.of('puback').length === id);
    }
    // The well-behaved one is done long before the other.
    expect(fast.of('puback').length).toBeLessThan(count);
    await eventually(() => fast.of('puback').length === count, 20_000);
    // 50 at once, the others at 50 a second.
    expect(performance.now() - started).toBeGreaterThan(1_900);
    expect(test.store.payloads('r/fast')).toEqual(Array.from({ length: count }, (_, index) => String(index + 1)));
    // Its keep alive of one second passed twice over while it was not read.
    expect(fast.closed).toBe(false);
  });

  it('serves 20 who are 10 times too fast and 20 who are not: each gets its own', async () => {
    const test = await start({ rates: rates(20) });
    const clients = await Promise.all(
      Array.from({ length: 40 }, (_, index) => raw(test, { clientId: `c${index}`, version: index % 2 === 0 ? 4 : 5 })),
    );
    const wanted = (index: number): number => (index < 20 ? 40 : 20);
    for (const [index, client] of clients.entries()) {
      for (let id = 1; id <= wanted(index); id++) client.publish(`r/c${index}`, String(id), 1, id);
    }
    const done = (index: number): boolean => (clients[index]?.of('puback').length ?? 0) >= wanted(index);
    await eventually(() => clients.every((_, index) => index < 20 || done(index)), 20_000);
    await eventually(() => clients.every((_, index) => done(index)), 20_000);
    for (let index = 0; index < 40; index++) expect(test.store.payloads(`r/c${index}`)).toHaveLength(wanted(index));
  });

  it('is disconnected where the configuration says so, and told why in MQTT 5', async () => {
    const test = await start({ rates: rates(5, 'disconnect') });
    const client = await raw(test, { version: 5 });
    for (let id = 1; id <= 6; id++) client.publish('r/a', String(id), 1, id);
    await client.untilClosed();
    expect(client.of('puback').filter(({ reasonCode = 0 }) => reasonCode === 0).length).toBeLessThanOrEqual(5);
    expect(client.of('disconnect')[0]?.reasonCode).toBe(0x96);
    expect(test.store.log.length).toBeLessThanOrEqual(5);
  });

  it('leaves nothing behind that would come late', async () => {
    const test = await start({ rates: rates(1) });
    const client = await raw(test, { clientId: 'c' });
    for (let id = 1; id <= 5; id++) client.publish('r/a', String(id), 1, id);
    await client.until('puback');
    client.destroy();
    await eventually(() => test.broker.clients().total === 0);
    const stored = test.store.log.length;
    const again = await raw(test, { clientId: 'c' });
    again.publish('r/a', 'again', 1, 1);
    await again.until('puback');
    expect(test.store.payloads('r/a').slice(stored)).toEqual(['again']);
  });
});

describe.each([4, 5] as const)('limits of MQTT version %i', (version) => {
  it('refuse topics, filters and payloads that are too large', async () => {
    const publishLimits = { topicLevels: 3, topicMaxBytes: 20, payloadMaxBytes: 10 };
    const filters = { topicLevels: 3, topicMaxBytes: 20, subscriptionsPerClient: 2 };
    const test = await start({ publishLimits, limits: { filters } });
    const client = await raw(test, { version });
    const subscriptions = ['a/b/c/d', 'x'.repeat(21), 'a', 'b', 'a', 'c'].map((topic) => ({ topic, qos: 0 as const }));
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    await client.until('suback');
    expect(client.of('suback')[0]?.granted).toEqual(
      version === 5 ? [0x8f, 0x8f, 0, 0, 0, 0x97] : [0x80, 0x80, 0, 0, 0, 0x80],
    );
    const bad = [
      ['r/b/c/d', 'x', 0x90],
      [`r/${'ü'.repeat(10)}`, 'x', 0x90],
      ['r/a', 'x'.repeat(11), 0x97],
    ] as const;
    for (const [topic, payload, code] of bad) {
      const sender = await raw(test, { version, clientId: 'sender' });
      sender.publish(topic, payload, 1, 7);
      if (version === 5) {
        await sender.until('puback');
        expect(sender.of('puback')[0]?.reasonCode).toBe(code);
      } else await sender.untilClosed();
    }
    expect(test.store.log).toEqual([]);
    expect(test.denied.map(({ rule }) => rule)).toContain('limits.maxPayloadSize');
  });

  it('let a user connect so many clients, and one of them come back', async () => {
    const authenticator: Authenticator = {
      authenticate: async () => ({
        identity: { user: 'ann', method: 'users', attributes: new Map(), expiresAt: undefined },
      }),
    };
    const test = await start({ authenticator, limits: { connectionsPerUser: 2 } });
    await raw(test, { version, clientId: 'a' });
    const second = await raw(test, { version, clientId: 'b' });
    const third = await raw(test, { version, clientId: 'c' });
    const [connack] = third.of('connack');
    expect(version === 5 ? connack?.reasonCode : connack?.returnCode).toBe(version === 5 ? 0x97 : 5);
    const back = await raw(test, { version, clientId: 'b' });
    await second.untilClosed();
    await back.ping();
    back.destroy();
    await eventually(() => test.broker.clients().total === 1);
    const last = await raw(test, { version, clientId: 'c' });
    await last.ping();
  });
});

describe('the life of a session', () => {
  it('is bounded, and the client is told', async () => {
    const test = await start({ limits: { sessionExpiryMaxSeconds: 60 } });
    const properties = { sessionExpiryInterval: 1_000 };
    const client = await raw(test, { version: 5, clean: false, properties });
    expect(client.of('connack')[0]?.properties?.sessionExpiryInterval).toBe(60);
  });
});

describe('a connection that sends nothing', () => {
  it('is closed after connectTimeout', async () => {
    const test = await start({ limits: { connectTimeoutMs: 200 } });
    const client = await rawOpen(test);
    await client.untilClosed();
    const slow = await rawOpen(test);
    slow.write([0x10, 0x20, 0x00]);
    await slow.untilClosed();
  });
});

describe('an address', () => {
  it.each([
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['10.0.0.1', '10.0.0.1'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['::1', '0:0:0:0::/64'],
  ])('%s is counted as %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});
