/**
 * What client and server of MQTT 5 tell each other not to exceed: the behaviours of Eclipse Paho's interoperability suite
 * (client_test5.py) about it, and what belongs to them. The originals run with `npm run paho`.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Peer, type PeerOptions } from '../support/peer.ts';
import { WholeSluice } from '../support/whole-sluice.ts';

let sluice: WholeSluice;
beforeAll(async () => {
  sluice = await WholeSluice.start('level', { limits: { maxPacketSize: '32KB' } });
});
afterAll(() => sluice.stop());

const connect = (options: PeerOptions = {}): Promise<Peer> => Peer.connect(sluice.port, { version: 5, ...options });

/** PUBLISH of QoS 0 with a topic alias and nothing else among its properties. */
function withAlias(topic: string, alias: number, payload: string): Buffer {
  const body = [0, topic.length, ...Buffer.from(topic), 3, 0x23, alias >> 8, alias & 0xff, ...Buffer.from(payload)];
  return Buffer.from([0x30, body.length, ...body]);
}

describe.concurrent('a topic alias of the client', () => {
  it('0 is closed with 0x94 [MQTT-3.3.2-8]', async () => {
    const client = await connect({ clientId: 'alias-0' });
    client.raw.write(withAlias('alias/0', 0, 'x'));
    await client.untilClosed();
    expect(client.farewell).toBe(0x94);
  });

  it('above the maximum of the server is closed with 0x94 [MQTT-3.3.2-9]', async () => {
    const client = await connect({ clientId: 'alias-above' });
    const { topicAliasMaximum = 0 } = client.connack.properties ?? {};
    client.raw.write(withAlias('alias/above', topicAliasMaximum + 1, 'x'));
    await client.untilClosed();
    expect(client.farewell).toBe(0x94);
  });

  it('stands for its topic, and can be given another one, until the connection ends [MQTT-3.3.2-7]', async () => {
    const client = await connect({ clientId: 'alias', properties: { sessionExpiryInterval: 60 } });
    expect(client.connack.properties?.topicAliasMaximum).toBeGreaterThan(0);
    await client.subscribe('alias/+', { qos: 0 });
    client.raw.write(withAlias('alias/a', 1, '1'), withAlias('', 1, '2'));
    client.raw.write(withAlias('alias/b', 1, '3'), withAlias('', 1, '4'));
    await client.untilMessages(4);
    expect(client.messages.map(({ topic, payload }) => `${topic} ${payload}`)).toEqual([
      'alias/a 1',
      'alias/a 2',
      'alias/b 3',
      'alias/b 4',
    ]);
    await client.disconnect();

    const again = await connect({ clientId: 'alias', clean: false });
    again.raw.write(withAlias('', 1, '5'));
    await again.untilClosed();
    // A protocol error (§3.3.2.3.4); Topic Alias invalid says it more exactly.
    expect([0x82, 0x94]).toContain(again.farewell);
    expect(again.messages).toEqual([]);
  });
});

describe.concurrent('a topic alias of the server', () => {
  it('is used for a client that allows it [MQTT-3.1.2-26]', async () => {
    const client = await connect({ clientId: 'server-alias', properties: { topicAliasMaximum: 1 } });
    await client.subscribe('server-alias', { qos: 2 });
    for (const qos of [0, 1, 2] as const) await client.publish('server-alias', 'x', { qos });
    await client.untilMessages(3);
    expect(client.messages.map(({ topic, properties }) => [topic, properties.topicAlias])).toEqual([
      ['server-alias', 1],
      ['', 1],
      ['', 1],
    ]);
    await client.disconnect();
  });

  it('is never above what the client allows, and not used where it allows none [MQTT-3.1.2-26] [MQTT-3.1.2-27]', async () => {
    for (const maximum of [undefined, 0, 2]) {
      const properties = maximum === undefined ? {} : { topicAliasMaximum: maximum };
      const client = await connect({ clientId: `no-server-alias-${maximum}`, properties });
      await client.subscribe(`no-server-alias/${maximum}/+`, { qos: 1 });
      for (const name of ['a', 'b', 'c', 'a', 'b', 'c'])
        await client.publish(`no-server-alias/${maximum}/${name}`, name, { qos: 1 });
      await client.untilMessages(6);
      for (const { properties: seen } of client.messages)
        expect(seen.topicAlias ?? 0).toBeLessThanOrEqual(maximum ?? 0);
      await client.disconnect();
    }
  });
});

describe.concurrent('a packet', () => {
  it('larger than the server takes is answered with DISCONNECT 0x95 [MQTT-3.2.2-15]', async () => {
    const client = await connect({ clientId: 'too-large' });
    expect(client.connack.properties?.maximumPacketSize).toBe(32 * 1024);
    client.send('too-large', 'x'.repeat(33 * 1024));
    await client.untilClosed();
    expect(client.farewell).toBe(0x95);
  });

  it('larger than the client takes is not sent, and holds nothing up [MQTT-3.1.2-24] [MQTT-3.1.2-25]', async () => {
    const client = await connect({ clientId: 'small', properties: { maximumPacketSize: 64 } });
    await client.subscribe('small', { qos: 2 });
    await client.publish('small', 'x'.repeat(32), { qos: 0 });
    for (const qos of [0, 1, 2] as const) await client.publish('small', 'x'.repeat(64), { qos });
    await client.publish('small', 'end', { qos: 1 });
    await client.untilMessages(2);
    expect(client.payloads()).toEqual(['x'.repeat(32), 'end']);
    await client.disconnect();
  });
});

describe.concurrent('the receive maximum', () => {
  it('of the client bounds what is sent and not acknowledged [MQTT-3.3.4-9]', async () => {
    const client = await connect({ clientId: 'flow', acknowledges: false, properties: { receiveMaximum: 2 } });
    await client.subscribe('flow', { qos: 1 });
    const publisher = await connect({ clientId: 'flow-publisher' });
    for (const payload of ['1', '2', '3', '4']) await publisher.publish('flow', payload, { qos: 1 });
    await client.untilMessages(2);
    // QoS 0 is not counted [MQTT-3.3.4-7]: what comes now tells that nothing else does.
    await client.subscribe('flow-end', { qos: 0 });
    await client.publish('flow-end', 'end');
    await client.untilMessages(3);
    expect(client.payloads()).toEqual(['1', '2', 'end']);
    client.raw.send({ cmd: 'puback', messageId: client.messages[0]?.messageId ?? 0 });
    await client.untilMessages(4);
    expect(client.payloads()).toEqual(['1', '2', 'end', '3']);
    client.raw.send({ cmd: 'puback', messageId: client.messages[1]?.messageId ?? 0 });
    await client.untilMessages(5);
    expect(client.payloads('flow')).toEqual(['1', '2', 'end', '3', '4']);
    await client.disconnect();
    await publisher.disconnect();
  });

  it('of the server is exceeded with DISCONNECT 0x93 [MQTT-3.3.4-7]', async () => {
    const client = await connect({ clientId: 'flood' });
    const { receiveMaximum = 65_535 } = client.connack.properties ?? {};
    expect(receiveMaximum).toBeLessThan(10_000);
    // Never a PUBREL: none of them is finished.
    client.raw.onPacket = undefined;
    for (let messageId = 1; messageId <= receiveMaximum + 1; messageId++)
      client.send('flood', 'x', { qos: 2, messageId });
    await client.untilClosed();
    expect(client.farewell).toBe(0x93);
  });
});

describe('the server', () => {
  it('names the keep alive it wants where a client asks for more [MQTT-3.2.2-21]', async () => {
    const other = await WholeSluice.start('memory', { limits: { maxKeepAlive: '60s' } });
    try {
      const client = await Peer.connect(other.port, { version: 5, clientId: 'long', keepalive: 120 });
      expect(client.connack.properties?.serverKeepAlive).toBe(60);
      await client.disconnect();
      const shorter = await Peer.connect(other.port, { version: 5, clientId: 'short', keepalive: 30 });
      expect(shorter.connack.properties?.serverKeepAlive).toBeUndefined();
      await shorter.disconnect();
    } finally {
      await other.stop();
    }
  });

  it('tells a client which subscriptions it may not have, 0x87 or 0x80 [MQTT-3.8.4-7]', async () => {
    const acl = [{ user: '*', publish: ['#'], subscribe: ['allowed/#'] }];
    const other = await WholeSluice.start('memory', { acl, auth: { allowAnonymous: true } });
    try {
      for (const [version, refused] of [
        [4, 0x80],
        [5, 0x87],
      ] as const) {
        const client = await Peer.connect(other.port, { version, clientId: `curious-${version}` });
        const codes = await client.subscribe([
          { topic: 'allowed/a', qos: 1 },
          { topic: 'test/nosubscribe', qos: 2 },
        ]);
        expect(codes).toEqual([1, refused]);
        await client.disconnect();
      }
    } finally {
      await other.stop();
    }
  });
});
