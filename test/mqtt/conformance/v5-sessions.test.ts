/**
 * Connections, sessions and wills of MQTT 5: the behaviours of Eclipse Paho's interoperability suite (client_test5.py) about
 * them, and what belongs to them. The originals run with `npm run paho`.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Peer, type PeerOptions } from '../support/peer.ts';
import { WholeSluice } from '../support/whole-sluice.ts';

const LONG_S = 99_999;

/** What is to be seen is that time alone does it: looking earlier would renew it. */
const passed = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const stores = ['level'] as const;

describe.each(stores)('MQTT 5 with sessions on %s', (store) => {
  let sluice: WholeSluice;
  beforeAll(async () => {
    sluice = await WholeSluice.start(store);
  });
  afterAll(() => sluice.stop());

  const connect = (options: PeerOptions = {}): Promise<Peer> => Peer.connect(sluice.port, { version: 5, ...options });
  /** A session that outlives its connection. */
  const lasting = (options: PeerOptions = {}): Promise<Peer> =>
    connect({ clean: false, ...options, properties: { sessionExpiryInterval: LONG_S, ...options.properties } });

  describe.concurrent('a client', () => {
    it('gets what it publishes itself, at the QoS of the publish [MQTT-3.8.4-7]', async () => {
      const client = await connect({ clientId: 'basic' });
      expect(client.connack).toMatchObject({ reasonCode: 0, sessionPresent: false });
      expect(await client.subscribe('basic/a', { qos: 2 })).toEqual([2]);
      for (const qos of [0, 1, 2] as const) await client.publish('basic/a', `qos ${qos}`, { qos });
      await client.untilMessages(3);
      expect(client.messages.map(({ payload, qos }) => [payload, qos])).toEqual([
        ['qos 0', 0],
        ['qos 1', 1],
        ['qos 2', 2],
      ]);
      await client.disconnect();
    });

    it('that sends a second CONNECT is closed with 0x82 [MQTT-3.1.0-2] [MQTT-4.13.1-1]', async () => {
      const client = await connect({ clientId: 'twice' });
      client.raw.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId: 'twice', clean: true });
      await client.untilClosed();
      expect(client.raw.of('connack')).toHaveLength(1);
      expect(client.farewell).toBe(0x82);
    });

    it('that names another protocol is closed [MQTT-3.1.2-1]', async () => {
      const client = await Peer.open(sluice.port, { version: 5 });
      client.raw.write([0x10, 15, 0, 2], Buffer.from('hj'), [5, 2, 0, 0, 0, 0, 4], Buffer.from('name'));
      await client.untilClosed();
      expect(client.raw.of('connack').filter(({ reasonCode }) => reasonCode === 0)).toEqual([]);
    });

    it('without a client id gets one and is told it, with and without Clean Start [MQTT-3.1.3-6] [MQTT-3.2.2-16]', async () => {
      const ids = [];
      for (const clean of [true, false]) {
        const client = await Peer.open(sluice.port, { version: 5 });
        client.raw.write([0x10, 13, 0, 4], Buffer.from('MQTT'), [5, clean ? 2 : 0, 0, 0, 0, 0, 0]);
        await client.raw.until('connack');
        expect(client.connectCode).toBe(0);
        ids.push(client.connack.properties?.assignedClientIdentifier);
        await client.disconnect();
      }
      expect(ids.every((id) => typeof id === 'string' && id.length > 0)).toBe(true);
      expect(new Set(ids).size).toBe(2);
    });

    it('that stays silent for one and a half keep alives is closed, and its will published [MQTT-3.1.2-22] [MQTT-3.1.2-8]', async () => {
      const watcher = await connect({ clientId: 'keepalive-watcher' });
      await watcher.subscribe('keepalive/will', { qos: 2 });
      const connected = performance.now();
      const silent = await connect({
        clientId: 'keepalive-silent',
        keepalive: 1,
        will: { topic: 'keepalive/will', payload: 'keep alive expired', qos: 2, retain: false },
      });
      await silent.untilClosed();
      expect(performance.now() - connected).toBeGreaterThan(1_400);
      await watcher.untilMessages(1);
      expect(watcher.messages[0]).toMatchObject({ payload: 'keep alive expired', qos: 2 });
      await watcher.disconnect();
    });

    it('that stays silent is told so with 0x8d (§3.1.2.10)', async () => {
      const silent = await connect({ clientId: 'silent', keepalive: 1 });
      await silent.untilClosed();
      expect(silent.farewell).toBe(0x8d);
    });

    it('that takes a client id over ends the connection that had it, with 0x8e [MQTT-3.1.4-3]', async () => {
      const first = await lasting({ clientId: 'taken' });
      await first.subscribe('taken/a');
      const second = await lasting({ clientId: 'taken' });
      await first.untilClosed();
      expect(first.farewell).toBe(0x8e);
      expect(second.connack.sessionPresent).toBe(true);
      await second.publish('taken/a', 'here', { qos: 1 });
      await second.untilMessages(1);
      await second.disconnect();
    });
  });

  describe.concurrent('a will', () => {
    it('carries its user properties, content type and response topic [MQTT-3.1.2-8] [MQTT-3.3.2-17]', async () => {
      const watcher = await connect({ clientId: 'will-watcher' });
      await watcher.subscribe('will/a', { qos: 2 });
      const properties = {
        userProperties: { a: '2', c: '3' },
        contentType: 'text/plain',
        responseTopic: 'will/answers',
        correlationData: Buffer.from('334'),
        payloadFormatIndicator: true,
      };
      const mortal = await connect({
        clientId: 'will-mortal',
        will: { topic: 'will/a', payload: 'gone', qos: 1, retain: false, properties },
      });
      await mortal.terminate();
      await watcher.untilMessages(1);
      expect(watcher.messages[0]?.payload).toBe('gone');
      expect({ ...watcher.messages[0]?.properties, userProperties: undefined }).toMatchObject({
        ...properties,
        userProperties: undefined,
      });
      expect({ ...watcher.messages[0]?.properties.userProperties }).toEqual(properties.userProperties);
      await watcher.disconnect();
    });

    it('is sent on DISCONNECT 0x04 and not on DISCONNECT 0x00 [MQTT-3.14.4-3]', async () => {
      const watcher = await connect({ clientId: 'with-will-watcher' });
      await watcher.subscribe('with-will/#', { qos: 2 });
      const will = (name: string) => ({ topic: `with-will/${name}`, payload: name, qos: 1 as const, retain: false });
      await (await connect({ clientId: 'with-will-0', will: will('0x00') })).disconnect();
      await (await connect({ clientId: 'with-will-4', will: will('0x04') })).disconnect({ reasonCode: 4 });
      await watcher.untilMessages(1);
      await watcher.publish('with-will/end', 'end', { qos: 1 });
      await watcher.untilMessages(2);
      expect(watcher.payloads()).toEqual(['0x04', 'end']);
      await watcher.disconnect();
    });

    for (const [after, delay, expiry, leastMs, mostMs] of [
      ['its delay', 1, 60, 900, 4_000],
      ['the end of the session, if that is earlier', 60, 1, 900, 4_000],
      ['the connection, if the session ends with it', 60, 0, 0, 2_000],
    ] as const) {
      it(`is sent after ${after} [MQTT-3.1.2-8]`, async () => {
        const name = `delay-${delay}-${expiry}`;
        const watcher = await connect({ clientId: `${name}-watcher` });
        await watcher.subscribe(name, { qos: 2 });
        const mortal = await connect({
          clientId: name,
          properties: { sessionExpiryInterval: expiry },
          will: { topic: name, payload: 'gone', qos: 1, retain: false, properties: { willDelayInterval: delay } },
        });
        await mortal.terminate();
        const died = performance.now();
        await watcher.untilMessages(1);
        expect(performance.now() - died).toBeGreaterThan(leastMs);
        expect(performance.now() - died).toBeLessThan(mostMs);
        await watcher.disconnect();
      });
    }

    it('is not sent when the client is back before its delay is over [MQTT-3.1.3-9]', async () => {
      const watcher = await connect({ clientId: 'back-watcher' });
      await watcher.subscribe('back/#', { qos: 2 });
      const will = { topic: 'back/a', payload: 'gone', qos: 1 as const, retain: false };
      const mortal = await lasting({ clientId: 'back', will: { ...will, properties: { willDelayInterval: 1 } } });
      await mortal.terminate();
      const again = await lasting({ clientId: 'back' });
      // A later will with the same delay is sent by the time the first one would have been.
      const other = await lasting({
        clientId: 'back-other',
        will: { ...will, topic: 'back/end', properties: { willDelayInterval: 1 } },
      });
      await other.terminate();
      await watcher.untilMessages(1);
      expect(watcher.messages.map(({ topic }) => topic)).toEqual(['back/end']);
      await again.disconnect();
      await watcher.disconnect();
    });
  });

  describe.concurrent('a session', () => {
    it('keeps QoS 1 and 2 messages while its client is away [MQTT-3.1.2-5] [MQTT-3.2.2-3]', async () => {
      const away = await lasting({ clientId: 'offline' });
      await away.subscribe('offline/#', { qos: 2 });
      await away.disconnect();
      const publisher = await connect({ clientId: 'offline-publisher' });
      for (const qos of [0, 1, 2] as const) await publisher.publish(`offline/${qos}`, `qos ${qos}`, { qos });
      await publisher.disconnect();
      const back = await lasting({ clientId: 'offline' });
      expect(back.connack.sessionPresent).toBe(true);
      await back.untilMessages(2);
      // QoS 0 may be kept or not.
      expect(back.payloads().filter((payload) => payload !== 'qos 0')).toEqual(['qos 1', 'qos 2']);
      await back.disconnect();
    });

    it('is there again without any subscription, too [MQTT-3.2.2-3]', async () => {
      await (await lasting({ clientId: 'unsubscribed' })).disconnect();
      const again = await lasting({ clientId: 'unsubscribed' });
      expect(again.connack.sessionPresent).toBe(true);
      await again.disconnect();
    });

    it('sends again what was not acknowledged, with DUP and the same packet id [MQTT-4.4.0-1] [MQTT-3.3.1-1]', async () => {
      const deaf = await lasting({ clientId: 'redelivery', acknowledges: false });
      await deaf.subscribe('redelivery/#', { qos: 2 });
      await deaf.publish('redelivery/1', 'qos 1', { qos: 1 });
      await deaf.publish('redelivery/2', 'qos 2', { qos: 2 });
      await deaf.untilMessages(2);
      await deaf.disconnect();
      const hearing = await lasting({ clientId: 'redelivery' });
      await hearing.untilMessages(2);
      const seen = (peer: Peer) => peer.messages.map(({ payload, messageId }) => [payload, messageId]);
      expect(seen(hearing)).toEqual(seen(deaf));
      expect(hearing.messages.map(({ dup }) => dup)).toEqual([true, true]);
      await hearing.disconnect();
    });

    it('is resumed by a connection that asks for no session expiry interval, and ends with it [MQTT-3.1.2-5] [MQTT-3.1.2-23]', async () => {
      const away = await lasting({ clientId: 'resumed' });
      await away.subscribe('resumed/a', { qos: 2 });
      await away.disconnect();
      const publisher = await connect({ clientId: 'resumed-publisher' });
      await publisher.publish('resumed/a', 'queued', { qos: 1 });
      await publisher.disconnect();
      const back = await connect({ clientId: 'resumed', clean: false });
      expect(back.connack.sessionPresent).toBe(true);
      await back.untilMessages(1);
      await back.disconnect();
      const again = await connect({ clientId: 'resumed', clean: false });
      expect(again.connack.sessionPresent).toBe(false);
      await again.disconnect();
    });

    it('outlives more queued messages than a client may send before its CONNACK [MQTT-3.1.2-5]', async () => {
      const away = await lasting({ clientId: 'many' });
      await away.subscribe('many', { qos: 1 });
      await away.disconnect();
      const publisher = await connect({ clientId: 'many-publisher' });
      const payloads = Array.from({ length: 100 }, (_, index) => String(index));
      await Promise.all(payloads.map((payload) => publisher.publish('many', payload, { qos: 1 })));
      await publisher.disconnect();
      const back = await lasting({ clientId: 'many' });
      await back.untilMessages(payloads.length);
      expect(back.payloads()).toEqual(payloads);
      expect(back.closed).toBe(false);
      await back.disconnect();
    });

    it('ends with the connection if its expiry interval is 0 or absent [MQTT-3.1.2-23]', async () => {
      for (const properties of [{ sessionExpiryInterval: 0 }, {}]) {
        const first = await connect({ clientId: 'expiry-0', clean: true, properties });
        await first.subscribe('expiry-0/a');
        await first.disconnect();
        const again = await connect({ clientId: 'expiry-0', clean: false, properties });
        expect(again.connack.sessionPresent).toBe(false);
        await again.disconnect();
      }
    });

    it('lives as long as its expiry interval and no longer [MQTT-3.1.2-23]', async () => {
      const properties = { sessionExpiryInterval: 2 };
      const first = await connect({ clientId: 'expiry-2', properties });
      await first.subscribe('expiry-2/a');
      await first.disconnect();
      const second = await connect({ clientId: 'expiry-2', clean: false, properties });
      expect(second.connack.sessionPresent).toBe(true);
      await second.disconnect();
      await passed(3_000);
      const third = await connect({ clientId: 'expiry-2', clean: false, properties });
      expect(third.connack.sessionPresent).toBe(false);
      await third.disconnect();
    });

    it('takes a new expiry interval from DISCONNECT (§3.14.2.2.2)', async () => {
      const longer = await connect({ clientId: 'expiry-new', properties: { sessionExpiryInterval: 1 } });
      await longer.subscribe('expiry-new/a');
      await longer.disconnect({ sessionExpiryInterval: LONG_S });
      await passed(2_000);
      const ended = await connect({ clientId: 'expiry-new', clean: false, properties: { sessionExpiryInterval: 1 } });
      expect(ended.connack.sessionPresent).toBe(true);
      await ended.disconnect({ sessionExpiryInterval: 0 });
      const again = await connect({ clientId: 'expiry-new', clean: false });
      expect(again.connack.sessionPresent).toBe(false);
      await again.disconnect();
    });

    it('gives no message that expired while it waited, and the rest of the time of the others [MQTT-3.3.2-5] [MQTT-3.3.2-6]', async () => {
      const away = await lasting({ clientId: 'message-expiry' });
      await away.subscribe('message-expiry', { qos: 2 });
      await away.disconnect();
      const publisher = await connect({ clientId: 'message-expiry-publisher' });
      for (const [messageExpiryInterval, what] of [
        [1, 'expires'],
        [60, 'stays'],
      ] as const) {
        for (const qos of [1, 2] as const)
          await publisher.publish('message-expiry', `${what} ${qos}`, { qos, properties: { messageExpiryInterval } });
      }
      await passed(2_000);
      const back = await lasting({ clientId: 'message-expiry' });
      await back.untilMessages(2);
      await publisher.publish('message-expiry', 'end', { qos: 1 });
      await back.untilMessages(3);
      expect(back.payloads()).toEqual(['stays 1', 'stays 2', 'end']);
      const left = back.messages.map(({ properties }) => properties.messageExpiryInterval);
      expect(left[2]).toBeUndefined();
      for (const seconds of left.slice(0, 2)) {
        expect(seconds).toBeGreaterThan(50);
        expect(seconds).toBeLessThan(60);
      }
      await back.disconnect();
      await publisher.disconnect();
    });
  });
});
