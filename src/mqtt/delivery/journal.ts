/**
 * What one session has to have stored about its queue: which messages were sent, released, completed. One write is under way;
 * what comes meanwhile goes as one with the next.
 */
import type { QueueChange } from '../sessions/store.ts';

export interface JournalStore {
  update(clientId: string, changes: readonly QueueChange[]): Promise<void>;
}

export class Journal {
  readonly #store: JournalStore;
  readonly #clientId: string;
  readonly #stored: (change: QueueChange) => void;
  #pending: QueueChange[] = [];
  #running: Promise<void> | undefined;

  /** @param stored told of each change once it is stored, in their order (or could not be, which the store reports) */
  constructor(store: JournalStore, clientId: string, stored: (change: QueueChange) => void) {
    this.#store = store;
    this.#clientId = clientId;
    this.#stored = stored;
  }

  add(change: QueueChange): void {
    this.#pending.push(change);
    this.#running ??= this.#run();
  }

  /** Everything added before is stored. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // The changes of one turn go together.
    await Promise.resolve();
    while (this.#pending.length > 0) {
      const changes = this.#pending;
      this.#pending = [];
      await this.#store.update(this.#clientId, changes);
      for (const change of changes) this.#stored(change);
    }
    this.#running = undefined;
  }
}
