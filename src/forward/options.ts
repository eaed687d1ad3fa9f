export interface ForwardOptions {
  /** Topic of the dead letters. */
  readonly deadLetterTopic: string;
  /** Records of one chunk. */
  readonly chunkMaxRecords: number;
  /** Encoded records of one chunk, before compression; a single larger record makes a chunk of its own. */
  readonly chunkMaxBytes: number;
  /** Chunks that are not full leave together, at most once per this time; one that finds everything idle leaves at once. */
  readonly lingerMs: number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  /** While the cluster is away, one probe at a time, at most this far apart. */
  readonly probeMaxMs: number;
  /** Frames and records that are decoded and not settled, over all shards. It bounds memory, and repeats after a crash. */
  readonly windowMaxBytes: number;
  /** One read of the store. */
  readonly readMaxBytes: number;
  /** How often an idle shard looks for frames whose wake-up was lost. */
  readonly pollMs: number;
  /** Settlements of a shard begin at least this far apart under load. */
  readonly settleIntervalMs: number;
  readonly leaseTtlMs: number;
  /** A topic that has been unwritable this long, and holds up a full window, is parked. */
  readonly parkAfterMs: number;
  /** Bound of a topic's parking logs, over all shards; beyond it the topic holds up the log. 0: nothing is parked. */
  readonly parkingMaxBytes: number;
  /** Parked entries of one topic and shard that are on their way. */
  readonly parkedWindowMaxBytes: number;
}

export const forwardDefaults: Omit<ForwardOptions, 'deadLetterTopic'> = {
  chunkMaxRecords: 1_000,
  chunkMaxBytes: 512 * 1024,
  lingerMs: 5,
  retryMinMs: 100,
  retryMaxMs: 10_000,
  probeMaxMs: 2_000,
  windowMaxBytes: 32 * 1024 * 1024,
  readMaxBytes: 1024 * 1024,
  pollMs: 1_000,
  settleIntervalMs: 40,
  leaseTtlMs: 10_000,
  parkAfterMs: 2_000,
  parkingMaxBytes: 256 * 1024 * 1024,
  parkedWindowMaxBytes: 1024 * 1024,
};
