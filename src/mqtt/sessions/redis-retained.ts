/**
 * Retained messages in Redis, as aedes-persistence-redis 11.2 keeps them: what it stored before is found, and a broker with that
 * library on the same Redis finds what sluice retains.
 */
import { createRequire } from 'node:module';
import type { Redis } from 'ioredis';
import { topicMatches } from '../filter-trie.ts';
import type { PublishPacket } from '../patches/internals.ts';
import type { Publication } from './store.ts';

interface Library {
  storeRetained(packet: PublishPacket): Promise<void>;
  createRetainedStreamCombi(filters: readonly string[]): AsyncIterable<StoredPacket>;
}

/** MessagePack has no undefined. */
interface StoredPacket extends Omit<PublishPacket, 'properties' | 'messageExpiry'> {
  readonly properties?: PublishPacket['properties'] | null;
  readonly messageExpiry?: number | null;
}

const AsyncRedisPersistence = createRequire(import.meta.url)(
  'aedes-persistence-redis/asyncPersistence.js',
) as new (options: { readonly conn: Redis }) => Library;

export class RedisRetained {
  readonly #library: Library;

  constructor(redis: Redis) {
    this.#library = new AsyncRedisPersistence({ conn: redis });
  }

  async store({ topic, payload, qos, properties, expiresAt }: Publication): Promise<void> {
    await this.#library.storeRetained({
      cmd: 'publish',
      topic,
      payload,
      qos,
      retain: true,
      dup: false,
      ...(properties === undefined ? {} : { properties }),
      ...(expiresAt === undefined ? {} : { messageExpiry: expiresAt }),
    });
  }

  async *matching(filter: string): AsyncIterable<Publication> {
    // HSCAN may return an element several times.
    const seen = new Set<string>();
    for await (const packet of this.#library.createRetainedStreamCombi([searchable(filter)])) {
      const { topic, payload, qos, properties, messageExpiry } = packet;
      // The library takes `#` to match topics that begin with `$`, too [MQTT-4.7.2-1].
      if (seen.has(topic) || !topicMatches(filter, topic)) continue;
      seen.add(topic);
      yield {
        topic,
        payload: Buffer.isBuffer(payload) ? payload : Buffer.from(payload),
        qos,
        retain: true,
        properties: properties ?? undefined,
        expiresAt: messageExpiry ?? undefined,
      };
    }
  }
}

/** The library makes a pattern of what stands before the first wildcard, and means nothing by the characters that Redis does. */
function searchable(filter: string): string {
  const wildcard = filter.search(/[+#]/);
  return wildcard > 0 && /[\\[\]*?^]/.test(filter.slice(0, wildcard)) ? '#' : filter;
}
