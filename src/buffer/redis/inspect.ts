/** A look at the Redis of the configuration, without opening the buffer in it. */
import { Redis } from 'ioredis';
import { errorText } from '../../errors.ts';
import { redisDurability, type RedisDurability } from './durability.ts';

export interface RedisInspection {
  readonly durability: RedisDurability;
  /** 0: no limit. */
  readonly memoryMaxBytes: number;
  readonly memoryUsedBytes: number;
  /** Its clock, milliseconds since the epoch. */
  readonly time: number;
}

/** @throws Error with what is wrong; SluiceError STORE_REFUSED: too old */
export async function inspectRedis(url: string, timeoutMs: number): Promise<RedisInspection> {
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let last: unknown;
  client.on('error', (error: unknown) => (last = error));
  try {
    await client.connect().catch((error: unknown) => {
      // "Connection is closed" comes behind the reason.
      throw last instanceof Error ? new Error(errorText(last), { cause: error }) : error;
    });
    const durability = await redisDurability(client);
    const memory = await client.info('memory');
    const field = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(memory)?.[1] ?? 0);
    const [seconds, microseconds] = await client.time();
    return {
      durability,
      memoryMaxBytes: field('maxmemory'),
      memoryUsedBytes: field('used_memory'),
      time: Number(seconds) * 1_000 + Number(microseconds) / 1_000,
    };
  } finally {
    client.disconnect();
  }
}
