/**
 * Messages and subscriptions of MQTT 5: the behaviours of Eclipse Paho's interoperability suite (client_test5.py) about them,
 * and what belongs to them. The originals run with `npm run paho`.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { Peer, type PeerOptions } from '../support/peer.ts';
import { WholeSluice } from '../support/whole-sluice.ts';

const stores = ['level'] as const;

describe.each(stores)('MQTT 5 with retained messages on %s', (store) => {
  let sluice: WholeSluice;
  beforeAll(async () => {
    sluice = await WholeSluice.start(store);
  });
  afterAll(() => sluice.stop());

  const connect = (options: PeerOptions = {}): Promise<Peer> => Peer.connect(sluice.port, { version: 5, ...options });

  /** Resolves when everything that was published before has come. */
  const caughtUp = async (client: Peer): Promise<void> => {
    const topic = `caught-up/${client.nextId()}/${Math.random()}`;
    await client.subscribe(topic);
    await client.publish(topic, 'end', { qos: 1 });
    await eventually(() => client.payloads(topic).length === 1);
  };

  describe.concurrent('a message', () => {
    const everyQos = async (name: string, properties: object): Promise<Peer> => {
      const client = await connect({ clientId: name });
      await client.subscribe(name, { qos: 2 });
      for (const qos of [0, 1, 2] as const) await client.publish(name, `qos ${qos}`, { qos, properties });
      await client.untilMessages(3);
      expect(client.messages.map(({ qos }) => qos)).toEqual([0, 1, 2]);
      return client;
    };

    it('keeps its user properties at every QoS [MQTT-3.3.2-17]', async () => {
      const client = await everyQos('user-properties', { userProperties: { a: '2', c: ['3', '4'] } });
      for (const { properties } of client.messages)
        expect({ ...properties.userProperties }).toEqual({ a: '2', c: ['3', '4'] });
      await client.disconnect();
    });

    it('keeps the order of its user properties, whatever their names [MQTT-3.3.2-18]', async () => {
      const client = await connect({ clientId: 'property-order' });
      await client.subscribe('po', { qos: 0 });
      const chunks: Buffer[] = [];
      client.raw.socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      const pair = (name: string, value: string): Buffer =>
        Buffer.concat([Buffer.from([0x26, 0, 1]), Buffer.from(name), Buffer.from([0, 1]), Buffer.from(value)]);
      const properties = Buffer.concat([pair('a', '1'), pair('b', '2'), pair('a', '3')]);
      const body = Buffer.concat([
        Buffer.from([0, 2]),
        Buffer.from('po'),
        Buffer.from([properties.length]),
        properties,
      ]);
      client.raw.write([0x30, body.length], body);
      await client.untilMessages(1);
      expect(Buffer.concat(chunks).includes(properties)).toBe(true);
      await client.disconnect();
    });

    it('keeps content type and payload format indicator at every QoS [MQTT-3.3.2-4] [MQTT-3.3.2-20]', async () => {
      const client = await everyQos('format', { payloadFormatIndicator: true, contentType: 'My name' });
      for (const { properties } of client.messages)
        expect(properties).toMatchObject({ payloadFormatIndicator: true, contentType: 'My name' });
      await client.disconnect();
    });

    it('carries response topic and correlation data to the responder, and the answer back [MQTT-3.3.2-15] [MQTT-3.3.2-16]', async () => {
      const requester = await connect({ clientId: 'requester' });
      const responder = await connect({ clientId: 'responder' });
      await requester.subscribe('request-response/answers', { qos: 1 });
      await responder.subscribe('request-response/questions', { qos: 1 });
      await requester.publish('request-response/questions', 'request', {
        qos: 1,
        properties: { responseTopic: 'request-response/answers', correlationData: Buffer.from('334') },
      });
      await responder.untilMessages(1);
      const { responseTopic = '', correlationData } = responder.messages[0]?.properties ?? {};
      expect([responseTopic, correlationData?.toString()]).toEqual(['request-response/answers', '334']);
      await responder.publish(responseTopic, 'response', {
        qos: 1,
        properties: { ...(correlationData === undefined ? {} : { correlationData }) },
      });
      await requester.untilMessages(1);
      expect(requester.messages[0]?.properties.correlationData?.toString()).toBe('334');
      await requester.disconnect();
      await responder.disconnect();
    });
  });

  describe.concurrent('a retained message', () => {
    it('keeps its QoS and its user properties [MQTT-3.3.1-5]', async () => {
      const client = await connect({ clientId: 'retained' });
      const properties = { userProperties: { a: '2', c: '3' } };
      for (const qos of [0, 1, 2] as const)
        await client.publish(`retained/${qos}`, `qos ${qos}`, { qos, retain: true, properties });
      await client.subscribe('retained/#', { qos: 2 });
      await client.untilMessages(3);
      expect(client.messages.map(({ topic, qos, retain }) => `${topic} ${qos} ${retain}`).sort()).toEqual([
        'retained/0 0 true',
        'retained/1 1 true',
        'retained/2 2 true',
      ]);
      for (const message of client.messages)
        expect({ ...message.properties.userProperties }).toEqual(properties.userProperties);
      await client.disconnect();
    });

    it('is gone once its time is over [MQTT-3.3.2-5]', async () => {
      const client = await connect({ clientId: 'retained-expiry' });
      const retained = (name: string, messageExpiryInterval: number): Promise<number> =>
        client.publish(`retained-expiry/${name}`, name, {
          qos: 1,
          retain: true,
          properties: { messageExpiryInterval },
        });
      await retained('short', 1);
      await retained('long', 60);
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      await client.subscribe('retained-expiry/#', { qos: 1 });
      await client.untilMessages(1);
      await caughtUp(client);
      expect(client.payloads('retained-expiry')).toEqual(['long']);
      expect(client.messages[0]?.properties.messageExpiryInterval).toBeLessThan(60);
      await client.disconnect();
    });

    /** What a subscription repeated brings, by retain handling. */
    for (const [rh, first, second, what] of [
      [0, 1, 1, 'comes with every SUBSCRIBE if Retain Handling is 0 [MQTT-3.3.1-9]'],
      [1, 1, 0, 'comes with the first SUBSCRIBE alone if Retain Handling is 1 [MQTT-3.3.1-10]'],
      [2, 0, 0, 'does not come if Retain Handling is 2 [MQTT-3.3.1-11]'],
    ] as const) {
      it(what, async () => {
        const topic = `retain-handling/${rh}`;
        const client = await connect({ clientId: `retain-handling-${rh}` });
        await client.publish(topic, 'retained', { qos: 1, retain: true });
        for (const expected of [first, first + second]) {
          await client.subscribe([{ topic, qos: 2, rh }]);
          await eventually(() => client.payloads(topic).length >= expected);
          await caughtUp(client);
          expect(client.payloads(topic)).toHaveLength(expected);
        }
        await client.disconnect();
      });
    }
  });

  describe.concurrent('a subscription', () => {
    it('with No Local gets what others publish, not what its client does [MQTT-3.8.3-3]', async () => {
      const first = await connect({ clientId: 'no-local-1' });
      const second = await connect({ clientId: 'no-local-2' });
      for (const client of [first, second]) await client.subscribe([{ topic: 'no-local', qos: 2, nl: true }]);
      await first.publish('no-local', 'x', { qos: 1 });
      await second.untilMessages(1);
      await caughtUp(first);
      expect([first.payloads('no-local'), second.payloads('no-local')]).toEqual([[], ['x']]);
      await first.disconnect();
      await second.disconnect();
    });

    it('with Retain As Published sees the flag as it was, without it never [MQTT-3.3.1-12] [MQTT-3.3.1-13]', async () => {
      const client = await connect({ clientId: 'rap' });
      await client.subscribe([{ topic: 'rap/kept/+', qos: 2, rap: true }]);
      await client.subscribe([{ topic: 'rap/cleared/+', qos: 2, rap: false }]);
      for (const kind of ['kept', 'cleared']) {
        for (const retain of [false, true]) await client.publish(`rap/${kind}/${retain}`, 'x', { qos: 1, retain });
      }
      await client.untilMessages(4);
      expect(client.messages.map(({ topic, retain }) => [topic, retain])).toEqual([
        ['rap/kept/false', false],
        ['rap/kept/true', true],
        ['rap/cleared/false', false],
        ['rap/cleared/true', false],
      ]);
      await client.disconnect();
    });

    it('tells its identifier with each message, every one of several that match [MQTT-3.3.4-3] [MQTT-3.3.4-4]', async () => {
      const one = await connect({ clientId: 'identifiers-1' });
      const two = await connect({ clientId: 'identifiers-2' });
      await one.subscribe('identifiers', { identifier: 456_789 });
      await two.subscribe('identifiers', { identifier: 2 });
      await two.subscribe('identifiers/#', { identifier: 3 });
      await two.publish('identifiers', 'x', { qos: 1 });
      await one.untilMessages(1);
      await two.untilMessages(1);
      await caughtUp(two);
      const identifiers = (client: Peer): number[] =>
        client.messages
          .filter(({ topic }) => topic === 'identifiers')
          .flatMap(({ properties }) => properties.subscriptionIdentifier ?? [])
          .sort();
      expect(identifiers(one)).toEqual([456_789]);
      expect(identifiers(two)).toEqual([2, 3]);
      await one.disconnect();
      await two.disconnect();
    });

    it('that overlaps another one gives one message at the highest QoS, or one each [MQTT-3.3.4-2]', async () => {
      const client = await connect({ clientId: 'overlapping' });
      const granted = await client.subscribe([
        { topic: 'overlapping/#', qos: 2 },
        { topic: 'overlapping/+', qos: 1 },
      ]);
      expect(granted).toEqual([2, 1]);
      await client.publish('overlapping/a', 'overlapping', { qos: 2 });
      await client.untilMessages(1);
      await caughtUp(client);
      const qos = client.messages.filter(({ payload }) => payload === 'overlapping').map((one) => one.qos);
      expect([[2], [1, 2], [2, 1]]).toContainEqual(qos);
      await client.disconnect();
    });

    it('that ends gets nothing more, and UNSUBACK says which there were [MQTT-3.10.4-1] [MQTT-3.10.4-6]', async () => {
      const client = await connect({ clientId: 'unsubscribe' });
      for (const name of ['a', 'b', 'c']) await client.subscribe(`unsubscribe/${name}`);
      expect(await client.unsubscribe('unsubscribe/a', 'unsubscribe/never')).toEqual([0, 0x11]);
      for (const name of ['a', 'b', 'c']) await client.publish(`unsubscribe/${name}`, name, { qos: 1 });
      await client.untilMessages(2);
      expect(client.payloads()).toEqual(['b', 'c']);
      await client.disconnect();
    });

    it('that begins with a wildcard does not match topics that begin with $ [MQTT-4.7.2-1]', async () => {
      const client = await connect({ clientId: 'dollar' });
      await client.subscribe([
        { topic: '#', qos: 2 },
        { topic: '+/dollar/a', qos: 2 },
      ]);
      await client.publish('$other/dollar/a', 'hidden', { qos: 1 });
      await caughtUp(client);
      expect(client.payloads('$')).toEqual([]);
      await client.disconnect();
    });
  });

  describe.concurrent('a shared subscription', () => {
    it('gives each message to one of its members, ordinary ones to all [MQTT-4.8.2-1] [MQTT-4.8.2-4]', async () => {
      const members = await Promise.all([1, 2].map((which) => connect({ clientId: `shared-${which}` })));
      const codes = [];
      for (const member of members) {
        codes.push(
          ...(await member.subscribe([
            { topic: '$share/group/shared/x', qos: 2 },
            { topic: 'shared/all', qos: 2 },
          ])),
        );
      }
      expect(codes).toEqual([2, 2, 2, 2]);
      const publisher = await connect({ clientId: 'shared-publisher' });
      for (let index = 0; index < 20; index++) await publisher.publish('shared/x', String(index), { qos: 1 });
      await publisher.publish('shared/all', 'end', { qos: 1 });
      await Promise.all(members.map((member) => eventually(() => member.payloads('shared/all').length === 1)));
      await eventually(() => members.flatMap((member) => member.payloads('shared/x')).length >= 20);
      const got = members.map((member) => member.payloads('shared/x'));
      expect(got.flat().sort()).toEqual(Array.from({ length: 20 }, (_, index) => String(index)).sort());
      // Balanced: nobody starves.
      for (const payloads of got) expect(payloads.length).toBeGreaterThan(0);
      for (const client of [...members, publisher]) await client.disconnect();
    });
  });
});
