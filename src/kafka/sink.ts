/** The port to Kafka, as the forward side sees it. */

/**
 * One encoded record without what depends on its batch: `key` .. `headers` of a v2 record, as record.ts writes it, in
 * slab[start, end). The slab is not modified while a chunk made of it is unsettled.
 */
export interface RecordSlice {
  readonly slab: Buffer;
  readonly start: number;
  readonly end: number;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
}

/** A run of records for one partition, encoded once; sent again byte for byte, with the same sequence, until Kafka answers. */
export interface Chunk {
  readonly topic: string;
  readonly partition: number;
  readonly count: number;
  /** Encoded size in bytes. */
  readonly bytes: number;
}

/**
 * What a fault is about (design: a record's fault goes to the dead letters, a topic's fault pauses its lanes, a cluster's
 * fault pauses everything):
 * - record: this chunk holds a record that Kafka will never take; `records` names them where Kafka did;
 * - topic: this topic or partition cannot be written now;
 * - cluster: Kafka cannot be reached, or refuses us as a whole. The outcome of the chunk is unknown: send it again.
 */
export type FaultScope = 'record' | 'topic' | 'cluster';

export class KafkaFault extends Error {
  readonly scope: FaultScope;
  /** Kafka's name of the error, e.g. MESSAGE_TOO_LARGE, or a name of our own such as REQUEST_TIMEOUT. */
  readonly reason: string;
  /** Indexes in the chunk, where Kafka named them (Produce v8, KIP-467). */
  readonly records: readonly number[] | undefined;

  constructor(
    scope: FaultScope,
    reason: string,
    message: string,
    options: { records?: readonly number[]; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'KafkaFault';
    this.scope = scope;
    this.reason = reason;
    this.records = options.records;
  }
}

export interface KafkaSink {
  /** Number of partitions, from what is known now; undefined: ask loadTopic(). Synchronous: on the hot path. */
  partitions(topic: string): number | undefined;
  /** Looks the topic up. @throws KafkaFault topic (unknown, unauthorized, illegal name) or cluster */
  loadTopic(topic: string): Promise<number>;
  /** Encodes records[from, to) once: batch header, CRC, compression. */
  encode(topic: string, partition: number, records: readonly RecordSlice[], from: number, to: number): Chunk;
  /**
   * acks=all. At most one chunk of a partition is in flight; the caller sees to it. A chunk that failed with scope topic or
   * cluster is sent again unchanged, before any other of that partition. Scope topic with reason PARTITION_GONE: the topic
   * was made anew with fewer partitions; such a chunk can only be abandoned, and its records given to other partitions.
   * @throws KafkaFault
   */
  send(chunk: Chunk): Promise<void>;
  /** The caller gives up a chunk whose outcome is unknown (lost lease): the partition's sequence starts anew. */
  abandon(chunk: Chunk): void;
  /** Topics whose partition count changed since they were loaded: drained first, then loaded again. */
  onPartitionsChanged(listener: (topic: string, partitions: number) => void): void;
  close(): Promise<void>;
}
