import { describe, expect, it } from 'vitest';
import type { Packet } from 'mqtt-packet';
import { eventually } from '../support/eventually.ts';
import { answers, raw, start } from './support/harness.ts';

const versions = [4, 5] as const;

describe.each(versions)('publishing, MQTT version %i', (protocolVersion) => {
  it('acknowledges QoS 1 and 2 once they are committed, and hands every message to its subscribers', async () => {
    const test = await start();
    const client = await test.connect({ protocolVersion });
    const got: string[] = [];
    client.on('message', (topic, payload) => got.push(`${topic} ${payload.toString()}`));
    await client.subscribeAsync({ 'r/#': { qos: 2 }, x: { qos: 1 } });
    await client.publishAsync('r/1', 'a', { qos: 1 });
    await client.publishAsync('r/1', 'b', { qos: 2 });
    await client.publishAsync('x', 'c', { qos: 2 });
    await client.publishAsync('r/0', 'd', { qos: 0 });
    await eventually(() => got.length === 4);
    expect(got).toEqual(['r/1 a', 'r/1 b', 'x c', 'r/0 d']);
    expect(test.store.payloads()).toEqual(['a', 'b', 'd']);
    expect(test.store.qos2.size).toBe(0);
    expect(test.broker.counters).toMatchObject({ published: [1, 1, 2], acknowledged: 3, refusedConnections: 0 });
    const v5 = protocolVersion === 5 ? 1 : 0;
    expect(test.broker.clients()).toEqual({ total: 1, v31: 0, v311: 1 - v5, v5 });
    expect(test.faults).toEqual([]);
  });

  it('sends no PUBACK and no PUBREC before the commit', async () => {
    const test = await start();
    const client = await raw(test, { version: protocolVersion });
    test.store.mode = 'hang';
    client.publish('r/1', 'a', 1, 1);
    client.publish('r/1', 'b', 2, 2);
    await eventually(() => test.store.appends === 1);
    const other = await raw(test, { version: protocolVersion, clientId: 'other' });
    await other.ping();
    expect(answers(client)).toEqual([]);
    test.store.mode = 'ok';
    await client.until('pubrec');
    expect(answers(client)).toEqual(['puback 1', 'pubrec 2']);
  });

  it('acknowledges in the order of the publishes: routed or not, QoS 1 and 2, retained ones among them', async () => {
    const test = await start();
    const client = await raw(test, { version: protocolVersion });
    const expected: string[] = [];
    const packets: Packet[] = [];
    for (let id = 1; id <= 60; id++) {
      const qos = id % 3 === 0 ? 2 : 1;
      const topic = id % 2 === 0 ? 'x/unrouted' : 'r/routed';
      packets.push({
        cmd: 'publish',
        topic,
        payload: String(id),
        qos,
        messageId: id,
        dup: false,
        retain: id % 5 === 0,
      });
      expected.push(`${qos === 1 ? 'puback' : 'pubrec'} ${id}`);
    }
    client.send(...packets);
    await eventually(() => client.received.length === 61);
    expect(answers(client)).toEqual(expected);
  });

  it('closes a client whose message is not stored in time, acknowledges nothing of it, and takes the resend', async () => {
    const test = await start({ appendTimeoutMs: 200 });
    test.store.mode = 'hang';
    const client = await raw(test, { version: protocolVersion });
    client.publish('r/1', 'a', 1, 1);
    client.publish('x', 'unrouted', 1, 2);
    client.publish('r/1', 'b', 2, 3);
    await client.untilClosed();
    const disconnects = client.of('disconnect').map(({ reasonCode }) => reasonCode);
    expect(disconnects).toEqual(protocolVersion === 5 ? [0x89] : []);
    expect(client.received.length).toBe(1 + disconnects.length);
    expect(test.refused.map(({ clientId, error }) => `${clientId} ${error.code}`)).toEqual(['raw STORE_TIMEOUT']);
    test.store.mode = 'ok';
    const again = await raw(test, { version: protocolVersion, clean: false });
    again.publish('r/1', 'a', 1, 1, true);
    await again.until('puback');
    expect(test.store.log.at(-1)).toMatchObject({ dup: true, qos: 1 });
  });

  it('closes with "quota exceeded" when the buffer is full, and drops QoS 0 for Kafka alone', async () => {
    const test = await start({ appendTimeoutMs: 300 });
    const subscriber = await raw(test, { clientId: 'subscriber' });
    subscriber.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/#', qos: 0 }] });
    await subscriber.until('suback');
    test.store.mode = 'full';
    const sensor = await raw(test, { version: protocolVersion, clientId: 'sensor' });
    sensor.publish('r/0', 'lost for Kafka', 0, 0);
    const meter = await raw(test, { version: protocolVersion, clientId: 'meter' });
    meter.publish('r/1', 'kept by the device', 1, 1);
    await meter.untilClosed();
    expect(meter.of('puback')).toEqual([]);
    expect(meter.of('disconnect').map(({ reasonCode }) => reasonCode)).toEqual(protocolVersion === 5 ? [0x97] : []);
    await subscriber.until('publish');
    expect(subscriber.of('publish').map(({ payload }) => String(payload))).toEqual(['lost for Kafka']);
    test.store.mode = 'ok';
    sensor.publish('r/1', 'goes on', 1, 7);
    await sensor.until('puback');
    expect(test.store.payloads()).toEqual(['goes on']);
  });

  it('keeps the connection of a QoS 0 publisher through an outage, and takes its messages again after it', async () => {
    const test = await start({ appendTimeoutMs: 100 });
    const client = await raw(test, { version: protocolVersion });
    test.store.mode = 'hang';
    client.publish('r/0', 'lost', 0, 0);
    await eventually(() => test.broker.counters.refusedQos0 === 1);
    test.store.mode = 'ok';
    client.publish('r/0', 'b', 0, 0);
    await eventually(() => test.store.payloads().includes('b'));
    client.publish('r/1', 'c', 1, 1);
    await client.until('puback');
    expect(client.closed).toBe(false);
  });

  it('refuses topics under $SYS/: 0x87 in MQTT 5, a closed connection in MQTT 3.1.1, and never to a subscriber', async () => {
    const test = await start();
    const spy = await test.connect({ protocolVersion });
    const got: string[] = [];
    spy.on('message', (_topic, payload) => got.push(payload.toString()));
    await spy.subscribeAsync('$SYS/#');
    const client = await raw(test, { version: protocolVersion });
    client.publish('r/1', 'a', 1, 1);
    client.publish('$SYS/broker/fake', 'forged', 1, 2);
    if (protocolVersion === 5) {
      client.publish('r/1', 'b', 1, 3);
      await client.until('puback', 3);
      expect(client.of('puback').map(({ messageId, reasonCode }) => [messageId, reasonCode ?? 0])).toEqual([
        [1, 0],
        [2, 0x87],
        [3, 0],
      ]);
    } else {
      await client.untilClosed();
      expect(answers(client)).toEqual(['puback 1']);
    }
    expect(got).not.toContain('forged');
    expect(test.store.payloads('$SYS/broker/fake')).toEqual([]);
  });

  it('sends the acknowledgements of what came before the packet that ends the connection', async () => {
    const test = await start();
    const client = await raw(test, { version: protocolVersion });
    // PUBLISH, and a packet of type 0, which is reserved (MQTT 3.1.1 §2.2.1).
    client.write([0x32, 5 + (protocolVersion - 4), 0, 1, 0x75, 0, 1, ...(protocolVersion === 5 ? [0] : [])], [0, 0]);
    await client.untilClosed();
    expect(answers(client)[0]).toBe('puback 1');
  });

  it('does not hand DUP on to subscribers', async () => {
    const test = await start();
    const client = await raw(test, { version: protocolVersion });
    client.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: '#', qos: 1 }] });
    await client.until('suback');
    client.publish('r/1', 'again', 1, 1, true);
    await client.until('publish');
    expect(client.of('publish')[0]).toMatchObject({ dup: false });
    expect(test.store.log[0]).toMatchObject({ dup: true });
  });
});

describe('messages', () => {
  it('carry the properties of MQTT 5 into the buffer and to subscribers', async () => {
    const test = await start();
    const client = await raw(test, { version: 5 });
    client.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: '#', qos: 1 }] });
    await client.until('suback');
    const properties = {
      payloadFormatIndicator: true,
      messageExpiryInterval: 60,
      contentType: 'text/plain',
      responseTopic: 'answers/here',
      correlationData: Buffer.from([0, 1, 255]),
      userProperties: { a: ['1', '2'], b: '3' },
    };
    client.send({
      cmd: 'publish',
      topic: 'r/1',
      payload: 'p',
      qos: 1,
      messageId: 1,
      dup: false,
      retain: true,
      properties,
    });
    await client.until('puback');
    await client.until('publish');
    expect(test.store.log[0]).toMatchObject({
      clientId: 'raw',
      user: '',
      topic: 'r/1',
      qos: 1,
      retain: true,
      origin: 0,
      properties: {
        payloadFormatIndicator: true,
        messageExpiryInterval: 60,
        contentType: 'text/plain',
        responseTopic: 'answers/here',
        correlationData: Buffer.from([0, 1, 255]),
        userProperties: [
          ['a', '1'],
          ['a', '2'],
          ['b', '3'],
        ],
      },
    });
    expect(Math.abs(Date.now() - (test.store.log[0]?.receivedAt ?? 0))).toBeLessThan(5_000);
    expect(client.of('publish')[0]?.properties).toMatchObject({
      contentType: 'text/plain',
      responseTopic: 'answers/here',
    });
  });

  it('arrive under the topic that an alias stands for', async () => {
    const test = await start();
    const client = await raw(test, { version: 5 });
    const packet = { cmd: 'publish', payload: 'p', qos: 1, dup: false, retain: false } as const;
    client.send({ ...packet, topic: 'r/long/topic', messageId: 1, properties: { topicAlias: 1 } });
    client.send({ ...packet, topic: '', messageId: 2, properties: { topicAlias: 1 } });
    await client.until('puback', 2);
    expect(test.store.log.map(({ topic }) => topic)).toEqual(['r/long/topic', 'r/long/topic']);
    expect(test.store.log[0]?.properties).toBeUndefined();
  });

  it('of the server carry their properties to subscribers', async () => {
    const test = await start();
    const client = await raw(test, { version: 5 });
    client.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: 'out', qos: 1 }] });
    await client.until('suback');
    const userProperties = [
      ['a', '1'],
      ['a', '2'],
      ['__proto__', '3'],
    ] as const;
    await test.broker.publish({
      topic: 'out',
      payload: Buffer.from('x'),
      qos: 1,
      retain: false,
      properties: { contentType: 'text/plain', messageExpiryInterval: 60, userProperties },
    });
    await client.until('publish');
    const { properties } = client.of('publish')[0] ?? {};
    expect(properties).toMatchObject({ contentType: 'text/plain', messageExpiryInterval: 60 });
    expect(Object.entries(properties?.userProperties ?? {})).toEqual([
      ['a', ['1', '2']],
      ['__proto__', '3'],
    ]);
  });

  it('of the server reach subscribers, also under $SYS/', async () => {
    const test = await start();
    const client = await raw(test);
    client.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: '$SYS/own', qos: 1 }] });
    await client.until('suback');
    await test.broker.publish({ topic: '$SYS/own', payload: Buffer.from('x'), qos: 0, retain: false });
    await client.until('publish');
  });
});

describe('subscribers that do not read', () => {
  it('neither delay acknowledgements nor stay connected for longer than drainTimeout', async () => {
    const test = await start({ limits: { drainTimeoutMs: 700, subscriberBufferBytes: 300_000 } });
    const deaf = await raw(test, { clientId: 'deaf' });
    deaf.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/#', qos: 0 }] });
    await deaf.until('suback');
    deaf.socket.pause();
    const client = await test.connect({ clientId: 'publisher' });
    const payload = Buffer.alloc(50_000, 1);
    let slowestMs = 0;
    // Past the buffers of both kernels' sockets and our own, where a broker that waits for the subscriber stops.
    for (let i = 0; i < 300 || test.broker.counters.undelivered === 0; i++) {
      const before = performance.now();
      await client.publishAsync('r/1', payload, { qos: 1 });
      slowestMs = Math.max(slowestMs, performance.now() - before);
      if (i > 3_000) break;
    }
    expect(test.broker.counters.undelivered).toBeGreaterThan(0);
    expect(slowestMs).toBeLessThan(500);
    await eventually(() => test.broker.clients().total === 1, 5_000, 'the deaf subscriber stays');
    expect(client.connected).toBe(true);
  });

  it('find in their session what did not fit, once they read again', async () => {
    const test = await start({ limits: { drainTimeoutMs: 60_000, subscriberBufferBytes: 100_000 } });
    const deaf = await test.connect({ clientId: 'deaf', clean: false });
    const got: number[] = [];
    deaf.on('message', (_topic, bytes) => got.push(bytes.readUInt32BE(0)));
    await deaf.subscribeAsync('r/#', { qos: 1 });
    deaf.stream.pause();
    const client = await test.connect({ clientId: 'publisher' });
    const count = 300;
    for (let i = 0; i < count; i++) {
      const payload = Buffer.alloc(50_000, 1);
      payload.writeUInt32BE(i);
      await client.publishAsync('r/1', payload, { qos: 1 });
    }
    expect(got.length).toBeLessThan(count);
    deaf.stream.resume();
    await eventually(
      () => got.length >= count,
      20_000,
      () => `${got.length} messages`,
    );
    expect(got).toEqual(Array.from({ length: count }, (_, index) => index));
    expect(test.broker.counters.undelivered).toBe(0);
  });

  it('are disconnected for a message of QoS 1 that does not fit, where no session keeps it', async () => {
    const test = await start({ limits: { drainTimeoutMs: 60_000, subscriberBufferBytes: 100_000 } });
    const deaf = await raw(test, { clientId: 'deaf' });
    deaf.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/#', qos: 1 }] });
    await deaf.until('suback');
    deaf.socket.pause();
    const client = await test.connect({ clientId: 'publisher' });
    const payload = Buffer.alloc(50_000, 1);
    let sent = 0;
    while (test.broker.counters.undelivered === 0 && sent < 3_000) {
      await client.publishAsync('r/1', payload, { qos: 1 });
      sent++;
    }
    await eventually(() => test.broker.clients().total === 1);
  });
});

describe('stopping', () => {
  it('finishes what is admitted, tells clients of MQTT 5 (0x8B), and ends every connection', async () => {
    const test = await start();
    const v5 = await raw(test, { version: 5, clientId: 'five' });
    const v3 = await raw(test, { version: 4, clientId: 'three' });
    test.store.mode = 'hang';
    v5.publish('r/1', 'a', 1, 1);
    await eventually(() => test.store.appends === 1);
    test.broker.stopReading();
    v5.publish('r/1', 'too late', 1, 2);
    test.store.mode = 'ok';
    await v5.until('puback');
    await test.broker.close();
    await v5.untilClosed();
    await v3.untilClosed();
    expect(v5.of('disconnect').map(({ reasonCode }) => reasonCode)).toEqual([0x8b]);
    expect(v5.of('puback')).toHaveLength(1);
    expect(test.store.payloads()).toEqual(['a']);
  });
});
