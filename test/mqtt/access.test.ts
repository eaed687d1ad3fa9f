import { describe, expect, it } from 'vitest';
import type { AccessRule } from '../../src/auth/access/rules.ts';
import { eventually } from '../support/eventually.ts';
import { raw, start } from './support/harness.ts';
import type { RawClient } from './support/raw-client.ts';

function rule(fields: Partial<AccessRule>): AccessRule {
  return { effect: 'allow', publish: [], subscribe: [], ...fields };
}

const own = [rule({ name: 'own', publish: ['r/{clientId}/#'], subscribe: ['r/{clientId}/#', 'news/#'] })];
const all = [rule({ publish: ['#'], subscribe: ['#'] })];

async function subscribe(client: RawClient, messageId: number, ...filters: string[]): Promise<unknown> {
  client.send({ cmd: 'subscribe', messageId, subscriptions: filters.map((topic) => ({ topic, qos: 1 as const })) });
  await eventually(() => client.of('suback').some((packet) => packet.messageId === messageId));
  return client.of('suback').find((packet) => packet.messageId === messageId)?.granted;
}

const topicsOf = (client: RawClient): string[] => client.of('publish').map(({ topic }) => topic);

describe('a publish that no rule allows', () => {
  it('is answered with 0x87 and a reason, and the connection goes on, in MQTT 5', async () => {
    const test = await start({ acl: own });
    const client = await raw(test, { version: 5, clientId: 'd1' });
    client.publish('r/d1/a', 'mine', 1, 1);
    client.publish('r/d2/a', 'not mine', 1, 2);
    client.publish('r/d2/a', 'not mine', 2, 3);
    client.publish('r/d2/a', 'not mine', 0, 0);
    client.publish('r/d1/b', 'mine', 1, 4);
    await client.until('puback', 3);
    await client.until('pubrec');
    const answers = [...client.of('puback'), ...client.of('pubrec')];
    expect(answers.map(({ messageId, reasonCode = 0 }) => [messageId, reasonCode])).toEqual([
      [1, 0],
      [2, 0x87],
      [4, 0],
      [3, 0x87],
    ]);
    expect(answers[1]?.properties?.reasonString).toMatch(/access rules/);
    expect(test.store.payloads()).toEqual(['mine', 'mine']);
    expect(test.denied).toHaveLength(3);
    expect(test.denied[0]).toMatchObject({ clientId: 'd1', action: 'publish', topic: 'r/d2/a', rule: /^default/ });
  });

  it('has no reason string for who wants none, or has no room for it', async () => {
    const test = await start({ acl: own });
    for (const properties of [{ requestProblemInformation: false }, { maximumPacketSize: 10 }]) {
      const client = await raw(test, { version: 5, clientId: 'd1', properties });
      client.publish('r/d2/a', 'x', 1, 2);
      await client.until('puback');
      expect(client.of('puback')[0]).toMatchObject({ reasonCode: 0x87, length: 3 });
    }
  });

  it('ends the connection in MQTT 3.1.1, unless it has QoS 0', async () => {
    const test = await start({ acl: own });
    const client = await raw(test, { clientId: 'd1' });
    client.publish('r/d2/a', 'x', 0, 0);
    client.publish('r/d1/a', 'mine', 1, 1);
    await client.until('puback');
    client.publish('r/d2/a', 'x', 1, 2);
    await client.untilClosed();
    expect(client.of('puback')).toHaveLength(1);
    expect(test.store.payloads()).toEqual(['mine']);
  });
});

describe.each([4, 5] as const)('access rules, MQTT version %i', (version) => {
  it('answer each filter of a SUBSCRIBE in its place', async () => {
    const test = await start({ acl: own });
    const client = await raw(test, { version, clientId: 'd1' });
    const refused = version === 5 ? 0x87 : 0x80;
    expect(await subscribe(client, 1, 'r/d1/a', 'r/d2/a', '#', 'news/+')).toEqual([1, refused, refused, 1]);
    expect(await subscribe(client, 2, 'r/+/a')).toEqual([refused]);
    expect(test.denied.map(({ topic }) => topic)).toEqual(['r/d2/a', '#', 'r/+/a']);
  });

  it('refuse a connection whose will they forbid', async () => {
    const test = await start({ acl: own });
    const will = { payload: Buffer.from('x'), qos: 1 as const, retain: false };
    const bad = await raw(test, { version, clientId: 'd1', will: { ...will, topic: 'r/d2/will' } });
    await bad.untilClosed();
    const [connack] = bad.of('connack');
    expect(version === 5 ? connack?.reasonCode : connack?.returnCode).toBe(version === 5 ? 0x87 : 5);
    const good = await raw(test, { version, clientId: 'd1', will: { ...will, topic: 'r/d1/will' } });
    good.destroy();
    await eventually(() => test.store.payloads('r/d1/will').length === 1);
    expect(test.store.payloads('r/d2/will')).toEqual([]);
  });

  it('that are new take subscriptions away, and what they had let through is not sent', async () => {
    const test = await start({ acl: all });
    const client = await raw(test, { version, clientId: 'd1' });
    expect(await subscribe(client, 1, '#')).toEqual([1]);
    expect(await subscribe(client, 2, 'r/d1/#')).toEqual([1]);
    test.setRules(own);
    expect(test.denied.map(({ topic }) => topic)).toEqual(['#']);
    for (const topic of ['r/d2/a', 'r/d1/a', 'news/a']) {
      await test.broker.publish({ topic, payload: Buffer.from('x'), qos: 1, retain: false });
    }
    await client.until('publish');
    await client.ping();
    expect(topicsOf(client)).toEqual(['r/d1/a']);
    client.publish('r/d2/b', 'late', 0, 0);
    await client.ping();
    expect(test.store.payloads()).toEqual([]);
    // Wider rules give nothing back by themselves; a new SUBSCRIBE does.
    test.setRules(all);
    expect(await subscribe(client, 3, '#')).toEqual([1]);
  });

  it('forbid a will that was allowed when its client connected', async () => {
    const test = await start({ acl: all });
    const will = { topic: 'r/d2/will', payload: Buffer.from('x'), qos: 1 as const, retain: false };
    const client = await raw(test, { version, clientId: 'd1', will });
    test.setRules(own);
    client.destroy();
    await eventually(() => test.forbiddenWills.length === 1);
    expect(test.store.payloads()).toEqual([]);
  });

  it('hold for what was queued while a session was away, and for its subscriptions', async () => {
    const test = await start({ acl: all });
    const session = { version, clientId: 'd1', clean: false, properties: { sessionExpiryInterval: 100 } };
    const before = await raw(test, session);
    expect(await subscribe(before, 1, '#')).toEqual([1]);
    expect(await subscribe(before, 2, 'r/d1/#')).toEqual([1]);
    before.destroy();
    await eventually(() => test.broker.clients().total === 0);
    for (const topic of ['r/d2/a', 'r/d1/a']) {
      await test.broker.publish({ topic, payload: Buffer.from('x'), qos: 1, retain: false });
    }
    test.setRules(own);
    const after = await raw(test, session);
    await after.until('publish');
    await after.ping();
    expect(topicsOf(after)).toEqual(['r/d1/a']);
    await test.broker.publish({ topic: 'r/d2/b', payload: Buffer.from('x'), qos: 1, retain: false });
    await after.ping();
    await after.ping();
    expect(topicsOf(after)).toEqual(['r/d1/a']);
  });
});

describe('a message that a rule keeps from one of its subscribers', () => {
  it('still reaches the others', async () => {
    const test = await start({
      acl: [rule({ effect: 'deny', clientId: 'd1', subscribe: ['r/secret'] }), rule({ subscribe: ['r/#'] })],
    });
    const one = await raw(test, { clientId: 'd1' });
    const other = await raw(test, { clientId: 'd2' });
    expect(await subscribe(one, 1, 'r/#')).toEqual([1]);
    expect(await subscribe(other, 1, 'r/#')).toEqual([1]);
    for (const topic of ['r/secret', 'r/open']) {
      await test.broker.publish({ topic, payload: Buffer.from('x'), qos: 1, retain: false });
    }
    await one.until('publish');
    await other.until('publish', 2);
    expect(topicsOf(one)).toEqual(['r/open']);
    expect(topicsOf(other)).toEqual(['r/secret', 'r/open']);
    expect(test.broker.counters.withheld).toBe(1);
  });
});
