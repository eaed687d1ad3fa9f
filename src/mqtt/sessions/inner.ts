/** What aedes asks of a session store, and what the two libraries behind it offer (asyncPersistence.js of each). */
import type { AedesBroker, PublishPacket, Subscription } from '../patches/internals.ts';

export interface ClientRef {
  readonly id: string;
}

/** A message on its way to a session. */
export interface QueuedPacket extends PublishPacket {
  brokerId?: string;
  brokerCounter?: number;
  messageExpiry?: number;
}

/** A stored subscription that a topic matched. */
export interface MatchedSubscription extends Subscription {
  readonly clientId: string;
}

export interface InnerPersistence {
  setup(broker: AedesBroker): Promise<void>;
  destroy(): Promise<void>;
  storeRetained(packet: QueuedPacket): Promise<void>;
  createRetainedStreamCombi(filters: string[]): AsyncIterable<QueuedPacket>;
  addSubscriptions(client: ClientRef, subscriptions: Subscription[]): Promise<unknown>;
  removeSubscriptions(client: ClientRef, filters: string[]): Promise<unknown>;
  subscriptionsByClient(client: ClientRef): Promise<Subscription[]>;
  subscriptionsByTopic(topic: string): Promise<MatchedSubscription[]>;
  cleanSubscriptions(client: ClientRef): Promise<unknown>;
  countOffline(): Promise<{ subsCount: number; clientsCount: number }>;
  outgoingEnqueue(subscription: { clientId: string }, packet: QueuedPacket): Promise<unknown>;
  outgoingEnqueueCombi(subscriptions: readonly { clientId: string }[], packet: QueuedPacket): Promise<unknown>;
  outgoingUpdate(client: ClientRef, packet: QueuedPacket): Promise<unknown>;
  outgoingClearMessageId(client: ClientRef, packet: { messageId?: number }): Promise<QueuedPacket | undefined>;
  outgoingStream(client: ClientRef): AsyncIterable<QueuedPacket>;
}
