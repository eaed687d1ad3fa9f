/**
 * Sessions in Redis, for any number of processes. Keys, all under the prefix of the namespace, where `id` is the client id
 *
 *     sessions          set of client ids, some of which may have ended
 *     session:id        hash: `expiry` (seconds), `owner` (the connection that entered last), `seq` (of the last message queued), `sub:filter` (subscription)
 *     order:id          sorted set: keys of queued messages by their seq
 *     queue:id          hash: key -> publication and delivery
 *     sent:id           hash: key -> `packetId qos`, or `packetId released`
 *     retained          see redis-retained.ts
 *
 * The keys of a session that is left have a time to live: Redis ends it, whoever is there to see it. Binary values are v8
 * serializations.
 */
import { deserialize, serialize } from 'node:v8';
import type { Redis } from 'ioredis';
import type { Subscription } from '../patches/internals.ts';
import { RedisRetained } from './redis-retained.ts';
import { ENQUEUE, ENTER, LEAVE } from './redis-store.lua.ts';
import {
  NEVER_EXPIRES,
  type Delivery,
  type Publication,
  type QueueChange,
  type QueuedMessage,
  type SentMessage,
  type SessionStore,
  type StoredSession,
  type Target,
} from './store.ts';

/** Sessions read at a time: their replies come in one go, and are not all in memory at once. */
const READ_AT_A_TIME = 200;
/** Sessions that one script queues for: nothing else is served while it runs. */
const TARGETS_AT_A_TIME = 100;
const SUBSCRIPTION = 'sub:';
const RELEASED = 'released';

export class RedisStore implements SessionStore {
  readonly #redis: Redis;
  readonly #retained: RedisRetained;

  constructor(redis: Redis) {
    this.#redis = redis;
    this.#retained = new RedisRetained(redis);
  }

  async load(found: (session: StoredSession) => void): Promise<void> {
    const ids = await this.#redis.smembers('sessions');
    for (let at = 0; at < ids.length; at += READ_AT_A_TIME) {
      await Promise.all(
        ids.slice(at, at + READ_AT_A_TIME).map(async (id) => {
          const session = await this.read(id);
          if (session !== undefined) found(session);
          else await this.#redis.srem('sessions', id);
        }),
      );
    }
  }

  async read(clientId: string): Promise<StoredSession | undefined> {
    const [fields, ttlMs] = await Promise.all([
      this.#redis.hgetallBuffer(`session:${clientId}`),
      this.#redis.pttl(`session:${clientId}`),
    ]);
    const entries = fieldsOf(fields);
    const expiry = entries.find(([field]) => field === 'expiry')?.[1];
    if (expiry === undefined) return undefined;
    const subscriptions = entries
      .filter(([field]) => field.startsWith(SUBSCRIPTION))
      .map(([, value]) => deserialize(value) as Subscription);
    return {
      clientId,
      subscriptions,
      expirySeconds: Number(expiry.toString()),
      endsAt: ttlMs >= 0 ? Date.now() + ttlMs : undefined,
    };
  }

  async enter(clientId: string, expirySeconds: number, owner: string): Promise<void> {
    await this.#redis.eval(ENTER, 5, ...keysOf(clientId), 'sessions', clientId, expirySeconds, owner);
  }

  async leave(clientId: string, expirySeconds: number, owner: string): Promise<void> {
    const lifeMs = expirySeconds >= NEVER_EXPIRES ? -1 : expirySeconds * 1000;
    await this.#redis.eval(LEAVE, 4, ...keysOf(clientId), expirySeconds, lifeMs, owner);
  }

  async end(clientId: string): Promise<void> {
    await Promise.all([this.#redis.del(...keysOf(clientId)), this.#redis.srem('sessions', clientId)]);
  }

  async subscribe(clientId: string, subscriptions: readonly Subscription[]): Promise<void> {
    const fields = subscriptions.flatMap((each) => [SUBSCRIPTION + each.topic, serialize(each)]);
    await this.#redis.hset(`session:${clientId}`, ...fields);
  }

  async unsubscribe(clientId: string, filters: readonly string[]): Promise<void> {
    await this.#redis.hdel(`session:${clientId}`, ...filters.map((filter) => SUBSCRIPTION + filter));
  }

  async enqueue(key: string, publication: Publication, targets: readonly Target[]): Promise<readonly string[]> {
    const gone: string[] = [];
    const runs = [];
    for (let at = 0; at < targets.length; at += TARGETS_AT_A_TIME) {
      runs.push(this.#enqueueSome(key, publication, targets.slice(at, at + TARGETS_AT_A_TIME), gone));
    }
    await Promise.all(runs);
    return gone;
  }

  async update(clientId: string, changes: readonly QueueChange[]): Promise<void> {
    const [, order, queue, sent] = keysOf(clientId);
    const set: string[] = [];
    const removed: string[] = [];
    for (const change of changes) {
      if (change.kind === 'removed') removed.push(change.key);
      else set.push(change.key, `${change.packetId} ${change.kind === 'released' ? RELEASED : change.qos}`);
    }
    const commands: Promise<unknown>[] = [];
    if (set.length > 0) commands.push(this.#redis.hset(sent, ...set));
    if (removed.length > 0) {
      commands.push(this.#redis.zrem(order, ...removed), this.#redis.hdel(queue, ...removed));
      commands.push(this.#redis.hdel(sent, ...removed));
    }
    await Promise.all(commands);
  }

  async sent(clientId: string): Promise<SentMessage[]> {
    const fields = await this.#redis.hgetallBuffer(`sent:${clientId}`);
    return fieldsOf(fields).map(([key, value]) => {
      const [packetId, state] = value.toString().split(' ');
      return { key, packetId: Number(packetId), qos: state === '1' ? 1 : 2, released: state === RELEASED };
    });
  }

  async queued(clientId: string, after: string | undefined, limit: number): Promise<QueuedMessage[]> {
    const from = after === undefined ? '-inf' : `(${after}`;
    const order = await this.#redis.zrangebyscore(`order:${clientId}`, from, '+inf', 'WITHSCORES', 'LIMIT', 0, limit);
    const keys = order.filter((_, index) => index % 2 === 0);
    if (keys.length === 0) return [];
    const values = await this.#redis.hmgetBuffer(`queue:${clientId}`, ...keys);
    return keys.flatMap((key, index) => {
      const value = values[index];
      // Removed meanwhile.
      if (value === null || value === undefined) return [];
      const cursor = order[2 * index + 1] as string;
      return [{ key, cursor, ...(deserialize(value) as Omit<QueuedMessage, 'key' | 'cursor'>) }];
    });
  }

  retain(publication: Publication): Promise<void> {
    return this.#retained.store(publication);
  }

  retained(filter: string): AsyncIterable<Publication> {
    return this.#retained.matching(filter);
  }

  async close(): Promise<void> {}

  async #enqueueSome(key: string, publication: Publication, targets: readonly Target[], gone: string[]): Promise<void> {
    const values: Buffer[] = [];
    const variants = new Map<string, number>();
    const chosen: (string | number)[] = [];
    for (const { clientId: _, ...delivery } of targets) {
      // Most sessions get the same bytes: they travel once.
      const name = JSON.stringify(delivery);
      let variant = variants.get(name);
      if (variant === undefined) {
        variant = values.push(entry(publication, delivery));
        variants.set(name, variant);
      }
      chosen.push(variant);
    }
    const keys = targets.flatMap(({ clientId }) => keysOf(clientId).slice(0, 3));
    const missing = (await this.#redis.eval(
      ENQUEUE,
      keys.length,
      ...keys,
      key,
      values.length,
      ...values,
      ...chosen,
    )) as number[];
    for (const index of missing) gone.push((targets[index - 1] as Target).clientId);
  }
}

function entry(publication: Publication, delivery: Delivery): Buffer {
  return serialize({ publication, delivery });
}

function keysOf(clientId: string): [session: string, order: string, queue: string, sent: string] {
  return [`session:${clientId}`, `order:${clientId}`, `queue:${clientId}`, `sent:${clientId}`];
}

/** Fields of a hash. ioredis makes a plain object of them, on which `__proto__` is an accessor. */
function fieldsOf(hash: Record<string, Buffer>): [string, Buffer][] {
  return Object.entries(hash);
}
