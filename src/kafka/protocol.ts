/**
 * The requests that sluice makes, in versions before the flexible ones (KIP-482), which every Kafka from 2.1 to 4.x takes.
 * An answer is decoded whole: an error of one topic or partition is a field of it, never thrown, so that one topic cannot
 * spoil the answer for the others.
 */
import { type ByteReader, ByteWriter } from './bytes.ts';

/** One API as a pair of pure functions. `throttleMs` of an answer is for the client to obey from `throttledFrom` on (KIP-219). */
export interface Api<Args, Answer extends { readonly throttleMs: number }> {
  readonly key: number;
  readonly name: string;
  readonly minVersion: number;
  readonly maxVersion: number;
  readonly throttledFrom: number;
  /** The body, in parts that are sent one behind the other. */
  encode(args: Args, version: number): Uint8Array[];
  decode(reader: ByteReader, version: number): Answer;
}

// ---- Metadata ----

export interface BrokerMetadata {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

export interface PartitionMetadata {
  readonly errorCode: number;
  readonly partition: number;
  /** Node id; -1: no leader. */
  readonly leader: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
}

export interface TopicMetadata {
  readonly errorCode: number;
  readonly topic: string;
  readonly partitions: readonly PartitionMetadata[];
}

export interface MetadataAnswer {
  readonly throttleMs: number;
  readonly brokers: readonly BrokerMetadata[];
  readonly clusterId: string | null;
  readonly controllerId: number;
  readonly topics: readonly TopicMetadata[];
}

/** The brokers, and these topics; an empty list means no topic, not all. Never creates one. */
export const Metadata: Api<readonly string[], MetadataAnswer> = {
  key: 3,
  name: 'Metadata',
  minVersion: 4,
  maxVersion: 6,
  throttledFrom: 6,
  encode(topics) {
    const writer = new ByteWriter().int32(topics.length);
    for (const topic of topics) writer.string(topic);
    return [writer.boolean(false).bytes()];
  },
  decode: (reader, version) => readMetadata(reader, version),
};

/** `more` reads what a later version has behind each topic. */
export function readMetadata(
  reader: ByteReader,
  version: number,
  more: (topic: string) => void = () => undefined,
): MetadataAnswer {
  return {
    throttleMs: reader.int32(),
    brokers: reader.array(() => {
      const broker = { nodeId: reader.int32(), host: reader.string(), port: reader.int32() };
      reader.nullableString(); // rack
      return broker;
    }),
    clusterId: reader.nullableString(),
    controllerId: reader.int32(),
    topics: reader.array(() => {
      const errorCode = reader.int16();
      const topic = reader.string();
      reader.int8(); // is_internal
      const partitions = reader.array(() => partitionMetadata(reader, version));
      more(topic);
      return { errorCode, topic, partitions };
    }),
  };
}

function leaderOf(reader: ByteReader, version: number): number {
  const leader = reader.int32();
  if (version >= 7) reader.int32(); // leader_epoch
  return leader;
}

function partitionMetadata(reader: ByteReader, version: number): PartitionMetadata {
  const metadata = {
    errorCode: reader.int16(),
    partition: reader.int32(),
    leader: leaderOf(reader, version),
    replicas: reader.array(() => reader.int32()),
    isr: reader.array(() => reader.int32()),
  };
  if (version >= 5) reader.array(() => reader.int32()); // offline_replicas
  return metadata;
}

// ---- Produce ----

export interface PartitionBatch {
  readonly topic: string;
  readonly partition: number;
  readonly batch: Buffer;
}

export interface PartitionAnswer {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  /** Indexes in the batch, where the broker names them (v8, KIP-467). */
  readonly records: readonly number[];
  readonly message: string | null;
}

export interface ProduceArgs {
  /** Those of one topic stand together; a partition is there once. */
  readonly batches: readonly PartitionBatch[];
  /** How long the leader may wait for its followers. */
  readonly timeoutMs: number;
}

export interface ProduceAnswer {
  readonly throttleMs: number;
  readonly partitions: readonly PartitionAnswer[];
}

const ACKS_ALL = -1;

/** acks=all. */
export const Produce: Api<ProduceArgs, ProduceAnswer> = {
  key: 0,
  name: 'Produce',
  minVersion: 3,
  maxVersion: 8,
  throttledFrom: 6,
  encode({ batches, timeoutMs }) {
    const parts: Uint8Array[] = [];
    let writer = new ByteWriter().nullableString(null).int16(ACKS_ALL).int32(timeoutMs).int32(topicsIn(batches));
    let index = 0;
    while (index < batches.length) {
      const { topic } = batches[index] as PartitionBatch;
      let end = index + 1;
      while (batches[end]?.topic === topic) end++;
      writer.string(topic).int32(end - index);
      for (; index < end; index++) {
        const { partition, batch } = batches[index] as PartitionBatch;
        parts.push(writer.int32(partition).int32(batch.length).bytes(), batch);
        writer = new ByteWriter();
      }
    }
    return parts;
  },
  decode(reader, version) {
    const partitions: PartitionAnswer[] = [];
    reader.array(() => {
      const topic = reader.string();
      reader.array(() => partitions.push(partitionAnswer(reader, topic, version)));
    });
    return { partitions, throttleMs: reader.int32() };
  },
};

function topicsIn(batches: readonly PartitionBatch[]): number {
  let topics = 0;
  for (let index = 0; index < batches.length; index++) {
    if (batches[index]?.topic !== batches[index - 1]?.topic) topics++;
  }
  return topics;
}

function partitionAnswer(reader: ByteReader, topic: string, version: number): PartitionAnswer {
  const partition = reader.int32();
  const errorCode = reader.int16();
  // base_offset, log_append_time and, since v5, log_start_offset
  reader.skip(version >= 5 ? 24 : 16);
  if (version < 8) return { topic, partition, errorCode, records: [], message: null };
  let message: string | null = null;
  const records = reader.array(() => {
    const index = reader.int32();
    const said = reader.nullableString();
    message ??= said;
    return index;
  });
  message = reader.nullableString() ?? message;
  return { topic, partition, errorCode, records, message };
}

// ---- InitProducerId ----

export interface InitProducerIdAnswer {
  readonly throttleMs: number;
  readonly errorCode: number;
  readonly producerId: bigint;
  readonly producerEpoch: number;
}

/** Without a transactional id: a producer id that nobody had before. */
export const InitProducerId: Api<void, InitProducerIdAnswer> = {
  key: 22,
  name: 'InitProducerId',
  minVersion: 0,
  maxVersion: 1,
  throttledFrom: 1,
  encode: () => [new ByteWriter().nullableString(null).int32(0).bytes()],
  decode: (reader) => ({
    throttleMs: reader.int32(),
    errorCode: reader.int16(),
    producerId: reader.int64(),
    producerEpoch: reader.int16(),
  }),
};

// ---- CreateTopics ----

export interface CreateTopicArgs {
  readonly topic: string;
  /** -1: as the cluster is configured. Understood since v4 (KIP-464). */
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly config: Readonly<Record<string, string | number | boolean>>;
  readonly timeoutMs: number;
}

export interface CreateTopicAnswer {
  readonly throttleMs: number;
  readonly errorCode: number;
  readonly message: string | null;
}

export const CreateTopic: Api<CreateTopicArgs, CreateTopicAnswer> = {
  key: 19,
  name: 'CreateTopics',
  minVersion: 2,
  maxVersion: 4,
  throttledFrom: 3,
  encode({ topic, partitions, replicationFactor, config, timeoutMs }) {
    const writer = new ByteWriter().int32(1).string(topic).int32(partitions).int16(replicationFactor);
    const settings = Object.entries(config);
    // no assignment, not only to validate
    writer.int32(0).int32(settings.length);
    for (const [name, value] of settings) writer.string(name).string(String(value));
    return [writer.int32(timeoutMs).boolean(false).bytes()];
  },
  decode(reader) {
    const throttleMs = reader.int32();
    const [first] = reader.array(() => {
      reader.string();
      return { errorCode: reader.int16(), message: reader.nullableString() };
    });
    return { throttleMs, errorCode: first?.errorCode ?? -1, message: first?.message ?? null };
  },
};

// ---- DescribeConfigs ----

export interface TopicConfigArgs {
  readonly topics: readonly string[];
  readonly names: readonly string[];
}

export interface TopicConfig {
  readonly topic: string;
  readonly errorCode: number;
  readonly values: ReadonlyMap<string, string | null>;
}

export interface TopicConfigAnswer {
  readonly throttleMs: number;
  readonly topics: readonly TopicConfig[];
}

const RESOURCE_TOPIC = 2;

export const DescribeTopicConfigs: Api<TopicConfigArgs, TopicConfigAnswer> = {
  key: 32,
  name: 'DescribeConfigs',
  minVersion: 1,
  maxVersion: 2,
  throttledFrom: 2,
  encode({ topics, names }) {
    const writer = new ByteWriter().int32(topics.length);
    for (const topic of topics) {
      writer.int8(RESOURCE_TOPIC).string(topic).int32(names.length);
      for (const name of names) writer.string(name);
    }
    return [writer.boolean(false).bytes()];
  },
  decode(reader) {
    return {
      throttleMs: reader.int32(),
      topics: reader.array(() => {
        const errorCode = reader.int16();
        reader.nullableString(); // error_message
        reader.int8(); // resource_type
        const topic = reader.string();
        const values = new Map<string, string | null>();
        reader.array(() => {
          values.set(reader.string(), reader.nullableString());
          reader.skip(3); // read_only, config_source, is_sensitive
          reader.array(() => {
            reader.string();
            reader.nullableString();
            reader.int8();
          });
        });
        return { topic, errorCode, values };
      }),
    };
  },
};
