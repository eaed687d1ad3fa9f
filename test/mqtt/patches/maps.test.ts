import { describe, expect, it } from 'vitest';
import { openSessions } from '../../../src/mqtt/sessions.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, start } from '../support/harness.ts';

const names = ['__proto__', 'constructor', 'hasOwnProperty', 'toString', '__defineGetter__'];

describe.each([4, 5] as const)('names that objects have of themselves, MQTT version %i', (version) => {
  it.each(names)('%s is a client id like any other', async (name) => {
    const test = await start();
    const client = await raw(test, { version, clientId: name, clean: false });
    client.publish('r/1', 'a', 1, 1);
    await client.until('puback');
    const successor = await raw(test, { version, clientId: name, clean: false });
    await client.untilClosed();
    await successor.ping();
    expect(test.broker.clients().total).toBe(1);
    successor.destroy();
    await eventually(() => test.broker.clients().total === 0);
    expect(test.faults).toEqual([]);
  });

  it.each(names)('%s is a topic and a filter like any other', async (name) => {
    const test = await start();
    const client = await raw(test, { version, clean: false, properties: { sessionExpiryInterval: 60 } });
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: name, qos: 1 }] });
    await client.until('suback');
    client.send({ cmd: 'publish', topic: name, payload: 'x', qos: 1, messageId: 2, dup: false, retain: true });
    await client.until('publish');
    expect(client.of('publish')[0]).toMatchObject({ topic: name });
    client.send({ cmd: 'unsubscribe', messageId: 3, unsubscriptions: [name, `${name}/other`] });
    await client.until('unsuback');
    await client.ping();
    expect(test.faults).toEqual([]);
  });

  it.each(names)('%s is a new subscription the first time, and ends with its client', async (name) => {
    const sessions = await openSessions({ store: 'memory' }, () => undefined);
    const test = await start({ sessions });
    const publisher = await test.connect();
    await publisher.publishAsync(name, 'retained', { qos: 1, retain: true });
    const client = await raw(test, { version });
    // Retain handling 1: only for a subscription that is new (MQTT 5.0 §3.8.3.1).
    const once = version === 5 ? { rh: 1, nl: false, rap: false } : {};
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: name, qos: 1, ...once }] });
    await client.until('publish');
    client.destroy();
    await eventually(() => sessions.emitter.silent(name));
  });

  it.each(names)('%s is one of the filters that a session is resumed with', async (name) => {
    const test = await start();
    const session = { version, clean: false, properties: { sessionExpiryInterval: 60 } };
    const client = await raw(test, session);
    const subscriptions = ['a', name, '1'].map((topic) => ({ topic, qos: 1 as const }));
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    await client.until('suback');
    client.destroy();
    await eventually(() => test.broker.clients().total === 0);
    const again = await raw(test, session);
    for (const [index, topic] of ['1', name, 'a'].entries()) again.publish(topic, topic, 1, index + 1);
    await again.until('publish', 3);
    expect(again.of('publish').map(({ topic }) => topic)).toEqual(['1', name, 'a']);
    expect(test.faults).toEqual([]);
  });

  it.each(names)('%s is a user property like any other', async (name) => {
    if (version === 4) return;
    const test = await start();
    const client = await raw(test, { version });
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 0 }] });
    await client.until('suback');
    const nameBytes = Buffer.from(name);
    const property = Buffer.concat([Buffer.of(0x26, 0, nameBytes.length), nameBytes, Buffer.of(0, 1, 0x76)]);
    const body = Buffer.concat([Buffer.of(0, 3), Buffer.from('r/1'), Buffer.of(property.length), property]);
    client.write(Buffer.concat([Buffer.of(0x30, body.length), body]));
    await client.until('publish');
    expect(test.store.log[0]?.properties?.userProperties).toEqual([[name, 'v']]);
  });
});
