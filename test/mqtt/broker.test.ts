import { afterEach, describe, expect, it } from 'vitest';
import type { Packet } from 'mqtt-packet';
import { eventually } from '../support/eventually.ts';
import { RawClient } from './support/raw-client.ts';
import { startTestBroker, type TestBroker, type TestBrokerOptions } from './support/test-broker.ts';

const stops: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function start(options?: TestBrokerOptions): Promise<TestBroker> {
  const test = await startTestBroker(options);
  stops.push(() => test.stop());
  return test;
}

async function raw(test: TestBroker, options?: Parameters<typeof RawClient.connect>[1]): Promise<RawClient> {
  const client = await RawClient.connect(test.port, options);
  stops.push(() => client.destroy());
  return client;
}

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
    expect(test.broker.clients()).toEqual({
      total: 1,
      v31: 0,
      v311: protocolVersion === 4 ? 1 : 0,
      v5: protocolVersion === 5 ? 1 : 0,
    });
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
    expect(client.received.slice(1)).toEqual([]);
    test.store.mode = 'ok';
    await client.until('pubrec');
    expect(client.received.slice(1).map(({ cmd, messageId }) => `${cmd} ${messageId}`)).toEqual([
      'puback 1',
      'pubrec 2',
    ]);
  });

  it('acknowledges in the order of the publishes: routed, unrouted, QoS 1 and 2, with retained ones among them', async () => {
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
    expect(client.received.slice(1).map(({ cmd, messageId }) => `${cmd} ${messageId}`)).toEqual(expected);
  });
});
