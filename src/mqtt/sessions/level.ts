/**
 * Sessions in LevelDB: aedes-persistence-level 9.2, with three of its ways mended (measured; see test/mqtt/sessions):
 * - it drops the MQTT 5 properties and the expiry of a message that is queued for an offline session (it wraps the packet
 *   with aedes-packet 3), and with them the time after which the message is void;
 * - a subscription that overlaps another one of the same client takes that one out of its index, or is left out of it, so
 *   that messages are not queued;
 * - after a restart, messages are queued for QoS 0 subscriptions too, and never leave the queue.
 * It does not sync its writes: sessions outlive the process, but not always a power failure. What was acknowledged to a
 * publisher is in the buffer, which does.
 */
import { createRequire } from 'node:module';
import { ClassicLevel } from 'classic-level';
import { FilterTrie } from '../filter-trie.ts';
import type { AedesBroker, Subscription } from '../patches/internals.ts';
import type { ClientRef, InnerPersistence, MatchedSubscription, QueuedPacket } from './inner.ts';
import type { WillTexts } from './will-store.ts';

type Database = ClassicLevel<string, string>;

const AsyncLevelPersistence = createRequire(import.meta.url)('aedes-persistence-level/asyncPersistence.js') as new (
  db: Database,
) => InnerPersistence;

/** What aedes-packet 3 would drop travels in the one field that it copies and nothing reads in a queued packet. */
type Extras = Pick<QueuedPacket, 'properties' | 'messageExpiry'>;
type PacketWithExtras = QueuedPacket & { nl?: unknown };

export async function openLevel(directory: string): Promise<Database> {
  const db: Database = new ClassicLevel(directory, { keyEncoding: 'utf8', valueEncoding: 'utf8' });
  await db.open();
  return db;
}

export class LevelSessions extends AsyncLevelPersistence {
  readonly #db: Database;
  readonly #subscriptions = new FilterTrie<string, MatchedSubscription>();

  constructor(db: Database) {
    super(db);
    this.#db = db;
  }

  override async setup(broker: AedesBroker): Promise<void> {
    await super.setup(broker);
    let last: string | undefined;
    for await (const key of this.#db.keys({ gte: 'subscriptions:', lt: 'subscriptions;' })) {
      const id = decodeURIComponent(key.split(':')[1] ?? '');
      if (id === last) continue;
      last = id;
      this.#index(id, await this.subscriptionsByClient({ id }));
    }
  }

  override async addSubscriptions(client: ClientRef, subscriptions: Subscription[]): Promise<unknown> {
    this.#index(client.id, subscriptions);
    return super.addSubscriptions(client, subscriptions);
  }

  override async removeSubscriptions(client: ClientRef, filters: string[]): Promise<unknown> {
    for (const filter of filters) this.#subscriptions.delete(filter, client.id);
    return super.removeSubscriptions(client, filters);
  }

  override async subscriptionsByTopic(topic: string): Promise<MatchedSubscription[]> {
    return this.matching(topic);
  }

  matching(topic: string): MatchedSubscription[] {
    return this.#subscriptions.match(topic);
  }

  override outgoingEnqueue(subscription: { clientId: string }, packet: QueuedPacket): Promise<unknown> {
    const extras: Extras = {};
    if (packet.properties !== undefined) extras.properties = packet.properties;
    if (packet.messageExpiry !== undefined) extras.messageExpiry = packet.messageExpiry;
    const carrier: PacketWithExtras = { ...packet, nl: extras };
    return super.outgoingEnqueue(subscription, carrier);
  }

  override async *outgoingStream(client: ClientRef): AsyncIterable<QueuedPacket> {
    for await (const packet of super.outgoingStream(client) as AsyncIterable<PacketWithExtras>) {
      const { nl: extras, ...rest } = packet;
      if (typeof extras !== 'object' || extras === null) yield packet;
      else yield { ...rest, ...(extras as Extras) };
    }
  }

  #index(clientId: string, subscriptions: readonly Subscription[]): void {
    for (const subscription of subscriptions) {
      const { topic } = subscription;
      if (subscription.qos > 0) this.#subscriptions.set(topic, clientId, { ...subscription, clientId });
      else this.#subscriptions.delete(topic, clientId);
    }
  }
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
