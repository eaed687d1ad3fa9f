/**
 * Bisection on the front of a queue: where a chunk that Kafka refused, without naming a record, is cut up. Each half is sent
 * by itself, in order; one that is refused is halved again, until the bad record stands alone.
 */
export class Cuts {
  /** Ends of the pieces, nearest last, counted from the front of the queue. */
  #ends: number[] = [];

  /** Records of the next piece, at most. */
  get limit(): number {
    return this.#ends.at(-1) ?? Infinity;
  }

  /** The first `count` records are refused together; at least two. */
  halve(count: number): void {
    if (this.#ends.at(-1) !== count) this.#ends.push(count);
    this.#ends.push(count >>> 1);
  }

  /** The record at this place is sent alone, after those in front of it. */
  isolate(at: number): void {
    this.#ends = at > 0 ? [at + 1, at] : [1];
  }

  /** The first `count` records have left the queue. */
  passed(count: number): void {
    if (this.#ends.length > 0) this.#ends = this.#ends.map((end) => end - count).filter((end) => end > 0);
  }

  /** These places have left the queue, wherever they were. */
  removed(places: ReadonlySet<number>): void {
    this.#ends = this.#ends
      .map((end) => end - [...places].filter((place) => place < end).length)
      .filter((end) => end > 0);
  }

  /** Records behind the first `count` have moved: cuts there mean nothing any more. */
  keepUpTo(count: number): void {
    this.#ends = this.#ends.filter((end) => end <= count);
  }
}
