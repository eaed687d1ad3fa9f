import { batchBytes } from './batch.ts';
import type { Chunk, KafkaSink, RecordSlice } from './sink.ts';

export interface NullSink extends KafkaSink {
  /** What was taken, since it was made. */
  readonly taken: { readonly chunks: number; readonly records: number; readonly bytes: number };
}

/** Takes everything at once and keeps nothing: to measure what stands in front of it. Every topic exists. */
export function createNullSink(options: { partitions?: number } = {}): NullSink {
  const partitions = options.partitions ?? 8;
  const taken = { chunks: 0, records: 0, bytes: 0 };
  return {
    taken,
    partitions: () => partitions,
    loadTopic: async () => partitions,
    encode(topic, partition, records: readonly RecordSlice[], from, to): Chunk {
      return { topic, partition, count: to - from, bytes: batchBytes(records, from, to) };
    },
    async send(chunk) {
      taken.chunks++;
      taken.records += chunk.count;
      taken.bytes += chunk.bytes;
    },
    abandon() {},
    onPartitionsChanged() {},
    async close() {},
  };
}
