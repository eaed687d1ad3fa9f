/**
 * MQTT 3.1.1 as a client sees it: the behaviours of Eclipse Paho's interoperability suite (client_test.py), and what
 * belongs to them. The originals run with `npm run paho`.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Peer, type PeerOptions } from '../support/peer.ts';
import { WholeSluice } from '../support/whole-sluice.ts';

const stores = ['level'] as const;

describe.each(stores)('MQTT 3.1.1 with sessions on %s', (store) => {
  let sluice: WholeSluice;
  beforeAll(async () => {
    sluice = await WholeSluice.start(store);
  });
  afterAll(() => sluice.stop());

  const connect = (options: PeerOptions = {}): Promise<Peer> => Peer.connect(sluice.port, options);

  describe.concurrent('a client', () => {
    it('gets what it publishes itself, at the QoS of the publish [MQTT-3.8.4-6]', async () => {
      const client = await connect({ clientId: 'basic' });
      expect(client.connack).toMatchObject({ returnCode: 0, sessionPresent: false });
      expect(await client.subscribe('basic/a', { qos: 2 })).toEqual([2]);
      await client.publish('basic/a', 'qos 0');
      await client.publish('basic/a', 'qos 1', { qos: 1 });
      await client.publish('basic/a', 'qos 2', { qos: 2 });
      await client.untilMessages(3);
      expect(client.messages.map(({ payload, qos, retain }) => [payload, qos, retain])).toEqual([
        ['qos 0', 0, false],
        ['qos 1', 1, false],
        ['qos 2', 2, false],
      ]);
      await client.disconnect();
    });

    it('that sends a second CONNECT is closed [MQTT-3.1.0-2]', async () => {
      const client = await connect({ clientId: 'twice' });
      client.raw.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: 'twice', clean: true });
      await client.untilClosed();
      expect(client.raw.of('connack')).toHaveLength(1);
    });

    it('that names another protocol is closed [MQTT-3.1.2-1]', async () => {
      const client = await Peer.open(sluice.port);
      client.raw.write([0x10, 14, 0, 2], Buffer.from('hj'), [4, 2, 0, 0, 0, 4], Buffer.from('name'));
      await client.untilClosed();
      expect(client.raw.of('connack').filter(({ returnCode }) => returnCode === 0)).toEqual([]);
    });

    it('without a client id must ask for a clean session: 0x02 else [MQTT-3.1.3-7] [MQTT-3.1.3-8]', async () => {
      const refused = await Peer.open(sluice.port);
      refused.raw.write([0x10, 12, 0, 4], Buffer.from('MQTT'), [4, 0, 0, 0, 0, 0]);
      await refused.raw.until('connack');
      expect(refused.connectCode).toBe(2);
      await refused.untilClosed();
      const accepted = await connect({ clientId: '', clean: true });
      expect(accepted.connectCode).toBe(0);
      await accepted.disconnect();
    });

    it('that stays silent for one and a half keep alives is closed, and its will published [MQTT-3.1.2-24] [MQTT-3.1.2-8]', async () => {
      const watcher = await connect({ clientId: 'keepalive-watcher' });
      await watcher.subscribe('keepalive/will', { qos: 2 });
      const connected = performance.now();
      const silent = await connect({
        clientId: 'keepalive-silent',
        keepalive: 1,
        will: { topic: 'keepalive/will', payload: 'keep alive expired', qos: 1, retain: false },
      });
      await silent.untilClosed();
      expect(performance.now() - connected).toBeGreaterThan(1_400);
      await watcher.untilMessages(1);
      expect(watcher.messages[0]).toMatchObject({ payload: 'keep alive expired', qos: 1, retain: false });
      await watcher.disconnect();
    });

    it('that dies without DISCONNECT has its will published; one that says DISCONNECT has not [MQTT-3.1.2-8] [MQTT-3.1.2-10]', async () => {
      const watcher = await connect({ clientId: 'will-watcher' });
      await watcher.subscribe('will/#', { qos: 2 });
      const will = (name: string) => ({ topic: `will/${name}`, payload: name, qos: 2 as const, retain: false });
      const polite = await connect({ clientId: 'will-polite', will: will('polite') });
      await polite.disconnect();
      const mortal = await connect({ clientId: 'will-mortal', will: will('mortal') });
      await mortal.terminate();
      await watcher.untilMessages(1);
      await watcher.publish('will/end', 'end', { qos: 2 });
      await watcher.untilMessages(2);
      expect(watcher.payloads()).toEqual(['mortal', 'end']);
      await watcher.disconnect();
    });
  });

  describe.concurrent('retained messages', () => {
    it('come to a new subscription, flagged, until an empty one removes them [MQTT-3.3.1-6] [MQTT-3.3.1-8] [MQTT-3.3.1-10]', async () => {
      const client = await connect({ clientId: 'retained' });
      for (const qos of [0, 1, 2] as const)
        await client.publish(`retained/${qos}`, `qos ${qos}`, { qos, retain: true });
      await client.subscribe('retained/#', { qos: 2 });
      await client.untilMessages(3);
      expect(client.messages.map(({ topic, qos, retain }) => `${topic} ${qos} ${retain}`).sort()).toEqual([
        'retained/0 0 true',
        'retained/1 1 true',
        'retained/2 2 true',
      ]);
      await client.disconnect();

      const remover = await connect({ clientId: 'retained' });
      for (const qos of [0, 1, 2] as const) await remover.publish(`retained/${qos}`, '', { qos, retain: true });
      await remover.publish('retained/left', 'left', { qos: 1, retain: true });
      await remover.subscribe('retained/#', { qos: 2 });
      await remover.untilMessages(1);
      await remover.publish('retained/end', 'end', { qos: 2 });
      await remover.untilMessages(2);
      expect(remover.payloads()).toEqual(['left', 'end']);
      await remover.disconnect();
    });

    it('reach a subscription that was there before without the flag [MQTT-3.3.1-9]', async () => {
      const client = await connect({ clientId: 'established' });
      await client.subscribe('established/#');
      await client.publish('established/a', 'live', { qos: 1, retain: true });
      await client.untilMessages(1);
      expect(client.messages[0]).toMatchObject({ payload: 'live', retain: false });
      await client.disconnect();
    });
  });

  describe.concurrent('a session', () => {
    it('keeps QoS 1 and 2 messages while its client is away, and says that it was there [MQTT-3.1.2-5] [MQTT-3.2.2-2]', async () => {
      const away = await connect({ clientId: 'offline', clean: false });
      expect(away.connack.sessionPresent).toBe(false);
      await away.subscribe('offline/#', { qos: 2 });
      await away.disconnect();
      const publisher = await connect({ clientId: 'offline-publisher' });
      await publisher.publish('offline/0', 'qos 0');
      await publisher.publish('offline/1', 'qos 1', { qos: 1 });
      await publisher.publish('offline/2', 'qos 2', { qos: 2 });
      await publisher.disconnect();
      const back = await connect({ clientId: 'offline', clean: false });
      expect(back.connack.sessionPresent).toBe(true);
      await back.untilMessages(2);
      // QoS 0 may be kept or not.
      expect(back.payloads().filter((payload) => payload !== 'qos 0')).toEqual(['qos 1', 'qos 2']);
      await back.disconnect();
    });

    it('is there again without any subscription, too [MQTT-3.2.2-2]', async () => {
      const first = await connect({ clientId: 'unsubscribed', clean: false });
      await first.disconnect();
      const again = await connect({ clientId: 'unsubscribed', clean: false });
      expect(again.connack.sessionPresent).toBe(true);
      await again.disconnect();
    });

    it('sends again what was not acknowledged, with DUP and the same packet id [MQTT-4.4.0-1] [MQTT-3.3.1-1]', async () => {
      const deaf = await connect({ clientId: 'redelivery', clean: false, acknowledges: false });
      await deaf.subscribe('redelivery/#', { qos: 2 });
      await deaf.publish('redelivery/1', 'qos 1', { qos: 1 });
      await deaf.publish('redelivery/2', 'qos 2', { qos: 2 });
      await deaf.untilMessages(2);
      await deaf.disconnect();
      const hearing = await connect({ clientId: 'redelivery', clean: false });
      await hearing.untilMessages(2);
      expect(hearing.messages.map(({ payload, messageId }) => [payload, messageId])).toEqual(
        deaf.messages.map(({ payload, messageId }) => [payload, messageId]),
      );
      expect(hearing.messages.map(({ dup }) => dup)).toEqual([true, true]);
      await hearing.disconnect();
    });

    it('is discarded by a clean session [MQTT-3.1.2-6]', async () => {
      const first = await connect({ clientId: 'discarded', clean: false });
      await first.subscribe('discarded/#');
      await first.disconnect();
      const clean = await connect({ clientId: 'discarded', clean: true });
      expect(clean.connack.sessionPresent).toBe(false);
      await clean.disconnect();
      const again = await connect({ clientId: 'discarded', clean: false });
      expect(again.connack.sessionPresent).toBe(false);
      await again.publish('discarded/a', 'x', { qos: 1 });
      await again.subscribe('discarded/end');
      await again.publish('discarded/end', 'end', { qos: 1 });
      await again.untilMessages(1);
      expect(again.payloads()).toEqual(['end']);
      await again.disconnect();
    });
  });

  describe.concurrent('subscriptions', () => {
    it('that overlap give one message at the highest QoS, or one each [MQTT-3.3.5-1]', async () => {
      const client = await connect({ clientId: 'overlapping' });
      const granted = await client.subscribe([
        { topic: 'overlapping/#', qos: 2 },
        { topic: 'overlapping/+', qos: 1 },
      ]);
      expect(granted).toEqual([2, 1]);
      await client.publish('overlapping/a', 'overlapping', { qos: 2 });
      await client.publish('overlapping/a/end', 'end', { qos: 2 });
      await client.untilMessages(2);
      const qos = client.messages.filter(({ payload }) => payload === 'overlapping').map((one) => one.qos);
      expect([[2], [1, 2], [2, 1]]).toContainEqual(qos);
      await client.disconnect();
    });

    it('that end get nothing more, the others still do [MQTT-3.10.4-2] [MQTT-3.10.4-4]', async () => {
      const client = await connect({ clientId: 'unsubscribe' });
      for (const name of ['a', 'b', 'c']) await client.subscribe(`unsubscribe/${name}`);
      await client.unsubscribe('unsubscribe/a');
      const publisher = await connect({ clientId: 'unsubscribe-publisher' });
      for (const name of ['a', 'b', 'c']) await publisher.publish(`unsubscribe/${name}`, name, { qos: 1 });
      await client.untilMessages(2);
      expect(client.payloads()).toEqual(['b', 'c']);
      await client.disconnect();
      await publisher.disconnect();
    });

    it('that begin with a wildcard do not match topics that begin with $ [MQTT-4.7.2-1]', async () => {
      const client = await connect({ clientId: 'dollar' });
      await client.subscribe([
        { topic: '#', qos: 2 },
        { topic: '+/dollar/a', qos: 2 },
      ]);
      await client.publish('$other/dollar/a', 'hidden', { qos: 1 });
      await client.publish('end/dollar/a', 'end', { qos: 1 });
      await client.untilMessages(1);
      await client.publish('end/dollar/a', 'end', { qos: 1 });
      const ends = (): number => client.payloads('end/dollar').length;
      while (ends() < 2) await client.untilMessages(client.messages.length + 1);
      expect(client.payloads('$')).toEqual([]);
      await client.disconnect();
    });
  });
});
