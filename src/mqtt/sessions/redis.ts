/** Sessions in Redis, so that several processes share them, with an emitter between the processes. Keys and channel carry the namespace. */
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { RedisEmitter } from './redis-emitter.ts';
import { RedisStore } from './redis-store.ts';
import { decodeWill, encodeWill, type StoredWill, type WillStore } from './will-store.ts';

export interface RedisSessionOptions {
  readonly url: string;
  readonly namespace: string;
  readonly timeoutMs: number;
  readonly fault: (where: string, error: unknown) => void;
}

/** A command that cannot be sent now fails now: what waits in a queue comes back to nobody. */
function connect(options: RedisSessionOptions, name: string, keyPrefix: string, patient = false): Redis {
  const redis = new Redis(options.url, {
    lazyConnect: true,
    connectionName: `sluice-${name}`,
    keyPrefix,
    enableOfflineQueue: patient,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: patient ? null : 0,
    ...(patient ? {} : { commandTimeout: options.timeoutMs, enableAutoPipelining: true }),
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), 1_000),
  });
  redis.on('error', (error) => options.fault(`redis ${name}`, error));
  return redis;
}

export interface RedisSessionParts {
  readonly store: RedisStore;
  readonly emitter: RedisEmitter;
  readonly wills: WillStore;
  disconnect(): void;
}

export async function openRedis(options: RedisSessionOptions): Promise<RedisSessionParts> {
  const prefix = `${options.namespace}:mqtt:`;
  const store = connect(options, 'sessions', prefix);
  const publisher = connect(options, 'emitter-publish', '');
  // Subscriptions must not be lost when Redis is away for a moment: they wait, and ioredis renews them.
  const subscriber = connect(options, 'emitter-subscribe', '', true);
  const connections = [store, publisher, subscriber];
  const emitter = new RedisEmitter({ publisher, subscriber }, `${prefix}bus`, randomUUID(), options.fault);
  const disconnect = (): void => connections.forEach((redis) => redis.disconnect());
  try {
    await Promise.all(connections.map((redis) => redis.connect()));
    await emitter.join();
  } catch (error) {
    disconnect();
    throw error;
  }
  return {
    store: new RedisStore(store),
    emitter,
    wills: new RedisWillStore(store),
    disconnect,
  };
}

/** KEYS: wills. ARGV: client id, token or ''. Removes the will if the token is its own, or none is given. */
const REMOVE = `
local text = redis.call('HGET', KEYS[1], ARGV[1])
if text and (ARGV[2] == '' or string.sub(text, 1, #ARGV[2] + 1) == ARGV[2] .. ' ') then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
return 0`;

/** KEYS: wills. ARGV: client id, text as it was read, text that replaces it. 1: replaced. */
const CLAIM = `
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`;

const KEY = 'sluice-wills';

export class RedisWillStore implements WillStore {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async put(will: StoredWill): Promise<void> {
    await this.#redis.hset(KEY, will.clientId, encodeWill(will));
  }

  async remove(clientId: string, token = ''): Promise<void> {
    await this.#redis.eval(REMOVE, 1, KEY, clientId, token);
  }

  async holds(clientId: string, token: string): Promise<boolean> {
    return (await this.#redis.hget(KEY, clientId))?.startsWith(`${token} `) === true;
  }

  async claim(will: StoredWill, brokerId: string): Promise<boolean> {
    return (
      (await this.#redis.eval(CLAIM, 1, KEY, will.clientId, encodeWill(will), encodeWill({ ...will, brokerId }))) === 1
    );
  }

  async *all(): AsyncIterable<StoredWill> {
    let cursor = '0';
    do {
      const [next, pairs] = await this.#redis.hscan(KEY, cursor, 'COUNT', 100);
      cursor = next;
      for (let index = 1; index < pairs.length; index += 2) yield decodeWill(pairs[index] as string);
    } while (cursor !== '0');
  }
}
