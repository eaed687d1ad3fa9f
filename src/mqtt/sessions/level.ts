/**
 * Sessions in LevelDB, for one process. Keys, where `id` is the client id in percent-encoding and therefore without `:`
 *
 *     session:id            { expirySeconds, endsAt }
 *     sub:id:filter         subscription
 *     queue:id:key          { publication, delivery }; keys sort in the order in which they were made
 *     sent:id:key           { packetId, qos, released }
 *     retained:topic        publication
 *
 * Values are v8 serializations. Writes are not synced unless they are asked for durably: that there is a session outlives a power
 * failure, its subscriptions and its queue not always. What was acknowledged to a publisher is in the buffer, which is.
 */
import { deserialize, serialize } from 'node:v8';
import { ClassicLevel } from 'classic-level';
import { topicMatches } from '../filter-trie.ts';
import type { Subscription } from '../patches/internals.ts';
import { OrderedWrites, type Operation, type Range } from './ordered-writes.ts';
import {
  endOf,
  type Publication,
  type QueueChange,
  type QueuedMessage,
  type SentMessage,
  type SessionStore,
  type StoredSession,
  type Target,
} from './store.ts';
import type { WillTexts } from './will-store.ts';

export type Database = ClassicLevel<string, string>;

const bytes = { valueEncoding: 'buffer' } as const;

type SessionRecord = Pick<StoredSession, 'endsAt' | 'expirySeconds'>;

export async function openLevel(directory: string): Promise<Database> {
  const db = new ClassicLevel<string, string>(directory, { keyEncoding: 'utf8', valueEncoding: 'utf8' });
  await db.open();
  return db;
}

export class LevelStore implements SessionStore {
  readonly #db: Database;
  readonly #writes: OrderedWrites;
  /** Connections that have entered, by client id. */
  readonly #owners = new Map<string, string>();

  constructor(db: Database) {
    this.#db = db;
    this.#writes = new OrderedWrites(db);
  }

  async load(found: (session: StoredSession) => void): Promise<void> {
    const range = { gte: 'session:', lt: 'session;' };
    for await (const [key, value] of this.#db.iterator<string, Buffer>({ ...range, ...bytes })) {
      const clientId = decodeURIComponent(key.slice('session:'.length));
      const record = deserialize(value) as SessionRecord;
      // Nobody is connected when a process starts: who was, was left by the one before.
      const endsAt = record.endsAt ?? endOf(record.expirySeconds, Date.now());
      found({ clientId, ...record, endsAt, subscriptions: await this.#subscriptions(clientId) });
    }
  }

  async read(clientId: string): Promise<StoredSession | undefined> {
    const value = await this.#db.get<string, Buffer>(sessionKey(clientId), bytes);
    if (value === undefined) return undefined;
    const record = deserialize(value) as SessionRecord;
    if (record.endsAt !== undefined && record.endsAt <= Date.now()) return undefined;
    return { clientId, ...record, subscriptions: await this.#subscriptions(clientId) };
  }

  enter(clientId: string, expirySeconds: number, owner: string): Promise<void> {
    this.#owners.set(clientId, owner);
    // Synced: were it lost in a power failure, the client would be told of no session, and what it then sends again of QoS 2 would
    // be taken for new.
    return this.#record(clientId, { expirySeconds, endsAt: undefined }, true);
  }

  async leave(clientId: string, expirySeconds: number, owner: string): Promise<void> {
    if (this.#owners.get(clientId) !== owner) return;
    this.#owners.delete(clientId);
    if (expirySeconds === 0) await this.end(clientId);
    else await this.#record(clientId, { expirySeconds, endsAt: endOf(expirySeconds, Date.now()) });
  }

  end(clientId: string): Promise<void> {
    // Who had it has it no longer, and is not to leave it behind.
    this.#owners.delete(clientId);
    const ranges = ['sub', 'queue', 'sent'].map((kind) => rangeOf(kind, clientId));
    return this.#writes.clear(ranges, [{ type: 'del', key: sessionKey(clientId) }]);
  }

  subscribe(clientId: string, subscriptions: readonly Subscription[]): Promise<void> {
    return this.#writes.write(
      subscriptions.map((subscription) => ({
        type: 'put',
        key: keyOf('sub', clientId, subscription.topic),
        value: serialize(subscription),
      })),
    );
  }

  unsubscribe(clientId: string, filters: readonly string[]): Promise<void> {
    return this.#writes.write(filters.map((filter) => ({ type: 'del', key: keyOf('sub', clientId, filter) })));
  }

  async enqueue(
    key: string,
    publication: Publication,
    targets: readonly Target[],
    durably = false,
  ): Promise<readonly string[]> {
    await this.#writes.write(
      targets.map(({ clientId, ...delivery }) => ({
        type: 'put',
        key: keyOf('queue', clientId, key),
        value: serialize({ publication, delivery }),
      })),
      durably,
    );
    return [];
  }

  update(clientId: string, changes: readonly QueueChange[]): Promise<void> {
    return this.#writes.write(
      changes.flatMap((change): Operation[] => {
        const key = keyOf('sent', clientId, change.key);
        if (change.kind === 'removed') {
          return [
            { type: 'del', key },
            { type: 'del', key: keyOf('queue', clientId, change.key) },
          ];
        }
        const { packetId } = change;
        const released = change.kind === 'released';
        const value = serialize({ packetId, released, qos: released ? 2 : change.qos });
        return [{ type: 'put', key, value }];
      }),
    );
  }

  async sent(clientId: string): Promise<SentMessage[]> {
    const sent: SentMessage[] = [];
    const range = rangeOf('sent', clientId);
    for await (const [key, value] of this.#db.iterator<string, Buffer>({ ...range, ...bytes })) {
      sent.push({ key: key.slice(range.gte.length), ...(deserialize(value) as Omit<SentMessage, 'key'>) });
    }
    return sent;
  }

  async queued(clientId: string, after: string | undefined, limit: number): Promise<QueuedMessage[]> {
    const { gte, lt } = rangeOf('queue', clientId);
    const messages: QueuedMessage[] = [];
    const range = after === undefined ? { gte, lt } : { gt: gte + after, lt };
    for await (const [key, value] of this.#db.iterator<string, Buffer>({ ...range, limit, ...bytes })) {
      const name = key.slice(gte.length);
      messages.push({ key: name, cursor: name, ...(deserialize(value) as Omit<QueuedMessage, 'key' | 'cursor'>) });
    }
    return messages;
  }

  retain(publication: Publication, durably = false): Promise<void> {
    const key = `retained:${publication.topic}`;
    if (publication.payload.length === 0) return this.#writes.write([{ type: 'del', key }], durably);
    return this.#writes.write([{ type: 'put', key, value: serialize(publication) }], durably);
  }

  async *retained(filter: string): AsyncIterable<Publication> {
    const wildcard = filter.search(/[+#]/);
    if (wildcard < 0) {
      const value = await this.#db.get<string, Buffer>(`retained:${filter}`, bytes);
      if (value !== undefined) yield deserialize(value) as Publication;
      return;
    }
    // `a/#` stands for `a` too [MQTT-4.7.1-2]: the slash in front of the wildcard is no part of the prefix.
    const prefix = `retained:${filter.slice(0, Math.max(0, wildcard - 1))}`;
    const range = { gte: prefix, lt: 'retained;' };
    for await (const [key, value] of this.#db.iterator<string, Buffer>({ ...range, ...bytes })) {
      if (!key.startsWith(prefix)) return;
      if (topicMatches(filter, key.slice('retained:'.length))) yield deserialize(value) as Publication;
    }
  }

  async close(): Promise<void> {
    if (this.#db.status === 'open') await this.#writes.write([]);
    await this.#db.close();
  }

  #record(clientId: string, record: SessionRecord, sync = false): Promise<void> {
    return this.#writes.write([{ type: 'put', key: sessionKey(clientId), value: serialize(record) }], sync);
  }

  async #subscriptions(clientId: string): Promise<Subscription[]> {
    const subscriptions: Subscription[] = [];
    for await (const value of this.#db.values<string, Buffer>({ ...rangeOf('sub', clientId), ...bytes })) {
      subscriptions.push(deserialize(value) as Subscription);
    }
    return subscriptions;
  }
}

function sessionKey(clientId: string): string {
  return `session:${encodeURIComponent(clientId)}`;
}

function keyOf(kind: string, clientId: string, name: string): string {
  return `${kind}:${encodeURIComponent(clientId)}:${name}`;
}

function rangeOf(kind: string, clientId: string): Range {
  const prefix = `${kind}:${encodeURIComponent(clientId)}`;
  return { gte: `${prefix}:`, lt: `${prefix};` };
}

const PREFIX = 'sluice-will:';

export class LevelWillTexts implements WillTexts {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  get(clientId: string): Promise<string | undefined> {
    return this.#db.get(PREFIX + clientId);
  }
  set(clientId: string, text: string): Promise<void> {
    return this.#db.put(PREFIX + clientId, text);
  }
  delete(clientId: string): Promise<void> {
    return this.#db.del(PREFIX + clientId);
  }
  values(): AsyncIterable<string> {
    return this.#db.values({ gte: PREFIX, lt: 'sluice-will;' });
  }
}
