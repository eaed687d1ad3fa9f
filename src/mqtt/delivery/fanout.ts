/**
 * Who gets a message: connected subscribers, and sessions in the store. aedes asks twice about each message: `queueFor` before
 * it tells anybody (the message is to be in the queues of all sessions, of those that are connected, too), then `deliver`.
 *
 * A client gets a message once, however many of its subscriptions match: at the highest QoS of them, with the identifiers of all
 * [MQTT-3.3.5-1], [MQTT-3.3.4-4].
 */
import type { Connection } from '../connection.ts';
import { FilterTrie } from '../filter-trie.ts';
import type { Subscription } from '../patches/internals.ts';
import type { Delivery, Publication, QueuedMessage, Target } from '../sessions/store.ts';
import { publicationOf, type EmittedPacket } from './emitted-packet.ts';
import type { Receipt } from './receipt.ts';
import { shareOf, SharedGroups, type Member } from './shared.ts';

export interface FanoutStore {
  queued(clientId: string, after: string | undefined, limit: number): Promise<QueuedMessage[]>;
  tryEnqueue(
    key: string,
    publication: Publication,
    targets: readonly Target[],
    durably?: boolean,
  ): Promise<readonly string[] | undefined>;
}

/** Messages of an ended session that are looked at in one go. */
const PAGE = 32;

/** A subscription in the store, or of a connection. */
interface Entry<Who> {
  readonly who: Who;
  readonly subscription: Subscription;
}

export class Fanout {
  readonly #live = new FilterTrie<Connection, Entry<Connection>>();
  readonly #stored = new FilterTrie<string, Entry<string>>();
  readonly #shared = new SharedGroups();
  /** Filters in the store, by client id. */
  readonly #filters = new Map<string, Set<string>>();
  readonly #store: FanoutStore;
  readonly #newKey: () => string;
  readonly #sessionGone: (clientId: string) => void;

  constructor(store: FanoutStore, newKey: () => string, sessionGone: (clientId: string) => void) {
    this.#store = store;
    this.#newKey = newKey;
    this.#sessionGone = sessionGone;
  }

  // Subscriptions.

  subscribe(connection: Connection, subscription: Subscription): void {
    const { topic } = subscription;
    const { id: clientId } = connection.client;
    if (shareOf(topic) === undefined) {
      this.#live.set(topic, connection, { who: connection, subscription });
    } else {
      this.#shared.join(topic, { clientId, subscription, connection, stored: connection.stored });
    }
  }

  unsubscribe(connection: Connection, filter: string): void {
    if (shareOf(filter) === undefined) {
      this.#live.delete(filter, connection);
      return;
    }
    const { id } = connection.client;
    const member = this.#shared.get(filter)?.get(id);
    if (member?.connection === connection) this.#shared.leave(filter, id);
  }

  /** The connection is gone; its session may stay. */
  disconnected(connection: Connection, sessionEnds: boolean): void {
    for (const [filter, subscription] of connection.subscriptions) {
      if (shareOf(filter) === undefined) {
        this.#live.delete(filter, connection);
        continue;
      }
      const { id: clientId } = connection.client;
      if (this.#shared.get(filter)?.get(clientId)?.connection !== connection) continue;
      if (sessionEnds) this.#shared.leave(filter, clientId);
      else this.#shared.join(filter, { clientId, subscription, connection: undefined, stored: true });
    }
    for (const message of connection.outbound?.close(sessionEnds) ?? []) {
      const { publication, delivery } = message;
      if (delivery.share !== undefined) this.again(delivery.share, publication);
    }
  }

  /** A subscription is in the store. */
  stored(clientId: string, subscription: Subscription): void {
    const { topic } = subscription;
    let filters = this.#filters.get(clientId);
    if (filters === undefined) this.#filters.set(clientId, (filters = new Set()));
    filters.add(topic);
    if (shareOf(topic) !== undefined) {
      const connection = this.#shared.get(topic)?.get(clientId)?.connection;
      this.#shared.join(topic, { clientId, subscription, connection, stored: true });
    } else if (subscription.qos > 0) {
      this.#stored.set(topic, clientId, { who: clientId, subscription });
    } else {
      // For QoS 0 nothing is queued.
      this.#stored.delete(topic, clientId);
    }
  }

  notStored(clientId: string, filter: string): void {
    const filters = this.#filters.get(clientId);
    filters?.delete(filter);
    if (filters?.size === 0) this.#filters.delete(clientId);
    if (shareOf(filter) === undefined) this.#stored.delete(filter, clientId);
    else if (this.#shared.get(filter)?.get(clientId)?.connection === undefined) this.#shared.leave(filter, clientId);
  }

  /** Of sessions with subscriptions in the store. */
  storedClients(): Iterable<string> {
    return this.#filters.keys();
  }

  /** The session has ended. */
  ended(clientId: string): void {
    for (const filter of [...(this.#filters.get(clientId) ?? [])]) this.notStored(clientId, filter);
  }

  /** The session ends: what it had by shared subscriptions, other members are to have [MQTT-4.8.2-4]. */
  async passOn(clientId: string): Promise<void> {
    const names = [...(this.#filters.get(clientId) ?? [])].filter((filter) => shareOf(filter) !== undefined);
    if (names.length === 0) return;
    for (const name of names) this.#shared.leave(name, clientId);
    let cursor: string | undefined;
    for (;;) {
      const page = await this.#store.queued(clientId, cursor, PAGE);
      if (page.length === 0) return;
      for (const { publication, delivery } of page) {
        if (delivery.share !== undefined) this.again(delivery.share, publication);
      }
      cursor = page.at(-1)?.cursor;
    }
  }

  // Messages.

  /** Some connection of this process is to be told. */
  listens(topic: string): boolean {
    return this.#live.match(topic).length > 0 || this.#shared.matching(topic).length > 0;
  }

  /** Some session in the store is to have it. */
  queues(topic: string): boolean {
    return this.#stored.match(topic).length > 0 || this.#shared.matching(topic).length > 0;
  }

  /** Puts it into the queue of every session that is to have it. */
  async queueFor(packet: EmittedPacket): Promise<void> {
    const publication = publicationOf(packet);
    const targets: Target[] = [];
    const matched = this.#stored.match(packet.topic);
    if (matched.length > 0) merge(matched, packet, (clientId, delivery) => targets.push({ clientId, ...delivery }));
    for (const { name, member } of this.#choose(packet)) {
      const { clientId, subscription, stored } = member;
      const delivery = deliveryBy(subscription, publication, name);
      if (stored && delivery.qos > 0) targets.push({ clientId, ...delivery });
    }
    if (targets.length === 0) return;
    packet.queuedFor = new Set(targets.map(({ clientId }) => clientId));
    packet.queueKey = await this.enqueue(publication, targets, packet.receipt);
  }

  deliver(packet: EmittedPacket): void {
    const publication = publicationOf(packet);
    const matched = this.#live.match(packet.topic);
    const only = matched[0];
    if (matched.length === 1 && only !== undefined) {
      const { who, subscription } = only;
      if (!isOwn(subscription, packet, who.client.id)) {
        give(who, packet, deliveryBy(subscription, publication, undefined));
      }
    } else if (matched.length > 1) {
      merge(matched, packet, (connection, delivery) => give(connection, packet, delivery));
    }
    for (const { name, member } of this.#choose(packet)) this.#deliverTo(member, name, packet);
  }

  /** The member of each group that has been chosen for this message, or is now. */
  #choose(packet: EmittedPacket): { readonly name: string; readonly member: Member }[] {
    if (this.#shared.size === 0) return [];
    return this.#shared.matching(packet.topic).flatMap((group) => {
      const before = packet.chosen?.get(group.name);
      const member = (before === undefined ? undefined : group.get(before)) ?? group.choose(packet.qos);
      if (member === undefined) return [];
      packet.chosen ??= new Map();
      packet.chosen.set(group.name, member.clientId);
      return [{ name: group.name, member }];
    });
  }

  #deliverTo({ clientId, connection, subscription, stored }: Member, name: string, packet: EmittedPacket): void {
    if (connection === undefined) return;
    const publication = publicationOf(packet);
    const delivery = deliveryBy(subscription, publication, name);
    const queued = packet.queueKey !== undefined && isQueuedFor(clientId, packet);
    if (stored && delivery.qos > 0 && !queued) this.again(name, publication);
    else connection.receive(publication, delivery, stored ? packet.queueKey : undefined, packet.receipt);
  }

  /** The member that had it is gone: to another. */
  again(name: string, publication: Publication): void {
    const member = this.#shared.get(name)?.choose(publication.qos);
    if (member === undefined) return;
    const { clientId, connection, subscription, stored } = member;
    const delivery = deliveryBy(subscription, publication, name);
    if (!stored || delivery.qos === 0) {
      connection?.receive(publication, delivery, undefined);
      return;
    }
    void this.enqueue(publication, [{ clientId, ...delivery }]).then((key) => {
      this.#shared.get(name)?.get(clientId)?.connection?.receive(publication, delivery, key);
    });
  }

  /** Into queues. Returns its name there; undefined: it is not stored. */
  async enqueue(publication: Publication, targets: readonly Target[], receipt?: Receipt): Promise<string | undefined> {
    const key = this.#newKey();
    const gone = await this.#store.tryEnqueue(key, publication, targets, receipt !== undefined);
    if (receipt !== undefined) {
      receipt.failed = gone === undefined;
      receipt.queued += targets.length - (gone?.length ?? targets.length);
    }
    for (const clientId of gone ?? []) this.#sessionGone(clientId);
    return gone === undefined ? undefined : key;
  }
}

/** [MQTT-3.8.3-3] */
function isOwn(subscription: Subscription, packet: EmittedPacket, clientId: string): boolean {
  return subscription.nl === true && packet.clientId === clientId;
}

/**
 * A connection whose SUBSCRIBE came while the message was being queued has no place for it in its session. Its SUBACK is not sent,
 * so nothing is owed; under a key that its queue does not have, the packet id would be taken for free while the client holds it.
 */
function give(connection: Connection, packet: EmittedPacket, delivery: Delivery): void {
  const { queueKey } = packet;
  const { stored, client } = connection;
  if (stored && delivery.qos > 0 && queueKey !== undefined && !isQueuedFor(client.id, packet)) return;
  connection.receive(publicationOf(packet), delivery, queueKey, packet.receipt);
}

/** True where another process has queued it, and nobody knows. */
function isQueuedFor(clientId: string, { queuedFor }: EmittedPacket): boolean {
  return queuedFor === undefined || queuedFor.has(clientId);
}

export function deliveryBy(subscription: Subscription, publication: Publication, share: string | undefined): Delivery {
  const { qos, rap, subscriptionIdentifier } = subscription;
  return {
    qos: (qos < publication.qos ? qos : publication.qos) as 0 | 1 | 2,
    // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
    retain: rap === true && publication.retain,
    identifiers: subscriptionIdentifier === undefined ? undefined : [subscriptionIdentifier],
    share,
  };
}

function merge<Who extends string | Connection>(
  matched: readonly Entry<Who>[],
  packet: EmittedPacket,
  give: (who: Who, delivery: Delivery) => void,
): void {
  const publication = publicationOf(packet);
  const byWho = new Map<Who, Delivery>();
  for (const { who, subscription } of matched) {
    if (isOwn(subscription, packet, typeof who === 'string' ? who : who.client.id)) continue;
    const delivery = deliveryBy(subscription, publication, undefined);
    const other = byWho.get(who);
    byWho.set(who, other === undefined ? delivery : both(other, delivery));
  }
  for (const [who, delivery] of byWho) give(who, delivery);
}

function both(a: Delivery, b: Delivery): Delivery {
  const identifiers = [...(a.identifiers ?? []), ...(b.identifiers ?? [])];
  return {
    qos: a.qos > b.qos ? a.qos : b.qos,
    retain: a.retain || b.retain,
    identifiers: identifiers.length > 0 ? identifiers : undefined,
    share: undefined,
  };
}
