/**
 * How far a partition is done. Records are settled in any order; what may be committed is the offset behind the longest run of
 * settled records from the beginning: whoever starts from there misses nothing that is not settled.
 */

/** A record that was taken. */
export interface TakenOffset {
  readonly offset: number;
  settled: boolean;
}

const COMPACT_AT = 1_024;

export class OffsetTracker {
  /** From `#first` on those that are not done, in order. */
  readonly #taken: (TakenOffset | undefined)[] = [];
  #first = 0;
  #last = -1;
  #next: number | undefined;

  /** The offset behind what is done; undefined: nothing is. */
  get next(): number | undefined {
    return this.#next;
  }

  /** Taken, and not behind the point that may be committed. */
  get open(): number {
    return this.#taken.length - this.#first;
  }

  /** Offsets grow, with gaps where Kafka has removed records. undefined: this one was taken before. */
  take(offset: number): TakenOffset | undefined {
    if (offset <= this.#last) return undefined;
    this.#last = offset;
    const taken = { offset, settled: false };
    this.#taken.push(taken);
    return taken;
  }

  /** What became of it is certain, and durable. */
  settle(taken: TakenOffset): void {
    taken.settled = true;
    for (let first = this.#taken[this.#first]; first?.settled === true; first = this.#taken[this.#first]) {
      this.#next = first.offset + 1;
      this.#taken[this.#first++] = undefined;
    }
    if (this.#first < COMPACT_AT) return;
    this.#taken.splice(0, this.#first);
    this.#first = 0;
  }
}
