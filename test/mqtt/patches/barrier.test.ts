import { MemoryLevel } from 'memory-level';
import { describe, expect, it } from 'vitest';
import { openSessions, type Sessions } from '../../../src/mqtt/sessions.ts';
import { GuardedStore } from '../../../src/mqtt/sessions/guarded.ts';
import { LevelStore, type Database } from '../../../src/mqtt/sessions/level.ts';
import type { SessionStore } from '../../../src/mqtt/sessions/store.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, rawOpen, start } from '../support/harness.ts';

type Operation = Exclude<keyof SessionStore, 'load' | 'close'>;

/** Sessions in memory whose store fails in one operation: with an error, or by never answering. */
async function failing(
  how: 'error' | 'hang',
  ...operations: Operation[]
): Promise<{ sessions: Sessions; faults: string[] }> {
  const faults: string[] = [];
  const fault = (where: string): void => void faults.push(where);
  const brokenCall = (): Promise<never> =>
    how === 'error' ? Promise.reject(new Error('planted')) : new Promise(() => undefined);
  // eslint-disable-next-line require-yield -- it fails before it has anything
  async function* brokenStream(): AsyncIterable<never> {
    await brokenCall();
  }
  const whole = await openSessions({ store: 'memory' }, fault);
  const broken = new Proxy(new LevelStore(new MemoryLevel() as unknown as Database), {
    get: (target, name: keyof SessionStore) => {
      if ((operations as string[]).includes(name)) return name === 'retained' ? brokenStream : brokenCall;
      return target[name].bind(target);
    },
  });
  return { sessions: { ...whole, store: new GuardedStore(broken, 300, fault) }, faults };
}

describe.each(['error', 'hang'] as const)('a session store that answers with %s', (how) => {
  it.each(['read', 'enter', 'end'] as const)(
    'closes a CONNECT that needs %s without CONNACK: mqtt.js would not come back after an error in it',
    async (operation) => {
      const { sessions } = await failing(how, operation);
      const test = await start({ sessions });
      for (const version of [4, 5] as const) {
        const client = await rawOpen(test, version);
        const clean = operation === 'end';
        client.send({
          cmd: 'connect',
          protocolId: 'MQTT',
          protocolVersion: version,
          clientId: 'c',
          clean,
          keepalive: 0,
          ...(version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {}),
        });
        await client.untilClosed();
        expect(client.of('connack')).toEqual([]);
      }
    },
  );

  it('closes a client whose subscription it does not keep, without SUBACK', async () => {
    const { sessions } = await failing(how, 'subscribe');
    const test = await start({ sessions });
    const client = await raw(test, { clean: false });
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] });
    await client.untilClosed();
    expect(client.of('suback')).toEqual([]);
  });

  it('does not keep a publisher from its acknowledgements, nor connected subscribers from the messages', async () => {
    const { sessions, faults } = await failing(how, 'retain', 'enqueue', 'update');
    const test = await start({ sessions });
    const subscriber = await raw(test, { clientId: 'subscriber', clean: false });
    subscriber.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/#', qos: 1 }] });
    await subscriber.until('suback');
    const client = await raw(test);
    client.send({ cmd: 'publish', topic: 'r/1', payload: 'a', qos: 1, messageId: 1, dup: false, retain: true });
    client.publish('r/1', 'b', 2, 2);
    await client.until('puback');
    await client.until('pubrec');
    await subscriber.until('publish', 2);
    await client.ping();
    expect(faults.length).toBeGreaterThan(0);
  });

  it('does not keep a subscriber from its SUBACK when retained messages cannot be read', async () => {
    const { sessions, faults } = await failing(how, 'retained');
    const test = await start({ sessions });
    const client = await raw(test);
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 1 }] });
    await client.until('suback');
    await eventually(() => faults.length === 1);
    await client.ping();
  });
});

describe('the last barrier', () => {
  it('turns what is thrown while a packet is handled into a closed connection and a fault', async () => {
    const whole = await openSessions({ store: 'memory' }, () => undefined);
    const { store } = whole;
    store.tryEnqueue = () => {
      throw new Error('planted');
    };
    store.unsubscribe = () => {
      throw new Error('planted');
    };
    const test = await start({ sessions: whole });
    const client = await raw(test, { clean: false });
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/#', qos: 1 }] });
    await client.until('suback');
    client.publish('r/1', 'a', 1, 1);
    await client.until('puback');
    await eventually(() => test.faults.length === 1);
    client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a'] });
    await client.untilClosed();
    const canary = await raw(test, { clientId: 'canary' });
    await canary.ping();
  });

  it('keeps the parser from being entered while it hands a packet out', async () => {
    const test = await start();
    const subscriber = await raw(test, { clientId: 'subscriber' });
    subscriber.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'u/#', qos: 0 }] });
    await subscriber.until('suback');
    const client = await raw(test);
    const count = 5_000;
    // Unrouted QoS 0 messages are done at once, in the middle of the parse; more than one read is needed for all.
    for (let i = 0; i < count; i++) client.publish('u/x', String(i).padStart(60, '.'), 0, 0);
    await client.ping();
    await eventually(() => subscriber.of('publish').length >= count);
    const got = subscriber.of('publish').map(({ payload }) => Number(String(payload).replaceAll('.', '')));
    expect(got).toEqual(Array.from({ length: count }, (_, index) => index));
    expect(test.broker.counters.published[0]).toBe(count);
  });

  it('survives bytes that are no MQTT at all', async () => {
    const test = await start();
    for (const bytes of [[0x00], [0xff, 0xff, 0xff, 0xff, 0xff], [0x10, 2, 0, 0], [0x30, 0], [0x82, 0]]) {
      const client = await rawOpen(test);
      client.write(bytes, [0, 0, 0, 0, 0, 0, 0, 0]);
      client.socket.end();
      await client.untilClosed();
    }
    await raw(test, { clientId: 'canary' }).then((canary) => canary.ping());
  });

  it('closes a client that claims a packet above the limit before it has sent it', async () => {
    const test = await start({ limits: { maxPacketSizeBytes: 1_000 } });
    const early = await rawOpen(test);
    early.write([0x10, 0xff, 0xff, 0xff, 0x7f, 0]);
    await early.untilClosed();
    const client = await raw(test, { version: 5 });
    client.write([0x32, 0xff, 0xff, 0xff, 0x7f, 0]);
    await client.untilClosed();
    expect(client.of('disconnect').map(({ reasonCode }) => reasonCode)).toEqual([0x95]);
  });

  it('closes a connection that does not send its CONNECT in time', async () => {
    const test = await start({ limits: { connectTimeoutMs: 200 } });
    const client = await rawOpen(test);
    await client.untilClosed();
  });
});
