import { KafkaFault, type Chunk, type KafkaSink, type RecordSlice } from '../../../src/kafka/sink.ts';
import { decodeSlice } from '../../kafka/support/record-batch.ts';
import type { Random } from '../../support/random.ts';
import type { Clock } from '../../../src/forward/clock.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface ModelRecord {
  readonly topic: string;
  readonly partition: number;
  readonly value: string;
  /** sluice-id */
  readonly id: string;
}

class ModelChunk implements Chunk {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly ModelRecord[];
  readonly bytes: number;
  written = false;
  abandoned = false;

  constructor(topic: string, partition: number, records: readonly ModelRecord[], bytes: number) {
    this.topic = topic;
    this.partition = partition;
    this.records = records;
    this.bytes = bytes;
  }

  get count(): number {
    return this.records.length;
  }
}

/** A Kafka cluster that outlives the processes that write to it, with faults that a test sets. */
export class KafkaModel {
  readonly log: ModelRecord[] = [];
  readonly partitions = new Map<string, number>();
  /** Topics that cannot be written now. */
  readonly broken = new Set<string>();
  away = false;
  /** Part of the sends that meet a passing fault. */
  faultRate = 0;
  abandoned = 0;
  readonly #random: Random;
  readonly #world: VirtualClock;
  readonly #sinks: ModelSink[] = [];

  constructor(random: Random, world: VirtualClock) {
    this.#random = random;
    this.#world = world;
  }

  connect(clock: Clock): KafkaSink {
    const sink = new ModelSink(this, clock, this.#random, this.#world);
    this.#sinks.push(sink);
    return sink;
  }

  setPartitions(topic: string, partitions: number): void {
    this.partitions.set(topic, partitions);
    for (const sink of this.#sinks) sink.partitionsChanged(topic);
  }
}

class ModelSink implements KafkaSink {
  readonly #kafka: KafkaModel;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #world: VirtualClock;
  readonly #loaded = new Map<string, number>();
  readonly #inFlight = new Set<string>();
  /** What must be sent again before anything else of its partition. */
  readonly #owed = new Map<string, ModelChunk>();
  readonly #listeners: ((topic: string, partitions: number) => void)[] = [];

  constructor(kafka: KafkaModel, clock: Clock, random: Random, world: VirtualClock) {
    this.#kafka = kafka;
    this.#clock = clock;
    this.#random = random;
    this.#world = world;
  }

  /** Found out a little later, as it is then. */
  partitionsChanged(topic: string): void {
    if (!this.#loaded.has(topic)) return;
    this.#clock.setTimeout(() => {
      for (const listener of this.#listeners) listener(topic, this.#kafka.partitions.get(topic) ?? 1);
    }, this.#random.int(30));
  }

  partitions(topic: string): number | undefined {
    return this.#loaded.get(topic);
  }

  async loadTopic(topic: string): Promise<number> {
    await this.#delay();
    if (this.#kafka.away) throw new KafkaFault('cluster', 'CONNECTION_REFUSED', 'away');
    if (this.#random.next() < this.#kafka.faultRate) throw new KafkaFault('topic', 'LEADER_NOT_AVAILABLE', 'soon');
    const partitions = this.#kafka.partitions.get(topic) ?? 1;
    this.#loaded.set(topic, partitions);
    return partitions;
  }

  encode(topic: string, partition: number, records: readonly RecordSlice[], from: number, to: number): Chunk {
    if (partition >= (this.#loaded.get(topic) ?? 0)) throw new Error(`${topic}/${partition} does not exist`);
    let bytes = 0;
    const decoded = records.slice(from, to).map((slice): ModelRecord => {
      bytes += slice.end - slice.start;
      const { value, headers } = decodeSlice(slice);
      const id = String(headers.find(([name]) => name === 'id')?.[1]);
      return { topic, partition, value: String(value), id };
    });
    return new ModelChunk(topic, partition, decoded, bytes);
  }

  async send(chunk: Chunk): Promise<void> {
    if (!(chunk instanceof ModelChunk)) throw new Error('not a chunk of this sink');
    const lane = `${chunk.topic}/${chunk.partition}`;
    if (this.#inFlight.has(lane)) throw new Error(`two chunks of ${lane} at a time`);
    if (chunk.abandoned) throw new Error(`an abandoned chunk of ${lane} is sent`);
    const owed = this.#owed.get(lane);
    if (owed !== undefined && owed !== chunk) throw new Error(`${lane}: another chunk before the one that is owed`);
    this.#inFlight.add(lane);
    try {
      // The request travels on its own: it arrives although its sender has died meanwhile.
      await this.#world.sleep(1 + this.#random.int(20));
      let fault: unknown;
      try {
        this.#arrive(chunk);
      } catch (error) {
        fault = error;
      }
      // The answer is heard by a process that lives and is awake.
      await this.#delay();
      if (fault === undefined) this.#owed.delete(lane);
      else if (fault instanceof KafkaFault && fault.scope === 'record') this.#owed.delete(lane);
      else this.#owed.set(lane, chunk);
      if (fault !== undefined) throw fault as Error;
    } finally {
      this.#inFlight.delete(lane);
    }
  }

  abandon(chunk: Chunk): void {
    this.#kafka.abandoned++;
    (chunk as ModelChunk).abandoned = true;
    this.#owed.delete(`${chunk.topic}/${chunk.partition}`);
  }

  onPartitionsChanged(listener: (topic: string, partitions: number) => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {}

  #delay(): Promise<void> {
    return new Promise((resolve) => void this.#clock.setTimeout(resolve, this.#random.int(10)));
  }

  #arrive(chunk: ModelChunk): void {
    const kafka = this.#kafka;
    const random = this.#random;
    if (kafka.away) throw new KafkaFault('cluster', 'CONNECTION_REFUSED', 'away');
    if (kafka.broken.has(chunk.topic)) throw new KafkaFault('topic', 'TOPIC_AUTHORIZATION_FAILED', 'not allowed');
    if (chunk.partition >= (kafka.partitions.get(chunk.topic) ?? 1)) {
      throw new KafkaFault('topic', 'UNKNOWN_TOPIC_OR_PARTITION', 'no such partition');
    }
    if (random.next() < kafka.faultRate / 2) throw new KafkaFault('topic', 'NOT_LEADER_OR_FOLLOWER', 'moved');
    const poisoned =
      chunk.topic === 'dead' ? [] : chunk.records.flatMap(({ value }, at) => (/poison/.test(value) ? [at] : []));
    if (poisoned.length > 0) {
      const named = random.next() < 0.5 ? { records: poisoned } : {};
      throw new KafkaFault('record', 'INVALID_RECORD', 'poison', named);
    }
    if (!chunk.written) {
      chunk.written = true;
      kafka.log.push(...chunk.records);
    }
    // Written, and the answer is lost.
    if (random.next() < kafka.faultRate / 2) throw new KafkaFault('cluster', 'REQUEST_TIMEOUT', 'no answer');
  }
}
