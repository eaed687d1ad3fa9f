/** The shapes that travel between mapper, lanes and dead letters. */
import type { RecordSlice } from '../kafka/sink.ts';
import type { ValueFault } from '../payload/index.ts';
import type { RouteFault } from '../routes/index.ts';

/** Why a message makes no record of a route, by what the operator wrote; in rising order: the highest of a message counts. */
export const rules = ['filtered', 'sampled', 'empty', 'invalid', 'expired'] as const;
export type Rule = (typeof rules)[number];

/** No record of this route, by a rule. */
export interface Ruled {
  readonly rule: Rule;
  readonly route: string;
}

/** A record that cannot be made. The message goes to the dead letters with this code and reason. */
export interface MappingFault {
  readonly code: 'NO_ROUTE' | 'MAPPING_FAILED' | RouteFault['code'] | ValueFault['code'];
  readonly reason: string;
  /** undefined: there is none. */
  readonly route: string | undefined;
}

export type NoRecord = MappingFault | Ruled;

export function isRuled(none: NoRecord): none is Ruled {
  return 'rule' in none;
}

/** Why a record became a dead letter. */
export interface Letter {
  /** A code of MappingFault, or Kafka's name of the error. */
  readonly code: string;
  readonly reason: string;
  /** The route and topic that the record was for, where there was one. */
  readonly route: string | undefined;
  readonly topic: string | undefined;
  /** The short rendering, after Kafka refused the whole one. */
  readonly truncated: boolean;
}

/** What a record needs before it can be encoded. */
export interface Awaited {
  readonly ready: boolean;
  /** In words. */
  readonly what: string;
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
  /** Place in the batch that the message was; undefined: the message is one record. */
  readonly index?: number | undefined;
  /** Given where it cannot be encoded yet: its slice is a measure only, and it is kept back until it is made again. */
  readonly awaits?: Awaited | undefined;
  /** Given where the record is a dead letter. */
  readonly letter?: Letter | undefined;
}
