import { describe, expect, it } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { raw, start } from '../support/harness.ts';
import type { RawClient } from '../support/raw-client.ts';
import type { TestBroker } from '../support/test-broker.ts';

interface Wanted {
  topic: string;
  qos: 0 | 1 | 2;
  nl?: boolean;
  rap?: boolean;
  rh?: 0 | 1 | 2;
}

const payloads = (client: RawClient): string[] => client.of('publish').map(({ payload }) => String(payload));

async function subscribe(client: RawClient, subscriptions: Wanted[], identifier?: number): Promise<number[]> {
  const before = client.of('suback').length;
  const properties = identifier === undefined ? {} : { properties: { subscriptionIdentifier: identifier } };
  client.send({ cmd: 'subscribe', messageId: before + 1, subscriptions, ...properties });
  await client.until('suback', before + 1);
  return client.of('suback')[before]?.granted as number[];
}

const five = (test: TestBroker, clientId: string, more: Record<string, unknown> = {}): Promise<RawClient> =>
  raw(test, { version: 5, clientId, ...more });

describe('what a subscription gets', () => {
  it.each([4, 5] as const)('is the lower of both QoS, wildcards or not [MQTT-3.8.4-8], version %i', async (version) => {
    const test = await start();
    const client = await raw(test, { version, clientId: 'subscriber' });
    const granted = await subscribe(client, [
      { topic: 'a/#', qos: 0 },
      { topic: 'b/+', qos: 1 },
      { topic: 'c', qos: 2 },
    ]);
    expect(granted).toEqual([0, 1, 2]);
    const sender = await test.connect();
    for (const topic of ['a/1', 'b/1', 'c']) {
      for (const qos of [0, 1, 2] as const) await sender.publishAsync(topic, '', { qos });
    }
    await client.until('publish', 9);
    expect(client.of('publish').map(({ topic, qos }) => `${topic} ${qos}`)).toEqual([
      ...['a/1 0', 'a/1 0', 'a/1 0'],
      ...['b/1 0', 'b/1 1', 'b/1 1'],
      ...['c 0', 'c 1', 'c 2'],
    ]);
  });

  it('is one message where several overlap: at the highest QoS, with all identifiers [MQTT-3.3.4-4], [MQTT-3.3.5-1]', async () => {
    const test = await start();
    const client = await five(test, 'subscriber');
    await subscribe(client, [{ topic: 'a/#', qos: 0 }], 1);
    await subscribe(client, [{ topic: 'a/+', qos: 2 }], 268_435_455);
    await subscribe(client, [{ topic: 'a/b', qos: 1 }]);
    const sender = await test.connect();
    await sender.publishAsync('a/b', 'x', { qos: 2 });
    await client.until('publish');
    await client.ping();
    expect(client.of('publish')).toHaveLength(1);
    const [{ qos, properties } = { qos: 9, properties: {} }] = client.of('publish');
    expect(qos).toBe(2);
    expect(properties?.subscriptionIdentifier).toEqual([1, 268_435_455]);
  });

  it('changes with a repeated SUBSCRIBE, and ends with UNSUBSCRIBE [MQTT-3.8.4-3], [MQTT-3.10.4-1]', async () => {
    const test = await start();
    const client = await five(test, 'subscriber');
    await subscribe(client, [{ topic: 'a', qos: 2 }], 1);
    await subscribe(client, [{ topic: 'a', qos: 0 }]);
    const sender = await test.connect();
    await sender.publishAsync('a', '1', { qos: 2 });
    await client.until('publish');
    expect(client.of('publish')[0]).toMatchObject({ qos: 0 });
    expect(client.of('publish')[0]?.properties?.subscriptionIdentifier).toBeUndefined();
    client.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['a', 'b'] });
    await client.until('unsuback');
    // [MQTT-3.11.3-2]: one code for each, in their order.
    expect(client.of('unsuback')[0]?.granted).toEqual([0, 0x11]);
    await sender.publishAsync('a', '2', { qos: 2 });
    await client.ping();
    expect(client.of('publish')).toHaveLength(1);
  });

  it('is not what the client publishes itself, with No Local [MQTT-3.8.3-3]', async () => {
    const test = await start();
    const client = await five(test, 'subscriber', { clean: false, properties: { sessionExpiryInterval: 60 } });
    await subscribe(client, [{ topic: 'a/#', qos: 1, nl: true }]);
    await subscribe(client, [{ topic: 'b', qos: 1 }]);
    for (const [index, topic] of ['a/1', 'b'].entries()) client.publish(topic, 'own', 1, index + 1);
    const other = await test.connect({ protocolVersion: 5 });
    await other.publishAsync('a/1', 'of another', { qos: 1 });
    await client.until('publish', 2);
    await client.ping();
    expect(client.of('publish').map(({ topic, payload }) => `${topic} ${String(payload)}`)).toEqual([
      'b own',
      'a/1 of another',
    ]);
  });

  it('keeps RETAIN only where it asked for it [MQTT-3.3.1-12], [MQTT-3.3.1-13]', async () => {
    const test = await start();
    const client = await five(test, 'subscriber');
    await subscribe(client, [
      { topic: 'a', qos: 1, rap: true },
      { topic: 'b', qos: 1 },
    ]);
    const sender = await test.connect();
    for (const topic of ['a', 'b']) {
      await sender.publishAsync(topic, '1', { qos: 1, retain: true });
      await sender.publishAsync(topic, '2', { qos: 1 });
    }
    await client.until('publish', 4);
    expect(client.of('publish').map(({ topic, retain }) => `${topic} ${retain}`)).toEqual([
      'a true',
      'a false',
      'b false',
      'b false',
    ]);
  });

  it('is no topic that begins with $, by a wildcard in the first level [MQTT-4.7.2-1]', async () => {
    const test = await start();
    const client = await five(test, 'subscriber', { clean: false, properties: { sessionExpiryInterval: 60 } });
    await subscribe(client, [
      { topic: '#', qos: 1 },
      { topic: '+/x', qos: 1 },
      { topic: '$own/#', qos: 1 },
    ]);
    const sender = await test.connect();
    await sender.publishAsync('$dollar/x', 'hidden', { qos: 1 });
    await sender.publishAsync('$own/x', 'shown', { qos: 1 });
    await sender.publishAsync('plain/x', 'once', { qos: 1 });
    await client.until('publish', 2);
    await client.ping();
    expect(payloads(client)).toEqual(['shown', 'once']);
  });
});

describe('retained messages', () => {
  it('come with a subscription by its Retain Handling, with its identifier and the lower QoS [MQTT-3.3.1-9 ff.]', async () => {
    const test = await start();
    const sender = await test.connect({ protocolVersion: 5 });
    await sender.publishAsync('a/1', 'kept', { qos: 2, retain: true, properties: { contentType: 'x' } });
    const client = await five(test, 'subscriber');
    const count = async (rh: 0 | 1 | 2, filter = 'a/#'): Promise<number> => {
      const before = client.of('publish').length;
      await subscribe(client, [{ topic: filter, qos: 1, rh }], 7);
      await client.ping();
      return client.of('publish').length - before;
    };
    expect([await count(2), await count(1), await count(0), await count(0)]).toEqual([0, 0, 1, 1]);
    expect([await count(1, 'a/+'), await count(1, 'a/+')]).toEqual([1, 0]);
    expect(client.of('publish')[0]).toMatchObject({
      retain: true,
      qos: 1,
      properties: { contentType: 'x', subscriptionIdentifier: 7 },
    });
  });

  it('are gone with an empty payload, which subscribers still get, and when they have expired', async () => {
    const test = await start();
    const sender = await test.connect({ protocolVersion: 5 });
    await sender.publishAsync('a', 'kept', { qos: 1, retain: true });
    await sender.publishAsync('b', 'short', { qos: 1, retain: true, properties: { messageExpiryInterval: 1 } });
    await sender.publishAsync('c', 'long', { qos: 1, retain: true, properties: { messageExpiryInterval: 100 } });
    const early = await five(test, 'early');
    await subscribe(early, [{ topic: 'a', qos: 1 }]);
    await early.until('publish');
    await sender.publishAsync('a', '', { qos: 1, retain: true });
    await early.until('publish', 2);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    const late = await five(test, 'late');
    await subscribe(late, [{ topic: '#', qos: 1 }]);
    await late.until('publish');
    await late.ping();
    expect(payloads(late)).toEqual(['long']);
    expect(late.of('publish')[0]?.properties?.messageExpiryInterval).toBeLessThan(100);
  });

  it('are as many as there are: no faster than the client acknowledges them, and none is lost', async () => {
    const test = await start({ limits: { subscriberBufferBytes: 20_000 } });
    const sender = await test.connect();
    const count = 200;
    for (let i = 0; i < count; i++) {
      await sender.publishAsync(`a/${i}`, 'x'.repeat(1_000), { qos: 1, retain: true });
    }
    const client = await five(test, 'subscriber', { properties: { receiveMaximum: 3 } });
    client.onPacket = (packet) => {
      if (packet.cmd === 'publish') client.send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
    };
    await subscribe(client, [{ topic: 'a/+', qos: 1 }]);
    await client.until('publish', count);
    expect(new Set(client.of('publish').map(({ topic }) => topic)).size).toBe(count);
    expect(client.closed).toBe(false);
  });
});

describe('shared subscriptions', () => {
  async function group(test: TestBroker, count: number, more: Record<string, unknown> = {}): Promise<RawClient[]> {
    const members: RawClient[] = [];
    for (let i = 0; i < count; i++) {
      const member = await five(test, `member-${i}`, more);
      expect(await subscribe(member, [{ topic: '$share/workers/jobs/#', qos: 2 }])).toEqual([2]);
      members.push(member);
    }
    return members;
  }

  const acknowledging = (client: RawClient): void => {
    client.onPacket = (packet) => {
      if (packet.cmd === 'publish' && packet.qos > 0) {
        client.send({ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId: packet.messageId ?? 0 });
      } else if (packet.cmd === 'pubrel') {
        client.send({ cmd: 'pubcomp', messageId: packet.messageId ?? 0 });
      }
    };
  };

  it.each([0, 1, 2] as const)('give each message to one member, in turn, and to each group: QoS %i', async (qos) => {
    const test = await start();
    const members = await group(test, 3);
    const other = await five(test, 'other group');
    await subscribe(other, [{ topic: '$share/others/jobs/+', qos }], 5);
    const plain = await five(test, 'plain');
    await subscribe(plain, [{ topic: 'jobs/#', qos }]);
    for (const each of [...members, other, plain]) acknowledging(each);
    const sender = await test.connect();
    for (let i = 0; i < 30; i++) await sender.publishAsync(`jobs/${i}`, String(i), { qos });
    await plain.until('publish', 30);
    await eventually(() => members.reduce((sum, { received }) => sum + received.length, 0) >= 36);
    const all = members.flatMap(payloads);
    expect(all.toSorted((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 30 }, (_, i) => String(i)));
    expect(members.map((each) => each.of('publish').length)).toEqual([10, 10, 10]);
    expect(other.of('publish')).toHaveLength(30);
    expect(other.of('publish')[0]?.properties?.subscriptionIdentifier).toBe(5);
  });

  it('get nothing retained, and are no subscription to the filter alone', async () => {
    const test = await start();
    const sender = await test.connect();
    await sender.publishAsync('jobs/1', 'kept', { qos: 1, retain: true });
    const [member] = (await group(test, 1)) as [RawClient];
    await member.ping();
    expect(payloads(member)).toEqual([]);
    member.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['jobs/#', '$share/workers/jobs/#'] });
    await member.until('unsuback');
    expect(member.of('unsuback')[0]?.granted).toEqual([0x11, 0]);
    await sender.publishAsync('jobs/1', 'nobody', { qos: 1 });
    await member.ping();
    expect(payloads(member)).toEqual([]);
  });

  it('lose nothing when a member leaves with messages that it has not acknowledged [MQTT-4.8.2-4]', async () => {
    const test = await start({ limits: { inFlightMax: 5 } });
    const [leaver, stayer] = (await group(test, 2)) as [RawClient, RawClient];
    acknowledging(stayer);
    const sender = await test.connect();
    const count = 40;
    for (let i = 0; i < count; i++) await sender.publishAsync('jobs/1', String(i), { qos: 1 });
    await eventually(() => leaver.of('publish').length === 5);
    leaver.destroy();
    await eventually(() => new Set(payloads(stayer)).size === count);
    expect(payloads(stayer)).toHaveLength(count);
  });

  it('skip members that are not there, and members that do not keep up while others do', async () => {
    const test = await start({ limits: { inFlightMax: 2 } });
    const kept = { clean: false, properties: { sessionExpiryInterval: 600 } };
    const [away, slow, quick] = (await group(test, 3, kept)) as [RawClient, RawClient, RawClient];
    away.destroy();
    await eventually(() => test.broker.clients().total === 2);
    acknowledging(quick);
    const sender = await test.connect();
    for (let i = 0; i < 20; i++) await sender.publishAsync('jobs/1', String(i), { qos: 1 });
    await eventually(() => slow.of('publish').length + quick.of('publish').length >= 20);
    expect(slow.of('publish')).toHaveLength(2);
    expect(new Set([...payloads(slow), ...payloads(quick)]).size).toBe(20);
    const back = await five(test, 'member-0', kept);
    await back.ping();
    expect(payloads(back)).toEqual([]);
  });

  it('keep a message for a member with a session when none is there', async () => {
    const test = await start();
    const kept = { clean: false, properties: { sessionExpiryInterval: 600 } };
    const members = await group(test, 2, kept);
    for (const member of members) member.destroy();
    await eventually(() => test.broker.clients().total === 0);
    const sender = await test.connect();
    for (let i = 0; i < 10; i++) await sender.publishAsync('jobs/1', String(i), { qos: 1 });
    await sender.publishAsync('jobs/1', 'QoS 0', { qos: 0 });
    const back = [await five(test, 'member-0', kept), await five(test, 'member-1', kept)];
    await eventually(() => back.reduce((sum, each) => sum + each.of('publish').length, 0) === 10);
    expect(back.map((each) => each.of('publish').length)).toEqual([5, 5]);
  });

  it('pass what a session held on to the other members when it ends', async () => {
    const test = await start();
    const kept = { clean: false, properties: { sessionExpiryInterval: 1 } };
    const [away] = (await group(test, 1, kept)) as [RawClient];
    away.destroy();
    await eventually(() => test.broker.clients().total === 0);
    const sender = await test.connect();
    for (let i = 0; i < 3; i++) await sender.publishAsync('jobs/1', String(i), { qos: 1 });
    const late = await five(test, 'late');
    await subscribe(late, [{ topic: '$share/workers/jobs/#', qos: 1 }]);
    await late.until('publish', 3);
    expect(payloads(late)).toEqual(['0', '1', '2']);
  });
});
