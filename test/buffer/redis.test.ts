import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis as Client } from 'ioredis';
import { afterAll, beforeAll } from 'vitest';
import { RedisStore } from '../../src/buffer/redis/store.ts';
import { storeConformance } from '../conformance/store.ts';
import { startRedis, type Redis } from '../support/services.ts';

let redis: Redis;
let copies: string;
let namespaces = 0;

beforeAll(async () => {
  redis = await startRedis();
  copies = await mkdtemp(path.join(tmpdir(), 'sluice-redis-'));
});
afterAll(async () => {
  await redis.stop();
  await rm(copies, { recursive: true, force: true });
});

async function withClient<T>(task: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(redis.url);
  try {
    return await task(client);
  } finally {
    client.disconnect();
  }
}

/** Puts the append-only directory back as it was: what came after is lost, and the server is another run. */
async function takeCopy(): Promise<() => Promise<void>> {
  const from = path.join(redis.dir, 'appendonlydir');
  const copy = path.join(copies, `${copies.length}-${Math.random().toString(36).slice(2)}`);
  await cp(from, copy, { recursive: true });
  return async () => {
    await redis.kill();
    await rm(from, { recursive: true });
    await cp(copy, from, { recursive: true });
    await redis.start();
  };
}

storeConformance('redis', async () => {
  const namespace = `test-${namespaces++}`;
  const opened: RedisStore[] = [];
  const closeAll = async (): Promise<void> => {
    await Promise.all(opened.splice(0).map((store) => store.close()));
  };
  return {
    makeStore: ({ shards = 2, maxBytes = 1e9 } = {}) => {
      const store = new RedisStore({ url: redis.url, namespace, shards, maxBytes, commandTimeoutMs: 2_000 });
      opened.push(store);
      return store;
    },
    // A lease is not given up by a crash: it would have to run out, which is what the test of leases waits for.
    crash: async () => {
      await closeAll();
      await withClient((client) => client.del(`{${namespace}:0}:lease`, `{${namespace}:1}:lease`));
      await redis.kill();
      await redis.start();
    },
    copy: takeCopy,
    copyLive: takeCopy,
    empty: () => withClient(async (client) => void (await client.flushall())),
    dispose: closeAll,
  };
});
