/** How well Kafka keeps what it has taken: asked at start and by `sluice check --connect`. */
import { Cluster } from './cluster.ts';
import { ErrorCode, kafkaError } from './faults.ts';
import { kafkaSettings, type KafkaLog, type KafkaOptions, type KafkaSettings } from './options.ts';
import { DescribeTopicConfigs, type TopicConfig, type TopicMetadata } from './protocol.ts';
import { Wire } from './wire.ts';

export interface TopicReport {
  readonly topic: string;
  readonly state: 'present' | 'missing' | 'unauthorized' | 'failed';
  readonly partitions?: number;
  /** Of the partition that has the fewest. */
  readonly replicationFactor?: number;
  readonly minInsyncReplicas?: number;
  readonly uncleanLeaderElection?: boolean;
  /** What weakens "Kafka has it", one sentence each, with the way out; empty: nothing was found. */
  readonly weak: readonly string[];
}

const MIN_INSYNC = 'min.insync.replicas';
const UNCLEAN = 'unclean.leader.election.enable';

/** Looks at each topic, in the order given. @throws KafkaFault cluster: Kafka cannot be reached */
export async function inspectTopics(
  options: KafkaOptions,
  topics: readonly string[],
  log: KafkaLog = () => {},
): Promise<TopicReport[]> {
  const settings = kafkaSettings(options);
  const cluster = new Cluster(new Wire(settings, log), log);
  try {
    const metadata = new Map((await cluster.metadata(topics)).topics.map((each) => [each.topic, each]));
    const present = topics.filter((topic) => metadata.get(topic)?.errorCode === ErrorCode.none);
    const args = { topics: present, names: [MIN_INSYNC, UNCLEAN] };
    const answer = present.length === 0 ? { topics: [] } : await cluster.ask(DescribeTopicConfigs, args);
    const configs = new Map(answer.topics.map((each) => [each.topic, each]));
    return topics.map((topic) => reportOn(topic, metadata.get(topic), configs.get(topic), settings));
  } finally {
    cluster.close();
  }
}

function reportOn(
  topic: string,
  metadata: TopicMetadata | undefined,
  config: TopicConfig | undefined,
  settings: KafkaSettings,
): TopicReport {
  const errorCode = metadata?.errorCode ?? ErrorCode.unknownTopicOrPartition;
  switch (errorCode) {
    case ErrorCode.none:
      return reportOnPresent(topic, metadata as TopicMetadata, config);
    case ErrorCode.unknownTopicOrPartition:
      return { topic, state: 'missing', weak: [missing(topic, settings)] };
    case ErrorCode.topicAuthorizationFailed: {
      const weak = `topic ${topic}: sluice may not look at it (TOPIC_AUTHORIZATION_FAILED): grant Describe and Write.`;
      return { topic, state: 'unauthorized', weak: [weak] };
    }
    default:
      return { topic, state: 'failed', weak: [`topic ${topic}: ${kafkaError(errorCode).name}.`] };
  }
}

function missing(topic: string, { createTopics }: KafkaSettings): string {
  if (!createTopics.enabled) return `topic ${topic} does not exist, and sluice may not create it: create it.`;
  const { partitions, replicationFactor } = createTopics;
  const count = partitions < 0 ? "the cluster's default number of partitions" : `${partitions} partitions`;
  const replicas =
    replicationFactor < 0 ? "the cluster's default replication factor" : `replication factor ${replicationFactor}`;
  return `topic ${topic} does not exist yet: its first record creates it with ${count} and ${replicas}.`;
}

function reportOnPresent(topic: string, metadata: TopicMetadata, config: TopicConfig | undefined): TopicReport {
  const partitions = metadata.partitions.length;
  const replicationFactor = Math.min(...metadata.partitions.map(({ replicas }) => replicas.length));
  const weak: string[] = [];
  const leaderless = metadata.partitions.filter(({ leader }) => leader < 0).length;
  if (leaderless > 0) weak.push(`topic ${topic}: ${leaderless} of ${partitions} partitions have no leader now.`);
  if (replicationFactor === 1) {
    weak.push(
      `topic ${topic} has replication factor 1: what it holds is lost with the disk of one broker. Give it 3 replicas.`,
    );
  }
  const base = { topic, state: 'present' as const, partitions, replicationFactor };
  const minInsync = config?.values.get(MIN_INSYNC);
  if (config === undefined || config.errorCode !== ErrorCode.none || typeof minInsync !== 'string') {
    const why = kafkaError(config?.errorCode ?? -1).name;
    weak.push(
      `topic ${topic}: its settings could not be looked at (${why}): grant DescribeConfigs to have them checked.`,
    );
    return { ...base, weak };
  }
  const minInsyncReplicas = Number(minInsync);
  const uncleanLeaderElection = config.values.get(UNCLEAN) === 'true';
  if (replicationFactor > 1 && minInsyncReplicas <= 1) {
    weak.push(
      `topic ${topic} has min.insync.replicas 1: with its followers behind, a record is confirmed that only one broker has. Set it to ${Math.max(2, replicationFactor - 1)}.`,
    );
  }
  if (replicationFactor > 1 && minInsyncReplicas >= replicationFactor) {
    weak.push(
      `topic ${topic} has min.insync.replicas ${minInsyncReplicas} of ${replicationFactor} replicas: nothing can be written while one broker is down.`,
    );
  }
  if (uncleanLeaderElection) {
    weak.push(
      `topic ${topic} has unclean.leader.election.enable: a broker that is behind may become leader, and confirmed records are lost. Set it to false.`,
    );
  }
  return { ...base, minInsyncReplicas, uncleanLeaderElection, weak };
}
