/**
 * In front of a session store: no error and no hang of it ends the process or leaves a client without an answer.
 * - Every call ends in time.
 * - Where an answer to a client depends on it (CONNACK, SUBACK, UNSUBACK), the error goes to the caller, which closes the client.
 * - Where only the delivery to sessions depends on it, the error is reported and delivery goes on without the store.
 */
import { errorText } from '../../errors.ts';
import type { Subscription } from '../patches/internals.ts';
import { Deadline } from './deadline.ts';
import type {
  Publication,
  QueueChange,
  QueuedMessage,
  SentMessage,
  SessionStore,
  StoredSession,
  Target,
} from './store.ts';

/** The session store did not do what an answer depends on. */
export class SessionStoreError extends Error {
  constructor(operation: string, cause: unknown) {
    super(`session store: ${operation}: ${errorText(cause)}`, { cause });
    this.name = 'SessionStoreError';
  }
}

export class GuardedStore implements SessionStore {
  readonly #store: SessionStore;
  readonly #fault: (where: string, error: unknown) => void;
  readonly #deadline: Deadline;

  constructor(store: SessionStore, timeoutMs: number, fault: (where: string, error: unknown) => void) {
    this.#store = store;
    this.#fault = fault;
    this.#deadline = new Deadline(timeoutMs, () => new Error(`no answer within ${timeoutMs} ms`));
  }

  /** As long as it takes: nobody is connected yet. */
  load(found: (session: StoredSession) => void): Promise<void> {
    return this.#store.load(found);
  }

  // What an answer depends on.

  read(clientId: string): Promise<StoredSession | undefined> {
    return this.#needed('read a session', this.#store.read(clientId));
  }

  enter(clientId: string, expirySeconds: number, owner: string): Promise<void> {
    return this.#needed('enter a session', this.#store.enter(clientId, expirySeconds, owner));
  }

  end(clientId: string): Promise<void> {
    return this.#needed('end a session', this.#store.end(clientId));
  }

  subscribe(clientId: string, subscriptions: readonly Subscription[]): Promise<void> {
    return this.#needed('store a subscription', this.#store.subscribe(clientId, subscriptions));
  }

  unsubscribe(clientId: string, filters: readonly string[]): Promise<void> {
    return this.#needed('remove a subscription', this.#store.unsubscribe(clientId, filters));
  }

  sent(clientId: string): Promise<SentMessage[]> {
    return this.#needed('read what was sent', this.#store.sent(clientId));
  }

  queued(clientId: string, after: string | undefined, limit: number): Promise<QueuedMessage[]> {
    return this.#needed('read queued messages', this.#store.queued(clientId, after, limit));
  }

  // What only delivery to sessions depends on.

  async leave(clientId: string, expirySeconds: number, owner: string): Promise<void> {
    await this.#tried('leave a session', this.#store.leave(clientId, expirySeconds, owner));
  }

  /** undefined: it is not stored, or not certainly. */
  async tryEnqueue(
    key: string,
    publication: Publication,
    targets: readonly Target[],
    durably = false,
  ): Promise<readonly string[] | undefined> {
    return this.#tried('queue a message', this.#store.enqueue(key, publication, targets, durably));
  }

  async enqueue(key: string, publication: Publication, targets: readonly Target[]): Promise<readonly string[]> {
    return (await this.tryEnqueue(key, publication, targets)) ?? [];
  }

  async update(clientId: string, changes: readonly QueueChange[]): Promise<void> {
    await this.#tried('update a queue', this.#store.update(clientId, changes));
  }

  async retain(publication: Publication): Promise<void> {
    await this.tryRetain(publication);
  }

  /** false: it is not stored, or not certainly. */
  async tryRetain(publication: Publication, durably = false): Promise<boolean> {
    const stored = this.#store.retain(publication, durably).then(() => true);
    return (await this.#tried('store a retained message', stored)) ?? false;
  }

  /** Ends early where the store fails. */
  async *retained(filter: string): AsyncIterable<Publication> {
    const iterator = this.#store.retained(filter)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.#tried('read retained messages', iterator.next());
        if (next === undefined || next.done === true) return;
        yield next.value;
      }
    } finally {
      iterator.return?.().catch(() => undefined);
    }
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #needed<T>(operation: string, running: Promise<T>): Promise<T> {
    try {
      return await this.#deadline.bound(running);
    } catch (error) {
      this.#fault(`session store: ${operation}`, error);
      throw new SessionStoreError(operation, error);
    }
  }

  async #tried<T>(operation: string, running: Promise<T>): Promise<T | undefined> {
    try {
      return await this.#deadline.bound(running);
    } catch (error) {
      this.#fault(`session store: ${operation}`, error);
      return undefined;
    }
  }
}
