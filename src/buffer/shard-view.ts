/**
 * What one process knows of one shard, as opposed to what the store holds: which log it has seen and how far, and the lease it
 * was given. It finds out when the log behind it is no longer the one it has read.
 */
import { lostOffsets, type LogIdentity } from './epochs.ts';
import { fenced } from './shard-log.ts';
import type { Lease, OffsetRange, Settlement } from './store.ts';

interface Held {
  readonly token: number;
  /** Number of the last settlement that was asked for. */
  last: number;
}

export class ShardView {
  readonly shard: number;
  known: LogIdentity | undefined;
  /** Base of the furthest frame that this process committed or read. */
  seen = 0;
  #held: Held | undefined;
  /** What was found lost and not yet handed out by reopen(). */
  #lost: OffsetRange | undefined;
  readonly #numbers = new WeakMap<Settlement, { readonly token: number; readonly number: number }>();

  constructor(shard: number) {
    this.shard = shard;
  }

  get logId(): string {
    return this.known?.epochs.at(-1)?.logId ?? '';
  }

  saw(base: number): void {
    if (base > this.seen) this.seen = base;
  }

  /**
   * The log stood like this when the store answered (`found`: before it was put right by opening it). Where something is gone
   * that had been seen before the store was asked, the lease is void: what its owner has in memory may not be in the log, and
   * other messages may have taken the offsets. `seen` is this.seen from before a question whose answer took its time.
   */
  learn(found: LogIdentity, seen = this.seen): void {
    if (this.#isOld(found)) {
      const lost = lostOffsets(this.known, { ...this.known!, head: found.head }, seen);
      if (lost !== undefined) this.#lose(lost);
      return;
    }
    this.adopt(found, found, seen);
  }

  /** As learn(), from an answer that is certainly newer than all before: the log was opened, or leased. */
  adopt(found: LogIdentity, now: LogIdentity, seen = this.seen): void {
    const lost = lostOffsets(this.known, found, seen);
    if (lost !== undefined) this.#lose(lost);
    this.known = now;
  }

  /** As adopt(); gives what is lost of the offsets up to `knownHead`, and of what was found lost since the last call. */
  reopened(found: LogIdentity, now: LogIdentity, knownHead: number, seen = this.seen): OffsetRange | undefined {
    this.#note(lostOffsets(this.known, found, knownHead));
    this.adopt(found, now, seen);
    const lost = this.#lost;
    this.#lost = undefined;
    return lost === undefined ? undefined : { from: lost.from, to: Math.max(lost.to, knownHead) };
  }

  /** The next reopened() tells this, too. */
  remember(lost: OffsetRange): void {
    this.#note(lost);
  }

  leased(token: number, settlements: number): void {
    this.#held = { token, last: settlements };
  }

  unlease(token: number): void {
    if (this.#held?.token === token) this.#held = undefined;
  }

  holds(lease: Lease): boolean {
    return this.#held?.token === lease.token;
  }

  /** The number under which the store takes this settlement once. @throws SluiceError FENCED */
  numberOf(lease: Lease, change: Settlement): number {
    const held = this.#held;
    if (held?.token !== lease.token) throw fenced(this.shard, 'it was lost, or the log was replaced');
    const given = this.#numbers.get(change);
    if (given?.token === held.token) return given.number;
    held.last += 1;
    this.#numbers.set(change, { token: held.token, number: held.last });
    return held.last;
  }

  /** Two questions may be answered in another order than asked: an epoch that is known already, and not the last, is no news. */
  #isOld(found: LogIdentity): boolean {
    if (this.known?.origin !== found.origin) return false;
    const last = found.epochs.at(-1)?.logId;
    return last !== this.logId && this.known.epochs.some(({ logId }) => logId === last);
  }

  #lose(lost: OffsetRange): void {
    this.#held = undefined;
    this.#note(lost);
    this.seen = 0;
  }

  #note(lost: OffsetRange | undefined): void {
    if (lost === undefined) return;
    const before = this.#lost;
    this.#lost =
      before === undefined ? lost : { from: Math.min(before.from, lost.from), to: Math.max(before.to, lost.to) };
  }
}
