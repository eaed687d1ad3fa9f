/**
 * Rule x topic x identity x action x version: what a broker does with each, against what the oracle says. A leak is what a client
 * gets, or gets through, although the oracle says no.
 */
import { describe, expect, it } from 'vitest';
import type { Authenticator } from '../../src/auth/identity.ts';
import type { AccessRule } from '../../src/auth/access/rules.ts';
import type { Subject } from '../../src/auth/access/pattern.ts';
import { allowed, filterExpression, universeOf } from '../auth/access/oracle.ts';
import { rawOpen, start } from './support/harness.ts';
import type { RawClient } from './support/raw-client.ts';
import type { TestBroker } from './support/test-broker.ts';

function rule(fields: Partial<AccessRule>): AccessRule {
  return { effect: 'allow', publish: [], subscribe: [], ...fields };
}

const ruleSets: Readonly<Record<string, readonly AccessRule[]>> = {
  'own topics': [rule({ publish: ['r/{clientId}/#'], subscribe: ['r/{clientId}/#'] })],
  'own topics at the first level': [rule({ publish: ['{clientId}/#'], subscribe: ['{clientId}/#'] })],
  'own topics by user and tenant': [
    rule({ publish: ['r/{user}/{jwt.tenant}'], subscribe: ['r/{user}/#', 'r/+/{jwt.tenant}'] }),
  ],
  'everything but': [
    rule({ effect: 'deny', publish: ['r/+/b', '$own/#'], subscribe: ['r/+/b'] }),
    rule({ publish: ['#', '$own/#'], subscribe: ['#'] }),
  ],
  'everything but mine': [
    rule({ effect: 'deny', publish: ['r/{user}/#'], subscribe: ['r/{clientId}/+'] }),
    rule({ publish: ['r/#'], subscribe: ['r/#', '$SYS/#', '$own/#'] }),
  ],
  'by who': [
    rule({ user: 'root', publish: ['#'], subscribe: ['#', '$SYS/#'] }),
    rule({ effect: 'deny', clientId: ['d?', '+'], publish: ['r/d1/a'], subscribe: ['r/d1/a'] }),
    rule({ user: '?*', publish: ['r/+/a'], subscribe: ['r/+/a'] }),
    rule({ attributes: { 'jwt.tenant': 't*' }, publish: ['r/t1/#'], subscribe: ['r/t1/#'] }),
  ],
  'by QoS and retained flag': [
    rule({ effect: 'deny', publish: ['r/d1/#'], retain: true }),
    rule({ publish: ['r/d1/#', 'r/t1/#'], qos: [0, 1] }),
    rule({ effect: 'deny', subscribe: ['r/d1/b', 'r/t1/#'], qos: [1, 2] }),
    rule({ subscribe: ['r/#'], qos: [1] }),
    rule({ subscribe: ['r/d1/#', 'r/t1/+'], qos: [0] }),
  ],
};

const subjects: readonly Subject[] = [
  { clientId: 'd1', user: '', attributes: new Map() },
  { clientId: 'd2', user: 'd1', attributes: new Map([['jwt.tenant', 't1']]) },
  { clientId: 'r', user: 'root', attributes: new Map([['jwt.tenant', '#']]) },
  { clientId: '+', user: '+', attributes: new Map([['jwt.tenant', '+']]) },
  { clientId: '#', user: 'a/b', attributes: new Map([['jwt.tenant', 't1/#']]) },
  { clientId: 'd1/a', user: '#', attributes: new Map([['jwt.tenant', '']]) },
  { clientId: '$own', user: '$SYS', attributes: new Map([['jwt.tenant', 'b']]) },
];

const topics = ['r', 'r/d1', 'r/d1/a', 'r/d1/b', 'r/d2/b', 'r/t1/x', 'r/d1/a/deep', '$own/a', '$SYS/x', 'd1/a'];
const filters = ['#', 'r/#', 'r/+/a', 'r/+/b', 'r/d1/+', 'r/d1/#', 'r/d1/b', 'r/t1/x', '+/d1/#', '$SYS/#', '$own/#'];
/** Behind `$share/<group>/`: each by a client that is alone in its group, and so gets all of it. */
const sharedFilters = ['#', 'r/#', 'r/+/b', 'r/d1/#', '$SYS/#'];
const universe = universeOf(['r', 'd1', 'd2', 't1', 'a', 'b', 'x', 'deep', '$own', '$SYS', 'new', ''], 3);

/** Takes the user name for proven, and the tenant from the list above. */
const authenticator: Authenticator = {
  authenticate: async ({ clientId }) => {
    const subject = subjects.find((each) => each.clientId === clientId);
    if (subject === undefined) throw new Error(`an unknown client: ${clientId}`);
    return { identity: { ...subject, method: 'users', expiresAt: undefined } };
  },
};

const count = { cells: 0, allowed: 0, denied: 0, leaks: [] as string[], refusals: [] as string[] };

function cell(name: string, expected: boolean, was: boolean): void {
  count.cells++;
  count[expected ? 'allowed' : 'denied']++;
  if (was && !expected) count.leaks.push(name);
  if (expected && !was) count.refusals.push(name);
}

const HEARD_WITHIN_MS = 20_000;

/** Whenever something comes the condition is looked at: thousands of cells have no time for polling. */
async function heard(client: RawClient, condition: () => boolean): Promise<void> {
  const end = performance.now() + HEARD_WITHIN_MS;
  while (!condition() && !client.closed && performance.now() < end) {
    await new Promise<void>((resolve) => {
      const look = (): void => {
        clearTimeout(timer);
        client.socket.off('data', look).off('close', look);
        setImmediate(resolve);
      };
      const timer = setTimeout(look, end - performance.now());
      client.socket.on('data', look).on('close', look);
    });
  }
}

async function connected(test: TestBroker, subject: Subject, version: 4 | 5): Promise<RawClient> {
  const client = await rawOpen(test, version);
  const { clientId } = subject;
  client.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clientId, clean: true, keepalive: 0 });
  await heard(client, () => client.of('connack').length > 0);
  return client;
}

async function publishes(
  test: TestBroker,
  rules: readonly AccessRule[],
  subject: Subject,
  version: 4 | 5,
): Promise<void> {
  let client: RawClient | undefined;
  let id = 0;
  for (const topic of topics) {
    for (const [qos, retain] of [
      [1, false],
      [2, false],
      [1, true],
    ] as const) {
      client ??= await connected(test, subject, version);
      const open = client;
      const messageId = ++id;
      const payload = `${version} ${messageId} ${subject.clientId}`;
      open.send({ cmd: 'publish', topic, payload, qos, retain, dup: false, messageId });
      const answer = () => open.of(qos === 1 ? 'puback' : 'pubrec').find((packet) => packet.messageId === messageId);
      // MQTT 3.1.1 answers with the end of the connection.
      await heard(open, () => answer() !== undefined);
      const reasonCode = answer()?.reasonCode ?? 0;
      const taken = answer() !== undefined && reasonCode < 0x80;
      if (answer() !== undefined && !taken) expect(reasonCode).toBe(0x87);
      const question = { action: 'publish', topic, qos, retain } as const;
      const expected = allowed(rules, subject, question, universe) && !topic.startsWith('$SYS/');
      const stored = test.store.payloads(topic).includes(payload);
      const name = `v${version} ${JSON.stringify(subject.clientId)} publishes ${topic} ${qos} ${retain}`;
      cell(name, expected, taken || stored);
      if (topic.startsWith('r/')) expect(stored).toBe(taken);
      if (open.closed) client = undefined;
    }
  }
  client?.destroy();
}

/** Where rules do not ask for the QoS one will do. */
function askedFor(rules: readonly AccessRule[]): readonly (0 | 1)[] {
  return rules.some(({ qos }) => qos !== undefined) ? [0, 1] : [1];
}

/** Subscribes to each filter on a connection of its own, with retained messages in place, then gets one of each topic. */
async function receives(
  test: TestBroker,
  rules: readonly AccessRule[],
  subject: Subject,
  version: 4 | 5,
): Promise<void> {
  const open: { client: RawClient; name: string; expected: string[]; kept: string[]; got: () => Set<string> }[] = [];
  const asked = [
    ...filters.map((filter) => ({ filter, share: '' })),
    ...sharedFilters.map((filter) => ({ filter, share: `$share/${version}-${subjects.indexOf(subject)}/` })),
  ];
  for (const { filter, share } of asked) {
    for (const qos of askedFor(rules)) {
      const client = await connected(test, subject, version);
      client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: `${share}${filter}`, qos }] });
      await heard(client, () => client.of('suback').length > 0);
      const code = Number(client.of('suback')[0]?.granted[0]);
      const granted = code < 0x80;
      if (!granted) expect(code).toBe(version === 5 ? 0x87 : 0x80);
      const name = `v${version} ${JSON.stringify(subject.clientId)} ${share}${filter} ${qos}`;
      const question = { action: 'subscribe', topic: filter, qos, retain: false } as const;
      cell(`${name} subscribes`, allowed(rules, subject, question, universe), granted);
      for (const topic of topics)
        await test.broker.publish({ topic, payload: Buffer.from('live'), qos: 1, retain: false });
      const expected = topics.filter(
        (topic) =>
          granted &&
          filterExpression(filter).test(topic) &&
          allowed(rules, subject, { action: 'receive', topic, qos, retain: false }, universe),
      );
      // Shared subscriptions get no retained messages (MQTT 5.0 §4.8.2).
      const kept = share === '' ? expected : [];
      const got = (): Set<string> =>
        new Set(client.of('publish').map(({ topic, payload }) => `${topic} ${String(payload)}`));
      // Retained messages are read from the store meanwhile.
      const isHere = (): boolean =>
        expected.every((topic) => got().has(`${topic} live`)) && kept.every((topic) => got().has(`${topic} kept`));
      await heard(client, isHere);
      for (let ping = 1; ping <= 3; ping++) {
        client.send({ cmd: 'pingreq' });
        await heard(client, () => client.of('pingresp').length === ping);
      }
      open.push({ client, name, expected, kept, got });
    }
  }
  // Looked at in the end: a leak may come late.
  for (const { client, name, expected, kept, got } of open) {
    const topicsSent = got();
    for (const topic of topics) {
      cell(`${name} is sent ${topic}`, expected.includes(topic), topicsSent.has(`${topic} live`));
      cell(`${name} is sent ${topic}, retained`, kept.includes(topic), topicsSent.has(`${topic} kept`));
    }
    client.destroy();
  }
}

describe.each(Object.entries(ruleSets))('rules: %s', (_name, rules) => {
  it.each([4, 5] as const)('MQTT version %i: nothing leaks, nothing that is allowed is refused', async (version) => {
    const test = await start({ acl: rules, authenticator });
    await Promise.all(subjects.map((subject) => publishes(test, rules, subject, version)));
    for (const topic of topics)
      await test.broker.publish({ topic, payload: Buffer.from('kept'), qos: 1, retain: true });
    await Promise.all(subjects.map((subject) => receives(test, rules, subject, version)));
    expect(count.leaks).toEqual([]);
    expect(count.refusals).toEqual([]);
  });
});

describe('the matrix', () => {
  it('has cells of each kind, and a checker that finds a planted leak', async () => {
    console.log(`access matrix: ${count.cells} cells, ${count.allowed} allowed, ${count.denied} denied`);
    expect(count.cells).toBeGreaterThan(500);
    expect(count.allowed).toBeGreaterThan(100);
    expect(count.denied).toBeGreaterThan(100);
    // The broker has wider rules than the oracle knows of.
    const test = await start({ acl: [rule({ publish: ['r/#'], subscribe: ['r/#'] })], authenticator });
    const leaks = count.leaks.length;
    await publishes(test, ruleSets['own topics'] ?? [], subjects[0] as Subject, 5);
    for (const topic of topics)
      await test.broker.publish({ topic, payload: Buffer.from('kept'), qos: 1, retain: true });
    await receives(test, ruleSets['own topics'] ?? [], subjects[0] as Subject, 5);
    expect(count.leaks.length).toBeGreaterThan(leaks + 10);
    count.leaks.length = leaks;
  });
});
