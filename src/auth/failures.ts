/** Failed attempts per remote address: each address may fail so often in a window, and is blocked until that is over. */
import { isIPv6 } from 'node:net';

/** Addresses that are remembered; beyond it the one that failed longest ago is forgotten. */
const ADDRESSES_MAX = 50_000;

interface Bucket {
  /** Failures that are still allowed, at `at`. */
  left: number;
  at: number;
}

export class FailureTable {
  readonly #perAddress: number;
  readonly #windowMs: number;
  readonly #now: () => number;
  /** In the order of the last failure. */
  readonly #buckets = new Map<string, Bucket>();

  /** `perAddress` 0: nobody is blocked. */
  constructor(options: { perAddress: number; windowMs: number }, now: () => number = () => performance.now()) {
    this.#perAddress = options.perAddress;
    this.#windowMs = options.windowMs;
    this.#now = now;
  }

  get addresses(): number {
    return this.#buckets.size;
  }

  blocked(address: string): boolean {
    const bucket = this.#buckets.get(networkOf(address));
    return bucket !== undefined && this.#left(bucket) < 1;
  }

  failed(address: string): void {
    if (this.#perAddress === 0) return;
    const network = networkOf(address);
    const bucket = this.#buckets.get(network);
    const left = bucket === undefined ? this.#perAddress : this.#left(bucket);
    this.#buckets.delete(network);
    this.#buckets.set(network, { left: Math.max(0, left - 1), at: this.#now() });
    if (this.#buckets.size <= ADDRESSES_MAX) return;
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }

  #left({ left, at }: Bucket): number {
    const regained = ((this.#now() - at) / this.#windowMs) * this.#perAddress;
    return Math.min(this.#perAddress, left + regained);
  }
}

/** Who has one IPv6 address has its whole /64 network; an IPv4 address may come mapped into IPv6. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1] !== undefined) return mapped[1];
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('%', 1)[0]!.split('::');
  const groups = head === '' ? [] : head.split(':');
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length);
  const all = [...groups, ...new Array<string>(Math.max(0, missing)).fill('0'), ...(tail ? tail.split(':') : [])];
  return `${all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
