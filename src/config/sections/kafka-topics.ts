/** What can be said of Kafka topics for the cluster and, above that, for a route. */
import { z } from 'zod';
import * as zlib from 'node:zlib';

export const compression = z.enum(['none', 'gzip', 'snappy', 'lz4', 'zstd']).check((context) => {
  if (context.value === 'zstd' && !('zstdCompressSync' in zlib)) {
    context.issues.push({
      code: 'custom',
      input: context.value,
      message: `is not in Node ${process.versions.node}: zstd came with Node 22.15`,
      params: { wayOut: 'run a newer Node, or use compression: lz4' },
    });
  }
});

export const newTopic = z.strictObject({
  partitions: z.int().min(1).max(100_000).optional().meta({
    description: "Partitions of a new topic. Default: the cluster's `num.partitions`.",
  }),
  replicationFactor: z.int().min(1).max(100).optional().meta({
    description: "Replicas of a new topic. Default: the cluster's `default.replication.factor`.",
  }),
  config: z
    .record(z.string().min(1).max(250), z.union([z.string().max(65_535), z.number().min(-1e15).max(1e15), z.boolean()]))
    .optional()
    .meta({ description: "Kafka's own settings for a new topic, such as `retention.ms` or `cleanup.policy`." }),
});
