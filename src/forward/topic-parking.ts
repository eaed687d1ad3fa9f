/**
 * One topic's parking log of one shard: durable, in the order of the log, apart from it.
 *
 *     holding ──all entries are on their way, and the topic works──> direct ──held up again──> holding
 *                                                                      └──every entry is settled──> gone
 *
 * holding: records of the topic are kept back. When the release point comes to their message they are parked, in the very
 * settlement that releases it, so that at each moment a message has one durable place. Entries are read in order and go through
 * the topic's lanes: one at a time while the topic cannot be written, which is how it is found to work again.
 * What cannot be encoded yet is no better than what cannot be written: nothing is read until it can, and what was read waits in
 * its batch, for it is in the parking log already.
 * direct: new records follow the parked ones through the same lanes. After a crash the parked ones come first again, for all
 * that was parked was released, and all that was not is read again behind it.
 */
import type { BufferStore, ParkedEntry, ParkingState } from '../buffer/store.ts';
import { isSluiceError, SluiceError, errorText } from '../errors.ts';
import { backoffMs, type Clock, type TimerHandle } from './clock.ts';
import type { HeldRecord, MessagesListener, OpenMessages } from './open-messages.ts';
import type { Awaited } from './mapping.ts';
import type { ForwardOptions } from './options.ts';
import type { Ownership } from './ownership.ts';
import { ParkedBatch } from './parked-batch.ts';
import { decodeParked, toWaiting, type WaitingRecord } from './parked-entry.ts';

export interface TopicParkingHost {
  readonly ownership: Ownership;
  readonly store: BufferStore;
  readonly options: ForwardOptions;
  readonly clock: Clock;
  readonly random: () => number;
  /** The topic can be written, as far as is known. */
  works(topic: string): boolean;
  /** Makes these records of a message again, with the routes of now, and queues them. */
  resend(owner: OpenMessages, index: number, records: readonly WaitingRecord[]): void;
  /** Keeps back, in their batches, records of the topic's entries that wait in its lanes. `rest`: more are on the wire, maybe. */
  takeBack(parking: TopicParking): { found: boolean; rest: boolean };
  /** A run of resend() ends. */
  flush(): void;
  /** Frames of the log that are read and not settled, in order. */
  frames(): Iterable<OpenMessages>;
  /** Entries may be ready to be settled. */
  poke(): void;
  readFault(error: SluiceError | undefined): void;
  corrupt(topic: string, position: number, error: SluiceError): void;
  unreadable(error: SluiceError): void;
}

export interface CorruptEntry {
  readonly position: number;
  readonly storedBytes: number;
}

const READ_BYTES = 256 * 1024;
const RETRY_MAX_MS = 2_000;

export class TopicParking implements MessagesListener {
  readonly topic: string;
  /** Bytes of entries, and of records made of them, that are on their way. */
  windowBytes = 0;
  /** Records of the log are kept back. */
  holding = true;
  /** What the store holds. */
  readonly stored: { entries: number; messages: number; bytes: number };
  /** Read and not settled, in order. */
  batches: (ParkedBatch | CorruptEntry)[] = [];
  /** The last offset that left through settlements. */
  passedOffset = 0;
  /** Entries that could not be read: how many messages they held shows when the log is empty. */
  corruptEntries = 0;
  /** The settlement on its way parks for this topic. */
  parking = false;
  /** Nothing more is parked, so that what is on its way can be the last: where settlements follow each other closely. */
  closing = false;
  /** Something did not fit any more. */
  full = false;
  readonly #host: TopicParkingHost;
  /** There may be entries behind the last one read. */
  #more: boolean;
  #reading = false;
  #readUpTo = 0;
  #attempts = 0;
  #timer: TimerHandle | undefined;
  #stopped = false;
  /** Records of the topic cannot be encoded before this is ready. */
  #awaited: Awaited | undefined;
  /** Records of entries that were read are kept back in their batches for it. */
  #keepsBack = false;
  /** Routes were replaced, and some of what is on its way may still be as the old ones made it. */
  #rerouted = false;

  /** `state`: what an earlier owner parked. */
  constructor(topic: string, state: ParkingState | undefined, host: TopicParkingHost) {
    this.topic = topic;
    this.stored = { entries: state?.entries ?? 0, messages: state?.messages ?? 0, bytes: state?.bytes ?? 0 };
    this.#more = state !== undefined;
    this.#host = host;
  }

  /** Nothing is stored, read or kept back. */
  get gone(): boolean {
    return !this.holding && !this.#more && !this.#reading && this.batches.length === 0 && this.stored.entries === 0;
  }

  /** Whether a message that was parked here still is, as far as it is known. */
  holds(offset: number): boolean | 'unknown' {
    if (offset <= this.passedOffset) return false;
    const first = this.batches.find((batch) => batch instanceof ParkedBatch);
    if (first !== undefined) return offset >= first.firstOffset;
    return this.#more || this.#reading ? 'unknown' : false;
  }

  /** Entries were parked. */
  extended(): void {
    this.#more = true;
  }

  /** Does what can be done now. */
  step(): void {
    if (this.#stopped || this.#reading) return;
    const encodes = this.#awaited?.ready !== false;
    if (encodes) this.#awaited = undefined;
    if (encodes && this.#keepsBack) this.#resendKeptBack();
    const works = this.#awaited === undefined && this.#host.works(this.topic);
    if (this.#more) {
      if (this.#awaited !== undefined) return;
      const limit = works ? this.#host.options.parkedWindowMaxBytes : 1;
      if (this.windowBytes < limit) this.#read(works ? READ_BYTES : 1);
    } else if (this.holding && works) {
      if (this.parking) this.closing = true;
      else this.#goDirect();
      return;
    }
    if (!works) this.closing = false;
  }

  stop(): void {
    this.#stopped = true;
    this.#host.clock.clearTimeout(this.#timer);
    this.batches = [];
  }

  /** Of the records of its own entries: those behind one that cannot be encoded yet. */
  holdsBack(): boolean {
    return this.#keepsBack;
  }

  /** One of its own entries has such a record. */
  awaits(_topic: string, awaited: Awaited): void {
    this.waitFor(awaited);
    this.#keepsBack = true;
  }

  waitFor(awaited: Awaited): void {
    this.#awaited = awaited;
  }

  routesChanged(): void {
    this.#awaited = undefined;
    this.#rerouted = true;
    this.takeBack();
  }

  /**
   * After a reload: what was made of its entries is made again, for by the new routes it may be for another topic. What is on the
   * wire is taken once it comes back unsent.
   */
  takeBack(): void {
    if (!this.#rerouted) return;
    const { found, rest } = this.#host.takeBack(this);
    if (found) this.#keepsBack = true;
    this.#rerouted = rest;
  }

  advanced(): void {
    this.#host.poke();
  }

  #read(maxBytes: number): void {
    const { store, ownership } = this.#host;
    this.#reading = true;
    this.#more = false;
    store.readParked(ownership.shard, this.topic, this.#readUpTo, maxBytes).then(
      (entries) => {
        if (this.#stopped) return;
        this.#reading = false;
        if (this.#attempts > 0) this.#host.readFault(undefined);
        this.#attempts = 0;
        if (entries.length > 0) this.#more = true;
        for (const entry of entries) {
          this.#take(entry);
          if (this.#isStopped()) return;
        }
        this.#host.flush();
        this.#host.poke();
        this.step();
      },
      (error: unknown) => this.#readFailed(error),
    );
  }

  #take(entry: ParkedEntry): void {
    this.#readUpTo = entry.position;
    let batch: ParkedBatch;
    try {
      batch = new ParkedBatch(this.#host.ownership, entry, decodeParked(entry.bytes), this);
    } catch (error) {
      if (!isSluiceError(error, 'FRAME_CORRUPT')) {
        this.#host.unreadable(asStoreError(error));
        return;
      }
      this.batches.push({ position: entry.position, storedBytes: entry.bytes.length });
      this.#host.corrupt(this.topic, entry.position, error);
      return;
    }
    this.batches.push(batch);
    for (let index = 0; index < batch.count; index++) {
      this.#host.resend(batch, index, batch.parked[index]!.records);
    }
  }

  #readFailed(cause: unknown): void {
    if (this.#stopped) return;
    this.#more = true;
    if (this.#attempts === 0) this.#host.readFault(asStoreError(cause));
    this.#attempts++;
    const { clock, options, random } = this.#host;
    this.#timer = clock.setTimeout(
      () => {
        this.#reading = false;
        this.step();
      },
      backoffMs(this.#attempts, options.retryMinMs, RETRY_MAX_MS, random),
    );
  }

  /** All that was parked is on its way: what was kept back since, and what comes, follows it through the same lanes. */
  #goDirect(): void {
    this.holding = false;
    this.closing = false;
    for (const frame of this.#host.frames()) this.#resendHeld(frame, this.topic);
    this.#host.flush();
    this.#host.poke();
  }

  /** They may be kept back again, and those behind them with them. */
  #resendKeptBack(): void {
    this.#keepsBack = false;
    for (const batch of this.batches) if (batch instanceof ParkedBatch) this.#resendHeld(batch, undefined);
    this.#host.flush();
    this.#host.poke();
  }

  #resendHeld(messages: OpenMessages, topic: string | undefined): void {
    const byMessage = new Map<number, HeldRecord[]>();
    messages.takeHeld(topic, (index, record) => {
      const records = byMessage.get(index);
      if (records === undefined) byMessage.set(index, [record]);
      else records.push(record);
    });
    for (const [index, records] of byMessage) this.#host.resend(messages, index, records.map(toWaiting));
  }

  #isStopped(): boolean {
    return this.#stopped;
  }
}

function asStoreError(error: unknown): SluiceError {
  return error instanceof SluiceError
    ? error
    : new SluiceError('STORE_UNAVAILABLE', errorText(error), { cause: error });
}
