/**
 * The forward side of one process: from the durable buffer to Kafka.
 *
 *     tail | store ──reader, per shard──> mapper ──> lanes, per (topic, partition) ──> Kafka
 *                                                       confirmed ──> settler, per shard ──> store
 *
 * Never lost: a message leaves the buffer only by a settlement, which is made only after Kafka confirmed all its records.
 * Never out of order: one FIFO per partition, one chunk of it in flight, the same chunk until it is answered.
 */
import type { BufferStore, Lease } from '../buffer/store.ts';
import type { HotTail } from '../buffer/tail.ts';
import type { SluiceError } from '../errors.ts';
import type { KafkaFault, KafkaSink } from '../kafka/sink.ts';
import { systemClock, type Clock } from './clock.ts';
import { DeadLetters, type DeadLettersHost } from './dead-letters.ts';
import type { DeadLetterInfo, ForwardEvents } from './events.ts';
import { Intake, type RecordMapper } from './intake.ts';
import type { Refusal } from './lane-host.ts';
import type { Lane } from './lane.ts';
import { Lanes, type LanesHost, type LaneStatus, type TopicStatus } from './lanes.ts';
import type { MappedRecord } from './mapping.ts';
import { forwardDefaults, type ForwardOptions } from './options.ts';
import { Owner, type OwnerHost } from './owner.ts';
import type { Ownership } from './ownership.ts';
import { ShardRun, type RunHost, type ShardStatus } from './shard-run.ts';
import type { RecordOwner } from './open-messages.ts';
import type { Tally } from './tally.ts';

export interface ForwarderParts {
  /** Open. */
  readonly store: BufferStore;
  readonly sink: KafkaSink;
  readonly mapper: RecordMapper;
  readonly tail: HotTail;
  readonly options: Partial<ForwardOptions> & Pick<ForwardOptions, 'deadLetterTopic'>;
  readonly events: ForwardEvents;
  readonly clock?: Clock;
  /** 0 <= x < 1 */
  readonly random?: () => number;
}

/** Since the start of the process, over all shards. Messages, where nothing else is said. */
export interface ForwardCounters {
  delivered: number;
  deadLettered: number;
  discarded: number;
  expired: number;
  /** Records in Kafka, repeats not counted. */
  records: number;
  /** Chunks confirmed. */
  chunks: number;
  /** Sends, with those of a chunk that is sent again. */
  requests: number;
  retries: number;
  /** By `<scope> <reason>`: see LaneCounters. */
  readonly faults: Readonly<Record<string, number>>;
  settlements: number;
  tailOverflows: number;
}

export interface ForwardStatus {
  readonly shards: readonly ShardStatus[];
  readonly topics: readonly TopicStatus[];
  readonly lanes: readonly LaneStatus[];
  /** undefined: Kafka answers. */
  readonly cluster: { readonly reason: string; readonly message: string; readonly pausedMs: number } | undefined;
  readonly tailBytes: number;
  readonly counters: ForwardCounters;
}

export interface StopOptions {
  /** It ends within about this time. */
  readonly deadlineMs: number;
  /** Go on until all that was in the buffer at the call is delivered, or the deadline comes. */
  readonly drain?: boolean;
}

export interface StopResult {
  /** Every shard that was owned is delivered to its end. */
  readonly drained: boolean;
}

/** Of the deadline, what is kept for the last settlements and for giving the leases back. */
const SETTLE_PART = 0.25;

export class Forwarder implements RunHost, OwnerHost, LanesHost, DeadLettersHost {
  readonly store: BufferStore;
  readonly tail: HotTail;
  readonly lanes: Lanes;
  readonly intake: Intake;
  readonly options: ForwardOptions;
  readonly clock: Clock;
  readonly random: () => number;
  readonly events: ForwardEvents;
  readonly #deadLetters: DeadLetters;
  readonly #owner: Owner;
  readonly #runs = new Map<number, ShardRun>();
  readonly #unreadable = new Map<number, SluiceError>();
  readonly #settledCounts = { delivered: 0, deadLettered: 0, discarded: 0, expired: 0, settlements: 0 };
  readonly #failing: Set<'run' | 'lease'>[] = [];
  #waiters: { done: () => boolean; resolve: () => void }[] = [];
  #stopping: Promise<StopResult> | undefined;

  constructor(parts: ForwarderParts) {
    this.store = parts.store;
    this.tail = parts.tail;
    this.options = { ...forwardDefaults, ...parts.options };
    this.clock = parts.clock ?? systemClock;
    this.random = parts.random ?? Math.random;
    this.events = parts.events;
    this.lanes = new Lanes(parts.sink, this.options, this.clock, this.random, this);
    this.#deadLetters = new DeadLetters(this);
    this.intake = new Intake(parts.mapper, this.lanes, this.#deadLetters);
    this.#owner = new Owner(this.store, this.options.leaseTtlMs, this.clock, this);
  }

  /** Tries to take every shard; what is not to be had now is tried for again, for ever. */
  async start(): Promise<void> {
    await this.#owner.start();
  }

  /** This process has committed a frame: to be called in the order of the commits. */
  committed(shard: number, base: number, count: number, frame: Buffer): void {
    const run = this.#runs.get(shard);
    // Who does not own the shard need not keep it: the store tells the owner.
    if (run === undefined || this.#stopping !== undefined) return;
    this.tail.add(shard, base, count, frame);
    run.reader.head = Math.max(run.reader.head, base + count - 1);
    run.reader.wake();
  }

  /** Another process appended to the shard, or may have. */
  appended(shard: number): void {
    this.#runs.get(shard)?.reader.lookInStore();
  }

  /** The log of the shard was found emptied or rolled back: what memory holds of it may be of a log that is no more. */
  logReplaced(shard: number): void {
    const run = this.#runs.get(shard);
    if (run === undefined) this.tail.drop(shard);
    else this.lost(run.ownership, 'the log was replaced');
  }

  /**
   * Routes were reloaded. What is on its way goes on as it was mapped. A route may have another partition for the same key now:
   * what the new ones make for a topic waits until what the old ones made for it is in Kafka.
   */
  useMapper(mapper: RecordMapper): void {
    this.lanes.drain();
    this.intake.mapper = mapper;
    for (const run of this.#runs.values()) run.parking.routesChanged();
  }

  /** What records wait for to be encoded may be there now. */
  encodable(): void {
    this.writabilityChanged();
  }

  status(): ForwardStatus {
    const { pause } = this.lanes.gate;
    return {
      shards: Array.from({ length: this.store.shards }, (_, shard) => this.#shardStatus(shard)),
      topics: this.lanes.topicStatus(),
      lanes: this.lanes.laneStatus(),
      cluster:
        pause === undefined
          ? undefined
          : { reason: pause.reason, message: pause.message, pausedMs: this.clock.now() - pause.since },
      tailBytes: this.tail.bytes,
      counters: this.counters,
    };
  }

  get counters(): ForwardCounters {
    return { ...this.#settledCounts, ...this.lanes.counters, tailOverflows: this.tail.overflows };
  }

  /** Ends in order: reading, chunks on the wire, settlements, leases. What is not delivered stays in the buffer. */
  stop(options: StopOptions): Promise<StopResult> {
    return (this.#stopping ??= this.#stop(options));
  }

  async #stop({ deadlineMs, drain = false }: StopOptions): Promise<StopResult> {
    const end = this.clock.now() + deadlineMs;
    const lanesEnd = end - deadlineMs * SETTLE_PART;
    let heads: ReadonlyMap<number, number> | undefined;
    this.#owner.takeNoMore();
    if (drain) {
      heads = await this.#within(this.#heads(), lanesEnd);
      for (const run of this.#runs.values()) run.reader.lookInStore();
      if (heads !== undefined) await this.#until(() => this.#deliveredUpTo(heads ?? new Map()), lanesEnd);
    }
    for (const run of this.#runs.values()) run.reader.pause();
    this.lanes.stop();
    await this.#until(() => this.lanes.resting, lanesEnd);
    for (const run of this.#runs.values()) run.settler.hurry();
    await this.#until(() => [...this.#runs.values()].every((run) => run.settler.idle), end);
    this.#owner.stop();
    const drained = heads !== undefined && this.#deliveredUpTo(heads);
    const runs = [...this.#runs.values()];
    this.#runs.clear();
    for (const run of runs) run.end();
    // A lease that is not given back, because the store does not answer, ends by itself.
    const yields = runs.map((run) => this.store.yield(run.ownership.lease).catch(() => undefined));
    await this.#within(Promise.all(yields), Math.max(end, this.clock.now() + 1));
    return { drained };
  }

  async #heads(): Promise<Map<number, number>> {
    const shards = [...this.#runs.keys()];
    const stats = await Promise.all(shards.map((shard) => this.store.stats(shard)));
    return new Map(stats.map(({ shard, head }) => [shard, head]));
  }

  #deliveredUpTo(heads: ReadonlyMap<number, number>): boolean {
    for (const [shard, head] of heads) {
      const run = this.#runs.get(shard);
      if (run !== undefined && (run.settler.released < head || !run.parking.empty)) return false;
    }
    return true;
  }

  /** Waits until `done` holds, or `end` comes. Looked at again whenever something is settled or comes to rest. */
  async #until(done: () => boolean, end: number): Promise<void> {
    if (done()) return;
    let waiter: { done: () => boolean; resolve: () => void } | undefined;
    const met = new Promise<void>((resolve) => {
      waiter = { done, resolve };
      this.#waiters.push(waiter);
    });
    await this.#within(met, end);
    this.#waiters = this.#waiters.filter((each) => each !== waiter);
  }

  /** The promise's value; undefined where `end` comes first, or it fails. */
  #within<T>(promise: Promise<T>, end: number): Promise<T | undefined> {
    return new Promise((resolve) => {
      const timer = this.clock.setTimeout(() => resolve(undefined), Math.max(0, end - this.clock.now()));
      promise.then(
        (value) => {
          this.clock.clearTimeout(timer);
          resolve(value);
        },
        () => {
          this.clock.clearTimeout(timer);
          resolve(undefined);
        },
      );
    });
  }

  #shardStatus(shard: number): ShardStatus {
    const stopped = this.#unreadable.get(shard)?.message;
    return (
      this.#runs.get(shard)?.status() ?? {
        shard,
        owned: false,
        released: 0,
        head: 0,
        next: 0,
        oldestAt: undefined,
        windowBytes: 0,
        parked: [],
        stopped,
      }
    );
  }

  // ---- for the shards ----

  windowBytes(): number {
    return this.options.windowMaxBytes / Math.max(1, this.#runs.size);
  }

  settled(_run: ShardRun, tally: Tally): void {
    const counts = this.#settledCounts;
    counts.settlements++;
    counts.delivered += tally.delivered;
    counts.deadLettered += tally.deadLettered;
    counts.expired += tally.expired;
    for (const messages of tally.discarded.values()) counts.discarded += messages;
    this.rested();
  }

  /** Reading, settling and the lease of a shard may each fail: told when the first begins to, and when the last has ended. */
  storeFault(shard: number, source: 'run' | 'lease', error: SluiceError | undefined): void {
    const failing = this.#failing[shard] ?? new Set();
    this.#failing[shard] = failing;
    const before = failing.size;
    if (error === undefined) failing.delete(source);
    else failing.add(source);
    if (before > 0 !== failing.size > 0) this.events.storeFault(shard, error);
  }

  confirmLease(run: ShardRun): Promise<boolean> {
    return this.#owner.confirm(run.ownership);
  }

  unreadable(run: ShardRun): void {
    if (this.#runs.get(run.shard) !== run) return;
    if (run.stoppedBy !== undefined) this.#unreadable.set(run.shard, run.stoppedBy);
    this.#runs.delete(run.shard);
    run.end();
    this.#owner.renounce(run.ownership);
  }

  // ---- for the owner ----

  acquired(lease: Lease, validUntil: number): Ownership {
    // The tail may be of a log, or of a time, that is no more.
    this.tail.drop(lease.shard);
    const run = new ShardRun(lease, validUntil, this);
    this.#runs.set(lease.shard, run);
    this.events.leaseAcquired(lease.shard, lease.released - 1);
    run.start();
    return run.ownership;
  }

  renewed(_ownership: Ownership, doubtful: boolean): void {
    if (doubtful) this.lanes.wake();
  }

  lost(ownership: Ownership, reason: string): void {
    const run = this.#runs.get(ownership.shard);
    if (run?.ownership !== ownership) return;
    this.#runs.delete(ownership.shard);
    run.end();
    this.#owner.release(ownership);
    this.events.leaseLost(ownership.shard, reason);
    this.rested();
  }

  leaseFault(shard: number, error: SluiceError | undefined): void {
    this.storeFault(shard, 'lease', error);
  }

  // ---- for lanes and dead letters ----

  get mapper(): RecordMapper {
    return this.intake.mapper;
  }

  get deadLetterTopic(): string {
    return this.options.deadLetterTopic;
  }

  push(record: MappedRecord, owner: RecordOwner, index: number): void {
    this.lanes.push(record, owner, index);
  }

  deadLetter(info: DeadLetterInfo): void {
    this.events.deadLetter(info);
  }

  refuse(lane: Lane, record: MappedRecord, owner: RecordOwner, index: number, fault: KafkaFault): Refusal {
    return this.#deadLetters.refused(record, lane.partition, owner, index, fault);
  }

  laneFailed(lane: Lane): void {
    for (const run of this.#runs.values()) run.parking.sweep(lane);
  }

  writabilityChanged(): void {
    // Told in the middle of a lane's work: what follows from it comes after that.
    this.clock.setImmediate(() => {
      for (const run of this.#runs.values()) run.parking.step();
    });
  }

  rested(): void {
    for (const waiter of this.#waiters) if (waiter.done()) waiter.resolve();
  }
}
