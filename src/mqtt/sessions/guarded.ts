/**
 * What aedes sees as its persistence. In front of a session store it makes sure that no error and no hang of the store ends
 * the process or leaves a client without an answer:
 * - every call ends in time;
 * - where an answer to a client depends on it (CONNACK, SUBACK, UNSUBACK), the error goes to aedes, which closes the client;
 * - where only the delivery to other sessions depends on it, the error is reported and delivery goes on without the store:
 *   aedes would close the publisher for it, or emit 'error' and never call back (enqueueOffline).
 * Two things never reach the store: QoS 2 packet ids, which are the buffer's (see ingest), and wills (see patches/wills.ts).
 */
import { Readable } from 'node:stream';
import { errorText } from '../../errors.ts';
import { topicMatches } from '../filter-trie.ts';
import type { AedesBroker, AedesClient, Subscription, WillPacket } from '../patches/internals.ts';
import { hiddenFromDedupe } from '../patches/maps.ts';
import { Deadline } from './deadline.ts';
import type { ClientRef, InnerPersistence, MatchedSubscription, QueuedPacket } from './inner.ts';

/** The session store did not do what an answer depends on. */
export class SessionStoreError extends Error {
  constructor(operation: string, cause: unknown) {
    super(`session store: ${operation}: ${errorText(cause)}`, { cause });
    this.name = 'SessionStoreError';
  }
}

export interface WillRecorder {
  /** The CONNECT of this client carried a will. */
  put(client: AedesClient, will: WillPacket): Promise<void>;
  /** It connects: what an earlier connection left is void. */
  forget(client: AedesClient): Promise<void>;
}

export class GuardedPersistence {
  readonly inner: InnerPersistence;
  readonly #fault: (where: string, error: unknown) => void;
  readonly #deadline: Deadline;
  /** Set before the broker listens. */
  wills: WillRecorder | undefined;

  constructor(inner: InnerPersistence, timeoutMs: number, fault: (where: string, error: unknown) => void) {
    this.inner = inner;
    this.#fault = fault;
    this.#deadline = new Deadline(timeoutMs, () => new Error(`no answer within ${timeoutMs} ms`));
  }

  /** aedes looks at the constructor's name: this must be an async function. */
  async setup(broker: AedesBroker): Promise<void> {
    await this.inner.setup(broker);
  }

  async destroy(): Promise<void> {
    await this.inner.destroy();
  }

  // What an answer depends on.

  async subscriptionsByClient(client: ClientRef): Promise<Subscription[]> {
    return hiddenFromDedupe(await this.#needed('read a session', () => this.inner.subscriptionsByClient(client)));
  }

  cleanSubscriptions(client: ClientRef): Promise<unknown> {
    return this.#needed('clean a session', () => this.inner.cleanSubscriptions(client));
  }

  addSubscriptions(client: ClientRef, subscriptions: Subscription[]): Promise<unknown> {
    return this.#needed('store a subscription', () => this.inner.addSubscriptions(client, subscriptions));
  }

  removeSubscriptions(client: ClientRef, filters: string[]): Promise<unknown> {
    return this.#needed('remove a subscription', () => this.inner.removeSubscriptions(client, filters));
  }

  putWill(client: AedesClient, will: WillPacket): Promise<void> {
    return this.#needed('store a will', () => this.wills?.put(client, will) ?? Promise.resolve());
  }

  /**
   * Called with a client when it connects, and with `{ id, brokerId }` when a connection has ended. The latter is not
   * followed: by then the will may be that of the client's next connection, and it may still have to be sent.
   */
  async delWill(client: AedesClient | { id: string; brokerId: string }): Promise<void> {
    if (!('conn' in client)) return;
    await this.#tried('remove a will', () => this.wills?.forget(client) ?? Promise.resolve(), undefined);
  }

  // What only delivery to sessions depends on.

  storeRetained(packet: QueuedPacket): Promise<unknown> {
    return this.#tried('store a retained message', () => this.inner.storeRetained(packet), undefined);
  }

  subscriptionsByTopic(topic: string): Promise<MatchedSubscription[]> {
    return this.inner.subscriptionsByTopic(topic).then(onePerClient, (error: unknown) => {
      this.#fault('session store: find sessions', error);
      return [];
    });
  }

  async outgoingEnqueue(subscription: { clientId: string }, packet: QueuedPacket): Promise<void> {
    await this.#tried('queue a message', () => this.inner.outgoingEnqueue(subscription, packet), undefined);
  }

  async outgoingEnqueueCombi(subscriptions: readonly { clientId: string }[], packet: QueuedPacket): Promise<void> {
    if (subscriptions.length === 0) return;
    await this.#tried('queue a message', () => this.inner.outgoingEnqueueCombi(subscriptions, packet), undefined);
  }

  async outgoingUpdate(client: ClientRef, packet: QueuedPacket): Promise<void> {
    await this.#tried(
      'update a queued message',
      () => this.inner.outgoingUpdate(client, packet),
      undefined,
      isUnknownPacket,
    );
  }

  /** Without a packet id it means a message that was not forwarded just now: that stays in the queue. */
  async outgoingClearMessageId(client: ClientRef, packet: { messageId?: number }): Promise<QueuedPacket | undefined> {
    if (packet.messageId === undefined) return undefined;
    return this.#tried('remove a queued message', () => this.inner.outgoingClearMessageId(client, packet), undefined);
  }

  outgoingStream(client: ClientRef): Readable {
    return this.#stream('read queued messages', () => this.inner.outgoingStream(client));
  }

  createRetainedStreamCombi(filters: string[]): Readable {
    return this.#stream('read retained messages', () =>
      matching(this.inner.createRetainedStreamCombi(filters), filters),
    );
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    return this.inner.countOffline();
  }

  /** aedes' own look for wills of dead brokers; patches/wills.ts does it. */
  streamWill(): Readable {
    return Readable.from([]);
  }

  // QoS 2: patches/packets.ts and Connection answer PUBREL and PUBLISH, so aedes never asks.

  async incomingStorePacket(): Promise<void> {
    throw new Error('QoS 2 packet ids are kept by the buffer');
  }
  async incomingGetPacket(): Promise<void> {
    throw new Error('QoS 2 packet ids are kept by the buffer');
  }
  async incomingDelPacket(): Promise<void> {
    throw new Error('QoS 2 packet ids are kept by the buffer');
  }

  async #needed<T>(operation: string, run: () => Promise<T>): Promise<T> {
    try {
      return await this.#deadline.bound(run());
    } catch (error) {
      this.#fault(`session store: ${operation}`, error);
      throw new SessionStoreError(operation, error);
    }
  }

  async #tried<T, Else>(
    operation: string,
    run: () => Promise<T>,
    otherwise: Else,
    expected?: (error: unknown) => boolean,
  ): Promise<T | Else> {
    try {
      return await this.#deadline.bound(run());
    } catch (error) {
      if (expected?.(error) !== true) this.#fault(`session store: ${operation}`, error);
      return otherwise;
    }
  }

  /** Ends early where the store fails: aedes listens to no error of these streams. */
  #stream(operation: string, open: () => AsyncIterable<QueuedPacket>): Readable {
    const fault = this.#fault;
    const deadline = this.#deadline;
    async function* read(): AsyncIterable<QueuedPacket> {
      let iterator: AsyncIterator<QueuedPacket> | undefined;
      try {
        for (;;) {
          let next: IteratorResult<QueuedPacket>;
          try {
            iterator ??= open()[Symbol.asyncIterator]();
            next = await deadline.bound(iterator.next());
          } catch (error) {
            fault(`session store: ${operation}`, error);
            return;
          }
          if (next.done === true) return;
          // Where the client goes away meanwhile, that is no fault of the store.
          yield next.value;
        }
      } finally {
        iterator?.return?.().catch(() => undefined);
      }
    }
    return Readable.from(read());
  }
}

/** The libraries take `#` to match topics that begin with `$`, too [MQTT-4.7.2-1]. */
async function* matching(
  packets: AsyncIterable<QueuedPacket>,
  filters: readonly string[],
): AsyncIterable<QueuedPacket> {
  for await (const packet of packets) {
    if (filters.some((filter) => topicMatches(filter, packet.topic))) yield packet;
  }
}

/**
 * Whose queues get a message: a client once, however many of its subscriptions match, and none for QoS 0. After a restart
 * both libraries hold QoS 0 subscriptions, too, in the index of those whose messages are queued.
 */
function onePerClient(matched: MatchedSubscription[]): MatchedSubscription[] {
  if (matched.length === 0) return matched;
  const byClient = new Map<string, MatchedSubscription>();
  for (const subscription of matched) {
    const known = byClient.get(subscription.clientId);
    if (subscription.qos > (known?.qos ?? 0)) byClient.set(subscription.clientId, subscription);
  }
  return [...byClient.values()];
}

/** A PUBREC for a packet id that is not known: answered with PUBREL all the same, and no fault of the store. */
function isUnknownPacket(error: unknown): boolean {
  return error instanceof Error && (error.message === 'no such packet' || error.message === 'unknown key');
}
