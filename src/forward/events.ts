/** What the forward side tells. Nothing is logged in here: each is told once per change, and logged where it is heard. */
import type { SluiceError } from '../errors.ts';
import type { KafkaFault } from '../kafka/sink.ts';

export interface ForwardEvents {
  leaseAcquired(shard: number, released: number): void;
  /** `reason` says how it was lost. What waited for the shard is dropped; its next owner delivers it. */
  leaseLost(shard: number, reason: string): void;
  /** The store fails, for reading, settling or leases of this shard; undefined: it answers again. */
  storeFault(shard: number, error: SluiceError | undefined): void;
  /** A topic cannot be written: its records wait. */
  topicFault(topic: string, fault: KafkaFault): void;
  topicRecovered(topic: string, faultMs: number): void;
  /** A chunk is in Kafka; its oldest record arrived then (milliseconds since the epoch). */
  chunkDelivered?(arrivedAt: number): void;
  clusterPaused(reason: string, message: string): void;
  clusterResumed(pausedMs: number): void;
  /** FRAME_CORRUPT: offsets base .. base + count - 1 are set aside. */
  frameCorrupt(shard: number, base: number, count: number, error: SluiceError): void;
  /** OFFSETS_MISSING: the log has a hole from .. to, both missing. */
  offsetsMissing(shard: number, from: number, to: number, error: SluiceError): void;
  /** STORE_FORMAT, or a fault of sluice itself: this shard is not forwarded any more. Nothing of it is lost. */
  shardStopped(shard: number, error: SluiceError): void;
  /** A topic holds up this shard: its records are moved to its parking log, and what follows for it. */
  topicParked?(shard: number, topic: string): void;
  /** Its parking log has reached its bound: it holds up the shard after all, until it works again. */
  parkingFull?(shard: number, topic: string): void;
  /** The last parked record of the topic is delivered. */
  topicUnparked?(shard: number, topic: string): void;
  /** FRAME_CORRUPT: an entry of a parking log cannot be read; its messages are counted as discarded. */
  parkedCorrupt?(shard: number, topic: string, position: number, error: SluiceError): void;
  /** A record goes to the dead-letter topic. */
  deadLetter(info: DeadLetterInfo): void;
}

export interface DeadLetterInfo {
  readonly shard: number;
  readonly offset: number;
  readonly code: string;
  readonly reason: string;
  readonly route: string | undefined;
  readonly topic: string | undefined;
}
