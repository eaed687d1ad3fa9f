/**
 * Settles one shard: moves the release point over what is in Kafka, and counts it, in one atomic change.
 *
 *     idle ──a cursor can move──> scheduled ──interval passed──> settling ──ok──> idle | scheduled
 *                                                                   │ store fault
 *                                                                   └──────> waiting ──backoff──> settling (the same change)
 *     any ──FENCED, stop()──> stopped
 *
 * Only a contiguous prefix is settled, only after Kafka confirmed it, one settlement at a time. What moves meanwhile goes into
 * the next one. A settlement without an answer may have been applied: the same object is given to the store until it answers, by which
 * the store knows the repeat, so the ledger counts it once.
 */
import { isSluiceError, SluiceError, errorText } from '../errors.ts';
import type { BufferStore, Settlement, StoredFrame } from '../buffer/store.ts';
import { backoffMs, type Clock, type TimerHandle } from './clock.ts';
import type { Awaited } from './mapping.ts';
import type { ForwardOptions } from './options.ts';
import type { Ownership } from './ownership.ts';
import { OpenFrame, type Span } from './span.ts';
import type { MessagesListener, OpenMessages } from './open-messages.ts';
import { SettlementDraft, type ParkingRoom } from './settlement-draft.ts';
import type { Tally } from './tally.ts';

export interface SettlerHost {
  /** A settlement is durable; the window has room again. */
  settled(tally: Tally): void;
  /** The store failed (once per state change), or answers again (undefined). */
  settleFault(error: SluiceError | undefined): void;
  /** There was nothing to settle after all: who waits for the settler to be idle looks again. */
  rested(): void;
  /** The store refused our token: another process owns the shard. */
  fenced(error: SluiceError): void;
}

/** What parking adds to settlements. */
export interface SettlerParking extends ParkingRoom {
  holdsBack(topic: string): boolean;
  awaits(topic: string, awaited: Awaited): void;
  /** Puts what has left the parking logs into the draft. */
  collect(draft: SettlementDraft): void;
  /** The settlement goes to the store. */
  settling(change: Settlement): void;
  settled(change: Settlement, draft: SettlementDraft): void;
}

interface Pending {
  readonly change: Settlement;
  readonly draft: SettlementDraft;
  readonly released: number;
  readonly freedWindowBytes: number;
}

const RETRY_MAX_MS = 2_000;

export class Settler implements MessagesListener {
  /** Bytes of spans that are not durably settled. */
  windowBytes = 0;
  /** Every offset up to this one is durably settled. */
  released: number;
  readonly #ownership: Ownership;
  readonly #store: BufferStore;
  readonly #options: ForwardOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #parking: SettlerParking;
  readonly #host: SettlerHost;
  #state: 'idle' | 'scheduled' | 'settling' | 'waiting' | 'stopped' = 'idle';
  #spans: Span[] = [];
  #first = 0;
  /** Base of the oldest frame in the store. */
  #trimmed: number;
  #pending: Pending | undefined;
  #lastBeganAt = -Infinity;
  #attempts = 0;
  #failing = false;
  /** There may be something to settle that came while a settlement was on its way. */
  #poked = false;
  #timer: TimerHandle | undefined;

  constructor(
    ownership: Ownership,
    store: BufferStore,
    options: ForwardOptions,
    clock: Clock,
    random: () => number,
    parking: SettlerParking,
    host: SettlerHost,
  ) {
    this.#ownership = ownership;
    this.#store = store;
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
    this.#parking = parking;
    this.#host = host;
    this.released = ownership.lease.released - 1;
    this.#trimmed = ownership.lease.trimmed;
  }

  /** Spans that the release point has not passed. */
  get openSpans(): number {
    return this.#spans.length - this.#first;
  }

  /** Arrival of the first message of the oldest frame that is not settled. */
  get oldestAt(): number | undefined {
    const span = this.#spans[this.#first];
    return span instanceof OpenFrame ? span.arrivedAt : undefined;
  }

  /** Nothing is settled in memory that the store does not know. */
  get idle(): boolean {
    return this.#state === 'idle' || this.#state === 'stopped';
  }

  /** Takes the span that begins where the last one ends. */
  append(span: Span): void {
    this.#spans.push(span);
    // A span may come with nothing to send, or be confirmed before it is here.
    if (this.openSpans === 1) this.#schedule();
  }

  advanced(messages: OpenMessages): void {
    if (this.#state === 'idle' && (messages as unknown) === this.#spans[this.#first]) this.#schedule();
  }

  holdsBack(topic: string): boolean {
    return this.#parking.holdsBack(topic);
  }

  awaits(topic: string, awaited: Awaited): void {
    this.#parking.awaits(topic, awaited);
  }

  /** There may be something to settle that is not in the log. */
  poke(): void {
    this.#poked = true;
    this.#schedule();
  }

  /** Frames that are not passed, in order. */
  *frames(): Generator<OpenMessages> {
    for (let at = this.#first; at < this.#spans.length; at++) {
      const span = this.#spans[at];
      if (span instanceof OpenFrame) yield span;
    }
  }

  /** Settles what can be settled now, without regard to the interval. */
  hurry(): void {
    this.#lastBeganAt = -Infinity;
    if (this.#state === 'scheduled') {
      this.#clock.clearTimeout(this.#timer);
      this.#state = 'idle';
    }
    this.#schedule();
  }

  stop(): void {
    this.#state = 'stopped';
    this.#clock.clearTimeout(this.#timer);
    for (let at = this.#first; at < this.#spans.length; at++) this.#spans[at]?.close();
    this.#spans = [];
    this.#first = 0;
    this.windowBytes = 0;
  }

  #schedule(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'scheduled';
    const waitMs = this.#lastBeganAt + this.#options.settleIntervalMs - this.#clock.now();
    // Never at once: a chunk's records settle one by one, and go into one settlement.
    if (waitMs <= 0) this.#clock.setImmediate(this.#begin);
    else this.#timer = this.#clock.setTimeout(this.#begin, waitMs);
  }

  readonly #begin = (): void => {
    if (this.#state !== 'scheduled') return;
    this.#state = 'idle';
    this.#poked = false;
    const pending = this.#collect();
    if (pending === undefined) {
      this.#host.rested();
      return;
    }
    this.#parking.settling(pending.change);
    this.#lastBeganAt = this.#clock.now();
    this.#pending = pending;
    this.#send();
  };

  /** Moves over the settled prefix. */
  #collect(): Pending | undefined {
    const draft = new SettlementDraft(this.#parking);
    const setAside: StoredFrame[] = [];
    let released = this.released;
    let trimmed = this.#trimmed;
    let freedBytes = 0;
    let freedWindowBytes = 0;
    for (;;) {
      const span = this.#spans[this.#first];
      if (span === undefined) break;
      span.advance(draft);
      released = span.base + span.cursor - 1;
      if (span.cursor < span.count) {
        trimmed = span.base;
        break;
      }
      trimmed = span.base + span.count;
      freedBytes += span.storedBytes;
      freedWindowBytes += span.windowBytes;
      if (span.setAside !== undefined) setAside.push(span.setAside);
      span.close();
      this.#first++;
    }
    if (this.#first > 64 && this.#first * 2 > this.#spans.length) {
      this.#spans = this.#spans.slice(this.#first);
      this.#first = 0;
    }
    this.#parking.collect(draft);
    const parts = draft.build();
    if (released <= this.released && parts.unpark === undefined) return undefined;
    const change: Settlement = {
      ...parts,
      ...(released > this.released ? { released } : {}),
      ...(trimmed > this.#trimmed ? { trimmed, freedBytes } : {}),
      ...(setAside.length > 0 ? { setAside } : {}),
    };
    this.#trimmed = trimmed;
    return { change, draft, released, freedWindowBytes };
  }

  #send(): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    this.#state = 'settling';
    this.#store.settle(this.#ownership.lease, pending.change).then(
      () => this.#settled(pending),
      (error: unknown) => this.#failed(error),
    );
  }

  #settled(pending: Pending): void {
    if (this.#state !== 'settling') return;
    this.#state = 'idle';
    this.#pending = undefined;
    this.#attempts = 0;
    this.released = pending.released;
    this.windowBytes -= pending.freedWindowBytes;
    if (this.#failing) {
      this.#failing = false;
      this.#host.settleFault(undefined);
    }
    // Scheduled again without a look at what moved: #collect() finds nothing where nothing did.
    if (this.openSpans > 0 || this.#poked) this.#schedule();
    this.#parking.settled(pending.change, pending.draft);
    this.#host.settled(pending.draft.tally);
  }

  #failed(cause: unknown): void {
    if (this.#state !== 'settling') return;
    if (isSluiceError(cause, 'FENCED')) {
      this.#host.fenced(cause);
      return;
    }
    this.#state = 'waiting';
    if (!this.#failing) {
      this.#failing = true;
      this.#host.settleFault(
        cause instanceof SluiceError ? cause : new SluiceError('STORE_REFUSED', errorText(cause), { cause }),
      );
    }
    this.#attempts++;
    const waitMs = backoffMs(this.#attempts, this.#options.retryMinMs, RETRY_MAX_MS, this.#random);
    this.#timer = this.#clock.setTimeout(() => {
      if (this.#state === 'waiting') this.#send();
    }, waitMs);
  }
}
