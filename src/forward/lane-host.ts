/** What a lane needs around it. */
import type { KafkaFault, KafkaSink } from '../kafka/sink.ts';
import type { Clock } from './clock.ts';
import type { ClusterGate } from './cluster-gate.ts';
import type { Lane } from './lane.ts';
import type { MappedRecord } from './mapping.ts';
import type { RecordOwner } from './open-messages.ts';
import type { ForwardOptions } from './options.ts';

/** What becomes of a record that Kafka will never take. */
export type Refusal =
  /** It goes on as a dead letter, elsewhere. */
  | { readonly kind: 'moved' }
  /** Another rendering of it takes its place in this lane. */
  | { readonly kind: 'replaced'; readonly by: MappedRecord }
  /** It is a dead letter that cannot be made smaller: the topic has to change. It waits here. */
  | { readonly kind: 'held' };

export interface LaneCounters {
  /** Chunks that were confirmed. */
  chunks: number;
  records: number;
  /** Calls of send(): chunks and their repeats. */
  requests: number;
  retries: number;
  /** Faults that Kafka or the way to it gave, by `<scope> <reason>`: the reasons are Kafka's names and ours, a fixed list. */
  readonly faults: Record<string, number>;
}

export interface LaneHost {
  readonly sink: KafkaSink;
  readonly options: ForwardOptions;
  readonly clock: Clock;
  readonly random: () => number;
  readonly gate: ClusterGate;
  readonly counters: LaneCounters;
  /** No new chunk is begun. */
  readonly stopping: boolean;
  /** The lane has records to send. */
  laneReady(lane: Lane): void;
  /** The lane cannot write, or can again (undefined). Told on change only. */
  laneFault(lane: Lane, fault: KafkaFault | undefined): void;
  /** A chunk was confirmed; its oldest record arrived then (milliseconds since the epoch). */
  laneConfirmed(lane: Lane, arrivedAt: number): void;
  /** A chunk came back unsent, and waits to be sent again. */
  laneFailed(lane: Lane): void;
  /** Nothing is in the lane, or nothing of it is on the wire any more. */
  laneRested(lane: Lane): void;
  refuse(lane: Lane, record: MappedRecord, owner: RecordOwner, index: number, fault: KafkaFault): Refusal;
}
