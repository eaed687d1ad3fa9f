/**
 * Sessions in Redis: aedes-persistence-redis 11.2 with an index of the stored subscriptions of its own, because whether
 * anybody's queue is to get a message must be known at once, and the library keeps its index to itself.
 *
 * The index hears of every change as the library's own does: on `$SYS/sub/…`, from this process and from others. It listens
 * before it reads what is stored, so that it may hold a subscription that has just ended, and never lacks one.
 */
import { createRequire } from 'node:module';
import type { Redis } from 'ioredis';
import { FilterTrie } from '../filter-trie.ts';
import type { EmittedPacket, Listener } from '../local-emitter.ts';
import type { AedesBroker, Subscription } from '../patches/internals.ts';
import type { InnerPersistence, MatchedSubscription, QueuedPacket } from './inner.ts';

export interface RedisPersistenceOptions {
  readonly conn: Redis;
  readonly packetTTL: (packet: QueuedPacket) => number;
}

const AsyncRedisPersistence = createRequire(import.meta.url)('aedes-persistence-redis/asyncPersistence.js') as new (
  options: RedisPersistenceOptions,
) => InnerPersistence;

/** As aedes-persistence-redis names them; its class shows neither. */
const CLIENTS_KEY = 'clients';
const CHANGES = '$SYS/sub/+';
const ADDED = '$SYS/sub/add';
/** Sessions read at a time: their replies come in one go, and are not all in memory at once. */
const READ_AT_A_TIME = 200;

interface SubscribableBroker {
  subscribe(filter: string, listener: Listener, done: () => void): void;
}

interface Change {
  readonly clientId: string;
  readonly subs: readonly Subscription[];
}

export class RedisSessions extends AsyncRedisPersistence {
  readonly #redis: Redis;
  readonly #subscriptions = new FilterTrie<string, MatchedSubscription>();
  #loaded = false;

  constructor(options: RedisPersistenceOptions) {
    super(options);
    this.#redis = options.conn;
  }

  /** aedes looks at the constructor's name: this must be an async function. */
  override async setup(broker: AedesBroker): Promise<void> {
    // Before the library listens: it takes a change for made once it has heard of it, and we are to have heard by then.
    await new Promise<void>((resolve) => {
      (broker as unknown as SubscribableBroker).subscribe(CHANGES, this.#changed, resolve);
    });
    await super.setup(broker);
    const ids = await this.#redis.smembers(CLIENTS_KEY);
    for (let at = 0; at < ids.length; at += READ_AT_A_TIME) {
      await Promise.all(
        ids.slice(at, at + READ_AT_A_TIME).map(async (id) => this.#add(id, await this.subscriptionsByClient({ id }))),
      );
    }
    this.#loaded = true;
  }

  override async subscriptionsByTopic(topic: string): Promise<MatchedSubscription[]> {
    return this.#subscriptions.match(topic);
  }

  /** No stored subscription matches; false as long as that is not known. */
  unmatched(topic: string): boolean {
    return this.#loaded && this.#subscriptions.match(topic).length === 0;
  }

  readonly #changed = (packet: EmittedPacket, done: () => void): void => {
    const { clientId, subs } = JSON.parse(String((packet as QueuedPacket).payload)) as Change;
    if (packet.topic === ADDED) this.#add(clientId, subs);
    else for (const { topic } of subs) this.#subscriptions.delete(topic, clientId);
    done();
  };

  #add(clientId: string, subscriptions: readonly Subscription[]): void {
    for (const subscription of subscriptions) {
      const { topic } = subscription;
      if (subscription.qos > 0) this.#subscriptions.set(topic, clientId, { ...subscription, clientId });
      else this.#subscriptions.delete(topic, clientId);
    }
  }
}
