/**
 * What was proven a short while ago, so that a fleet that reconnects does not have to be hashed, or asked for, once more. Credentials
 * are kept as an HMAC under a key that dies with the process.
 */
import { createHmac, randomBytes } from 'node:crypto';

export class ProvenCache<Value> {
  readonly #key = randomBytes(32);
  readonly #max: number;
  readonly #lifeMs: number;
  readonly #now: () => number;
  /** In the order in which they were put in. */
  readonly #entries = new Map<string, { readonly value: Value; readonly until: number }>();

  /** `lifeMs` 0: nothing is kept. */
  constructor(options: { max: number; lifeMs: number }, now: () => number = () => performance.now()) {
    this.#max = options.max;
    this.#lifeMs = options.lifeMs;
    this.#now = now;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Each part with its length before it, so that no two lists of parts are the same. */
  keyOf(...parts: readonly (string | Buffer | undefined)[]): string {
    const hmac = createHmac('sha256', this.#key);
    for (const part of parts) {
      const bytes = part === undefined ? undefined : Buffer.from(part);
      hmac.update(`${bytes?.length ?? 'none'}:`);
      if (bytes !== undefined) hmac.update(bytes);
    }
    return hmac.digest('base64');
  }

  get(key: string): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.until > this.#now()) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  add(key: string, value: Value): void {
    if (this.#lifeMs === 0) return;
    this.#entries.delete(key);
    this.#entries.set(key, { value, until: this.#now() + this.#lifeMs });
    if (this.#entries.size <= this.#max) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }
}
