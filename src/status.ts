/** What a running sluice says of itself: `Sluice.status()`, the admin socket and `sluice status --json`. */
import type { Outcomes, ParkingState } from './buffer/store.ts';

export interface ListenerStatus {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** As a client writes it, e.g. mqtt://127.0.0.1:1883 or ws://127.0.0.1:8083/mqtt. */
  readonly url: string;
}

/** What of a topic that cannot be written waits apart from the log. */
export interface ParkedStatus extends ParkingState {
  /** It has reached its bound (`forward.parkingMaxBytes`): the topic holds up the shard. */
  readonly full: boolean;
}

export interface ShardStatus {
  readonly shard: number;
  readonly owned: boolean;
  readonly head: number;
  readonly released: number;
  /** Messages that Kafka does not have yet, in the log and parked. */
  readonly buffered: number;
  readonly bytes: number;
  readonly parked: readonly ParkedStatus[];
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
}

export interface LaneStatus {
  readonly topic: string;
  readonly partition: number;
  readonly queued: number;
  readonly inFlight: number;
  readonly error: string | undefined;
}

export interface SluiceStatus {
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly state: 'starting' | 'running' | 'stopping' | 'stopped';
  readonly listeners: readonly ListenerStatus[];
  readonly clients: number;
  readonly routes: readonly RouteStatus[];
  readonly buffer: {
    readonly store: string;
    readonly durability: string;
    readonly weak: readonly string[];
    readonly maxBytes: number;
    readonly bytes: number;
    /** undefined: appends work. Else what is wrong. */
    readonly error: string | undefined;
    readonly shards: readonly ShardStatus[];
  };
  readonly kafka: {
    readonly brokers: readonly string[];
    /** undefined: it works. Else what is wrong. */
    readonly error: string | undefined;
    readonly weak: readonly string[];
    readonly lanes: readonly LaneStatus[];
  };
  readonly ledger: LedgerStatus;
  readonly counters: Readonly<Record<string, number>>;
}
