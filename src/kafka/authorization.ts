/** What Kafka would let us do, asked without doing it (KIP-430). */
import { ByteWriter } from './bytes.ts';
import { Cluster } from './cluster.ts';
import { kafkaSettings, type KafkaLog, type KafkaOptions } from './options.ts';
import { Metadata, readMetadata, type Api, type MetadataAnswer } from './protocol.ts';
import { Wire } from './wire.ts';

/** Bits of AclOperation. */
const WRITE = 4;
/** It is not said: no authorizer, or an old broker. */
const UNKNOWN = -2_147_483_648;

interface Answer extends MetadataAnswer {
  readonly operations: ReadonlyMap<string, number>;
}

const MetadataWithOperations: Api<readonly string[], Answer> = {
  ...Metadata,
  minVersion: 8,
  maxVersion: 8,
  encode(topics) {
    const writer = new ByteWriter().int32(topics.length);
    for (const topic of topics) writer.string(topic);
    // Creates none; operations of topics, not of the cluster.
    return [writer.boolean(false).boolean(false).boolean(true).bytes()];
  },
  decode(reader, version) {
    const operations = new Map<string, number>();
    const answer = readMetadata(reader, version, (topic) => operations.set(topic, reader.int32()));
    reader.int32(); // of the cluster
    return { ...answer, operations };
  },
};

/** Topics that exist and may not be written with these credentials. @throws KafkaFault cluster */
export async function unwritableTopics(
  options: KafkaOptions,
  topics: readonly string[],
  log: KafkaLog = () => {},
): Promise<string[]> {
  const cluster = new Cluster(new Wire(kafkaSettings(options), log), log);
  try {
    const { operations } = await cluster.ask(MetadataWithOperations, topics);
    return topics.filter((topic) => {
      const bits = operations.get(topic);
      return bits !== undefined && bits !== UNKNOWN && bits !== 0 && (bits & (1 << WRITE)) === 0;
    });
  } finally {
    cluster.close();
  }
}
