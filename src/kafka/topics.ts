import { errorText } from '../errors.ts';
import type { Cluster } from './cluster.ts';
import { ErrorCode, faultOf } from './faults.ts';
import type { KafkaLog, KafkaSettings } from './options.ts';
import { CreateTopic, type TopicMetadata } from './protocol.ts';
import { KafkaFault } from './sink.ts';

/** Kafka's rule for topic names; what breaks it is not even asked for. */
const LEGAL_NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/;
/** A topic is not looked up more often than this because of faults. */
const FAULT_REFRESH_MIN_MS = 100;
/** Topics with a fault are looked up this often, without a new fault. */
const FAULT_REFRESH_MS = 5_000;
/** A new topic's leaders are waited for. */
const LEADERS_WAIT_MS = 15_000;
const LEADERS_LOOK_MIN_MS = 25;
const LEADERS_LOOK_MAX_MS = 400;
const CREATE_TIMEOUT_MS = 10_000;
/** Topics in one request of the periodic refresh. */
const REFRESH_TOPICS = 200;
/**
 * A topic that was there and is gone is made again after this time: who deleted it to make it anew has had the time, and
 * a broker that does not know it yet is no reason.
 */
const RECREATE_AFTER_MS = 30_000;

interface Topic {
  readonly name: string;
  /** As loadTopic() last told. */
  partitions: number;
  /** As onPartitionsChanged() last told. */
  told: number;
  /** Node id by partition, as last seen; -1: none. */
  leaders: readonly number[];
  faulty: boolean;
  missingSince: number | undefined;
  refreshedAt: number;
  refreshing: Promise<void> | undefined;
}

/** What is known of topics: partitions and leaders. Looks them up, keeps them fresh, and makes those that do not exist. */
export class Topics {
  readonly #cluster: Cluster;
  readonly #settings: KafkaSettings;
  readonly #log: KafkaLog;
  readonly #topics = new Map<string, Topic>();
  readonly #loading = new Map<string, Promise<number>>();
  readonly #listeners: ((topic: string, partitions: number) => void)[] = [];
  readonly #recreateAfterMs: number;
  #refreshedAllAt = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(
    cluster: Cluster,
    settings: KafkaSettings,
    log: KafkaLog,
    options: { recreateAfterMs?: number | undefined } = {},
  ) {
    this.#cluster = cluster;
    this.#settings = settings;
    this.#log = log;
    this.#recreateAfterMs = options.recreateAfterMs ?? RECREATE_AFTER_MS;
    this.#arm();
  }

  partitions(topic: string): number | undefined {
    return this.#topics.get(topic)?.partitions;
  }

  onPartitionsChanged(listener: (topic: string, partitions: number) => void): void {
    this.#listeners.push(listener);
  }

  /** @throws KafkaFault topic or cluster */
  load(name: string): Promise<number> {
    let loading = this.#loading.get(name);
    if (loading === undefined) {
      loading = this.#load(name).finally(() => this.#loading.delete(name));
      this.#loading.set(name, loading);
    }
    return loading;
  }

  /** The node that leads a partition. Looks again where it is not known. @throws KafkaFault topic or cluster */
  leader(name: string, partition: number): number | Promise<number> {
    const topic = this.#topics.get(name);
    const leader = topic?.leaders[partition];
    if (leader !== undefined && leader >= 0) return leader;
    return this.#findLeader(name, partition);
  }

  /** Something is wrong with it, such as a leader that moved: it is looked up again, soon and not too often. */
  suspect(name: string): void {
    const topic = this.#topics.get(name);
    if (topic === undefined || this.#closed) return;
    if (!topic.faulty) {
      topic.faulty = true;
      this.#arm();
    }
    void this.#refresh(topic).catch(() => {});
  }

  /** Records of it are taken again. */
  well(name: string): void {
    const topic = this.#topics.get(name);
    if (topic?.faulty === true) topic.faulty = false;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #load(name: string): Promise<number> {
    if (!LEGAL_NAME.test(name)) throw faultOf(ErrorCode.invalidTopic, `topic '${name.slice(0, 249)}'`);
    let metadata = await this.#lookUp(name);
    if (metadata.errorCode === ErrorCode.unknownTopicOrPartition && this.#settings.createTopics.enabled) {
      await this.#create(name);
      metadata = await this.#withLeaders(name);
    }
    if (metadata.errorCode !== ErrorCode.none) throw faultOf(metadata.errorCode, `topic ${name}`);
    const partitions = metadata.partitions.length;
    const known = this.#topics.get(name);
    const topic: Topic = known ?? {
      name,
      partitions,
      told: partitions,
      leaders: [],
      faulty: false,
      missingSince: undefined,
      refreshedAt: 0,
      refreshing: undefined,
    };
    topic.partitions = topic.told = partitions;
    this.#topics.set(name, topic);
    this.#apply(topic, metadata);
    return partitions;
  }

  async #lookUp(name: string): Promise<TopicMetadata> {
    const { topics } = await this.#cluster.metadata([name]);
    const metadata = topics.find(({ topic }) => topic === name);
    if (metadata === undefined) throw new KafkaFault('cluster', 'UNREADABLE_ANSWER', `no answer for topic ${name}`);
    return metadata;
  }

  async #findLeader(name: string, partition: number): Promise<number> {
    const topic = this.#topics.get(name);
    if (topic === undefined) {
      await this.load(name);
    } else {
      topic.faulty = true;
      this.#arm();
      await this.#refresh(topic);
    }
    const leaders = this.#topics.get(name)?.leaders ?? [];
    const leader = leaders[partition];
    if (leader !== undefined && leader >= 0) return leader;
    const where = `${name}/${partition}`;
    if (partition < leaders.length) throw new KafkaFault('topic', 'LEADER_NOT_AVAILABLE', `${where} has no leader now`);
    const message = `${where} does not exist any more: the topic has ${leaders.length} partitions now`;
    throw new KafkaFault('topic', 'PARTITION_GONE', message);
  }

  /** One at a time, and not more often than every FAULT_REFRESH_MIN_MS. */
  #refresh(topic: Topic): Promise<void> {
    if (topic.refreshing !== undefined) return topic.refreshing;
    if (performance.now() - topic.refreshedAt < FAULT_REFRESH_MIN_MS) return Promise.resolve();
    topic.refreshing = this.#lookUp(topic.name)
      .then((metadata) => this.#apply(topic, metadata))
      .finally(() => (topic.refreshing = undefined));
    return topic.refreshing;
  }

  #apply(topic: Topic, { errorCode, partitions }: TopicMetadata): void {
    topic.refreshedAt = performance.now();
    if (errorCode === ErrorCode.unknownTopicOrPartition) {
      topic.missingSince ??= topic.refreshedAt;
      topic.faulty = true;
      if (topic.refreshedAt - topic.missingSince >= this.#recreateAfterMs) this.#recreate(topic);
      return;
    }
    // Any other error says nothing about its leaders.
    if (errorCode !== ErrorCode.none) return;
    topic.missingSince = undefined;
    const leaders = new Array<number>(partitions.length).fill(-1);
    for (const { partition, leader } of partitions) leaders[partition] = leader;
    topic.leaders = leaders;
    if (leaders.length === topic.told) return;
    topic.told = leaders.length;
    if (leaders.length === topic.partitions) return;
    this.#log('info', `topic ${topic.name} has ${leaders.length} partitions now, it had ${topic.partitions}`);
    for (const listener of this.#listeners) listener(topic.name, leaders.length);
  }

  // ---- creation ----

  #recreate(topic: Topic): void {
    if (!this.#settings.createTopics.enabled || this.#closed) return;
    topic.missingSince = performance.now();
    this.#create(topic.name).then(
      () => this.suspect(topic.name),
      (error: unknown) =>
        this.#log('debug', `topic ${topic.name} is gone and cannot be made again: ${errorText(error)}`),
    );
  }

  async #create(topic: string): Promise<void> {
    const { createTopics } = this.#settings;
    const own = this.#settings.topic(topic)?.createTopic;
    const partitions = own?.partitions ?? createTopics.partitions;
    const replicationFactor = own?.replicationFactor ?? createTopics.replicationFactor;
    const config = { ...createTopics.config, ...own?.config };
    const timeoutMs = Math.min(this.#settings.requestTimeoutMs, CREATE_TIMEOUT_MS);
    const args = { topic, partitions, replicationFactor, config, timeoutMs };
    let answer = await this.#cluster.askController(CreateTopic, args);
    if (answer.errorCode === ErrorCode.notController) {
      await this.#cluster.metadata([]);
      answer = await this.#cluster.askController(CreateTopic, args);
    }
    const { errorCode, message } = answer;
    if (errorCode === ErrorCode.topicAlreadyExists) return;
    if (errorCode !== ErrorCode.none) {
      const fault = faultOf(errorCode, `topic ${topic} does not exist and cannot be created`, message);
      // CLUSTER_AUTHORIZATION_FAILED too: that we may not create topics does not keep us from others.
      throw fault.scope === 'cluster' ? new KafkaFault('topic', fault.reason, fault.message) : fault;
    }
    this.#log('info', `topic ${topic} did not exist: created`);
  }

  /** Metadata of a topic just created, once each partition has a leader, or as it is after LEADERS_WAIT_MS. */
  async #withLeaders(name: string): Promise<TopicMetadata> {
    const until = performance.now() + LEADERS_WAIT_MS;
    for (let waitMs = LEADERS_LOOK_MIN_MS; ; waitMs = Math.min(waitMs * 2, LEADERS_LOOK_MAX_MS)) {
      const metadata = await this.#lookUp(name);
      const { errorCode, partitions } = metadata;
      const led = errorCode === ErrorCode.none && partitions.every(({ leader }) => leader >= 0);
      if (led || this.#closed || performance.now() > until) return metadata;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  // ---- the periodic refresh ----

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    const maxAgeMs = this.#settings.metadataMaxAgeMs;
    const anyFaulty = [...this.#topics.values()].some(({ faulty }) => faulty);
    const dueMs = this.#refreshedAllAt + maxAgeMs - performance.now();
    const waitMs = Math.max(0, anyFaulty ? Math.min(dueMs, FAULT_REFRESH_MS) : dueMs);
    this.#timer = setTimeout(() => void this.#refreshDue().finally(() => this.#arm()), waitMs);
  }

  async #refreshDue(): Promise<void> {
    const all = performance.now() - this.#refreshedAllAt >= this.#settings.metadataMaxAgeMs;
    if (all) this.#refreshedAllAt = performance.now();
    const due = [...this.#topics.values()].filter(({ faulty }) => all || faulty);
    for (let from = 0; from < due.length && !this.#closed; from += REFRESH_TOPICS) {
      const some = due.slice(from, from + REFRESH_TOPICS);
      try {
        const { topics } = await this.#cluster.metadata(some.map(({ name }) => name));
        for (const metadata of topics) {
          const topic = this.#topics.get(metadata.topic);
          if (topic !== undefined) this.#apply(topic, metadata);
        }
      } catch (error) {
        this.#log('debug', `metadata could not be refreshed: ${errorText(error)}`);
        return;
      }
    }
  }
}
