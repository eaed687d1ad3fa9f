/**
 * One Kafka topic: its lanes, one per partition, and what waits until the number of partitions is known.
 *
 *     loading ──count known──> ready ──count changed──> draining ──lanes empty──> loading
 *
 * While it is loading or draining its records wait in one queue, in order: a key's records must not be in two lanes at a time.
 */
import { errorText } from '../errors.ts';
import { KafkaFault } from '../kafka/sink.ts';
import { backoffMs, type TimerHandle } from './clock.ts';
import type { Probe } from './cluster-gate.ts';
import type { LaneHost } from './lane-host.ts';
import { Lane } from './lane.ts';
import type { MappedRecord } from './mapping.ts';
import { RecordQueue, type RecordTaker, type RecordTest } from './record-queue.ts';
import type { RecordOwner } from './open-messages.ts';

/** Records without a key go to one partition for a while, then to the next: whole chunks instead of many small ones. */
const KEYLESS_RUN = 256;

export interface TopicHost extends LaneHost {
  /** The topic cannot be written, or can again (undefined). Told on change only. */
  topicFault(topic: TopicLanes, fault: KafkaFault | undefined): void;
}

export class TopicLanes implements Probe {
  readonly name: string;
  waiting = new RecordQueue();
  readonly lanes: (Lane | undefined)[] = [];
  readonly #host: TopicHost;
  #state: 'loading' | 'ready' | 'draining' = 'loading';
  /** Partitions in use; 0 before they are known. */
  #partitions = 0;
  /** Partitions that Kafka has now, while draining. */
  #nextPartitions = 0;
  #loading = false;
  #held = false;
  #attempts = 0;
  #timer: TimerHandle | undefined;
  #triedAt = 0;
  #loadFault: KafkaFault | undefined;
  readonly #faultyLanes = new Set<Lane>();
  #faulty = false;
  #faultSince = 0;
  #keyless = 0;

  constructor(name: string, host: TopicHost) {
    this.name = name;
    this.#host = host;
    const known = host.sink.partitions(name);
    if (known !== undefined && known > 0) {
      this.#state = 'ready';
      this.#partitions = known;
    }
  }

  get partitions(): number {
    return this.#partitions;
  }

  get state(): 'loading' | 'ready' | 'draining' {
    return this.#state;
  }

  /** Why the topic cannot be written now. */
  get fault(): KafkaFault | undefined {
    if (this.#loadFault !== undefined) return this.#loadFault;
    for (const lane of this.#faultyLanes) return lane.fault;
    return undefined;
  }

  /** Monotonic; of use while there is a fault. */
  get faultSince(): number {
    return this.#faultSince;
  }

  get empty(): boolean {
    return this.waiting.length === 0 && !this.#loading && this.lanes.every((lane) => lane?.empty ?? true);
  }

  push(record: MappedRecord, owner: RecordOwner, index: number): void {
    if (this.#state === 'ready') {
      this.#lane(this.#partitionOf(record)).push(record, owner, index);
      return;
    }
    this.waiting.push(record, owner, index);
    if (this.#state === 'loading') this.#load();
  }

  laneFault(lane: Lane, fault: KafkaFault | undefined): void {
    if (fault === undefined) this.#faultyLanes.delete(lane);
    else this.#faultyLanes.add(lane);
    this.#tellFault();
  }

  /** A lane got through: the faults of those that have nothing to try are old. */
  laneConfirmed(): void {
    if (this.#faulty) for (const lane of [...this.#faultyLanes]) lane.forgive();
  }

  /** Kafka has another number of partitions now. */
  partitionsChanged(partitions: number): void {
    if (this.#state === 'loading' || (this.#state === 'ready' && partitions === this.#partitions)) return;
    this.#state = 'draining';
    this.#nextPartitions = partitions;
    this.drained();
  }

  /** What comes from now on may go to other partitions: it waits until the lanes are empty. */
  drain(): void {
    if (this.#state !== 'ready' || this.lanes.every((lane) => lane?.empty ?? true)) return;
    this.#state = 'draining';
    this.#nextPartitions = this.#partitions;
  }

  /** Called when a lane came to rest: applies a new number of partitions once no record is under the old one. */
  drained(): void {
    if (this.#state !== 'draining') return;
    // A partition that is gone (the topic was made anew) never answers well: its records are dealt out again, before those that
    // wait. Lanes hold different keys, so the order among lanes does not matter.
    const gone = this.lanes.slice(this.#nextPartitions).filter((lane) => lane !== undefined && !lane.empty);
    if (gone.some((lane) => lane?.state === 'sending')) return;
    for (const lane of this.lanes.slice(0, this.#nextPartitions)) if (lane !== undefined && !lane.empty) return;
    // First of all: what is done to the lanes brings them to rest, which comes back here.
    this.#state = 'loading';
    const behind = this.waiting;
    this.waiting = new RecordQueue();
    for (const lane of gone) {
      lane?.extract(
        () => true,
        (record, owner, index) => this.waiting.push(record, owner, index),
      );
    }
    for (let at = 0; at < behind.length; at++) this.waiting.push(behind.record(at), behind.owner(at), behind.index(at));
    this.lanes.length = 0;
    this.#faultyLanes.clear();
    this.#tellFault();
    this.#load();
  }

  dropLost(): void {
    this.waiting.filter(0, (_record, owner) => !owner.ownership.lost);
    for (const lane of this.lanes) lane?.dropLost();
  }

  /** Hands over what `want` picks of all that is not on the wire; in order, for each partition. */
  extract(want: RecordTest, take: RecordTaker): void {
    for (const lane of this.lanes) lane?.extract(want, take);
    this.waiting.filter(0, (record, owner, index) => {
      if (!want(record, owner, index)) return true;
      take(record, owner, index);
      return false;
    });
  }

  probe(): 'tried' | 'later' | 'gone' {
    if (!this.#held) return 'gone';
    this.#held = false;
    this.#lookUp();
    return 'tried';
  }

  resume(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#lookUp();
  }

  stop(): void {
    this.#host.clock.clearTimeout(this.#timer);
    for (const lane of this.lanes) lane?.stop();
  }

  #lane(partition: number): Lane {
    return (this.lanes[partition] ??= new Lane(this.name, partition, this.#host));
  }

  #partitionOf(record: MappedRecord): number {
    if (record.keyHash >= 0) return record.keyHash % this.#partitions;
    return Math.floor(this.#keyless++ / KEYLESS_RUN) % this.#partitions;
  }

  #load(): void {
    if (this.#loading) return;
    this.#loading = true;
    this.#lookUp();
  }

  #lookUp(): void {
    if (this.#host.stopping) return;
    this.#triedAt = this.#host.clock.now();
    this.#host.sink.loadTopic(this.name).then(this.#loaded, this.#notLoaded);
  }

  readonly #loaded = (partitions: number): void => {
    this.#loading = false;
    this.#attempts = 0;
    this.#loadFault = undefined;
    this.#partitions = partitions;
    this.#state = 'ready';
    this.#tellFault();
    const { waiting } = this;
    for (let at = 0; at < waiting.length; at++) {
      const record = waiting.record(at);
      this.#lane(this.#partitionOf(record)).push(record, waiting.owner(at), waiting.index(at));
    }
    waiting.drop(waiting.length);
    this.#host.gate.answered();
  };

  readonly #notLoaded = (error: unknown): void => {
    const fault =
      error instanceof KafkaFault
        ? error
        : new KafkaFault('cluster', 'LOOKUP_FAILED', errorText(error), { cause: error });
    if (fault.scope === 'cluster' && this.#host.gate.failed(this, fault, this.#triedAt)) {
      this.#held = true;
      return;
    }
    this.#loadFault = fault;
    this.#tellFault();
    if (this.#host.stopping) return;
    this.#attempts++;
    const { clock, options, random } = this.#host;
    const waitMs = backoffMs(this.#attempts, options.retryMinMs, options.retryMaxMs, random);
    this.#timer = clock.setTimeout(() => this.#lookUp(), waitMs);
    if (fault.scope !== 'cluster') this.#host.gate.answered();
  };

  #tellFault(): void {
    const { fault } = this;
    if ((fault !== undefined) === this.#faulty) return;
    this.#faulty = fault !== undefined;
    if (this.#faulty) this.#faultSince = this.#host.clock.now();
    this.#host.topicFault(this, fault);
  }
}
