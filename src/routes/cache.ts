/**
 * A map with a bound, in two generations: when the young one is full it becomes the old one, and the old one is
 * dropped whole. What is used stays, because a hit in the old generation moves to the young one. Every step takes
 * constant time, a hit in the young generation costs one Map lookup and writes nothing.
 *
 * The bound holds for the sum of both generations: entries, and their weights.
 */
export class GenerationCache<Key, Value> {
  readonly #generationEntries: number;
  readonly #generationWeight: number;
  #young = new Map<Key, Entry<Value>>();
  #old = new Map<Key, Entry<Value>>();
  #youngWeight = 0;
  #oldWeight = 0;

  constructor(bound: { readonly maxEntries: number; readonly maxWeight: number }) {
    this.#generationEntries = Math.max(1, Math.floor(bound.maxEntries / 2));
    this.#generationWeight = bound.maxWeight / 2;
  }

  /** Entries held, counting one in both generations twice. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get weight(): number {
    return this.#youngWeight + this.#oldWeight;
  }

  get(key: Key): Value | undefined {
    const entry = this.#young.get(key);
    if (entry !== undefined) return entry.value;
    const aged = this.#old.get(key);
    if (aged === undefined) return undefined;
    this.#insert(key, aged);
    return aged.value;
  }

  /** For a key that get() has just not found. A value that alone exceeds a generation is not kept. */
  set(key: Key, value: Value, weight: number): void {
    if (weight <= this.#generationWeight) this.#insert(key, { value, weight });
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#youngWeight = 0;
    this.#oldWeight = 0;
  }

  #insert(key: Key, entry: Entry<Value>): void {
    if (this.#young.size >= this.#generationEntries || this.#youngWeight + entry.weight > this.#generationWeight) {
      this.#old = this.#young;
      this.#oldWeight = this.#youngWeight;
      this.#young = new Map();
      this.#youngWeight = 0;
    }
    this.#young.set(key, entry);
    this.#youngWeight += entry.weight;
  }
}

interface Entry<Value> {
  readonly value: Value;
  readonly weight: number;
}
