/**
 * Leases: takes every shard that is free, renews at a third of the lease, and tells when one is gone.
 *
 *     free ──acquire──> owned ──renewed──> owned
 *       ^                 └──refused──> free (tried again at the next round)
 *       └ a store that does not answer leaves a shard owned but doubtful (see ownership.ts) until it answers
 */
import type { BufferStore, Lease } from '../buffer/store.ts';
import { errorText, SluiceError } from '../errors.ts';
import type { Clock, TimerHandle } from './clock.ts';
import type { Ownership } from './ownership.ts';

export interface OwnerHost {
  acquired(lease: Lease, validUntil: number): Ownership;
  /** The lease was renewed. `doubtful`: it had run out on our clock. */
  renewed(ownership: Ownership, doubtful: boolean): void;
  lost(ownership: Ownership, reason: string): void;
  leaseFault(shard: number, error: SluiceError | undefined): void;
}

/** While the store does not answer, or a lease has just been lost. */
const RETRY_MS = 500;

export class Owner {
  readonly #store: BufferStore;
  readonly #ttlMs: number;
  readonly #clock: Clock;
  readonly #host: OwnerHost;
  readonly #slots: Slot[];
  #closing = false;
  #stopped = false;

  constructor(store: BufferStore, ttlMs: number, clock: Clock, host: OwnerHost) {
    this.#store = store;
    this.#ttlMs = ttlMs;
    this.#clock = clock;
    this.#host = host;
    this.#slots = Array.from({ length: store.shards }, (_, shard) => new Slot(shard));
  }

  /** Tries for every shard once; the rounds go on by themselves. */
  async start(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => this.#round(slot)));
  }

  /** Asks the store now. false: lost, and the host was told. @throws store faults */
  async confirm(ownership: Ownership): Promise<boolean> {
    const slot = this.#slots[ownership.shard];
    if (slot?.ownership !== ownership) return false;
    return this.#renew(slot, ownership);
  }

  /** The host ended it: tried for anew at the next round. */
  release(ownership: Ownership): void {
    const slot = this.#slots[ownership.shard];
    if (slot?.ownership !== ownership) return;
    slot.ownership = undefined;
    slot.renounced ||= this.#closing;
    this.#arm(slot, RETRY_MS);
  }

  /** Gives a shard back and does not take it again: this process cannot read it. */
  renounce(ownership: Ownership): void {
    const slot = this.#slots[ownership.shard];
    if (slot?.ownership !== ownership) return;
    slot.renounced = true;
    slot.ownership = undefined;
    this.#clock.clearTimeout(slot.timer);
    // If the store does not hear it, the lease ends by itself.
    this.#store.yield(ownership.lease).catch(() => undefined);
  }

  /** Keeps what it has, and takes no more. */
  takeNoMore(): void {
    this.#closing = true;
    for (const slot of this.#slots) slot.renounced ||= slot.ownership === undefined;
  }

  /** No more rounds. */
  stop(): void {
    this.#stopped = true;
    for (const slot of this.#slots) this.#clock.clearTimeout(slot.timer);
  }

  async #round(slot: Slot): Promise<void> {
    let nextMs = this.#ttlMs / 3;
    try {
      const { ownership } = slot;
      if (ownership === undefined) await this.#acquire(slot);
      else await this.#renew(slot, ownership);
      if (slot.failing) {
        slot.failing = false;
        this.#host.leaseFault(slot.shard, undefined);
      }
    } catch (cause) {
      nextMs = Math.min(nextMs, RETRY_MS);
      if (!slot.failing && !this.#stopped) {
        slot.failing = true;
        const error =
          cause instanceof SluiceError ? cause : new SluiceError('STORE_UNAVAILABLE', errorText(cause), { cause });
        this.#host.leaseFault(slot.shard, error);
      }
    }
    this.#arm(slot, nextMs);
  }

  async #acquire(slot: Slot): Promise<void> {
    const askedAt = this.#clock.now();
    const lease = await this.#store.acquire(slot.shard, this.#ttlMs);
    if (lease === undefined) return;
    if (this.#stopped || slot.renounced) await this.#store.yield(lease);
    else slot.ownership = this.#host.acquired(lease, askedAt + this.#ttlMs);
  }

  async #renew(slot: Slot, ownership: Ownership): Promise<boolean> {
    const askedAt = this.#clock.now();
    const ours = await this.#store.renew(ownership.lease, this.#ttlMs);
    if (slot.ownership !== ownership) return false;
    if (!ours) {
      slot.ownership = undefined;
      this.#host.lost(ownership, 'another process may have taken it: the renewal was refused');
      return false;
    }
    const doubtful = !ownership.holds(this.#clock.now());
    ownership.validUntil = Math.max(ownership.validUntil, askedAt + this.#ttlMs);
    this.#host.renewed(ownership, doubtful);
    return true;
  }

  #arm(slot: Slot, delayMs: number): void {
    this.#clock.clearTimeout(slot.timer);
    if (this.#stopped || slot.renounced) return;
    slot.timer = this.#clock.setTimeout(() => void this.#round(slot), delayMs);
  }
}

class Slot {
  readonly shard: number;
  ownership: Ownership | undefined;
  timer: TimerHandle | undefined;
  failing = false;
  /** Not to be taken. */
  renounced = false;

  constructor(shard: number) {
    this.shard = shard;
  }
}
