import type { Lease } from '../buffer/store.ts';

/**
 * One hold of one shard by this process, from acquire() to its loss. All that is in memory for the shard points here, so
 * that losing the lease makes it void at once, wherever it waits.
 *
 *     held ──validUntil passes──> doubtful ──renewed──> held
 *       │                            │
 *       └── FENCED, refused renewal ─┴──> lost (for good; a new acquire() makes a new Ownership)
 *
 * What the lease protects. Records of a shard enter a new chunk only while the lease is valid on the monotonic clock; a chunk
 * that is on the wire when it runs out ends, however long Kafka takes. The request timeout (30 s) is longer than the lease
 * (10 s), so a margin could not rule that out, and it need not: order does not rest on the lease. Each owner delivers a shard
 * in log order, without a hole, from an offset that was not settled; the partition therefore holds, at each moment, a prefix of
 * the log plus repeats, whoever of the two owners wrote which part, and first occurrences stay in order. What the lease does is
 * to bound the repeats: to the settlements that were outstanding and one chunk per lane.
 */
export class Ownership {
  readonly shard: number;
  readonly lease: Lease;
  /** Monotonic; counted from before the renewal was asked for, so that it ends here first and only then in the store. */
  validUntil: number;
  #lost = false;

  constructor(lease: Lease, validUntil: number) {
    this.shard = lease.shard;
    this.lease = lease;
    this.validUntil = validUntil;
  }

  get lost(): boolean {
    return this.#lost;
  }

  lose(): void {
    this.#lost = true;
  }

  /** The lease is certainly ours at this moment. */
  holds(now: number): boolean {
    return !this.#lost && now < this.validUntil;
  }
}
