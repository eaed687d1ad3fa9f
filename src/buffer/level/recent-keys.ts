/** Beyond it the oldest are forgotten, and looked up in the database when their frames are removed. */
const KEYS_MAX = 4_096;

/**
 * Keys of the frames that were appended last: those that are delivered at once are removed again without a look into the
 * database. An iterator costs more than all the rest of a settlement.
 */
export class RecentKeys {
  #bases: number[] = [];
  #keys: Buffer[] = [];
  /** Every frame with a base from here on is among them. */
  #from: number | undefined;

  add(base: number, key: Buffer): void {
    this.#from ??= base;
    this.#bases.push(base);
    this.#keys.push(key);
    if (this.#bases.length > KEYS_MAX) {
      this.#forget(KEYS_MAX / 2);
      this.#from = this.#bases[0];
    }
  }

  /** Keys of all frames with from <= base < to, and forgets them; undefined: not all of them are known here. */
  take(from: number, to: number): Buffer[] | undefined {
    if (this.#from === undefined || this.#from >= to) return undefined;
    const known = from >= this.#from;
    const end = this.#countBelow(to);
    const keys = this.#keys.slice(this.#countBelow(from), end);
    this.#forget(end);
    this.#from = to;
    return known ? keys : undefined;
  }

  #countBelow(base: number): number {
    let low = 0;
    let high = this.#bases.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#bases[middle] ?? 0) < base) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #forget(count: number): void {
    this.#bases.splice(0, count);
    this.#keys.splice(0, count);
  }
}
