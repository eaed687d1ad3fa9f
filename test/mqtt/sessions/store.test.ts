import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis as Client } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LevelStore, openLevel } from '../../../src/mqtt/sessions/level.ts';
import { RedisStore } from '../../../src/mqtt/sessions/redis-store.ts';
import {
  NEVER_EXPIRES,
  type Publication,
  type QueuedMessage,
  type SessionStore,
  type StoredSession,
  type Target,
} from '../../../src/mqtt/sessions/store.ts';
import { eventually } from '../../support/eventually.ts';
import { startRedis, type Redis } from '../../support/services.ts';
import { afterTest } from '../support/harness.ts';

let redis: Redis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});

let namespaces = 0;

/** Opens the same data each time. */
async function opener(kind: 'level' | 'redis'): Promise<() => Promise<SessionStore>> {
  if (kind === 'level') {
    const directory = await mkdtemp(path.join(tmpdir(), 'sluice-store-'));
    afterTest(() => rm(directory, { recursive: true, force: true }));
    return async () => {
      const store = new LevelStore(await openLevel(directory));
      afterTest(() => store.close());
      return store;
    };
  }
  const keyPrefix = `store-${++namespaces}:`;
  return async () => {
    const client = new Client(redis.url, { keyPrefix });
    afterTest(() => client.disconnect());
    return new RedisStore(client);
  };
}

const publication = (payload: string, more: Partial<Publication> = {}): Publication => ({
  topic: 't/1',
  payload: Buffer.from(payload),
  qos: 2,
  retain: false,
  properties: undefined,
  expiresAt: undefined,
  ...more,
});

const target = (clientId: string, more: Partial<Target> = {}): Target => ({
  clientId,
  qos: 1,
  retain: false,
  identifiers: undefined,
  share: undefined,
  ...more,
});

async function everything(store: SessionStore, clientId: string, pageSize: number): Promise<QueuedMessage[]> {
  const all: QueuedMessage[] = [];
  let cursor: string | undefined;
  for (;;) {
    const page = await store.queued(clientId, cursor, pageSize);
    if (page.length === 0) return all;
    all.push(...page);
    cursor = page.at(-1)?.cursor;
  }
}

const texts = (messages: readonly QueuedMessage[]): string[] =>
  messages.map(({ publication: { payload } }) => payload.toString());

describe.each(['level', 'redis'] as const)('the session store in %s', (kind) => {
  it('keeps a session from enter to its end, with its subscriptions, over a restart', async () => {
    const open = await opener(kind);
    const store = await open();
    expect(await store.read('a')).toBeUndefined();
    await store.enter('a', 60, 'one');
    const subscription = { topic: 'x/#', qos: 2, nl: true, rap: true, rh: 1, subscriptionIdentifier: 9 };
    const odd = ['__proto__', 'constructor', '1', ':', 'sub:x', 'ü/€'].map((topic) => ({ topic, qos: 1 }));
    await store.subscribe('a', [subscription, ...odd]);
    await store.unsubscribe('a', ['1']);
    await store.enter('__proto__', NEVER_EXPIRES, 'one');
    await store.enter('a:b/%', 60, 'one');
    const expected = [subscription, ...odd.filter(({ topic }) => topic !== '1')];
    const read = await store.read('a');
    expect(read).toMatchObject({ clientId: 'a', expirySeconds: 60, endsAt: undefined });
    expect(new Set(read?.subscriptions.map(({ topic }) => topic))).toEqual(new Set(expected.map(({ topic }) => topic)));
    expect(read?.subscriptions.find(({ topic }) => topic === 'x/#')).toEqual(subscription);
    if (kind === 'level') await store.close();

    const next = await open();
    const found: StoredSession[] = [];
    await next.load((session) => found.push(session));
    expect(found.map(({ clientId }) => clientId).toSorted()).toEqual(['__proto__', 'a', 'a:b/%']);
    expect(found.find(({ clientId }) => clientId === 'a')?.subscriptions).toHaveLength(expected.length);
    await next.end('a');
    expect(await next.read('a')).toBeUndefined();
    expect(await next.read('a:b/%')).toBeDefined();
  });

  it('ends a session a time after it was left, at once for 0, and not while another connection has it', async () => {
    const store = await (await opener(kind))();
    for (const id of ['a', 'b', 'c', 'd']) {
      await store.enter(id, 60, `${id}-1`);
      await store.enqueue('k', publication('x'), [target(id)]);
    }
    await store.leave('a', 1, 'a-1');
    await store.leave('b', 0, 'b-1');
    // A late end of a connection that has a successor.
    await store.enter('c', 60, 'c-2');
    await store.leave('c', 0, 'c-1');
    await store.leave('d', NEVER_EXPIRES, 'd-1');
    const ended = await store.read('a');
    expect(ended?.endsAt).toBeGreaterThan(Date.now());
    expect(ended?.endsAt).toBeLessThanOrEqual(Date.now() + 1_000);
    expect(await store.read('b')).toBeUndefined();
    expect((await store.read('c'))?.endsAt).toBeUndefined();
    expect((await store.read('d'))?.endsAt).toBeUndefined();
    await eventually(async () => (await store.read('a')) === undefined);
    // Who comes back in time has all of it.
    await store.leave('c', 1, 'c-2');
    await store.enter('c', 60, 'c-3');
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(await store.read('c')).toBeDefined();
    expect(texts(await store.queued('c', undefined, 9))).toEqual(['x']);
    expect(await store.queued('b', undefined, 9)).toEqual([]);
  });

  it('queues messages in their order, whole, for those who are there', async () => {
    const store = await (await opener(kind))();
    for (const id of ['a', 'b']) await store.enter(id, 60, 'one');
    const properties = {
      contentType: 'x',
      correlationData: Buffer.of(0, 255),
      userProperties: [
        ['1', 'b'],
        ['__proto__', ''],
      ],
    };
    const count = 300;
    const pending: Promise<readonly string[]>[] = [];
    for (let i = 0; i < count; i++) {
      const key = `broker-${String(i).padStart(16, '0')}`;
      const more = i === 0 ? { properties, expiresAt: 123, retain: true } : {};
      pending.push(
        store.enqueue(key, publication(String(i), more), [
          target('a', { qos: 2, identifiers: [1, 2], share: '$share/g/t/1', retain: i === 0 }),
          ...(i % 2 === 0 ? [target('b')] : []),
        ]),
      );
    }
    expect((await Promise.all(pending)).flat()).toEqual([]);
    const all = await everything(store, 'a', 32);
    expect(texts(all)).toEqual(Array.from({ length: count }, (_, index) => String(index)));
    expect(all[0]?.publication).toEqual(publication('0', { properties, expiresAt: 123, retain: true }));
    expect(all[0]?.delivery).toEqual({ qos: 2, retain: true, identifiers: [1, 2], share: '$share/g/t/1' });
    const b = await everything(store, 'b', 7);
    expect(b).toHaveLength(count / 2);
    expect(b[0]?.delivery).toEqual({ qos: 1, retain: false, identifiers: undefined, share: undefined });
  });

  it('never shows a message without those before it, however reads and writes meet', async () => {
    const store = await (await opener(kind))();
    await store.enter('a', 60, 'one');
    let queued = 0;
    const writing = (async () => {
      for (let round = 0; round < 60; round++) {
        const batch = Array.from({ length: 5 }, () =>
          store.enqueue(`broker-${String(queued).padStart(16, '0')}`, publication(String(queued++)), [target('a')]),
        );
        await Promise.all(batch);
      }
    })();
    const seen: string[] = [];
    let cursor: string | undefined;
    while (seen.length < 300) {
      const page = await store.queued('a', cursor, 16);
      seen.push(...texts(page));
      cursor = page.at(-1)?.cursor ?? cursor;
    }
    await writing;
    expect(seen).toEqual(Array.from({ length: 300 }, (_, index) => String(index)));
  });

  it('keeps what was sent with its packet id and how far it got, and forgets what is completed', async () => {
    const store = await (await opener(kind))();
    await store.enter('a', 60, 'one');
    for (const key of ['k1', 'k2', 'k3']) await store.enqueue(key, publication(key), [target('a')]);
    await store.update('a', [
      { kind: 'sent', key: 'k1', packetId: 65_535, qos: 1 },
      { kind: 'sent', key: 'k2', packetId: 2, qos: 2 },
    ]);
    await store.update('a', [
      { kind: 'released', key: 'k2', packetId: 2 },
      { kind: 'removed', key: 'k1' },
      { kind: 'sent', key: 'k3', packetId: 3, qos: 1 },
    ]);
    expect((await store.sent('a')).toSorted((x, y) => x.packetId - y.packetId)).toEqual([
      { key: 'k2', packetId: 2, qos: 2, released: true },
      { key: 'k3', packetId: 3, qos: 1, released: false },
    ]);
    expect(texts(await store.queued('a', undefined, 9))).toEqual(['k2', 'k3']);
    expect(await store.sent('b')).toEqual([]);
  });

  it('keeps one retained message per topic, and finds them by filter', async () => {
    const store = await (await opener(kind))();
    const topics = ['a', 'a/b', 'a/b/c', 'ab', '/a', 'a/', '__proto__', '$SYS/x', 'ü/€', 'a*[x]/b', '€', 'z'];
    for (const topic of topics) await store.retain(publication(`old ${topic}`, { topic }));
    for (const topic of topics) await store.retain(publication(topic, { topic }));
    await store.retain(publication('', { topic: 'z' }));
    const found = async (filter: string): Promise<string[]> => {
      const all: string[] = [];
      for await (const each of store.retained(filter)) all.push(each.payload.toString());
      return all.toSorted();
    };
    expect(await found('a')).toEqual(['a']);
    expect(await found('__proto__')).toEqual(['__proto__']);
    expect(await found('z')).toEqual([]);
    expect(await found('a/#')).toEqual(['a', 'a/', 'a/b', 'a/b/c']);
    expect(await found('a/+')).toEqual(['a/', 'a/b']);
    expect(await found('a/+/c')).toEqual(['a/b/c']);
    expect(await found('+/b')).toEqual(['a*[x]/b', 'a/b']);
    expect(await found('a*[x]/+')).toEqual(['a*[x]/b']);
    expect(await found('$SYS/#')).toEqual(['$SYS/x']);
    expect(await found('#')).toEqual(topics.filter((topic) => topic !== 'z' && topic !== '$SYS/x').toSorted());
    expect(await found('+')).toEqual(['__proto__', 'a', 'ab', '€'].toSorted());
  });
});

describe('the session store in redis', () => {
  it('says whose session is gone, and leaves no queue behind that nobody ends', async () => {
    const store = await (await opener('redis'))();
    await store.enter('a', 60, 'one');
    expect(await store.enqueue('k', publication('x'), [target('a'), target('nobody')])).toEqual(['nobody']);
    expect(await store.queued('nobody', undefined, 9)).toEqual([]);
    await store.leave('a', 1, 'one');
    await store.enqueue('k2', publication('y'), [target('a')]);
    await eventually(async () => (await store.queued('a', undefined, 9)).length === 0);
    expect(await store.enqueue('k3', publication('z'), [target('a')])).toEqual(['a']);
  });
});
