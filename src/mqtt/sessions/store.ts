/**
 * What a session store keeps: sessions with their subscriptions and queues, and retained messages. Two backends, one suite
 * (test/mqtt/sessions/store.test.ts).
 *
 * The calls of one process take effect in the order in which they were made, and what one has read no later one of the same
 * process changes: the cursor of a queue never passes a message that is still to come.
 */
import type { PacketProperties, Subscription } from '../patches/internals.ts';

/** A message as it goes to subscribers. */
export interface Publication {
  readonly topic: string;
  readonly payload: Buffer;
  /** As it was published; a subscription may lower it. */
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** Without topic alias and subscription identifiers, which belong to a delivery. User properties are pairs, in their order. */
  readonly properties: PacketProperties | undefined;
  /** Milliseconds since the epoch; undefined: never. */
  readonly expiresAt: number | undefined;
}

/** How one session gets a publication. */
export interface Delivery {
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** Of all subscriptions that matched [MQTT-3.3.4-3]. */
  readonly identifiers: readonly number[] | undefined;
  /** The shared subscription that it comes by: if this session ends, another member is to get it. */
  readonly share: string | undefined;
}

export interface Target extends Delivery {
  readonly clientId: string;
}

/** A message in the queue of a session. */
export interface QueuedMessage {
  /** Names it in this queue. */
  readonly key: string;
  /** Its place: `queued` goes on behind it. */
  readonly cursor: string;
  readonly publication: Publication;
  readonly delivery: Delivery;
}

/** What was sent and not completed. */
export interface SentMessage {
  readonly key: string;
  readonly packetId: number;
  readonly qos: 1 | 2;
  /** PUBREC has come: PUBREL is to be repeated, not PUBLISH [MQTT-4.3.3-1]. */
  readonly released: boolean;
}

export type QueueChange =
  | { readonly kind: 'sent'; readonly key: string; readonly packetId: number; readonly qos: 1 | 2 }
  | { readonly kind: 'released'; readonly key: string; readonly packetId: number }
  | { readonly kind: 'removed'; readonly key: string };

export interface StoredSession {
  readonly clientId: string;
  readonly subscriptions: readonly Subscription[];
  /** When it ends, milliseconds since the epoch; undefined while its client is connected, or if it never does. */
  readonly endsAt: number | undefined;
  /** Seconds that it outlives its connection. */
  readonly expirySeconds: number;
}

export interface SessionStore {
  /** Every session, once, before anything else. */
  load(found: (session: StoredSession) => void): Promise<void>;
  /** undefined: there is none, or it has ended. */
  read(clientId: string): Promise<StoredSession | undefined>;
  /** Its client is connected, over the connection `owner`: it is made if it is not there, and does not end before `leave`. */
  enter(clientId: string, expirySeconds: number, owner: string): Promise<void>;
  /** The connection is gone: the session ends after this time, 0: now. Nothing, if another connection has entered since. */
  leave(clientId: string, expirySeconds: number, owner: string): Promise<void>;
  /** Removes the session and all that belongs to it. */
  end(clientId: string): Promise<void>;
  subscribe(clientId: string, subscriptions: readonly Subscription[]): Promise<void>;
  unsubscribe(clientId: string, filters: readonly string[]): Promise<void>;
  /**
   * Into the queue of each; `durably`: it is there after a power failure, as far as the store's settings allow. Returns whose
   * session is not there (any more).
   */
  enqueue(
    key: string,
    publication: Publication,
    targets: readonly Target[],
    durably?: boolean,
  ): Promise<readonly string[]>;
  update(clientId: string, changes: readonly QueueChange[]): Promise<void>;
  sent(clientId: string): Promise<SentMessage[]>;
  queued(clientId: string, after: string | undefined, limit: number): Promise<QueuedMessage[]>;
  /** An empty payload removes it [MQTT-3.3.1-6]. */
  retain(publication: Publication, durably?: boolean): Promise<void>;
  retained(filter: string): AsyncIterable<Publication>;
  close(): Promise<void>;
}

/** 0xFFFFFFFF (MQTT 5.0 §3.1.2.11.2). */
export const NEVER_EXPIRES = 0xffff_ffff;

/** When a session that is left now ends. */
export function endOf(expirySeconds: number, now: number): number | undefined {
  return expirySeconds >= NEVER_EXPIRES ? undefined : now + expirySeconds * 1000;
}
