import { describe, expect, it } from 'vitest';
import type { IPublishPacket } from 'mqtt-packet';
import type { Connection } from '../../../src/mqtt/connection.ts';
import { Outbound } from '../../../src/mqtt/delivery/outbound.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, start } from '../support/harness.ts';
import type { RawClient } from '../support/raw-client.ts';
import type { TestBroker } from '../support/test-broker.ts';

async function subscriber(
  test: TestBroker,
  properties: Record<string, unknown> = {},
  qos: 0 | 1 | 2 = 2,
): Promise<RawClient> {
  const client = await raw(test, { version: 5, clientId: 'subscriber', properties });
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'u/#', qos }] });
  await client.until('suback');
  return client;
}

const payloads = (client: RawClient): string[] => client.of('publish').map(({ payload }) => String(payload));

describe('flow control', () => {
  it('sends no more QoS 1 and 2 messages than the client takes at a time, the rest in order as it acknowledges [MQTT-3.3.4-9]', async () => {
    const test = await start();
    const client = await subscriber(test, { receiveMaximum: 2 });
    const sender = await raw(test, { clientId: 'sender' });
    for (let i = 1; i <= 6; i++) sender.publish('u/1', String(i), i % 2 === 0 ? 2 : 1, i);
    sender.publish('u/0', 'QoS 0 passes', 0, 0);
    await eventually(() => payloads(client).length === 3);
    await client.ping();
    expect(payloads(client).toSorted()).toEqual(['1', '2', 'QoS 0 passes']);
    const [first, second] = client.of('publish').filter(({ qos }) => qos > 0) as [IPublishPacket, IPublishPacket];
    client.send({ cmd: 'puback', messageId: first.messageId ?? 0 });
    await client.until('publish', 4);
    // A QoS 2 message counts until PUBCOMP.
    client.send({ cmd: 'pubrec', messageId: second.messageId ?? 0 });
    await client.until('pubrel');
    await client.ping();
    expect(payloads(client)).toHaveLength(4);
    client.send({ cmd: 'pubcomp', messageId: second.messageId ?? 0 });
    await client.until('publish', 5);
    expect(payloads(client).filter((each) => each !== 'QoS 0 passes')).toEqual(['1', '2', '3', '4']);
  });

  it('ends a QoS 2 exchange at a PUBREC with an error, without PUBREL, and goes on', async () => {
    const test = await start();
    const client = await subscriber(test, { receiveMaximum: 1 });
    const sender = await raw(test, { clientId: 'sender' });
    sender.publish('u/1', 'a', 2, 1);
    sender.publish('u/1', 'b', 2, 2);
    await client.until('publish');
    client.send({ cmd: 'pubrec', messageId: client.of('publish')[0]?.messageId ?? 0, reasonCode: 0x97 });
    await client.until('publish', 2);
    expect(client.of('pubrel')).toEqual([]);
  });

  it('answers PUBREC for an identifier it does not know with 0x92', async () => {
    const test = await start();
    const client = await subscriber(test);
    client.send({ cmd: 'pubrec', messageId: 77 });
    await client.until('pubrel');
    expect(client.of('pubrel')[0]).toMatchObject({ messageId: 77, reasonCode: 0x92 });
  });

  it('uses no packet identifier twice while it is in use, over more messages than there are identifiers [MQTT-2.2.1-4]', () => {
    const written: number[] = [];
    const connection = {
      client: { id: 'c', version: 4, conn: { writableLength: 0, writableNeedDrain: false } },
      core: { counters: { forwarded: 0 } },
      ending: false,
      write: (bytes: Buffer) => written.push(bytes.readUInt16BE(2 + 2 + 1)),
    } as unknown as Connection;
    const limits = { windowMax: 3, packetMaxBytes: Infinity, topicAliasMax: 0, waitingMaxBytes: 1_000_000 };
    const outbound = new Outbound(connection, limits, { queued: async () => [], update: async () => undefined });
    const publication = {
      topic: 't',
      payload: Buffer.of(1),
      qos: 1,
      retain: false,
      properties: undefined,
      expiresAt: undefined,
    } as const;
    const delivery = { qos: 1, retain: false, identifiers: undefined, share: undefined } as const;
    for (let i = 0; i < 66_000; i++) {
      outbound.send(publication, delivery, undefined);
      // The first is never acknowledged.
      if (i > 0) outbound.puback(written[i] ?? 0);
    }
    expect(written).toHaveLength(66_000);
    expect(written.filter((id) => id === written[0])).toHaveLength(1);
    expect(written).not.toContain(0);
  });
});

describe('our receive maximum', () => {
  it('is declared, and ends the connection of a client that goes beyond it with 0x93 [MQTT-3.3.4-7]', async () => {
    const test = await start({ limits: { receiveMaximum: 3 } });
    const client = await raw(test, { version: 5 });
    expect(client.of('connack')[0]?.properties?.receiveMaximum).toBe(3);
    for (let i = 1; i <= 3; i++) client.publish('r/1', String(i), 2, i);
    await client.until('pubrec', 3);
    // A repeated one is no further one.
    client.publish('r/1', '3', 2, 3, true);
    await client.until('pubrec', 4);
    client.send({ cmd: 'pubrel', messageId: 1 });
    await client.until('pubcomp');
    client.publish('r/1', '4', 2, 4);
    await client.until('pubrec', 5);
    client.publish('r/1', '5', 1, 5);
    await client.untilClosed();
    expect(client.of('disconnect').map(({ reasonCode }) => reasonCode)).toEqual([0x93]);
    expect(test.store.payloads()).toEqual(['1', '2', '3', '4']);
  });

  it('counts QoS 1 messages until their PUBACK', async () => {
    const test = await start({ limits: { receiveMaximum: 2 } });
    const client = await raw(test, { version: 5 });
    for (let i = 1; i <= 10; i++) {
      client.publish('r/1', String(i), 1, i);
      await client.until('puback', i);
    }
    test.store.mode = 'hang';
    for (let i = 11; i <= 13; i++) client.publish('r/1', String(i), 1, i);
    await client.untilClosed();
    expect(client.of('disconnect').map(({ reasonCode }) => reasonCode)).toEqual([0x93]);
    test.store.mode = 'ok';
  });
});

describe('the maximum packet size of a client', () => {
  it('keeps larger messages from it, as if they had been delivered [MQTT-3.1.2-24], [MQTT-3.1.2-25]', async () => {
    const test = await start();
    const client = await subscriber(test, { maximumPacketSize: 100, receiveMaximum: 1 });
    const sender = await test.connect({ protocolVersion: 5 });
    for (const size of [10, 200, 20, 300]) await sender.publishAsync('u/1', 'x'.repeat(size), { qos: 1 });
    await sender.publishAsync('u/1', 'x'.repeat(400), { qos: 0 });
    await client.until('publish');
    client.send({ cmd: 'puback', messageId: client.of('publish')[0]?.messageId ?? 0 });
    await client.until('publish', 2);
    await client.ping();
    expect(payloads(client).map((each) => each.length)).toEqual([10, 20]);
    await eventually(() => test.broker.counters.undelivered === 2);
    client.send({ cmd: 'puback', messageId: client.of('publish')[1]?.messageId ?? 0 });
    await eventually(() => test.broker.counters.undelivered === 3);
    await client.ping();
    expect(client.closed).toBe(false);
  });
});

describe('topic aliases', () => {
  it('to the client: the topic once, then its alias, for as many topics as it allows [MQTT-3.1.2-26]', async () => {
    const test = await start();
    const client = await subscriber(test, { topicAliasMaximum: 2 }, 0);
    const sender = await test.connect();
    for (const topic of ['u/a', 'u/a', 'u/b', 'u/c', 'u/b', 'u/c']) await sender.publishAsync(topic, topic);
    await client.until('publish', 6);
    expect(client.of('publish').map(({ topic, properties }) => [topic, properties?.topicAlias])).toEqual([
      ['u/a', 1],
      ['', 1],
      ['u/b', 2],
      ['u/c', undefined],
      ['', 2],
      ['u/c', undefined],
    ]);
  });

  it('of the client are resolved, changed, and never forwarded', async () => {
    const test = await start();
    const client = await subscriber(test);
    const sender = await raw(test, { version: 5, clientId: 'sender' });
    const send = (topic: string, payload: string): void =>
      sender.send({
        cmd: 'publish',
        topic,
        payload,
        qos: 0,
        dup: false,
        retain: false,
        properties: { topicAlias: 4 },
      });
    send('u/a', '1');
    send('', '2');
    send('u/b', '3');
    send('', '4');
    await client.until('publish', 4);
    expect(client.of('publish').map(({ topic, properties }) => [topic, properties?.topicAlias])).toEqual([
      ['u/a', undefined],
      ['u/a', undefined],
      ['u/b', undefined],
      ['u/b', undefined],
    ]);
  });

  it.each([
    ['that stands for nothing', '', 5, 0x82],
    ['beyond the maximum', 'u/a', 60_000, 0x94],
  ])('%s end the connection', async (_what, topic, topicAlias, code) => {
    const test = await start();
    const sender = await raw(test, { version: 5, clientId: 'sender' });
    sender.send({
      cmd: 'publish',
      topic,
      payload: '',
      qos: 0,
      dup: false,
      retain: false,
      properties: { topicAlias },
    });
    await sender.untilClosed();
    expect(sender.of('disconnect').map(({ reasonCode }) => reasonCode)).toEqual([code]);
  });
});

describe('message expiry', () => {
  it('forwards the time that is left, and keeps an expired message from a client that was not ready for it [MQTT-3.3.2-5]', async () => {
    const test = await start();
    const client = await subscriber(test, { receiveMaximum: 1 });
    const sender = await test.connect({ protocolVersion: 5 });
    const expiring = (seconds: number): { qos: 1; properties: { messageExpiryInterval: number } } => ({
      qos: 1,
      properties: { messageExpiryInterval: seconds },
    });
    await sender.publishAsync('u/1', 'first', expiring(100));
    await sender.publishAsync('u/1', 'void', expiring(1));
    await sender.publishAsync('u/1', 'waits', expiring(100));
    await client.until('publish');
    expect(client.of('publish')[0]?.properties?.messageExpiryInterval).toBe(100);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    client.send({ cmd: 'puback', messageId: client.of('publish')[0]?.messageId ?? 0 });
    await client.until('publish', 2);
    expect(payloads(client)).toEqual(['first', 'waits']);
    const left = client.of('publish')[1]?.properties?.messageExpiryInterval ?? 0;
    expect(left).toBeLessThan(100);
    expect(left).toBeGreaterThan(80);
    expect(test.broker.counters.expired).toBe(1);
  });
});

describe('properties', () => {
  it('go with a message, unaltered: user properties in their order, names that repeat or look like numbers among them', async () => {
    const test = await start();
    const client = await subscriber(test);
    const pairs = ['b', '2', 'a', '1', '10', 'x', '__proto__', 'y', 'b', '3', '9', ''];
    const text = (value: string): number[] => [value.length >> 8, value.length & 0xff, ...Buffer.from(value)];
    const user = pairs.flatMap((each, index) => (index % 2 === 0 ? [0x26, ...text(each)] : text(each)));
    const rest = [0x01, 1, 0x03, ...text('text/plain'), 0x08, ...text('re/ply'), 0x09, 0, 3, 0, 255, 1];
    const properties = [...rest, ...user];
    const body = [...text('u/1'), properties.length, ...properties, 0x78];
    const sender = await raw(test, { version: 5, clientId: 'sender' });
    sender.write([0x30, body.length, ...body]);
    const received: Buffer[] = [];
    client.socket.on('data', (bytes) => received.push(bytes));
    await client.until('publish');
    expect(Buffer.concat(received).equals(Buffer.from([0x30, body.length, ...body]))).toBe(true);
  });

  it('are nothing to a client of MQTT 3.1.1', async () => {
    const test = await start();
    const client = await raw(test, { clientId: 'old' });
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'u/#', qos: 1 }] });
    await client.until('suback');
    const sender = await test.connect({ protocolVersion: 5 });
    await sender.publishAsync('u/1', 'a', { qos: 1, properties: { contentType: 'x', messageExpiryInterval: 9 } });
    await client.until('publish');
    expect(client.of('publish')[0]).toMatchObject({ topic: 'u/1', qos: 1 });
    expect(payloads(client)).toEqual(['a']);
  });
});
