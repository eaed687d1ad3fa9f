import { Redis as Client } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { isSluiceError, type SluiceError } from '../../src/errors.ts';
import { RedisStore, type RedisStoreOptions } from '../../src/buffer/redis/store.ts';
import { codeOf, TestProcess } from '../conformance/store.ts';
import { startRedis, type Redis } from '../support/services.ts';

const COMMAND_TIMEOUT_MS = 300;

let redis: Redis;
let admin: Client;
let namespaces = 0;
const opened: RedisStore[] = [];

beforeAll(async () => {
  redis = await startRedis({ proxied: true });
  admin = new Client(redis.directUrl);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

function makeStore(change: Partial<RedisStoreOptions> = {}): RedisStore {
  const store = new RedisStore({
    url: redis.url,
    namespace: `faults-${namespaces++}`,
    shards: 2,
    maxBytes: 1e9,
    commandTimeoutMs: COMMAND_TIMEOUT_MS,
    ...change,
  });
  opened.push(store);
  return store;
}

const start = (change?: Partial<RedisStoreOptions>): Promise<TestProcess> => new TestProcess(makeStore(change)).open();

async function errorOf(promise: Promise<unknown>): Promise<SluiceError> {
  const error: unknown = await promise.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  );
  if (!isSluiceError(error)) throw error as Error;
  return error;
}

/** Opens the shard again as soon as the store answers. */
async function reopened(process: TestProcess, shard = 0): Promise<void> {
  await expect.poll(() => codeOf(process.reopen(shard)), { timeout: 10_000, interval: 20 }).toBe('no error');
}

describe('a Redis that hangs', () => {
  it('never lets an append that timed out come behind a newer one', async () => {
    for (let round = 0; round < 5; round++) {
      const process = await start();
      await process.append('before');
      redis.pause();
      const pending = process.store.append(process.request({ frames: 'in doubt' }));
      expect(await codeOf(pending)).toBe('STORE_TIMEOUT');
      redis.resume();
      await reopened(process);
      await process.append('after');
      const texts = (await process.texts()).map(([, text]) => text);
      // Its outcome was unknown: it came before the newer one, or never.
      expect([
        ['before', 'after'],
        ['before', 'in doubt', 'after'],
      ]).toContainEqual(texts);
      await process.append('last');
      expect((await process.texts()).map(([, text]) => text)).toEqual([...texts, 'last']);
    }
  });

  it('refuses an append that reaches it only after the shard was opened again', async () => {
    const process = await start();
    await process.append('before');
    const { port } = new URL(redis.directUrl);
    const monitor = await admin.monitor();
    let seen: string[] | undefined;
    monitor.on('monitor', (_time: string, args: string[]) => {
      if (/^evalsha|eval$/i.test(args[0] ?? '') && args.includes('in doubt')) seen = args;
    });
    expect(await codeOf(process.store.append(process.request({ frames: 'in doubt' })))).toBe('no error');
    await expect.poll(() => seen, { timeout: 5_000 }).toBeDefined();
    monitor.disconnect();
    await reopened(process);
    await process.append('after');
    // The same again, as a late packet of the old connection would bring it, even with a sequence that is not used up:
    // script, number of keys, keys, token, sequence, …
    const [command, ...args] = seen!;
    const sequenceAt = 2 + Number(args[1]) + 1;
    args[sequenceAt] = '1000';
    const raw = new Client(Number(port), '127.0.0.1');
    const answer = (await raw.call(command!, ...args)) as string[];
    raw.disconnect();
    expect(answer[0]).toBe('stale');
    expect((await process.texts()).map(([, text]) => text)).toEqual(['before', 'in doubt', 'after']);
  });

  it('piles nothing up: while it hangs, appends fail at once and are never sent', async () => {
    const process = await start();
    redis.pause();
    expect(await codeOf(process.store.append(process.request({ frames: 'x' })))).toBe('STORE_TIMEOUT');
    const began = performance.now();
    for (let i = 0; i < 100; i++) {
      expect(await codeOf(process.store.append(process.request({ frames: `late ${i}` })))).toBe('STORE_OFFLINE');
    }
    expect(performance.now() - began).toBeLessThan(COMMAND_TIMEOUT_MS);
    redis.resume();
    await reopened(process);
    const texts = (await process.texts()).map(([, text]) => text);
    expect(texts.filter((text) => text.startsWith('late'))).toEqual([]);
  });

  it('says when it is away and when it is back', async () => {
    const told: boolean[] = [];
    const process = new TestProcess(makeStore());
    await process.open({ appended: () => {}, availability: (available) => void told.push(available) });
    redis.pause();
    await codeOf(process.store.append(process.request({ frames: 'x' })));
    expect(told).toEqual([false]);
    redis.resume();
    await expect.poll(() => told, { timeout: 10_000 }).toEqual([false, true]);
  });
});

describe('a connection that breaks', () => {
  it('is replaced, and the shard must be opened again before the next append', async () => {
    const process = await start();
    await process.append('a');
    redis.proxy!.cut();
    await expect
      .poll(() => codeOf(process.store.append(process.request({ frames: 'b' }))), { timeout: 10_000 })
      .toBe('APPENDER_STALE');
    await reopened(process);
    expect(await process.append('c')).toBeGreaterThan(1);
    const texts = (await process.texts()).map(([, text]) => text);
    expect(texts.at(0)).toBe('a');
    expect(texts.at(-1)).toBe('c');
  });

  it('in the middle of an append leaves its outcome unknown, and appends it once at most', async () => {
    const process = await start();
    const frame = Buffer.alloc(4 * 1024 * 1024, 7);
    for (let round = 0; round < 4; round++) {
      const pending = codeOf(process.store.append(process.request({ frame, count: 1 })));
      await new Promise((resolve) => setImmediate(resolve));
      redis.proxy!.cut();
      expect(['STORE_UNAVAILABLE', 'STORE_OFFLINE', 'STORE_TIMEOUT', 'no error']).toContain(await pending);
      await reopened(process);
    }
    const { head } = await process.store.stats(0);
    expect(head).toBeLessThanOrEqual(4);
    const frames = await process.store.read(0, 1, 100 * 1024 * 1024);
    expect(frames).toHaveLength(head);
    for (const { bytes } of frames) expect(bytes.equals(frame)).toBe(true);
  });

  it('lets a settlement be repeated until it is known to have taken effect, once', async () => {
    const process = await start();
    for (let i = 0; i < 10; i++) await process.append('x');
    const lease = await process.lease();
    for (let i = 1; i <= 10; i++) {
      const change = { released: i, outcomes: { delivered: 1 } };
      const pending = codeOf(process.store.settle(lease, change));
      if (i % 2 === 0) redis.proxy!.cut();
      if ((await pending) === 'no error') continue;
      await expect.poll(() => codeOf(process.store.settle(lease, change)), { timeout: 10_000 }).toBe('no error');
    }
    expect(await process.store.stats(0)).toMatchObject({ released: 10, outcomes: { delivered: 10 } });
  });
});

describe('a Redis that refuses', () => {
  it('at maxmemory: appends nothing, goes on settling, and takes appends again afterwards', async () => {
    const process = await start();
    await process.append('x'.repeat(100_000));
    const lease = await process.lease();
    await admin.config('SET', 'maxmemory', '1');
    try {
      const error = await errorOf(process.store.append(process.request({ frames: 'b' })));
      expect(error.code).toBe('STORE_READ_ONLY');
      expect(error.message).toContain('OOM');
      await process.reopen();
      await process.store.settle(lease, {
        released: 1,
        trimmed: 2,
        freedBytes: 100_000,
        outcomes: { delivered: 1 },
        park: [{ topic: 't', bytes: Buffer.from('p'), messages: 1 }],
        marks: { a: 'b' },
      });
      expect(await process.store.renew(lease, 10_000)).toBe(true);
      expect(await process.store.stats(0)).toMatchObject({ released: 1, bytes: 1 });
    } finally {
      await admin.config('SET', 'maxmemory', '0');
    }
    expect(await process.append('c')).toBe(2);
  });

  it('as a replica: read-only, and the connection is dropped so that a new primary is found', async () => {
    const process = await start();
    await process.append('a');
    await admin.replicaof('127.0.0.1', 1);
    try {
      expect(await codeOf(process.store.append(process.request({ frames: 'b' })))).toBe('STORE_READ_ONLY');
      await expect.poll(() => codeOf(process.reopen()), { timeout: 10_000 }).toMatch(/STORE_READ_ONLY|STORE_OFFLINE/);
    } finally {
      await admin.replicaof('NO', 'ONE');
    }
    await reopened(process);
    await process.append('c');
    expect((await process.texts()).map(([, text]) => text)).toEqual(['a', 'c']);
  });

  it('without the password: says so, without showing the one it was given', async () => {
    const secured = await startRedis({ config: { requirepass: 'right' } });
    try {
      const url = `redis://127.0.0.1:${secured.port}`;
      const none = await errorOf(makeStore({ url }).open({ appended: () => {}, availability: () => {} }));
      expect(none.code).toBe('STORE_REFUSED');
      expect(none.hint).toContain('password');
      const wrong = await errorOf(
        makeStore({ url: `redis://:secret-guess@127.0.0.1:${secured.port}` }).open({
          appended: () => {},
          availability: () => {},
        }),
      );
      expect(wrong.code).toBe('STORE_REFUSED');
      expect(`${wrong.message} ${wrong.hint}`).not.toContain('secret-guess');
      const right = await start({ url: secured.url });
      expect(await right.append('a')).toBe(1);
    } finally {
      await secured.stop();
    }
  });

  it('that is not there: unavailable, and open may be called again', async () => {
    const other = await startRedis();
    await other.stop();
    const store = makeStore({ url: other.url });
    expect(await codeOf(store.open({ appended: () => {}, availability: () => {} }))).toBe('STORE_UNAVAILABLE');
    await other.start();
    const process = await new TestProcess(store).open();
    expect(await process.append('a')).toBe(1);
    await store.close();
    await other.stop();
  });
});

describe('the durability of Redis', () => {
  const settings = async (values: Record<string, string>, task: () => Promise<void>): Promise<void> => {
    const before: Record<string, string> = {};
    for (const [name, value] of Object.entries(values)) {
      before[name] = ((await admin.config('GET', name)) as string[])[1]!;
      await admin.config('SET', name, value);
    }
    try {
      await task();
    } finally {
      for (const [name, value] of Object.entries(before)) await admin.config('SET', name, value);
    }
  };

  it('is said when it is as it should be', async () => {
    const { durability } = (await start()).opening;
    expect(durability.summary).toMatch(/^Redis \d+\.\d+\.\d+, AOF appendfsync always$/);
    expect(durability.weak).toEqual([]);
  });

  it('is a reason to refuse where messages would be lost, naming each setting and the way out', async () => {
    const weak = { appendfsync: 'everysec', 'no-appendfsync-on-rewrite': 'yes', 'maxmemory-policy': 'allkeys-lru' };
    await settings(weak, async () => {
      const error = await errorOf(makeStore().open({ appended: () => {}, availability: () => {} }));
      expect(error.code).toBe('STORE_REFUSED');
      expect(error.message).toContain('CONFIG SET appendfsync always');
      expect(error.message).toContain('CONFIG SET no-appendfsync-on-rewrite no');
      expect(error.message).toContain('CONFIG SET maxmemory-policy noeviction');
      const allowed = await start({ allowWeakDurability: true });
      expect(allowed.opening.durability.weak).toHaveLength(3);
      expect(allowed.opening.durability.summary).toContain('everysec');
    });
  });

  it('without an append-only file is refused', async () => {
    const memoryOnly = await startRedis({ config: { appendonly: 'no' } });
    try {
      const error = await errorOf(
        makeStore({ url: memoryOnly.url }).open({ appended: () => {}, availability: () => {} }),
      );
      expect(error.message).toContain('CONFIG SET appendonly yes');
      const allowed = await start({ url: memoryOnly.url, allowWeakDurability: true });
      expect(allowed.opening.durability.weak).toHaveLength(1);
    } finally {
      await memoryOnly.stop();
    }
  });

  it('that cannot be looked up is a warning', async () => {
    await admin.acl('SETUSER', 'app', 'on', '>pw', '~*', '&*', '+@all', '-config');
    const { port } = new URL(redis.directUrl);
    const process = await start({ url: `redis://app:pw@127.0.0.1:${port}` });
    expect(process.opening.durability.weak).toHaveLength(1);
    expect(process.opening.durability.weak[0]).toContain('could not be verified');
    expect(await process.append('a')).toBe(1);
  });
});

describe('a log in Redis', () => {
  it('keeps frames whose meta was lost, and counts them anew', async () => {
    const process = await start();
    await process.append('one', 2);
    await process.append('three', 3);
    const [meta] = await admin
      .keys('{faults-*:0}:meta')
      .then((keys) => keys.filter((key) => key.includes(`-${namespaces - 1}:`)));
    await admin.del(meta!);
    expect(await codeOf(process.store.append(process.request({ frames: 'x' })))).toBe('APPENDER_STALE');
    const state = await process.reopen();
    expect(state.head).toBe(5);
    expect(await process.append('six')).toBe(6);
    expect(await process.texts()).toEqual([
      [1, 'one'],
      [3, 'three'],
      [6, 'six'],
    ]);
    expect(await process.store.stats(0)).toMatchObject({ accepted: 6, logMessages: 6, bytes: 11 });
  });

  it('counts beyond 2^31 and keeps whole numbers below 2^53', async () => {
    const process = await start();
    await process.append('a');
    const far = 2 ** 52 + 1;
    const state = await process.reopen(0, far);
    expect(state.head).toBe(far);
    expect(state.epochs.at(-1)!.from).toBe(far + 1);
    expect(await process.append('b', 3)).toBe(far + 1);
    expect(await process.append('c')).toBe(far + 4);
    expect(await process.texts(far)).toEqual([
      [far + 1, 'b'],
      [far + 4, 'c'],
    ]);
    await process.store.settle(await process.lease(), { released: far + 3, trimmed: far + 4, freedBytes: 2 });
    expect(await process.texts()).toEqual([[far + 4, 'c']]);
  });

  it('forgets the tokens of appenders that are gone', async () => {
    const namespace = `faults-${namespaces}`;
    for (let i = 0; i < 5; i++) await start({ namespace });
    const key = `{${namespace}:0}:appenders`;
    expect(await admin.hlen(key)).toBe(5);
    for (const token of await admin.hkeys(key)) await admin.hset(key, token, '3 1000');
    const process = await start({ namespace });
    expect(await admin.hlen(key)).toBe(1);
    // The same process does not leave any behind.
    for (let i = 0; i < 5; i++) await process.reopen();
    expect(await admin.hlen(key)).toBe(1);
  });
});
