/** The port from Kafka, as downlinks see it: records of some topics, read as a member of a consumer group. */

export interface SourceRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** Those of one name stand together. */
  readonly headers: readonly (readonly [name: string, value: Buffer])[];
  /** About what it holds of memory. */
  readonly bytes: number;
}

export interface PartitionName {
  readonly topic: string;
  readonly partition: number;
}

/** Up to where a partition is done: the offset behind the last record that need not come again. */
export interface Progress extends PartitionName {
  readonly next: number;
}

export interface SourceListener {
  /** In the order of the partition. false: there is no room; it comes again after resume(). Synchronous, and quick. */
  take(record: SourceRecord, endOffset: number): boolean;
  /** The partitions that are ours from now on, and no others. What was taken and not committed comes again. */
  assigned(partitions: readonly PartitionName[]): void;
  /** It reads from Kafka; or does not, and tries again. */
  available(error: unknown): void;
}

export interface RecordSource {
  /** Reads until it is stopped; Kafka may be away. */
  start(listener: SourceListener): void;
  /** Lets records of a partition come again after take() had no room. */
  resume(partition: PartitionName): void;
  /** false: not certainly done. Nothing is lost by that: the records come again. */
  commit(progress: readonly Progress[]): Promise<boolean>;
  stop(): Promise<void>;
}

export interface OutgoingRecord {
  readonly topic: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer | string>>;
}

/** Kafka does not take a record of this size. */
export class RecordTooLarge extends Error {}

/** Writes single records, as dead letters are. */
export interface RecordWriterPort {
  /** Resolves once Kafka has confirmed it (acks=all). @throws RecordTooLarge, Error */
  write(record: OutgoingRecord): Promise<void>;
  close(): Promise<void>;
}
