import { KafkaFault, type Chunk, type KafkaSink, type RecordSlice } from '../../src/kafka/sink.ts';
import { decodeSlice, type DecodedRecord } from '../kafka/support/record-batch.ts';

export interface WrittenRecord extends DecodedRecord {
  topic: string;
  partition: number;
}

/** One call of send(), in the order of the calls. */
export interface SendLog {
  readonly chunk: Chunk;
  readonly records: readonly WrittenRecord[];
}

interface PlannedFault {
  readonly fault: KafkaFault;
  readonly topic: string | undefined;
  readonly written: boolean;
  left: number;
}

export interface FakeSinkOptions {
  /** Of every topic, unless named in `topics`; 1 by default. */
  partitions?: number;
  /** Partitions by topic; 0: unknown to Kafka. */
  topics?: Record<string, number>;
}

class FakeChunk implements Chunk {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly WrittenRecord[];
  readonly bytes: number;
  /** Kafka has it: the same chunk again makes no second copy, as an idempotent producer's. */
  written = false;

  constructor(topic: string, partition: number, records: readonly WrittenRecord[], bytes: number) {
    this.topic = topic;
    this.partition = partition;
    this.records = records;
    this.bytes = bytes;
  }

  get count(): number {
    return this.records.length;
  }
}

/** A Kafka in memory that does as it is told. It also watches the port's rule: one chunk of a partition at a time. */
export class FakeSink implements KafkaSink {
  /** Everything written, in the order of writing. */
  readonly written: WrittenRecord[] = [];
  readonly sends: SendLog[] = [];
  readonly abandoned: Chunk[] = [];
  /** Topics asked for with loadTopic(), in the order of the calls. */
  readonly loads: string[] = [];
  closed = false;
  readonly #default: number;
  readonly #actual: Map<string, number>;
  readonly #loaded = new Map<string, number>();
  readonly #inFlight = new Set<string>();
  readonly #listeners: ((topic: string, partitions: number) => void)[] = [];
  #faults: PlannedFault[] = [];
  #loadFaults: { topic: string; fault: KafkaFault; left: number }[] = [];
  #refuse: ((record: WrittenRecord) => KafkaFault | undefined) | undefined;
  #tellsRecords = true;
  #encodeFault: ((record: DecodedRecord) => boolean) | undefined;
  #held: (() => void)[] | undefined;
  #waiting: { enough: () => boolean; resolve: () => void }[] = [];

  constructor(options: FakeSinkOptions = {}) {
    this.#default = options.partitions ?? 1;
    this.#actual = new Map(Object.entries(options.topics ?? {}));
  }

  // ---- the script ----

  /** The next `count` sends (of `topic`) fail. `written`: Kafka took it and only the answer was lost. */
  failNext(fault: KafkaFault, options: { count?: number; topic?: string; written?: boolean } = {}): void {
    const { count = 1, topic, written = false } = options;
    this.#faults.push({ fault, topic, written, left: count });
  }

  /** The next `count` calls of loadTopic(topic) fail. */
  failLoad(topic: string, fault: KafkaFault, count = 1): void {
    this.#loadFaults.push({ topic, fault, left: count });
  }

  /** No planned fault is left over. */
  heal(): void {
    this.#faults = [];
    this.#loadFaults = [];
    this.#refuse = undefined;
    this.#encodeFault = undefined;
  }

  /**
   * A chunk that holds a record for which `judge` has a fault of scope record is refused with it. `named`: the fault
   * carries the records' indexes, as Produce v8 does (KIP-467).
   */
  refuseRecords(judge: (record: WrittenRecord) => KafkaFault | undefined, options: { named?: boolean } = {}): void {
    this.#refuse = judge;
    this.#tellsRecords = options.named ?? true;
  }

  /** encode() throws for a chunk that holds such a record. */
  failEncoding(judge: (record: DecodedRecord) => boolean): void {
    this.#encodeFault = judge;
  }

  /** From now on sends wait until release(). */
  hold(): void {
    this.#held ??= [];
  }

  /** Lets the first `count` held sends go on; without a count all, and later ones are not held any more. */
  release(count?: number): void {
    const held = this.#held ?? [];
    if (count === undefined) this.#held = undefined;
    for (const go of held.splice(0, count ?? held.length)) go();
  }

  /** Sends that wait for release(). */
  get held(): number {
    return this.#held?.length ?? 0;
  }

  /** Kafka's partition count changes; the listeners are told if the topic was loaded with another one. */
  setPartitions(topic: string, partitions: number): void {
    this.#actual.set(topic, partitions);
    const known = this.#loaded.get(topic);
    if (known === undefined || known === partitions) return;
    for (const listener of this.#listeners) listener(topic, partitions);
  }

  // ---- what came of it ----

  records(topic: string, partition?: number): WrittenRecord[] {
    return this.written.filter((each) => each.topic === topic && (partition ?? each.partition) === each.partition);
  }

  /** Resolves when `enough` holds; it is asked after each send that begins or ends. */
  until(enough: () => boolean): Promise<void> {
    if (enough()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ enough, resolve }));
  }

  // ---- the port ----

  partitions(topic: string): number | undefined {
    return this.#loaded.get(topic);
  }

  async loadTopic(topic: string): Promise<number> {
    this.loads.push(topic);
    const planned = this.#loadFaults.find((each) => each.topic === topic && each.left > 0);
    if (planned !== undefined) {
      planned.left--;
      throw planned.fault;
    }
    const partitions = this.#actual.get(topic) ?? this.#default;
    if (partitions === 0) throw new KafkaFault('topic', 'UNKNOWN_TOPIC_OR_PARTITION', `${topic} does not exist`);
    this.#loaded.set(topic, partitions);
    return partitions;
  }

  encode(topic: string, partition: number, records: readonly RecordSlice[], from: number, to: number): Chunk {
    const count = this.#loaded.get(topic);
    if (count === undefined || partition < 0 || partition >= count)
      throw new Error(`${topic}/${partition} is not loaded`);
    if (to <= from) throw new Error('an empty chunk');
    const decoded = records.slice(from, to).map(decodeSlice);
    if (this.#encodeFault !== undefined && decoded.some(this.#encodeFault)) throw new Error('does not encode');
    const bytes = records.slice(from, to).reduce((sum, { start, end }) => sum + end - start, 0);
    return new FakeChunk(
      topic,
      partition,
      decoded.map((record) => ({ topic, partition, ...record })),
      bytes,
    );
  }

  async send(chunk: Chunk): Promise<void> {
    if (!(chunk instanceof FakeChunk)) throw new Error('a chunk of another sink');
    const lane = `${chunk.topic}/${chunk.partition}`;
    if (this.#inFlight.has(lane)) throw new Error(`two chunks of ${lane} in flight`);
    this.#inFlight.add(lane);
    this.sends.push({ chunk, records: chunk.records });
    this.#look();
    try {
      if (this.#held !== undefined) {
        const queue = this.#held;
        await new Promise<void>((resolve) => {
          queue.push(resolve);
          this.#look();
        });
      } else {
        await Promise.resolve();
      }
      this.#answer(chunk);
    } finally {
      this.#inFlight.delete(lane);
      // The caller hears of it first.
      setImmediate(() => this.#look());
    }
  }

  abandon(chunk: Chunk): void {
    this.abandoned.push(chunk);
  }

  onPartitionsChanged(listener: (topic: string, partitions: number) => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.release();
  }

  #answer(chunk: FakeChunk): void {
    const planned = this.#faults.find((each) => each.left > 0 && (each.topic ?? chunk.topic) === chunk.topic);
    if (planned !== undefined) {
      planned.left--;
      if (planned.written) this.#write(chunk);
      throw planned.fault;
    }
    const refused = chunk.records.flatMap((record, index) => {
      const fault = this.#refuse?.(record);
      return fault === undefined ? [] : [{ fault, index }];
    });
    const [first] = refused;
    if (first !== undefined) {
      const { scope, reason, message } = first.fault;
      const named = this.#tellsRecords ? { records: refused.map(({ index }) => index) } : {};
      throw new KafkaFault(scope, reason, message, named);
    }
    this.#write(chunk);
  }

  #write(chunk: FakeChunk): void {
    if (chunk.written) return;
    chunk.written = true;
    this.written.push(...chunk.records);
  }

  #look(): void {
    const asked = this.#waiting;
    this.#waiting = [];
    for (const each of asked) {
      if (each.enough()) each.resolve();
      else this.#waiting.push(each);
    }
  }
}

export function createFakeSink(options?: FakeSinkOptions): FakeSink {
  return new FakeSink(options);
}
