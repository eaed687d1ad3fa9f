/**
 * Parking: a topic that cannot be written must not hold up the others. Where the window of a shard is full and such a topic
 * stands in it, its records leave the log for a parking log of the topic (topic-parking.ts), and so does what follows for it.
 *
 * A topic whose records cannot be encoded yet is held at once, for there is nothing that a lane could wait with.
 *
 * The ledger counts a message that waits in several parking logs once: in the first of them, by name, that still holds it. It
 * is settled when the last of them lets it go, as dead-lettered if any of its records was.
 */
import type { BufferStore, Settlement } from '../buffer/store.ts';
import type { SluiceError } from '../errors.ts';
import type { Clock, TimerHandle } from './clock.ts';
import type { Lane } from './lane.ts';
import type { Lanes } from './lanes.ts';
import type { Awaited } from './mapping.ts';
import { Outcome, type OpenMessages, type RecordOwner } from './open-messages.ts';
import type { ForwardOptions } from './options.ts';
import type { Ownership } from './ownership.ts';
import { ParkedBatch } from './parked-batch.ts';
import type { WaitingRecord } from './parked-entry.ts';
import type { ParkingRoom, SettlementDraft } from './settlement-draft.ts';
import { OpenFrame } from './span.ts';
import { TopicParking, type TopicParkingHost } from './topic-parking.ts';

export interface ParkingHost {
  readonly store: BufferStore;
  readonly lanes: Lanes;
  readonly options: ForwardOptions;
  readonly clock: Clock;
  readonly random: () => number;
  resend(owner: OpenMessages, index: number, records: readonly WaitingRecord[]): void;
  frames(): Iterable<OpenMessages>;
  poke(): void;
  /** Reading goes on where there is room. */
  wakeReader(): void;
  parkedFault(error: SluiceError | undefined): void;
  parkedCorrupt(topic: string, position: number, error: SluiceError): void;
  topicParked(topic: string): void;
  /** Told once, until half of it is free again. */
  parkingFull(topic: string): void;
  topicUnparked(topic: string): void;
  parkingUnreadable(error: SluiceError): void;
}

export interface ParkedTopicStatus {
  readonly topic: string;
  readonly entries: number;
  readonly messages: number;
  readonly bytes: number;
  /** New records of the topic go to the parking log as well. */
  readonly holding: boolean;
  /** It has reached its bound, and holds up the log. */
  readonly full: boolean;
}

/** Messages that wait in several parking logs, of which one record is a dead letter already; beyond, only the kind is forgotten. */
const DEAD_MARKS_MAX = 4_096;
const DEAD_MARK = 'dead:';

export class Parking implements ParkingRoom, TopicParkingHost {
  readonly ownership: Ownership;
  readonly #host: ParkingHost;
  readonly #topics = new Map<string, TopicParking>();
  readonly #deadMarks = new Set<number>();
  #timer: TimerHandle | undefined;
  #stopped = false;

  constructor(ownership: Ownership, host: ParkingHost) {
    this.ownership = ownership;
    this.#host = host;
    const { parked, marks } = ownership.lease;
    for (const state of parked) this.#topics.set(state.topic, new TopicParking(state.topic, state, this));
    for (const name of Object.keys(marks)) {
      if (name.startsWith(DEAD_MARK)) this.#deadMarks.add(Number(name.slice(DEAD_MARK.length)));
    }
  }

  get store(): BufferStore {
    return this.#host.store;
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

  /** No topic is parked. */
  get empty(): boolean {
    return this.#topics.size === 0;
  }

  status(): ParkedTopicStatus[] {
    return [...this.#topics.values()].map(({ topic, stored, holding, full }) => ({ topic, ...stored, holding, full }));
  }

  start(): void {
    this.step();
  }

  stop(): void {
    this.#stopped = true;
    this.clock.clearTimeout(this.#timer);
    for (const parking of this.#topics.values()) parking.stop();
    this.#topics.clear();
  }

  /** New records of this topic are kept back. On the hot path. */
  holdsBack(topic: string): boolean {
    return this.#topics.size > 0 && this.#topics.get(topic)?.holding === true;
  }

  /** The topic is held until this is ready. */
  awaits(topic: string, awaited: Awaited): void {
    if (!this.holdsBack(topic)) this.#hold(topic);
    this.#topics.get(topic)!.waitFor(awaited);
  }

  /** Routes were replaced: whether what was waited for still is shows when the records are made again. */
  routesChanged(): void {
    for (const parking of this.#topics.values()) parking.routesChanged();
    this.step();
  }

  /** The window is full: topics that have held it up for a while are parked. Gives false where none was. */
  windowFull(): void {
    const { options, lanes, clock } = this.#host;
    if (options.parkingMaxBytes === 0 || this.#stopped) return;
    let againMs = Infinity;
    // While the cluster is away nothing can be written: what a topic does shows later.
    if (!lanes.gate.open) againMs = options.parkAfterMs;
    else {
      for (const topic of lanes.topics()) {
        if (topic.fault === undefined || this.holdsBack(topic.name)) continue;
        const waitMs = topic.faultSince + options.parkAfterMs - clock.now();
        if (waitMs > 0) againMs = Math.min(againMs, waitMs);
        else this.#hold(topic.name);
      }
    }
    if (againMs === Infinity) return;
    clock.clearTimeout(this.#timer);
    this.#timer = clock.setTimeout(() => this.#host.wakeReader(), againMs);
  }

  /** A chunk of the lane came back unsent: what it held of the log goes to the parking log, if its topic is held. */
  sweep(lane: Lane): void {
    if (this.holdsBack(lane.topic)) lane.extract(this.#ofTheLog, this.#keepBack);
    const parking = this.#topics.get(lane.topic);
    if (parking === undefined) return;
    parking.takeBack();
    // In the middle of the lane's work nothing is queued.
    this.clock.setImmediate(() => {
      if (!this.#stopped) parking.step();
    });
  }

  /** Something changed: a topic works again, a settlement is through. */
  step(): void {
    for (const parking of this.#topics.values()) {
      parking.step();
      if (!parking.gone) continue;
      this.#topics.delete(parking.topic);
      this.#host.topicUnparked(parking.topic);
    }
  }

  // ---- for the settler ----

  /** A log that is empty takes one message, whatever its size: what is parked is how the topic is found to work again. */
  room(topic: string, bytes: number): boolean {
    const parking = this.#topics.get(topic);
    if (parking === undefined) return true;
    if (parking.closing) return false;
    if (parking.stored.bytes === 0 || parking.stored.bytes + bytes <= this.#maxBytes) return true;
    if (!parking.full) this.#host.parkingFull(topic);
    parking.full = true;
    return false;
  }

  /** Each shard's part of a topic's bound. */
  get #maxBytes(): number {
    return this.options.parkingMaxBytes / this.store.shards;
  }

  /** Puts the entries that are delivered into the draft. */
  collect(draft: SettlementDraft): void {
    for (const parking of this.#topics.values()) {
      for (;;) {
        const [batch] = parking.batches;
        if (batch === undefined) break;
        if (batch instanceof ParkedBatch && !(batch.pass() && this.#unpark(draft, parking, batch))) break;
        parking.batches.shift();
        const change = draft.topic(parking.topic);
        change.upTo = batch.position;
        change.entries++;
        change.bytes += batch.storedBytes;
        if (batch instanceof ParkedBatch) {
          parking.passedOffset = batch.lastOffset;
          parking.windowBytes -= batch.windowBytes;
          batch.close();
        } else {
          parking.corruptEntries++;
        }
      }
      this.#countCorrupt(draft, parking);
    }
  }

  settling(change: Settlement): void {
    for (const { topic } of change.park ?? []) {
      const parking = this.#topics.get(topic);
      if (parking !== undefined) parking.parking = true;
    }
  }

  settled(change: Settlement, draft: SettlementDraft): void {
    for (const { topic, messages, bytes } of change.unpark ?? []) {
      const parking = this.#topics.get(topic);
      if (parking === undefined) continue;
      parking.stored.entries -= draft.topics.get(topic)?.entries ?? 0;
      parking.stored.messages -= messages;
      parking.stored.bytes -= bytes;
      if (parking.stored.bytes <= this.#maxBytes / 2) parking.full = false;
    }
    for (const { topic, messages, bytes } of change.park ?? []) {
      const parking = this.#topics.get(topic);
      if (parking === undefined) continue;
      parking.parking = false;
      parking.stored.entries++;
      parking.stored.messages += messages;
      parking.stored.bytes += bytes.length;
      parking.extended();
    }
    this.step();
  }

  // ---- for the topics ----

  works(topic: string): boolean {
    const { lanes } = this.#host;
    return lanes.gate.open && lanes.topic(topic)?.fault === undefined;
  }

  resend(owner: OpenMessages, index: number, records: readonly WaitingRecord[]): void {
    this.#host.resend(owner, index, records);
  }

  takeBack({ topic, batches }: TopicParking): { found: boolean; rest: boolean } {
    const lanes = this.#host.lanes.topic(topic);
    let found = false;
    lanes?.extract(
      (_record, owner) => owner instanceof ParkedBatch && batches.includes(owner),
      (record, owner, index) => {
        (owner as ParkedBatch).keepBack(record, index);
        found = true;
      },
    );
    return { found, rest: lanes?.lanes.some((lane) => lane?.state === 'sending') ?? false };
  }

  flush(): void {
    this.#host.lanes.flush();
  }

  frames(): Iterable<OpenMessages> {
    return this.#host.frames();
  }

  poke(): void {
    this.#host.poke();
  }

  readFault(error: SluiceError | undefined): void {
    this.#host.parkedFault(error);
  }

  corrupt(topic: string, position: number, error: SluiceError): void {
    this.#host.parkedCorrupt(topic, position, error);
  }

  unreadable(error: SluiceError): void {
    this.#host.parkingUnreadable(error);
  }

  #hold(topic: string): void {
    const known = this.#topics.get(topic);
    if (known === undefined) this.#topics.set(topic, new TopicParking(topic, undefined, this));
    else known.holding = true;
    this.#host.topicParked(topic);
    this.#host.lanes.topic(topic)?.extract(this.#ofTheLog, this.#keepBack);
    this.poke();
  }

  readonly #ofTheLog = (_record: unknown, owner: RecordOwner): boolean =>
    owner.ownership === this.ownership && owner instanceof OpenFrame;

  readonly #keepBack = (record: Parameters<OpenFrame['keepBack']>[0], owner: RecordOwner, index: number): void => {
    (owner as OpenFrame).keepBack(record, index);
  };

  /** Every message of the batch leaves this log. false: not yet, whether another log holds one of them is not known. */
  #unpark(draft: SettlementDraft, parking: TopicParking, batch: ParkedBatch): boolean {
    const { topic } = parking;
    const others = batch.parked.map(({ offset, alsoIn }) =>
      alsoIn.length === 0 ? [] : alsoIn.filter((name) => this.#topics.get(name)?.holds(offset) ?? false),
    );
    for (const [index, { offset }] of batch.parked.entries()) {
      if (others[index]!.some((name) => this.#topics.get(name)?.holds(offset) === 'unknown')) return false;
    }
    const change = draft.topic(topic);
    for (let index = 0; index < batch.count; index++)
      this.#unparkOne(draft, change, batch, index, topic, others[index]!);
    return true;
  }

  #unparkOne(
    draft: SettlementDraft,
    change: { messages: number },
    batch: ParkedBatch,
    index: number,
    topic: string,
    others: readonly string[],
  ): void {
    const offset = batch.offset(index);
    const outcome = batch.outcome(index);
    const [next] = [...others].sort();
    if (next === undefined) {
      change.messages++;
      if (this.#deadMarks.delete(offset)) {
        draft.marks[`${DEAD_MARK}${offset}`] = '';
        draft.tally.count(Outcome.deadLettered, undefined);
      } else {
        draft.tally.count(outcome, batch.rule(index));
      }
      return;
    }
    if (topic < next) {
      // It was counted here; from now on there.
      change.messages++;
      draft.topic(next).messages--;
    }
    // What was a dead letter before it was parked is so in every log that holds it.
    const known = batch.parked[index]!.outcome === Outcome.deadLettered || this.#deadMarks.has(offset);
    if (outcome === Outcome.deadLettered && !known && this.#deadMarks.size < DEAD_MARKS_MAX) {
      this.#deadMarks.add(offset);
      draft.marks[`${DEAD_MARK}${offset}`] = '1';
    }
  }

  /** The log is empty then: what it still counts was in entries that could not be read. */
  #countCorrupt(draft: SettlementDraft, parking: TopicParking): void {
    const change = draft.topics.get(parking.topic);
    if (change === undefined || parking.corruptEntries === 0) return;
    if (change.entries < parking.stored.entries || change.parkings.length > 0) return;
    const left = Math.max(0, parking.stored.messages - change.messages);
    draft.tally.discard('corrupt', left);
    change.messages += left;
    parking.corruptEntries = 0;
  }
}
