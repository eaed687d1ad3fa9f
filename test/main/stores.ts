import { startRedis, type Redis } from '../support/services.ts';

/** Each durable store, as the tests that must hold on both go through them. */
export const stores = ['level', 'redis'] as const;
export type StoreName = (typeof stores)[number];

/** A Redis of the test's own where the store needs one. */
export async function storeFor(
  store: StoreName,
  options: { proxied?: boolean } = {},
): Promise<{ redis: Redis | undefined; settings: { redisUrl?: string } }> {
  if (store === 'level') return { redis: undefined, settings: {} };
  const redis = await startRedis(options);
  return { redis, settings: { redisUrl: redis.url } };
}
