import mqttPacket from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { answers, raw, rawOpen, start } from '../support/harness.ts';

const versions = [4, 5] as const;

describe.each(versions)('QoS 2, MQTT version %i', (version) => {
  it('takes a PUBLISH that is repeated before PUBREL once, into the buffer and to subscribers', async () => {
    const test = await start();
    const subscriber = await raw(test, { clientId: 'subscriber' });
    subscriber.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 0 }] });
    await subscriber.until('suback');
    const client = await raw(test, { version });
    for (const topic of ['r/1', 'unrouted']) {
      client.publish(topic, topic, 2, 5);
      client.publish(topic, topic, 2, 5, true);
      await client.until('pubrec');
      client.publish(topic, topic, 2, 5, true);
      await client.until('pubrec', 3);
      client.send({ cmd: 'pubrel', messageId: 5 });
      await client.until('pubcomp');
      client.received.length = 1;
    }
    client.publish('r/1', 'end', 2, 5);
    await eventually(() => subscriber.of('publish').length >= 3);
    expect(subscriber.of('publish').map(({ payload }) => String(payload))).toEqual(['r/1', 'unrouted', 'end']);
    expect(test.store.payloads()).toEqual(['r/1', 'end']);
  });

  it('knows a resent PUBLISH over a new connection, and completes it with the PUBREL of that one', async () => {
    const test = await start();
    const properties = version === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {};
    const client = await raw(test, { version, clean: false, ...properties });
    client.publish('r/1', 'a', 2, 5);
    await client.until('pubrec');
    client.destroy();
    const again = await raw(test, { version, clean: false, ...properties });
    again.publish('r/1', 'a', 2, 5, true);
    await again.until('pubrec');
    again.send({ cmd: 'pubrel', messageId: 5 });
    await again.until('pubcomp');
    expect(test.store.payloads()).toEqual(['a']);
    expect(test.store.qos2.size).toBe(0);
  });

  it('completes over a new connection what was acknowledged over the last', async () => {
    const test = await start();
    const properties = version === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {};
    const client = await raw(test, { version, clean: false, ...properties });
    client.publish('r/1', 'a', 2, 5);
    await client.until('pubrec');
    client.destroy();
    expect(test.store.qos2.size).toBe(1);
    const again = await raw(test, { version, clean: false, ...properties });
    again.send({ cmd: 'pubrel', messageId: 5 });
    await again.until('pubcomp');
    expect(again.of('pubcomp')[0]?.reasonCode ?? 0).toBe(0);
    expect(test.store.qos2.size).toBe(0);
  });

  it('takes a packet id anew after a clean start', async () => {
    const test = await start();
    const client = await raw(test, { version });
    client.publish('r/1', 'a', 2, 5);
    await client.until('pubrec');
    client.destroy();
    const again = await raw(test, { version });
    again.publish('r/1', 'b', 2, 5);
    await again.until('pubrec');
    expect(test.store.payloads()).toEqual(['a', 'b']);
  });

  it('forgets the packet ids of a session that ends with its connection', async () => {
    const test = await start();
    const client = await raw(test, { version });
    client.publish('r/1', 'a', 2, 5);
    await client.until('pubrec');
    expect(test.store.qos2.size).toBe(1);
    client.destroy();
    await eventually(() => test.store.qos2.size === 0);
  });

  it('sends no PUBCOMP while the packet id cannot be forgotten, and takes the repeated PUBREL', async () => {
    const test = await start({ appendTimeoutMs: 200 });
    const properties = version === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {};
    const client = await raw(test, { version, clean: false, ...properties });
    client.publish('r/1', 'a', 2, 5);
    await client.until('pubrec');
    test.store.mode = 'hang';
    client.send({ cmd: 'pubrel', messageId: 5 });
    await client.untilClosed();
    expect(client.of('pubcomp')).toEqual([]);
    test.store.mode = 'ok';
    const again = await raw(test, { version, clean: false, ...properties });
    again.send({ cmd: 'pubrel', messageId: 5 });
    await again.until('pubcomp');
  });

  it('answers PUBREL for a packet id that is not there, any number of times', async () => {
    const test = await start();
    const client = await raw(test, { version });
    for (let i = 1; i <= 3; i++) client.send({ cmd: 'pubrel', messageId: 77 });
    await client.until('pubcomp', 3);
    for (const packet of client.of('pubcomp')) expect(packet.reasonCode ?? 0).toBe(version === 5 ? 0x92 : 0);
    await client.ping();
    expect(test.faults).toEqual([]);
  });

  it('answers PUBREC for a packet id that is not there, and takes PUBACK and PUBCOMP for one', async () => {
    const test = await start();
    const client = await raw(test, { version, clean: false, properties: { sessionExpiryInterval: 60 } });
    client.send({ cmd: 'pubrec', messageId: 78 });
    await client.until('pubrel');
    client.send({ cmd: 'puback', messageId: 79 }, { cmd: 'pubcomp', messageId: 80 });
    await client.ping();
    expect(client.closed).toBe(false);
  });
});

describe.each(versions)('SUBSCRIBE with several filters, MQTT version %i', (version) => {
  it('is answered in its order, one code for each, also where filters look like numbers or repeat', async () => {
    const test = await start();
    const client = await raw(test, { version });
    client.send({
      cmd: 'subscribe',
      messageId: 3,
      subscriptions: [
        { topic: 'b', qos: 2 },
        { topic: '1', qos: 0 },
        { topic: 'b', qos: 1 },
        { topic: '__proto__', qos: 1 },
        { topic: 'constructor', qos: 2 },
      ],
    });
    await client.until('suback');
    expect(client.of('suback')[0]).toMatchObject({ messageId: 3, granted: [2, 0, 1, 1, 2] });
    for (const topic of ['b', '1', '__proto__', 'constructor']) client.publish(topic, topic, 0, 0);
    await client.until('publish', 4);
    expect(client.of('publish').map(({ topic }) => topic)).toEqual(['b', '1', '__proto__', 'constructor']);
  });

  it('is answered over more filters than one length byte counts', async () => {
    const test = await start();
    const client = await raw(test, { version });
    const subscriptions = Array.from({ length: 200 }, (_, index) => ({ topic: `f/${index}`, qos: 1 as const }));
    client.send({ cmd: 'subscribe', messageId: 3, subscriptions });
    await client.until('suback');
    expect(client.of('suback')[0]?.granted).toHaveLength(200);
  });

  it('closes a client that names an invalid filter among them', async () => {
    const test = await start();
    const client = await raw(test, { version });
    client.send({
      cmd: 'subscribe',
      messageId: 3,
      subscriptions: [
        { topic: 'a', qos: 0 },
        { topic: 'a/#/b', qos: 0 },
      ],
    });
    await client.untilClosed();
    expect(client.of('suback')).toEqual([]);
  });

  it('delivers what is retained under each', async () => {
    const test = await start();
    const publisher = await test.connect();
    await publisher.publishAsync('a', '1', { qos: 1, retain: true });
    await publisher.publishAsync('b', '2', { qos: 1, retain: true });
    const client = await raw(test, { version });
    client.send({
      cmd: 'subscribe',
      messageId: 3,
      subscriptions: [
        { topic: 'a', qos: 1 },
        { topic: 'b', qos: 1 },
      ],
    });
    await client.until('suback');
    await client.until('publish', 2);
    expect(client.of('publish').map(({ topic, retain }) => `${topic} ${retain}`)).toEqual(['a true', 'b true']);
  });
});

describe('packets before CONNACK', () => {
  it('are handled in their order once the client is connected', async () => {
    const test = await start();
    const client = await rawOpen(test);
    client.send(
      { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: 'hasty', clean: true, keepalive: 0 },
      {
        cmd: 'subscribe',
        messageId: 1,
        subscriptions: [
          { topic: 'r/a', qos: 0 },
          { topic: 'r/b', qos: 0 },
        ],
      },
      { cmd: 'publish', topic: 'r/a', payload: '1', qos: 2, messageId: 2, dup: false, retain: false },
      { cmd: 'pubrel', messageId: 2 },
      { cmd: 'pingreq' },
    );
    await client.until('pubcomp');
    await client.until('pingresp');
    await client.until('suback');
    expect(client.received[0]?.cmd).toBe('connack');
    expect(test.store.payloads()).toEqual(['1']);
    expect(test.store.qos2.size).toBe(0);
  });

  it('close a client that sends too many', async () => {
    const test = await start();
    const client = await rawOpen(test);
    const connect = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: 'flood', clean: true } as const;
    client.send(connect, ...Array.from({ length: 60 }, () => ({ cmd: 'pingreq' }) as const));
    await client.untilClosed();
    expect(test.failed.map(({ error }) => error.message)).toContain('too many packets before CONNACK');
  });
});

/** CONNECT of MQTT 5 with a client id and these bytes as its properties. */
function connectWith(properties: number[], willProperties?: number[]): number[] {
  const will = willProperties === undefined ? [] : [willProperties.length, ...willProperties, 0, 1, 0x77, 0, 1, 0x78];
  const body = [0, 4, 0x4d, 0x51, 0x54, 0x54, 5, willProperties === undefined ? 2 : 6, 0, 60];
  const rest = [properties.length, ...properties, 0, 1, 0x61, ...will];
  return [0x10, body.length + rest.length, ...body, ...rest];
}

describe('a property given twice', () => {
  const sessionExpiry = [0x11, 0, 0, 0, 10];
  it.each([
    ['in CONNECT', connectWith([...sessionExpiry, ...sessionExpiry])],
    ['in the will of a CONNECT', connectWith([], [0x18, 0, 0, 0, 5, 0x18, 0, 0, 0, 5])],
  ])('%s is a protocol error (0x82)', async (_where, bytes) => {
    const test = await start();
    const client = await rawOpen(test, 5);
    client.write(bytes);
    await client.untilClosed();
    expect(client.of('connack').map(({ reasonCode }) => reasonCode)).toEqual([0x82]);
    await raw(test, { clientId: 'canary' }).then((canary) => canary.ping());
  });

  it.each([
    ['DISCONNECT', [0xe0, 12, 0, 10, ...sessionExpiry, ...sessionExpiry]],
    ['PUBLISH', [0x30, 15, 0, 1, 0x61, 10, 0x02, 0, 0, 0, 9, 0x02, 0, 0, 0, 9, 0x78]],
    ['SUBSCRIBE', [0x82, 11, 0, 1, 4, 0x0b, 1, 0x0b, 2, 0, 1, 0x61, 0]],
  ])('in %s is a protocol error (0x82)', async (_where, bytes) => {
    const test = await start();
    const client = await raw(test, { version: 5, properties: { sessionExpiryInterval: 20 } });
    client.write(bytes);
    await client.untilClosed();
    expect(client.of('disconnect').map(({ reasonCode }) => reasonCode)).toEqual([0x82]);
    expect(answers(client)).toHaveLength(1);
    await raw(test, { clientId: 'canary' }).then((canary) => canary.ping());
  });
});

describe.each(versions)('what is no message, MQTT version %i,', (version) => {
  it.each([
    ['a will to a topic filter', { topic: 'a/#', qos: 1 }],
    ['a will to an empty topic', { topic: '', qos: 1 }],
  ] as const)('%s refuses the connection', async (_what, will) => {
    const test = await start();
    const client = await rawOpen(test, version);
    // mqtt-packet does not write an empty topic: it is put in afterwards.
    const connect = mqttPacket.generate(
      {
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: version,
        clientId: 'c',
        clean: true,
        will: { payload: Buffer.from('x'), retain: false, ...will, topic: will.topic === '' ? '#' : will.topic },
      },
      { protocolVersion: version },
    );
    if (will.topic === '') {
      const at = connect.lastIndexOf('#');
      client.write(
        Buffer.concat([
          Buffer.of(0x10, connect[1]! - 1),
          connect.subarray(2, at - 1),
          Buffer.of(0),
          connect.subarray(at + 1),
        ]),
      );
    } else {
      client.write(connect);
    }
    await client.untilClosed();
    expect(client.of('connack').map(({ reasonCode }) => reasonCode)).toEqual(version === 5 ? [0x81] : []);
    expect(test.store.log).toEqual([]);
  });

  it.each([
    ['U+0000 in a topic', 'r/\0', 1],
    ['packet identifier 0', 'r/a', 0],
  ])('%s closes the connection, and nothing of it is stored', async (_what, topic, id) => {
    const test = await start();
    const client = await raw(test, { version });
    const end = version === 5 ? [0, 0x78] : [0x78];
    client.write([0x32, 2 + topic.length + 2 + end.length, 0, topic.length], Buffer.from(topic), [0, id, ...end]);
    await client.untilClosed();
    expect(test.store.log).toEqual([]);
    expect(test.failed).toHaveLength(1);
  });
});
