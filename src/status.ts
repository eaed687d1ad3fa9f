/** What a running sluice says of itself: `Sluice.status()`, the admin socket and `sluice status --json`. */
import type { Outcomes, ParkingState } from './buffer/store.ts';

export interface ListenerStatus {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** As a client writes it, e.g. mqtt://127.0.0.1:1883 or ws://127.0.0.1:8083/mqtt. */
  readonly url: string;
  readonly accepting: boolean;
}

/** What of a topic that cannot be written waits apart from the log. */
export interface ParkedStatus extends ParkingState {
  /** It has reached its bound (`forward.parkingMaxBytes`): the topic holds up the shard. */
  readonly full: boolean;
}

export interface ShardStatus {
  readonly shard: number;
  readonly owned: boolean;
  /** Process that forwards it; undefined: none now. */
  readonly owner: string | undefined;
  readonly head: number;
  readonly released: number;
  /** Messages that Kafka does not have yet, in the log and parked. */
  readonly buffered: number;
  readonly bytes: number;
  readonly parked: readonly ParkedStatus[];
  /** About when the oldest message of the log that is not settled arrived, milliseconds since the epoch; where it is known here. */
  readonly oldestAt: number | undefined;
  /** Corrupt frames set aside. */
  readonly setAside: number;
}

/** In messages. accepted = buffered + delivered + dead-lettered + expired + discarded, so `imbalance` is 0. */
export interface LedgerStatus extends Readonly<Outcomes> {
  readonly accepted: number;
  readonly buffered: number;
  readonly imbalance: number;
}

export interface RouteStatus {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  /** Records made for it since the start; what is read again counts again. */
  readonly records: number;
}

/** What became a dead letter since the start. */
export interface DeadLetterStatus {
  /** '' where no route is to blame. */
  readonly route: string;
  readonly code: string;
  readonly records: number;
}

/** A record that became a dead letter a short while ago. */
export interface RecentDeadLetter {
  readonly at: string;
  readonly shard: number;
  readonly offset: number;
  readonly route: string;
  readonly topic: string;
  readonly code: string;
  readonly reason: string;
}

export interface ConnectionsStatus {
  /** Sockets, whatever they have got to. */
  readonly open: number;
  /** Beyond limits.connections, since the start. */
  readonly turnedAway: number;
  /** On the wire, since the start. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** By protocol version. */
  readonly clients: { readonly v31: number; readonly v311: number; readonly v5: number };
}

/** What is counted by kind, since the start. The kinds come from lists in the code. */
export interface TotalsStatus {
  /** MQTT packets that came, by type. */
  readonly packets: Readonly<Record<string, number>>;
  /** Messages that were not acknowledged, by error code or rule. */
  readonly refused: Readonly<Record<string, number>>;
  /** Chunks that came back from Kafka, by `<scope> <reason>`. */
  readonly kafkaFaults: Readonly<Record<string, number>>;
  /** By the name of the event in the log. */
  readonly events: Readonly<Record<string, number>>;
}

export interface LaneStatus {
  readonly topic: string;
  readonly partition: number;
  readonly queued: number;
  readonly inFlight: number;
  /** Arrival of its oldest record, milliseconds since the epoch. */
  readonly oldestAt: number | undefined;
  /** How long it could not write; undefined: it can. */
  readonly faultMs: number | undefined;
  readonly error: string | undefined;
}

export interface SluiceStatus {
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly state: 'starting' | 'running' | 'stopping' | 'stopped';
  readonly listeners: readonly ListenerStatus[];
  readonly clients: number;
  readonly connections: ConnectionsStatus;
  readonly routes: readonly RouteStatus[];
  readonly deadLetters: readonly DeadLetterStatus[];
  readonly buffer: {
    readonly store: string;
    readonly durability: string;
    readonly weak: readonly string[];
    readonly maxBytes: number;
    readonly bytes: number;
    /** undefined: appends work. Else what is wrong. */
    readonly error: string | undefined;
    /** Since when, milliseconds since the epoch. */
    readonly errorSince: number | undefined;
    readonly shards: readonly ShardStatus[];
  };
  readonly kafka: {
    readonly brokers: readonly string[];
    /** undefined: it works. Else what is wrong. */
    readonly error: string | undefined;
    /** Since when, milliseconds since the epoch. */
    readonly errorSince: number | undefined;
    readonly weak: readonly string[];
    /** Topics that cannot be written now. */
    readonly failingTopics: number;
    readonly lanes: readonly LaneStatus[];
  };
  /** Schemas of the registry that cannot be had; `waits`: records wait for it. */
  readonly schemas: readonly { readonly subject: string; readonly reason: string; readonly waits: boolean }[];
  readonly downlinks: readonly DownlinkStatus[];
  readonly ledger: LedgerStatus;
  readonly counters: Readonly<Record<string, number>>;
  readonly totals: TotalsStatus;
}

/** A record of the dead-letter topic, for eyes: what is long is cut, and what is no text is base64. */
export interface StoredDeadLetter {
  readonly partition: number;
  readonly offset: number;
  /** Arrival of the message, milliseconds since the epoch. */
  readonly receivedAt: number;
  readonly sluiceId: string;
  readonly code: string;
  readonly reason: string;
  readonly route: string;
  readonly topic: string;
  readonly clientId: string;
  readonly payload: string;
  readonly payloadEncoding: 'utf8' | 'base64';
  /** All of it; `payload` may hold less. */
  readonly payloadBytes: number;
  /** undefined: it can be put in again. Else why not. */
  readonly incomplete: string | undefined;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** A histogram of durations since the start. */
export interface DurationCounts {
  /** Upper ends of the buckets, seconds; one more bucket holds what took longer. */
  readonly boundsSeconds: readonly number[];
  /** Durations in each bucket, the last one beyond all bounds. */
  readonly counts: readonly number[];
}

export interface Durations {
  /** Of the store's commits. */
  readonly append: DurationCounts;
  /** From the arrival of the oldest message of an append to its acknowledgement. */
  readonly acknowledge: DurationCounts;
  /** Of Kafka's answers to produce requests. */
  readonly kafkaRequest: DurationCounts;
  /** From the arrival of the oldest record of a chunk to its confirmation by Kafka. */
  readonly delivery: DurationCounts;
}

/** Since the start; what is read again counts again. */
export interface DownlinkStatus {
  readonly name: string;
  /** Kafka topic, or the regular expression for topics. */
  readonly from: string;
  readonly to: string;
  readonly group: string;
  /** Records that were read. */
  readonly records: number;
  /** What became of them. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Read, and not behind the point that may be committed. */
  readonly open: number;
  readonly openBytes: number;
  /** Records that wait for a subscriber. */
  readonly held: number;
  /** Partitions that are this process's, and those of them that are not read for want of room. */
  readonly partitions: number;
  readonly paused: number;
  /** Records of these partitions that are not settled, as far as Kafka has told. */
  readonly lag: number;
  /** undefined: it reads from Kafka. Else what is wrong. */
  readonly error: string | undefined;
}

/** All that is given must hold. */
export interface DeadLetterFilter {
  readonly code?: string | undefined;
  readonly route?: string | undefined;
  readonly clientId?: string | undefined;
  /** MQTT topic, whole. */
  readonly topic?: string | undefined;
  readonly sluiceId?: string | undefined;
  /** Arrival, milliseconds since the epoch: from, inclusive; to, exclusive. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

export interface ReplayCounts {
  readonly found: number;
  /** Put in again, durably. */
  readonly replayed: number;
  /** Put in by an earlier run of this replay. */
  readonly before: number;
  /** On no route now. */
  readonly noRoute: number;
  /** Cut when they were written. */
  readonly incomplete: number;
}
