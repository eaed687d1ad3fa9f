/** The shapes that travel between mapper, lanes and dead letters. */
import type { RecordSlice } from '../kafka/sink.ts';

/** Why a record became a dead letter. */
export interface Letter {
  /** NO_ROUTE, ROUTE_TOPIC_ILLEGAL, or Kafka's name of the error. */
  readonly code: string;
  readonly reason: string;
  /** The route and topic that the record was for, where there was one. */
  readonly route: string | undefined;
  readonly topic: string | undefined;
  /** The short rendering, after Kafka refused the whole one. */
  readonly truncated: boolean;
}

/** One Kafka record, encoded, on its way to a lane. */
export interface MappedRecord {
  readonly slice: RecordSlice;
  /** Kafka topic. */
  readonly topic: string;
  /** Partition = keyHash % partitions; -1: no key. */
  readonly keyHash: number;
  /** Name of the route that made it. */
  readonly route: string;
  /** Given where the record is a dead letter. */
  readonly letter?: Letter | undefined;
}
