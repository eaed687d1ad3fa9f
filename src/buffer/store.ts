/**
 * The port of the durable buffer. A backend is a set of logs, one per shard, each with offsets like a Kafka partition
 * (from 1). It commits, reads, settles and leases; it interprets neither messages nor records.
 *
 * Two sides write, and never the same fields:
 * - the append side (any process): head, accepted, bytesIn, appenders, QoS 2 ids, cursors;
 * - the settle side (the lease holder, fenced by its token): released, trimmed, outcomes, bytesOut, parking, set-aside frames.
 *
 * Every backend passes test/conformance/store.ts.
 */

/** One log id and the first offset it names. A `sluice-id` is `<logId>:<shard>:<offset>` with the id in force at that offset. */
export interface LogEpoch {
  readonly logId: string;
  readonly from: number;
}

/** Offsets, both ends included. */
export interface OffsetRange {
  readonly from: number;
  readonly to: number;
}

/** How one shard stands when it is opened. */
export interface ShardState {
  readonly shard: number;
  /** Ascending by `from`; the last one is in force. Epochs that end below `trimmed` may have been removed. */
  readonly epochs: readonly LogEpoch[];
  /** The highest offset ever taken; 0 for a new log. Never below the `knownHead` that reopen() was given. */
  readonly head: number;
  /** Offsets up to `knownHead` that the log no longer knew: it was emptied or rolled back. */
  readonly missing?: OffsetRange | undefined;
}

/** What is known of how well an acknowledged append is protected. `weak` names each point that falls short, with the way out. */
export interface Durability {
  /** e.g. 'LevelDB, fsync per commit' or 'Redis 7.0.15, AOF appendfsync always'. */
  readonly summary: string;
  readonly weak: readonly string[];
}

export interface StoreOpening {
  readonly durability: Durability;
  readonly shards: readonly ShardState[];
}

/** A QoS 2 packet id of a client whose handshake is not completed ([MQTT-4.3.3-10]). */
export interface Qos2Id {
  readonly clientId: string;
  /** 1 to 65535; or a text, of 1 to 64 bytes without U+0000: another kind of name for a message that is to be taken once. */
  readonly packetId: number | string;
}

export interface AppendRequest {
  readonly shard: number;
  /** The log this appender believes to be writing: ShardState.epochs.at(-1).logId. */
  readonly logId: string;
  /** Greater than every sequence this store object has used on the shard before. A late or repeated append is refused by it. */
  readonly sequence: number;
  /** One packed frame (see frame.ts); undefined where the commit only changes QoS 2 ids. Not modified after the call. */
  readonly frame: Buffer | undefined;
  /** Messages in the frame = offsets to take. 0 without a frame. */
  readonly count: number;
  /** Ids of QoS 2 messages in this frame: remembered in the same commit, unless one is known already. */
  readonly qos2Add: readonly Qos2Id[];
  /** Ids whose PUBREL arrived: forgotten in the same commit. Unknown ones are ignored. */
  readonly qos2Remove: readonly Qos2Id[];
  /** Clients that started clean: all their ids are forgotten, before qos2Add applies. */
  readonly qos2Clear: readonly string[];
  /** How far what feeds this log has come, by name: remembered in the same commit. '' forgets a name. Only with a frame. */
  readonly cursors?: Readonly<Record<string, string>>;
}

/**
 * What became of an append. Everything else is thrown:
 * - SluiceError STORE_TIMEOUT / STORE_UNAVAILABLE: the outcome is unknown; it is never retried, its devices resend;
 * - SluiceError STORE_OFFLINE / STORE_READ_ONLY / STORE_REFUSED: certainly not appended;
 * - SluiceError APPENDER_STALE: certainly not appended; reopen() first.
 */
export type AppendOutcome =
  /** Durable. `base` is the offset of the first message (0 where count is 0), `bytes` what the shard holds now. */
  | { readonly kind: 'committed'; readonly base: number; readonly bytes: number }
  /** Certainly not appended: it does not fit below the shard's part of maxBytes. */
  | { readonly kind: 'full' }
  /** Certainly not appended: these indexes of qos2Add are known already. */
  | { readonly kind: 'duplicate'; readonly indexes: readonly number[] };

export interface StoredFrame {
  /** Offset of the frame's first message. */
  readonly base: number;
  /** Whole frame as appended; may be corrupt: decodeFrame() tells. */
  readonly bytes: Buffer;
}

/** A place in a topic's parking log. Positions are above 0, ascend, and are never used twice; they may leave gaps. */
export interface ParkedEntry {
  readonly position: number;
  readonly bytes: Buffer;
}

/** Outcome counters of the ledger, in messages. `discarded` is by rule name. */
export interface Outcomes {
  delivered: number;
  deadLettered: number;
  expired: number;
  discarded: Record<string, number>;
}

/**
 * Ownership of a shard. `token` grows with each new owner: the fencing token. It is void, too, once the log was found rolled
 * back or emptied behind what this process had read. Whoever takes a lease drops what memory holds of the shard: the hot
 * tail may be of a log that is no more.
 */
export interface Lease {
  readonly shard: number;
  readonly token: number;
  /** Where reading starts: the first offset that is not settled, one above ShardStats.released. 1 in a new log. */
  readonly released: number;
  /** Base of the oldest stored frame that may hold unsettled messages. */
  readonly trimmed: number;
  /** Topics whose parking log is not empty. */
  readonly parked: readonly ParkingState[];
  /** Named small values that the owner keeps with the log (see Settlement.marks). */
  readonly marks: Readonly<Record<string, string>>;
}

export interface ParkingState {
  readonly topic: string;
  readonly entries: number;
  readonly messages: number;
  readonly bytes: number;
}

/**
 * One atomic change by the owner of a shard, durable when settle() returns where it parks or sets aside. Absent parts change
 * nothing.
 */
export interface Settlement {
  /** Every offset up to and including this one is settled or parked. */
  readonly released?: number;
  /** Frames with a base below this are removed. */
  readonly trimmed?: number;
  /** Bytes of the frames that `trimmed` removes. */
  readonly freedBytes?: number;
  /** Added to the ledger's counters. */
  readonly outcomes?: Partial<Outcomes>;
  /** Entries for parking logs. `messages` counts those whose only place is now the parking log. */
  readonly park?: readonly { readonly topic: string; readonly bytes: Buffer; readonly messages: number }[];
  /** Entries of a parking log up to and including `upTo` are removed; `messages` and `bytes` are what they held. */
  readonly unpark?: readonly {
    readonly topic: string;
    readonly upTo: number;
    readonly messages: number;
    readonly bytes: number;
  }[];
  /** Corrupt frames kept for inspection, outside the log. */
  readonly setAside?: readonly StoredFrame[];
  /** Small named values kept with the log; '' removes one. */
  readonly marks?: Readonly<Record<string, string>>;
}

/** The ledger and depth of one shard, read from the store. */
export interface ShardStats {
  readonly shard: number;
  readonly head: number;
  readonly released: number;
  /** Offsets taken since the log was created, with those that were skipped because a rolled back log had lost them. */
  readonly accepted: number;
  readonly outcomes: Outcomes;
  /** Messages in the log that are not settled: head - released. Offsets that were lost count until `released` passes them. */
  readonly logMessages: number;
  readonly parkedMessages: number;
  /** Bytes of stored frames and parking logs: what the limit is about. */
  readonly bytes: number;
  readonly parked: readonly ParkingState[];
  readonly setAside: number;
  /** As appends have left them (see AppendRequest.cursors). */
  readonly cursors: Readonly<Record<string, string>>;
  /** Process that holds the lease, if any. */
  readonly owner: string | undefined;
}

export interface StoreEvents {
  /** Another process appended to this shard (or may have): read it. */
  appended(shard: number): void;
  /** The connection to the store came or went. Not called for the first successful open(). */
  availability(available: boolean, reason: string): void;
}

export interface BufferStore {
  readonly kind: 'memory' | 'level' | 'redis';
  readonly shards: number;
  /** Hard limit in bytes over all shards; each shard refuses beyond its equal part. */
  readonly maxBytes: number;

  /**
   * Connects, checks format and shard count, begins a new log epoch where the store may have lost what followed
   * (LevelDB: at each open; Redis: when its run id differs from the one the log was last written under, or the log is gone).
   * @throws SluiceError SHARD_COUNT_MISMATCH, STORE_FORMAT, STORE_LOCKED, STORE_UNAVAILABLE
   */
  open(events: StoreEvents): Promise<StoreOpening>;

  /** Commits durably. One call in flight per shard; calls for several shards in one turn share a round trip. Never retries. */
  append(request: AppendRequest): Promise<AppendOutcome>;

  /**
   * After an append failed or was refused as stale: makes sure that nothing of the old connection can still enter the log
   * (a new appender token), and reads the shard's state anew, beginning a new epoch where the log was replaced.
   * `knownHead` is the highest offset this process knows to have been committed.
   */
  reopen(shard: number, knownHead: number): Promise<ShardState>;

  /** Frames in order, starting with the one that holds offset `from` or the first after it; at least one if any, up to maxBytes. */
  read(shard: number, from: number, maxBytes: number): Promise<StoredFrame[]>;
  /** Entries of a parking log after position `after`, at least one if any, up to maxBytes. */
  readParked(shard: number, topic: string, after: number, maxBytes: number): Promise<ParkedEntry[]>;

  /** Takes the shard if nobody else holds it; a lease that this store object held before is void. undefined: someone else does. */
  acquire(shard: number, ttlMs: number): Promise<Lease | undefined>;
  /** Extends what acquire() gave. false: it is lost. Throws STORE_UNAVAILABLE or STORE_TIMEOUT where it is not known. */
  renew(lease: Lease, ttlMs: number): Promise<boolean>;
  yield(lease: Lease): Promise<void>;
  /**
   * Settlements of a lease take effect in the order of the calls. Where one fails with STORE_UNAVAILABLE, STORE_TIMEOUT or
   * STORE_READ_ONLY, whether it took effect may be unknown: call again with the same object, before those that came after
   * it, until it returns. The same object takes effect once; another one in its place is refused with FENCED.
   * @throws SluiceError FENCED when the token is not the shard's newest, or the log was replaced; nothing is changed then.
   */
  settle(lease: Lease, change: Settlement): Promise<void>;

  stats(shard: number): Promise<ShardStats>;
  close(): Promise<void>;
}
