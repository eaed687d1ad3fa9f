/**
 * The life of sessions: entered at CONNECT, left when the connection is gone, ended at a clean start or after their expiry
 * (MQTT 5.0 §4.1). What changes the session of one client id happens in turn.
 */
import type { SessionStore, StoredSession } from './store.ts';
import { endOf } from './store.ts';

export interface KeeperEvents {
  /** It is over: no subscription of it is left in the store, nothing may be queued for it. */
  readonly ended: (clientId: string) => void;
  /** It is about to end by its expiry, and is still in the store. */
  readonly expiring: (clientId: string) => Promise<void>;
  readonly fault: (where: string, error: unknown) => void;
}

/** Between two looks for sessions that have expired. */
const SWEEP_MS = 1_000;

export class SessionKeeper {
  readonly #store: SessionStore;
  readonly #events: KeeperEvents;
  readonly #isConnected: (clientId: string) => boolean;
  readonly #turns = new Map<string, Promise<void>>();
  /** Sessions that end by themselves: when, by client id. */
  readonly #expiring = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(store: SessionStore, isConnected: (clientId: string) => boolean, events: KeeperEvents) {
    this.#store = store;
    this.#isConnected = isConnected;
    this.#events = events;
  }

  async start(found: (session: StoredSession) => void): Promise<void> {
    await this.#store.load((session) => {
      if (session.endsAt !== undefined) this.#expiring.set(session.clientId, session.endsAt);
      found(session);
    });
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#timer.unref();
  }

  /** Runs when nothing else changes the session of this client id. */
  inTurn(clientId: string, change: () => Promise<void>): Promise<void> {
    const before = this.#turns.get(clientId);
    const turn = (before === undefined ? change() : before.then(change, change)).finally(() => {
      if (this.#turns.get(clientId) === turn) this.#turns.delete(clientId);
    });
    this.#turns.set(clientId, turn);
    return turn;
  }

  /** In turn. The session as it was, undefined: there is none, or it has been ended now. */
  async enter(
    clientId: string,
    options: { readonly cleanStart: boolean; readonly expirySeconds: number; readonly owner: string },
  ): Promise<StoredSession | undefined> {
    this.#expiring.delete(clientId);
    const session = await this.#store.read(clientId);
    if (options.cleanStart || session === undefined) {
      // Also where there is none: parts of one whose end was cut short.
      await this.#store.end(clientId);
      this.#events.ended(clientId);
    }
    const goesOn = options.cleanStart ? undefined : session;
    if (goesOn !== undefined || options.expirySeconds > 0) {
      await this.#store.enter(clientId, options.expirySeconds, options.owner);
    }
    return goesOn;
  }

  /** A connection with a session in the store is gone. */
  left(clientId: string, expirySeconds: number, owner: string): void {
    void this.inTurn(clientId, async () => {
      await this.#store.leave(clientId, expirySeconds, owner);
      if (this.#isConnected(clientId)) return;
      const endsAt = endOf(expirySeconds, Date.now());
      if (expirySeconds === 0) this.#events.ended(clientId);
      else if (endsAt !== undefined) this.#expiring.set(clientId, endsAt);
    }).catch((error: unknown) => this.#events.fault('session store: leave a session', error));
  }

  /** Nothing expires any more; what is under way is done. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.allSettled([...this.#turns.values()]);
  }

  #sweep(): void {
    const now = Date.now();
    for (const [clientId, endsAt] of this.#expiring) {
      if (endsAt > now) continue;
      this.#expiring.delete(clientId);
      void this.inTurn(clientId, () => this.#expire(clientId)).catch((error: unknown) =>
        this.#events.fault('session store: end a session', error),
      );
    }
  }

  async #expire(clientId: string): Promise<void> {
    if (this.#isConnected(clientId)) return;
    // Its client may have come back to another process.
    if ((await this.#store.read(clientId)) !== undefined) return;
    await this.#events.expiring(clientId);
    await this.#store.end(clientId);
    this.#events.ended(clientId);
  }
}
