/** The requests that read a topic without a consumer group: where its partitions begin and end, and what they hold. */
import { ByteWriter } from './bytes.ts';
import type { Api } from './protocol.ts';

/** Timestamps that stand for an end of the log (ListOffsets). */
export const EARLIEST = -2n;
export const LATEST = -1n;

export interface ListOffsetsArgs {
  readonly topic: string;
  readonly partitions: readonly number[];
  readonly timestamp: bigint;
}

export interface ListOffsetsAnswer {
  readonly throttleMs: number;
  readonly partitions: readonly { readonly partition: number; readonly errorCode: number; readonly offset: number }[];
}

const NO_REPLICA = -1;

export const ListOffsets: Api<ListOffsetsArgs, ListOffsetsAnswer> = {
  key: 2,
  name: 'ListOffsets',
  minVersion: 2,
  maxVersion: 3,
  throttledFrom: 3,
  encode({ topic, partitions, timestamp }) {
    const writer = new ByteWriter().int32(NO_REPLICA).int8(READ_UNCOMMITTED).int32(1).string(topic);
    writer.int32(partitions.length);
    for (const partition of partitions) writer.int32(partition).int64(timestamp);
    return [writer.bytes()];
  },
  decode(reader) {
    const throttleMs = reader.int32();
    const topics = reader.array(() => {
      reader.string();
      return reader.array(() => {
        const partition = reader.int32();
        const errorCode = reader.int16();
        reader.int64(); // timestamp
        return { partition, errorCode, offset: Number(reader.int64()) };
      });
    });
    return { throttleMs, partitions: topics.flat() };
  },
};

export interface FetchArgs {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** At least one batch is given, however large. */
  readonly maxBytes: number;
  readonly maxWaitMs: number;
}

export interface FetchAnswer {
  readonly throttleMs: number;
  readonly errorCode: number;
  /** Record batches, the last of which may be cut off. */
  readonly records: Buffer;
}

const READ_UNCOMMITTED = 0;

export const Fetch: Api<FetchArgs, FetchAnswer> = {
  key: 1,
  name: 'Fetch',
  minVersion: 4,
  maxVersion: 6,
  throttledFrom: 8,
  encode({ topic, partition, offset, maxBytes, maxWaitMs }, version) {
    const writer = new ByteWriter().int32(NO_REPLICA).int32(maxWaitMs).int32(1).int32(maxBytes).int8(READ_UNCOMMITTED);
    writer.int32(1).string(topic).int32(1).int32(partition).int64(BigInt(offset));
    if (version >= 5) writer.int64(-1n); // log_start_offset: of followers
    return [writer.int32(maxBytes).bytes()];
  },
  decode(reader, version) {
    const throttleMs = reader.int32();
    const topics = reader.array(() => {
      reader.string();
      return reader.array(() => {
        reader.int32(); // partition
        const errorCode = reader.int16();
        reader.int64(); // high_watermark
        reader.int64(); // last_stable_offset
        if (version >= 5) reader.int64(); // log_start_offset
        reader.array(() => reader.skip(16)); // aborted_transactions
        return { errorCode, records: reader.byteString() };
      });
    });
    const answer = topics[0]?.[0];
    if (answer === undefined) throw new RangeError('a Fetch was answered without its partition');
    return { throttleMs, ...answer };
  },
};
