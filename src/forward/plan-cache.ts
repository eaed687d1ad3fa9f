/**
 * Remembers one value per (topic, client id), within a bound, in two generations as routes/cache.ts does. Two nested maps
 * and not one with a joined key: joining and hashing a new string costs more per message than two look-ups.
 */
export class PlanCache<Value> {
  readonly #generationEntries: number;
  readonly #generationBytes: number;
  #young = new Generation<Value>();
  #old = new Generation<Value>();

  constructor(bound: { readonly maxEntries: number; readonly maxBytes: number }) {
    this.#generationEntries = Math.max(1, Math.floor(bound.maxEntries / 2));
    this.#generationBytes = bound.maxBytes / 2;
  }

  /** Entries held, counting one in both generations twice. */
  get size(): number {
    return this.#young.entries + this.#old.entries;
  }

  get bytes(): number {
    return this.#young.bytes + this.#old.bytes;
  }

  get(topic: string, clientId: string): Value | undefined {
    const found = this.#young.topics.get(topic)?.get(clientId);
    if (found !== undefined) return found.value;
    const aged = this.#old.topics.get(topic)?.get(clientId);
    if (aged === undefined) return undefined;
    this.#insert(topic, clientId, aged);
    return aged.value;
  }

  /** Adds or replaces. A value that alone exceeds a generation is not kept. */
  set(topic: string, clientId: string, value: Value, bytes: number): void {
    if (bytes <= this.#generationBytes) this.#insert(topic, clientId, { value, bytes });
  }

  #insert(topic: string, clientId: string, entry: Entry<Value>): void {
    let young = this.#young;
    if (young.entries >= this.#generationEntries || young.bytes + entry.bytes > this.#generationBytes) {
      this.#old = young;
      young = new Generation();
      this.#young = young;
    }
    let clients = young.topics.get(topic);
    if (clients === undefined) {
      clients = new Map();
      young.topics.set(topic, clients);
    }
    const before = clients.get(clientId);
    if (before === undefined) young.entries++;
    else young.bytes -= before.bytes;
    clients.set(clientId, entry);
    young.bytes += entry.bytes;
  }
}

class Generation<Value> {
  readonly topics = new Map<string, Map<string, Entry<Value>>>();
  entries = 0;
  bytes = 0;
}

interface Entry<Value> {
  readonly value: Value;
  readonly bytes: number;
}
