import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSessions, type SessionOptions } from '../../../src/mqtt/sessions.ts';
import { eventually } from '../../support/eventually.ts';
import { occurs } from '../../support/mqtt.ts';
import { startRedis, type Redis } from '../../support/services.ts';
import { afterTest, raw, start } from '../support/harness.ts';

const session = { clean: false, version: 5, properties: { sessionExpiryInterval: 3600 } } as const;
let redis: Redis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});

let namespaces = 0;

async function storeOf(kind: 'level' | 'redis'): Promise<SessionOptions> {
  if (kind === 'redis') return { store: 'redis', url: redis.url, namespace: `test-${++namespaces}` };
  const directory = await mkdtemp(path.join(tmpdir(), 'sluice-sessions-'));
  afterTest(() => rm(directory, { recursive: true, force: true }));
  return { store: 'level', directory };
}

describe.each(['level', 'redis'] as const)('sessions in %s', (kind) => {
  it('may hold hundreds of messages: the client that resumes answers while they come, and stays', async () => {
    const sessions = await storeOf(kind);
    const test = await start({ sessions });
    const device = await raw(test, { ...session, clientId: 'device' });
    device.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/q', qos: 1 }] });
    await device.until('suback');
    device.destroy();
    await eventually(() => test.broker.clients().total === 0);
    const sender = await test.connect();
    const texts = Array.from({ length: 300 }, (_, index) => `queued ${index}`);
    for (const text of texts) await sender.publishAsync('r/q', text, { qos: 1 });
    const received: string[] = [];
    const back = mqtt.connect(`mqtt://127.0.0.1:${test.port}`, {
      clientId: 'device',
      clean: false,
      protocolVersion: 5,
      properties: session.properties,
      reconnectPeriod: 0,
    });
    afterTest(() => back.endAsync(true));
    back.on('message', (_, payload) => received.push(payload.toString()));
    await eventually(() => new Set(received).size === texts.length, 20_000);
    expect(new Set(received)).toEqual(new Set(texts));
    expect(back.connected).toBe(true);
  });

  it('outlive a restart: subscriptions, queued messages in their order, retained messages, with their properties', async () => {
    const sessions = await storeOf(kind);
    const first = await start({ sessions });
    const device = await raw(first, { ...session, clientId: 'device' });
    device.send({
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [
        { topic: 'r/q/#', qos: 2 },
        { topic: 'r/q/a', qos: 1 },
        { topic: 'r/zero', qos: 0 },
      ],
    });
    await device.until('suback');
    device.destroy();
    await eventually(() => first.broker.clients().total === 0);
    const sender = await first.connect({ protocolVersion: 5 });
    for (let i = 0; i < 20; i++) {
      await sender.publishAsync('r/q/a', `queued ${i}`, {
        qos: i % 2 === 0 ? 1 : 2,
        properties: { contentType: 'text/plain', messageExpiryInterval: 600, userProperties: { n: String(i) } },
      });
    }
    await sender.publishAsync('r/kept', 'retained', { qos: 1, retain: true, properties: { contentType: 'text/x' } });
    await first.stop();

    const second = await start({ sessions });
    const other = await second.connect();
    await other.publishAsync('r/q/a', 'after the restart', { qos: 1 });
    await other.publishAsync('r/zero', 'not queued', { qos: 1 });
    // Deliveries of one publisher are made in turn: with the last one, all are.
    await other.subscribeAsync('last');
    other.publish('last', '');
    await occurs(other, 'message');
    const again = await raw(second, { ...session, clientId: 'device' });
    expect(again.of('connack')[0]).toMatchObject({ sessionPresent: true });
    await again.until('publish', 21);
    const got = again.of('publish');
    expect(got.map(({ payload }) => String(payload))).toEqual([
      ...Array.from({ length: 20 }, (_, i) => `queued ${i}`),
      'after the restart',
    ]);
    expect(got[3]?.properties).toMatchObject({ contentType: 'text/plain', userProperties: { n: '3' } });
    expect(got[3]?.properties?.messageExpiryInterval).toBeLessThanOrEqual(600);
    for (const { qos, messageId } of got)
      again.send({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId: messageId ?? 0 });
    await again.until('pubrel', 10);
    for (const { messageId } of again.of('pubrel')) again.send({ cmd: 'pubcomp', messageId: messageId ?? 0 });
    again.send({ cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: 'r/kept', qos: 1 }] });
    await again.until('publish', 22);
    expect(again.of('publish')[21]).toMatchObject({ retain: true, properties: { contentType: 'text/x' } });
    again.send({ cmd: 'puback', messageId: again.of('publish')[21]?.messageId ?? 0 });
    await again.ping();
    again.destroy();
    await eventually(() => second.broker.clients().total === 1);

    const third = await raw(second, { ...session, clientId: 'device' });
    await third.ping();
    expect(third.of('publish').map(({ payload }) => String(payload))).toEqual([]);
    expect([...first.faults, ...second.faults]).toEqual([]);
  });

  it('keep the other subscriptions of a client when overlapping ones come and go', async () => {
    const test = await start({ sessions: await storeOf(kind) });
    const device = await raw(test, { ...session, clientId: 'device' });
    const subscribe = async (topic: string, qos: 0 | 1 | 2): Promise<void> => {
      const before = device.of('suback').length;
      device.send({ cmd: 'subscribe', messageId: before + 1, subscriptions: [{ topic, qos }] });
      await device.until('suback', before + 1);
    };
    await subscribe('r/#', 1);
    await subscribe('r/a', 2);
    await subscribe('r/+', 1);
    device.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['r/+'] });
    await device.until('unsuback');
    device.destroy();
    await eventually(() => test.broker.clients().total === 0);
    const sender = await test.connect();
    await sender.publishAsync('r/b', 'by r/#', { qos: 1 });
    await sender.publishAsync('r/a', 'by r/a', { qos: 2 });
    const again = await raw(test, { ...session, clientId: 'device' });
    await again.until('publish', 2);
    await again.ping();
    expect(new Set(again.of('publish').map(({ payload }) => String(payload)))).toEqual(new Set(['by r/#', 'by r/a']));
  });

  it('take names that objects have of themselves', async () => {
    const sessions = await storeOf(kind);
    const test = await start({ sessions });
    const device = await raw(test, { ...session, clientId: '__proto__' });
    device.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '__proto__', qos: 1 }] });
    await device.until('suback');
    device.destroy();
    await eventually(() => test.broker.clients().total === 0);
    const sender = await test.connect();
    await sender.publishAsync('__proto__', 'queued', { qos: 1, retain: true });
    await test.stop();
    const next = await start({ sessions });
    const again = await raw(next, { ...session, clientId: '__proto__' });
    await again.until('publish');
    again.send({ cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: '+', qos: 0 }] });
    await again.until('publish', 2);
    expect([...test.faults, ...next.faults]).toEqual([]);
  });

  it('end with a clean start', async () => {
    const test = await start({ sessions: await storeOf(kind) });
    const device = await raw(test, { ...session, clientId: 'device' });
    device.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/#', qos: 1 }] });
    await device.until('suback');
    device.destroy();
    await eventually(() => test.broker.clients().total === 0);
    const sender = await test.connect();
    await sender.publishAsync('r/a', 'queued', { qos: 1 });
    const clean = await raw(test, { ...session, clean: true, clientId: 'device' });
    expect(clean.of('connack')[0]).toMatchObject({ sessionPresent: false });
    await sender.publishAsync('r/a', 'not subscribed', { qos: 1 });
    await clean.ping();
    expect(clean.of('publish')).toEqual([]);
  });

  it('keep one will per client, for the process that takes over to claim once', async () => {
    const options = await storeOf(kind);
    const sessions = await openSessions(options, (where, error) => expect.unreachable(`${where} ${String(error)}`));
    afterTest(() => sessions.close());
    const { wills } = sessions;
    const properties = { correlationData: Buffer.of(0, 255), userProperties: { a: ['1', '2'] }, contentType: 'x' };
    const will = {
      token: 'first',
      clientId: 'device:1/ü',
      user: 'u',
      brokerId: 'dead',
      delaySeconds: 3,
      topic: 't',
      payload: Buffer.of(0, 1, 255),
      qos: 2,
      retain: true,
      properties,
    } as const;
    const all = async (): Promise<unknown[]> => {
      const found = [];
      for await (const each of wills.all()) found.push(each);
      return found;
    };
    await wills.put({ ...will, token: 'earlier' });
    await wills.put(will);
    await wills.put({ ...will, clientId: 'other', token: 'second', properties: undefined });
    expect(await all()).toEqual(
      expect.arrayContaining([will, { ...will, clientId: 'other', token: 'second', properties: undefined }]),
    );
    await wills.remove(will.clientId, 'earlier');
    expect(await wills.holds(will.clientId, 'first')).toBe(true);
    expect(await wills.claim(will, 'me')).toBe(true);
    expect(await wills.claim(will, 'another')).toBe(false);
    expect(await wills.holds(will.clientId, 'first')).toBe(true);
    await wills.remove(will.clientId, 'first');
    await wills.remove('other');
    expect(await all()).toEqual([]);
    expect(await wills.claim(will, 'me')).toBe(false);
  });
});

describe('sessions in LevelDB', () => {
  it('outlive a process that is killed, and so do the wills of its clients', async () => {
    const options = await storeOf('level');
    if (options.store !== 'level') throw new Error('not LevelDB');
    const killed = await start({ sessions: options });
    const device = await raw(killed, {
      ...session,
      clientId: 'device',
      will: { topic: 'r/wills', payload: Buffer.from('dead'), qos: 1, retain: false },
    });
    device.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/#', qos: 1 }] });
    await device.until('suback');
    const sleeper = await raw(killed, { ...session, clientId: 'sleeper' });
    sleeper.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/#', qos: 1 }] });
    await sleeper.until('suback');
    sleeper.destroy();
    await eventually(() => killed.broker.clients().total === 1);
    const sender = await killed.connect();
    await sender.publishAsync('r/a', 'queued', { qos: 1 });
    await device.until('publish');
    // What a kill -9 leaves is what the process has given to the system: a copy of the open directory.
    const image = `${options.directory}-image`;
    await cp(options.directory, image, { recursive: true, filter: (file) => !file.endsWith('LOCK') });
    afterTest(() => rm(image, { recursive: true, force: true }));

    const next = await start({ sessions: { store: 'level', directory: image }, willSweepMs: 400 });
    await eventually(() => next.store.payloads('r/wills').length === 1);
    const again = await raw(next, { ...session, clientId: 'sleeper' });
    await again.until('publish', 2);
    expect(again.of('publish').map(({ payload }) => String(payload))).toEqual(['queued', 'dead']);
    expect(next.store.payloads()).toEqual(['dead']);
  });

  it('can be held by one process only', async () => {
    const options = await storeOf('level');
    const sessions = await openSessions(options, () => undefined);
    afterTest(() => sessions.close());
    await expect(openSessions(options, () => undefined)).rejects.toMatchObject({ code: 'STORE_LOCKED' });
  });
});

describe('sessions in Redis', () => {
  it('are those of all processes with the same namespace', async () => {
    const sessions = await storeOf('redis');
    const one = await start({ sessions });
    const two = await start({ sessions });
    const subscriber = await raw(one, { clientId: 'subscriber' });
    subscriber.send({
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [
        { topic: 'r/+/x', qos: 1 },
        { topic: 'only/here', qos: 1 },
      ],
    });
    await subscriber.until('suback');
    const sender = await two.connect();
    await sender.publishAsync('r/1/x', 'across', { qos: 1 });
    await subscriber.until('publish');
    const stranger = await start({ sessions: await storeOf('redis') });
    const other = await stranger.connect();
    await other.publishAsync('r/1/x', 'another namespace', { qos: 1 });
    await sender.publishAsync('r/1/x', 'last', { qos: 1 });
    await subscriber.until('publish', 2);
    expect(subscriber.of('publish').map(({ payload }) => String(payload))).toEqual(['across', 'last']);
    // A client that connects to the other process is taken over there.
    const moved = await raw(two, { clientId: 'subscriber' });
    await subscriber.untilClosed();
    await moved.ping();
  });

  it('may be away for a while: publishers are acknowledged, and messages cross processes again after it', async () => {
    const own = await startRedis();
    afterTest(() => own.stop());
    const sessions = { store: 'redis', url: own.url, namespace: 'away' } as const;
    const [here, there] = [await start({ sessions }), await start({ sessions })];
    const clientHere = await raw(here, { clientId: 'here' });
    const clientThere = await raw(there, { clientId: 'there' });
    for (const client of [clientHere, clientThere]) {
      client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/#', qos: 1 }] });
      await client.until('suback');
    }
    await own.stop();
    clientHere.publish('r/1', 'without Redis', 1, 1);
    await clientHere.until('puback');
    await clientHere.until('publish');
    await own.start();
    let id = 1;
    for (const [from, to] of [
      [clientHere, clientThere],
      [clientThere, clientHere],
    ] as const) {
      const payload = `crossing ${from === clientHere ? 'there' : 'back'}`;
      await eventually(async () => {
        from.publish('r/1', payload, 1, ++id);
        await eventually(() => from.of('puback').some(({ messageId }) => messageId === id));
        return to.of('publish').some((packet) => String(packet.payload) === payload);
      });
    }
    expect(clientHere.closed || clientThere.closed).toBe(false);
  });
});
