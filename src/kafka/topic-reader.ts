/**
 * Reads what a topic holds, from its beginning to where it ended when it was asked: for dead letters. No consumer group is
 * joined, so nothing is left behind in Kafka and no right to a group is needed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster } from './cluster.ts';
import { ErrorCode, kafkaError } from './faults.ts';
import { EARLIEST, Fetch, LATEST, ListOffsets } from './fetch-protocol.ts';
import { kafkaSettings, type KafkaLog, type KafkaOptions } from './options.ts';
import { readBatches, type ReadRecord } from './read-batch.ts';
import { KafkaFault } from './sink.ts';
import { Wire } from './wire.ts';

export interface PartitionRange {
  readonly partition: number;
  readonly from: number;
  /** Behind the last offset. */
  readonly to: number;
}

const FETCH_BYTES = 1024 * 1024;
const FETCH_WAIT_MS = 500;
const FETCH_DEADLINE_MS = 30_000;
/** A leader that moves is there again within this. */
const ATTEMPTS = 10;
const RETRY_MS = 500;

export class TopicReader {
  readonly #cluster: Cluster;
  readonly #topic: string;
  readonly #leaders = new Map<number, number>();

  constructor(options: KafkaOptions, topic: string, log: KafkaLog = () => {}) {
    this.#cluster = new Cluster(new Wire(kafkaSettings(options), log), log);
    this.#topic = topic;
  }

  /** Each partition that holds something. @throws KafkaFault, also where the topic is not there */
  async ranges(): Promise<PartitionRange[]> {
    return this.#retried(async () => {
      await this.#findLeaders();
      const ranges: PartitionRange[] = [];
      for (const partition of [...this.#leaders.keys()].sort((a, b) => a - b)) {
        const [from, to] = [await this.#offset(partition, EARLIEST), await this.#offset(partition, LATEST)];
        if (to > from) ranges.push({ partition, from, to });
      }
      return ranges;
    });
  }

  /** The records of a range in order, as many at a time as one answer holds. @throws KafkaFault */
  async *read({ partition, from, to }: PartitionRange): AsyncGenerator<readonly ReadRecord[]> {
    let offset = from;
    while (offset < to) {
      const asked = offset;
      const { records, next } = await this.#retried(async () => {
        const args = { topic: this.#topic, partition, offset: asked, maxBytes: FETCH_BYTES, maxWaitMs: FETCH_WAIT_MS };
        const answer = await this.#leader(partition).request(Fetch, args, FETCH_DEADLINE_MS);
        this.#check(answer.errorCode, partition);
        return readBatches(answer.records, asked);
      });
      const wanted = records.filter((record) => record.offset < to);
      if (wanted.length > 0) yield wanted;
      // Retention or compaction may have taken what is left of the range.
      if (next === asked) return;
      offset = next;
    }
  }

  close(): void {
    this.#cluster.close();
  }

  async #offset(partition: number, timestamp: bigint): Promise<number> {
    const args = { topic: this.#topic, partitions: [partition], timestamp };
    const [answer] = (await this.#leader(partition).request(ListOffsets, args, FETCH_DEADLINE_MS)).partitions;
    this.#check(answer?.errorCode ?? -1, partition);
    return answer!.offset;
  }

  #leader(partition: number): NonNullable<ReturnType<Cluster['node']>> {
    const node = this.#cluster.node(this.#leaders.get(partition) ?? -1);
    if (node !== undefined) return node;
    throw new KafkaFault('topic', 'LEADER_NOT_AVAILABLE', `partition ${partition} of ${this.#topic} has no leader`);
  }

  async #findLeaders(): Promise<void> {
    const { topics } = await this.#cluster.metadata([this.#topic]);
    const found = topics[0];
    const errorCode = found?.errorCode ?? ErrorCode.unknownTopicOrPartition;
    if (errorCode !== ErrorCode.none) {
      throw new KafkaFault('topic', kafkaError(errorCode).name, `topic ${this.#topic}: ${kafkaError(errorCode).name}`);
    }
    for (const { partition, leader } of found?.partitions ?? []) this.#leaders.set(partition, leader);
  }

  #check(errorCode: number, partition: number): void {
    if (errorCode === ErrorCode.none) return;
    const { name } = kafkaError(errorCode);
    throw new KafkaFault('topic', name, `partition ${partition} of ${this.#topic}: ${name}`);
  }

  /** With the leaders looked up anew in between. */
  async #retried<T>(task: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await task();
      } catch (error) {
        const final = error instanceof KafkaFault && FINAL.has(error.reason);
        if (attempt === ATTEMPTS || final || !(error instanceof KafkaFault)) throw error;
        await sleep(RETRY_MS);
        await this.#findLeaders().catch(() => undefined);
      }
    }
  }
}

const FINAL: ReadonlySet<string> = new Set([
  'CLOSED',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'TOPIC_AUTHORIZATION_FAILED',
  'SASL_AUTHENTICATION_FAILED',
  'OFFSET_OUT_OF_RANGE',
]);
