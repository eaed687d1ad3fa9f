/**
 * One shard while this process owns it: reader, lanes and settler tied together for one Ownership, and void with it.
 */
import type { DecodedFrame } from '../buffer/frame.ts';
import type { BufferStore, Lease } from '../buffer/store.ts';
import type { HotTail } from '../buffer/tail.ts';
import { SluiceError } from '../errors.ts';
import type { Clock } from './clock.ts';
import type { Intake } from './intake.ts';
import type { ForwardEvents } from './events.ts';
import type { Lanes } from './lanes.ts';
import type { ForwardOptions } from './options.ts';
import { Ownership } from './ownership.ts';
import { Settler, type SettlerHost } from './settler.ts';
import { ShardReader, type ReaderHost } from './shard-reader.ts';
import type { OpenMessages } from './open-messages.ts';
import type { WaitingRecord } from './parked-entry.ts';
import { Parking, type ParkedTopicStatus, type ParkingHost } from './parking.ts';
import type { OpenFrame } from './span.ts';
import type { Tally } from './tally.ts';

/** What all shards of a process share. */
export interface RunHost {
  readonly store: BufferStore;
  readonly tail: HotTail;
  readonly lanes: Lanes;
  readonly intake: Intake;
  readonly options: ForwardOptions;
  readonly clock: Clock;
  readonly random: () => number;
  readonly events: ForwardEvents;
  /** Each owned shard's part of the window. */
  windowBytes(): number;
  settled(run: ShardRun, tally: Tally): void;
  storeFault(shard: number, source: 'run', error: SluiceError | undefined): void;
  /** Something came to rest: who waits for that looks again. */
  rested(): void;
  confirmLease(run: ShardRun): Promise<boolean>;
  /** This run ends: the lease is lost, or given up because the log was replaced. */
  lost(ownership: Ownership, reason: string): void;
  /** This shard cannot be read by this process. */
  unreadable(run: ShardRun): void;
}

export interface ShardStatus {
  readonly shard: number;
  readonly owned: boolean;
  readonly released: number;
  readonly head: number;
  /** Next offset to read. */
  readonly next: number;
  readonly windowBytes: number;
  /** About when the oldest message that is read and not settled arrived, milliseconds since the epoch. */
  readonly oldestAt: number | undefined;
  /** Topics whose records wait apart from the log. */
  readonly parked: readonly ParkedTopicStatus[];
  /** Why this shard is not forwarded any more. */
  readonly stopped: string | undefined;
}

export class ShardRun implements ReaderHost, SettlerHost, ParkingHost {
  readonly ownership: Ownership;
  readonly settler: Settler;
  readonly reader: ShardReader;
  readonly parking: Parking;
  readonly #host: RunHost;
  #readError: SluiceError | undefined;
  #settleError: SluiceError | undefined;
  #parkedError: SluiceError | undefined;
  #told = false;
  #stopped: SluiceError | undefined;

  constructor(lease: Lease, validUntil: number, host: RunHost) {
    this.#host = host;
    this.ownership = new Ownership(lease, validUntil);
    const { store, options, clock, random } = host;
    this.parking = new Parking(this.ownership, this);
    this.settler = new Settler(this.ownership, store, options, clock, random, this.parking, this);
    this.reader = new ShardReader(this.ownership, store, host.tail, this.settler, options, clock, random, this);
  }

  get shard(): number {
    return this.ownership.shard;
  }

  /** Everything that was read is settled, and the store knows it. */
  get drained(): boolean {
    return this.settler.openSpans === 0 && this.settler.idle;
  }

  get stoppedBy(): SluiceError | undefined {
    return this.#stopped;
  }

  start(): void {
    // The parked come first: they are read, and held back records of the log follow them.
    this.parking.start();
    this.reader.start();
  }

  /** The lease is gone: nothing of this run has an effect any more. */
  end(): void {
    this.ownership.lose();
    if (this.#told) this.#host.storeFault(this.shard, 'run', undefined);
    this.#told = false;
    this.reader.stop();
    this.parking.stop();
    this.settler.stop();
    this.#host.tail.drop(this.shard);
    this.#host.lanes.dropLost();
  }

  status(): ShardStatus {
    return {
      shard: this.shard,
      owned: true,
      released: this.settler.released,
      head: this.reader.head,
      next: this.reader.next,
      windowBytes: this.settler.windowBytes,
      oldestAt: this.settler.oldestAt,
      parked: this.parking.status(),
      stopped: this.#stopped?.message,
    };
  }

  dispatch(frame: OpenFrame, decoded: DecodedFrame, first: number): void {
    this.#host.intake.dispatch(frame, decoded.messages, first);
  }

  flush(): void {
    this.#host.lanes.flush();
  }

  windowBytes(): number {
    return this.#host.windowBytes();
  }

  windowFull(): void {
    this.parking.windowFull();
  }

  get store(): BufferStore {
    return this.#host.store;
  }

  get lanes(): Lanes {
    return this.#host.lanes;
  }

  get options(): ForwardOptions {
    return this.#host.options;
  }

  get clock(): Clock {
    return this.#host.clock;
  }

  get random(): () => number {
    return this.#host.random;
  }

  resend(owner: OpenMessages, index: number, records: readonly WaitingRecord[]): void {
    this.#host.intake.resend(owner, index, records);
  }

  frames(): Iterable<OpenMessages> {
    return this.settler.frames();
  }

  poke(): void {
    this.settler.poke();
  }

  wakeReader(): void {
    this.reader.wake();
  }

  parkedFault(error: SluiceError | undefined): void {
    this.#parkedError = error;
    this.#tellFault();
  }

  parkedCorrupt(topic: string, position: number, error: SluiceError): void {
    this.#host.events.parkedCorrupt?.(this.shard, topic, position, error);
  }

  topicParked(topic: string): void {
    this.#host.events.topicParked?.(this.shard, topic);
  }

  parkingFull(topic: string): void {
    this.#host.events.parkingFull?.(this.shard, topic);
  }

  topicUnparked(topic: string): void {
    this.#host.events.topicUnparked?.(this.shard, topic);
  }

  confirmLease(): Promise<boolean> {
    return this.#host.confirmLease(this);
  }

  rolledBack(head: number): void {
    const { next } = this.reader;
    const error = new SluiceError(
      'OFFSETS_MISSING',
      `shard ${this.shard}: the log ends at offset ${head}, ${next - 1} was read from it: it was rolled back or emptied`,
    );
    this.#host.events.offsetsMissing(this.shard, head + 1, next - 1, error);
    this.#host.lost(this.ownership, 'the log was rolled back');
  }

  readFault(error: SluiceError | undefined): void {
    this.#readError = error;
    this.#tellFault();
  }

  settleFault(error: SluiceError | undefined): void {
    this.#settleError = error;
    this.#tellFault();
  }

  frameCorrupt(base: number, count: number, error: SluiceError): void {
    this.#host.events.frameCorrupt(this.shard, base, count, error);
  }

  offsetsMissing(from: number, to: number): void {
    const error = new SluiceError(
      'OFFSETS_MISSING',
      `shard ${this.shard}: offsets ${from} to ${to} are not in the log`,
    );
    this.#host.events.offsetsMissing(this.shard, from, to, error);
  }

  stopped(error: SluiceError): void {
    this.#stopped = error;
    this.#host.events.shardStopped(this.shard, error);
    this.#yieldIfStopped();
  }

  /** An entry of a parking log is of a newer version. What is on its way is delivered again by who can read it. */
  parkingUnreadable(error: SluiceError): void {
    this.#stopped = error;
    this.#host.events.shardStopped(this.shard, error);
    this.#host.unreadable(this);
  }

  settled(tally: Tally): void {
    this.reader.wake();
    this.#host.settled(this, tally);
    this.#yieldIfStopped();
  }

  rested(): void {
    this.#host.rested();
  }

  fenced(error: SluiceError): void {
    this.#host.lost(this.ownership, error.message);
  }

  /** What came before the frame that cannot be read is settled: a newer process may have the shard. */
  #yieldIfStopped(): void {
    if (this.#stopped !== undefined && this.drained) this.#host.unreadable(this);
  }

  #tellFault(): void {
    const error = this.#readError ?? this.#settleError ?? this.#parkedError;
    if ((error !== undefined) === this.#told) return;
    this.#told = error !== undefined;
    this.#host.storeFault(this.shard, 'run', error);
  }
}
