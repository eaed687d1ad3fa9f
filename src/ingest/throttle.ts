/**
 * How fast one client may publish: a token bucket of one second in messages and one in bytes, on a monotonic clock. What comes
 * faster waits in its turn, unread behind it (see mqtt/patches/reading.ts), so that nothing of QoS 1 and 2 is lost; or, where the
 * configuration says so, it ends the connection.
 *
 *     admit ─┬─ tokens, nobody waits ──────────────> the steps of admission
 *            └─ else: waiting, in order ──tokens──> the same
 *     connection closed ──> what waits is dropped: the client has no acknowledgement, and sends it again
 */
import type { Admission } from './admission.ts';

export interface RateLimits {
  /** 0: no limit. */
  readonly messagesPerSecond: number;
  /** Topic and payload of publishes. 0: no limit. */
  readonly bytesPerSecond: number;
  readonly overRate: 'slow' | 'disconnect';
}

/** Between two looks at a throttled client, so that thousands of them cost little. */
const LOOK_MIN_MS = 5;
/** Limits may have been raised meanwhile. */
const LOOK_MAX_MS = 1_000;

export class Throttle {
  readonly #limits: () => RateLimits;
  readonly #now: () => number;
  readonly #waiting: Admission[] = [];
  #messages = 1;
  #bytes = 0;
  /** Milliseconds; the tokens are those of that moment. */
  #at = -Infinity;
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: () => RateLimits, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Something waits: the client is not to be read. */
  get throttled(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether it may go on at once. */
  take(admission: Admission): boolean {
    return this.#waiting.length === 0 && this.#spend(admission);
  }

  /** Which limit it is that take() has just met. */
  get exceeded(): 'messages' | 'bytes' {
    return this.#limits().messagesPerSecond > 0 && this.#messages < 1 ? 'messages' : 'bytes';
  }

  /** After take() has said no. `resume` is called for each in turn. */
  wait(admission: Admission, resume: (admission: Admission) => void): void {
    this.#waiting.push(admission);
    this.#timer ??= this.#look(resume);
  }

  /** The connection is gone. Returns what waited. */
  abandon(): readonly Admission[] {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#waiting.splice(0);
  }

  /** As if it had never published. */
  get full(): boolean {
    this.#refill();
    const { messagesPerSecond, bytesPerSecond } = this.#limits();
    return this.#messages >= Math.max(1, messagesPerSecond) && this.#bytes >= bytesPerSecond;
  }

  #look(resume: (admission: Admission) => void): NodeJS.Timeout {
    return setTimeout(() => {
      this.#timer = undefined;
      let next = this.#waiting[0];
      while (next !== undefined && this.#spend(next)) {
        this.#waiting.shift();
        resume(next);
        next = this.#waiting[0];
      }
      if (next !== undefined) this.#timer ??= this.#look(resume);
    }, this.#untilToken());
  }

  #spend(admission: Admission): boolean {
    const { messagesPerSecond, bytesPerSecond } = this.#limits();
    if (messagesPerSecond === 0 && bytesPerSecond === 0) return true;
    this.#refill();
    if (messagesPerSecond > 0 && this.#messages < 1) return false;
    // A message larger than what is there may go: else one larger than a second's worth never could.
    if (bytesPerSecond > 0 && this.#bytes <= 0) return false;
    const { topic, payload } = admission.message;
    this.#messages -= 1;
    this.#bytes -= topic.length + payload.length;
    return true;
  }

  #refill(): void {
    const now = this.#now();
    const { messagesPerSecond, bytesPerSecond } = this.#limits();
    // Finite also at the first look, which finds a full bucket.
    const seconds = Math.min(1e9, Math.max(0, now - this.#at) / 1000);
    this.#messages = Math.min(Math.max(1, messagesPerSecond), this.#messages + seconds * messagesPerSecond);
    this.#bytes = Math.min(bytesPerSecond, this.#bytes + seconds * bytesPerSecond);
    this.#at = now;
  }

  #untilToken(): number {
    const { messagesPerSecond, bytesPerSecond } = this.#limits();
    const forMessage = messagesPerSecond > 0 ? (1 - this.#messages) / messagesPerSecond : 0;
    const forBytes = bytesPerSecond > 0 ? -this.#bytes / bytesPerSecond : 0;
    return Math.min(LOOK_MAX_MS, Math.max(LOOK_MIN_MS, Math.ceil(1000 * Math.max(forMessage, forBytes))));
  }
}

/** Buckets of clients that went away in debt: who reconnects finds the old one. The oldest make room. */
const DEPARTED_MAX = 10_000;

export class Throttles {
  #limits: RateLimits;
  readonly #now: (() => number) | undefined;
  readonly #departed = new Map<string, Throttle>();

  constructor(limits: RateLimits, now?: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  get limits(): RateLimits {
    return this.#limits;
  }

  /** For everyone, from now on. */
  set limits(limits: RateLimits) {
    this.#limits = limits;
  }

  arrive(clientId: string): Throttle {
    const known = this.#departed.get(clientId);
    this.#departed.delete(clientId);
    return known ?? new Throttle(() => this.#limits, this.#now);
  }

  depart(clientId: string, throttle: Throttle): readonly Admission[] {
    const { messagesPerSecond, bytesPerSecond } = this.#limits;
    if (messagesPerSecond + bytesPerSecond > 0 && !throttle.full) {
      this.#departed.delete(clientId);
      if (this.#departed.size >= DEPARTED_MAX) {
        for (const oldest of this.#departed.keys()) {
          this.#departed.delete(oldest);
          break;
        }
      }
      this.#departed.set(clientId, throttle);
    }
    return throttle.abandon();
  }
}
