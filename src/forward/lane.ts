/**
 * A lane: the one way of records into one partition. FIFO, one chunk at a time, sent again byte for byte until Kafka answers.
 *
 *     idle ──records, gate open──> sending ──confirmed──> idle
 *       ^                             │ fault of a record: the chunk is cut up until the bad record stands alone, which
 *       │                             │    becomes a dead letter; the others go on in order ──> idle
 *       │                             │ fault of the topic ──> waiting (backoff, then the same chunk)
 *       │                             │ fault of the cluster ──> held (until the gate opens, or as the gate's probe)
 *       └─────────────────────────────┘
 *
 * Records leave the queue when they are confirmed, so what is not confirmed is always here, in order.
 */
import { errorText } from '../errors.ts';
import { KafkaFault, type Chunk, type RecordSlice } from '../kafka/sink.ts';
import { backoffMs, type TimerHandle } from './clock.ts';
import type { Probe } from './cluster-gate.ts';
import { Cuts } from './cuts.ts';
import type { LaneHost } from './lane-host.ts';
import type { MappedRecord } from './mapping.ts';
import { RecordQueue, type RecordTaker, type RecordTest } from './record-queue.ts';
import { Outcome, type RecordOwner } from './open-messages.ts';

export type LaneState = 'idle' | 'sending' | 'waiting' | 'held';

/** A chunk that was too large as a whole halves the bound; each confirmed chunk lets it grow by this part. */
const REGROW = 1 / 64;
const CHUNK_FLOOR_BYTES = 16 * 1024;

export class Lane implements Probe {
  readonly topic: string;
  readonly partition: number;
  readonly queue = new RecordQueue();
  readonly #host: LaneHost;
  #state: LaneState = 'idle';
  #chunk: Chunk | undefined;
  /** Records at the front of the queue that are in the chunk. */
  #chunkCount = 0;
  #sentAt = 0;
  #attempts = 0;
  #timer: TimerHandle | undefined;
  readonly #cuts = new Cuts();
  #maxBytes: number;
  #fault: KafkaFault | undefined;
  #faultSince = 0;

  constructor(topic: string, partition: number, host: LaneHost) {
    this.topic = topic;
    this.partition = partition;
    this.#host = host;
    this.#maxBytes = host.options.chunkMaxBytes;
  }

  get state(): LaneState {
    return this.#state;
  }

  /** Records that are sent or wait for the answer, of those in the queue. */
  get inFlight(): number {
    return this.#chunk === undefined ? 0 : this.#chunkCount;
  }

  get fault(): KafkaFault | undefined {
    return this.#fault;
  }

  get faultSince(): number {
    return this.#faultSince;
  }

  get empty(): boolean {
    return this.queue.length === 0;
  }

  /** Enough for a whole chunk is here. */
  get full(): boolean {
    return this.queue.length >= this.#host.options.chunkMaxRecords || this.queue.bytes >= this.#maxBytes;
  }

  push(record: MappedRecord, owner: RecordOwner, index: number): void {
    this.queue.push(record, owner, index);
    if (this.#state === 'idle') this.#host.laneReady(this);
  }

  /** Sends the next chunk, or the one that waits, if it may. */
  pump(): void {
    if (this.#state !== 'idle' || this.#host.stopping || !this.#host.gate.open) return;
    this.#sendNext();
  }

  probe(): 'tried' | 'later' | 'gone' {
    if (this.#state !== 'held' && this.#state !== 'idle') return 'gone';
    this.#state = 'idle';
    if (!this.#host.stopping) this.#sendNext();
    if (this.#is('sending')) return 'tried';
    if (this.empty || !this.#is('idle')) return 'gone';
    this.#state = 'held';
    return 'later';
  }

  resume(): void {
    if (this.#state !== 'held') return;
    this.#state = 'idle';
    this.#host.laneReady(this);
  }

  /**
   * Removes what belongs to a lost lease. A chunk on the wire ends first. One that waits to be sent again is given up only if
   * nobody needs it any more: else its other records would come under a new sequence, although they may be written already.
   */
  dropLost(): void {
    if (this.#chunk !== undefined && this.#state !== 'sending' && this.#chunkIsLost()) this.#giveUpChunk();
    this.#cuts.keepUpTo(this.inFlight);
    this.queue.filter(this.inFlight, (_record, owner) => !owner.ownership.lost);
    this.#rest();
    this.#lookAgain();
  }

  /**
   * Hands over what `want` picks of all that is not on the wire, in order. A chunk that waits to be sent again is given up if it
   * holds any of it.
   */
  extract(want: RecordTest, take: RecordTaker): void {
    if (this.#chunk !== undefined && this.#state !== 'sending' && this.#chunkHolds(want)) this.#giveUpChunk();
    const removed = this.queue.filter(this.inFlight, (record, owner, index) => {
      if (!want(record, owner, index)) return true;
      take(record, owner, index);
      return false;
    });
    if (removed > 0) this.#cuts.keepUpTo(this.inFlight);
    // Whether the lane can write again is not known by this: its fault stays until a record gets through.
    this.#clear();
    this.#host.laneRested(this);
    this.#lookAgain();
  }

  /** It is empty, and its topic takes records: an old fault means nothing any more. */
  forgive(): void {
    if (this.empty) this.#writable();
  }

  /** The process ends: what waits to be sent again is given up. */
  stop(): void {
    this.#host.clock.clearTimeout(this.#timer);
    if (this.#state !== 'sending' && this.#chunk !== undefined) this.#giveUpChunk();
  }

  #is(state: LaneState): boolean {
    return this.#state === state;
  }

  #sendNext(): void {
    if (this.#chunk === undefined) {
      // What does not encode is moved to the dead letters, and the next is tried.
      while (this.#chunk === undefined) {
        this.#dropLostInFront();
        const count = this.#nextCount();
        if (count === 0 || !this.#is('idle')) return this.#rest();
        this.#encode(count);
      }
    } else if (this.#chunkIsDoubtful()) {
      return;
    } else {
      this.#host.counters.retries++;
    }
    this.#state = 'sending';
    this.#sentAt = this.#host.clock.now();
    this.#host.counters.requests++;
    this.#host.sink.send(this.#chunk).then(this.#confirmed, this.#failed);
  }

  /** How many records the next chunk takes. 0: none, or the shard of the first one is not certainly ours now. */
  #nextCount(): number {
    const now = this.#host.clock.now();
    const limit = Math.min(this.queue.length, this.#host.options.chunkMaxRecords, this.#cuts.limit);
    let bytes = 0;
    let lastOwner: RecordOwner | undefined;
    for (let at = 0; at < limit; at++) {
      const owner = this.queue.owner(at);
      if (owner !== lastOwner) {
        if (!owner.ownership.holds(now)) return at;
        lastOwner = owner;
      }
      const { start, end } = this.queue.record(at).slice;
      bytes += end - start;
      if (bytes > this.#maxBytes && at > 0) return at;
    }
    return limit;
  }

  #encode(count: number): void {
    const slices = new Array<RecordSlice>(count);
    for (let at = 0; at < count; at++) slices[at] = this.queue.record(at).slice;
    try {
      this.#chunk = this.#host.sink.encode(this.topic, this.partition, slices, 0, count);
      this.#chunkCount = count;
    } catch (error) {
      this.#refused(count, new KafkaFault('record', 'ENCODING_FAILED', errorText(error), { cause: error }));
    }
  }

  readonly #confirmed = (): void => {
    const count = this.#chunkCount;
    const arrivedAt = this.queue.record(0).slice.timestamp;
    for (let at = 0; at < count; at++) {
      const owner = this.queue.owner(at);
      if (owner.ownership.lost) continue;
      const letter = this.queue.record(at).letter;
      owner.recordSettled(this.queue.index(at), letter === undefined ? Outcome.delivered : Outcome.deadLettered);
    }
    this.#host.counters.chunks++;
    this.#host.counters.records += count;
    if (this.#maxBytes < this.#host.options.chunkMaxBytes) {
      this.#maxBytes = Math.min(this.#host.options.chunkMaxBytes, Math.ceil(this.#maxBytes * (1 + REGROW)));
    }
    this.#chunk = undefined;
    this.#remove(count);
    this.#writable();
    this.#host.laneConfirmed(this, arrivedAt);
    this.#host.gate.answered();
    this.#next();
  };

  readonly #failed = (error: unknown): void => {
    const fault =
      error instanceof KafkaFault
        ? error
        : new KafkaFault('cluster', 'SEND_FAILED', errorText(error), { cause: error });
    const { faults } = this.#host.counters;
    const kind = `${fault.scope} ${fault.reason}`;
    faults[kind] = (faults[kind] ?? 0) + 1;
    switch (fault.scope) {
      case 'record': {
        const { count, bytes } = this.#chunk as Chunk;
        this.#chunk = undefined;
        if (count > 1 && fault.reason.endsWith('TOO_LARGE')) {
          this.#maxBytes = Math.max(CHUNK_FLOOR_BYTES, Math.min(this.#maxBytes, Math.ceil(bytes / 2)));
        }
        this.#state = 'idle';
        this.#refused(count, fault);
        this.#host.gate.answered();
        if (this.#is('idle')) this.#next();
        return;
      }
      case 'topic':
        this.#wait(fault);
        this.#host.gate.answered();
        return;
      case 'cluster':
        this.#state = 'held';
        if (!this.#host.gate.failed(this, fault, this.#sentAt)) this.#wait(fault);
        this.#afterWire();
        return;
    }
  };

  /** Kafka will not take the first `count` records together. */
  #refused(count: number, fault: KafkaFault): void {
    if (count === 1) {
      this.#refuseRecords([0], fault);
      return;
    }
    const named = new Set(fault.records?.filter((index) => index >= 0 && index < count));
    if (named.size === 0) this.#cuts.halve(count);
    else
      this.#refuseRecords(
        [...named].sort((a, b) => a - b),
        fault,
      );
  }

  /** These places, ascending, hold records that Kafka will never take. */
  #refuseRecords(places: readonly number[], fault: KafkaFault): void {
    const gone = new Set<number>();
    for (const at of places) {
      const owner = this.queue.owner(at);
      if (owner.ownership.lost) {
        gone.add(at);
        continue;
      }
      const refusal = this.#host.refuse(this, this.queue.record(at), owner, this.queue.index(at), fault);
      switch (refusal.kind) {
        case 'moved':
          gone.add(at);
          break;
        case 'replaced':
          this.queue.replace(at, refusal.by);
          break;
        case 'held':
          // Alone at the front it can wait without being cut out again at each try.
          this.#cuts.isolate(at);
          if (at === 0) this.#wait(new KafkaFault('topic', fault.reason, fault.message, { cause: fault }));
          this.#removePlaces(gone);
          return;
      }
    }
    this.#removePlaces(gone);
  }

  #removePlaces(gone: ReadonlySet<number>): void {
    if (gone.size === 0) return;
    let at = -1;
    this.queue.filter(0, () => !gone.has(++at));
    this.#cuts.removed(gone);
  }

  /** Removes confirmed records from the front. */
  #remove(count: number): void {
    this.queue.drop(count);
    this.#cuts.passed(count);
  }

  /** The topic cannot be written now: the same chunk again, later. */
  #wait(fault: KafkaFault): void {
    const { clock, options, random } = this.#host;
    this.#state = 'waiting';
    this.#attempts++;
    if (this.#fault === undefined) this.#faultSince = clock.now();
    const first = this.#fault === undefined;
    this.#fault = fault;
    if (first) this.#host.laneFault(this, fault);
    if (!this.#host.stopping) {
      const waitMs = backoffMs(this.#attempts, options.retryMinMs, options.retryMaxMs, random);
      this.#timer = clock.setTimeout(this.#waited, waitMs);
    }
    this.#afterWire();
    this.#host.laneFailed(this);
  }

  readonly #waited = (): void => {
    if (this.#state !== 'waiting') return;
    this.#state = 'idle';
    this.#host.laneReady(this);
  };

  #writable(): void {
    this.#attempts = 0;
    if (this.#fault === undefined) return;
    this.#fault = undefined;
    this.#host.laneFault(this, undefined);
  }

  #next(): void {
    this.#state = 'idle';
    if (!this.empty) this.#host.laneReady(this);
    this.#host.laneRested(this);
  }

  /** Nothing is on the wire, although the chunk is still here: what was lost meanwhile can go. */
  #afterWire(): void {
    if (this.#chunk !== undefined && this.#chunkIsLost()) this.dropLost();
    else this.#host.laneRested(this);
  }

  /** What was lost while it was on the wire has stayed, for the sake of the others in its chunk. */
  #dropLostInFront(): void {
    if (this.empty || !this.queue.owner(0).ownership.lost) return;
    this.#cuts.keepUpTo(0);
    this.queue.filter(0, (_record, owner) => !owner.ownership.lost);
  }

  /** What stood in front, and could not be sent, may be gone. */
  #lookAgain(): void {
    if (this.#state === 'idle' && !this.empty) this.#host.laneReady(this);
  }

  #rest(): void {
    if (this.#clear()) this.#writable();
    this.#host.laneRested(this);
  }

  /** An empty lane waits for nothing. */
  #clear(): boolean {
    if (!this.empty || this.#state === 'sending') return false;
    this.#host.gate.forget(this);
    this.#host.clock.clearTimeout(this.#timer);
    this.#state = 'idle';
    return true;
  }

  #chunkIsLost(): boolean {
    for (let at = 0; at < this.#chunkCount; at++) if (!this.queue.owner(at).ownership.lost) return false;
    return true;
  }

  /** A shard in it is neither ours for certain nor lost: its answer comes soon, and the chunk waits for it. */
  #chunkIsDoubtful(): boolean {
    const now = this.#host.clock.now();
    for (let at = 0; at < this.#chunkCount; at++) {
      const { ownership } = this.queue.owner(at);
      if (!ownership.lost && !ownership.holds(now)) return true;
    }
    return false;
  }

  #chunkHolds(want: RecordTest): boolean {
    for (let at = 0; at < this.#chunkCount; at++) {
      if (want(this.queue.record(at), this.queue.owner(at), this.queue.index(at))) return true;
    }
    return false;
  }

  #giveUpChunk(): void {
    if (this.#chunk !== undefined) this.#host.sink.abandon(this.#chunk);
    this.#chunk = undefined;
  }
}
