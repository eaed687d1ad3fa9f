/**
 * A map with a bound on its entries and on the sum of their weights. Which entry makes room is found by a clock: a hand goes
 * round, spares what was used since it last came by, and takes what was not. A hit costs one Map lookup and at most one
 * write; an insertion is constant time on average, for each step of the hand was paid for by a use.
 *
 * Once it has been full, only one in ADMIT_ONE_IN new values is kept: with more keys in turn than fit, keeping each of them
 * would only push out others that are no worse, and cost more than to do without a cache (measured with 100,000 keys in
 * turn: three times as much, most of it garbage collection). What comes often gets in soon all the same.
 */
const ADMIT_ONE_IN = 16;

export class ClockCache<Key, Value> {
  readonly #maxEntries: number;
  readonly #maxWeight: number;
  readonly #entries = new Map<Key, Entry<Key, Value>>();
  readonly #ring: Entry<Key, Value>[] = [];
  #hand = 0;
  #weight = 0;
  #full = false;
  #draw = 1;

  constructor(bound: { readonly maxEntries: number; readonly maxWeight: number }) {
    this.#maxEntries = Math.max(1, bound.maxEntries);
    this.#maxWeight = bound.maxWeight;
  }

  get size(): number {
    return this.#ring.length;
  }

  get weight(): number {
    return this.#weight;
  }

  get(key: Key): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (!entry.used) entry.used = true;
    return entry.value;
  }

  /**
   * Whether to set() what get() has just not found.
   *
   * Drawn and not counted: devices take turns, and a count in step with them would refuse the same ones for ever.
   */
  admits(): boolean {
    if (!this.#full) return true;
    this.#draw = (Math.imul(this.#draw, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#draw < 2 ** 32 / ADMIT_ONE_IN;
  }

  /** For a key that is not in it. What would take more than half of the weight is not kept. */
  set(key: Key, value: Value, weight: number): void {
    if (weight > this.#maxWeight / 2) return;
    while (this.#ring.length >= this.#maxEntries || this.#weight + weight > this.#maxWeight) this.#evict();
    const entry = { key, value, weight, used: false };
    this.#entries.set(key, entry);
    this.#ring.push(entry);
    this.#weight += weight;
  }

  #evict(): void {
    this.#full = true;
    for (;;) {
      if (this.#hand >= this.#ring.length) this.#hand = 0;
      const entry = this.#ring[this.#hand] as Entry<Key, Value>;
      if (!entry.used) break;
      entry.used = false;
      this.#hand++;
    }
    const evicted = this.#ring[this.#hand] as Entry<Key, Value>;
    const last = this.#ring.pop() as Entry<Key, Value>;
    if (last !== evicted) this.#ring[this.#hand] = last;
    this.#entries.delete(evicted.key);
    this.#weight -= evicted.weight;
  }
}

interface Entry<Key, Value> {
  readonly key: Key;
  readonly value: Value;
  readonly weight: number;
  /** Since the hand last came by. */
  used: boolean;
}
