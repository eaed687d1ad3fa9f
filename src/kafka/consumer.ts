/**
 * Reads topics as a member of a consumer group. Nothing is committed but what commit() is told: offsets follow what became of the
 * records, not what was read.
 *
 * kafkajs' consumer gives up in several ways (a topic that is gone, a coordinator that does not answer), and at times hangs on a
 * dead connection (kafkajs#919). So it is run in sessions: each with a consumer of its own, ended when it crashes, when it has not
 * asked for records for long, or when the topics of a pattern have changed; then the next begins, after a pause.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin, Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import { errorText } from '../errors.ts';
import { kafkajsClient } from './consumer-client.ts';
import type { KafkaLog, KafkaOptions } from './options.ts';
import type { PartitionName, Progress, RecordSource, SourceListener, SourceRecord } from './record-source.ts';

export interface ConsumerOptions {
  readonly kafka: KafkaOptions;
  readonly groupId: string;
  /** One topic by its name, or all that the function accepts. */
  readonly topics: string | ((topic: string) => boolean);
  /** Where to begin in a partition of which nothing has been committed. */
  readonly startAt: 'earliest' | 'latest';
  readonly log: KafkaLog;
  /** How often topics are looked for that a pattern accepts and that were not there. Default 30 s. */
  readonly topicsEveryMs?: number;
}

/** Without a sign of life for so long the group gives the partitions to another member: also to the successor of one that was killed. */
const SESSION_TIMEOUT_MS = 10_000;
const HEARTBEAT_MS = 2_000;
const REBALANCE_TIMEOUT_MS = 30_000;
/** What is fetched and not yet taken is in memory, too. */
const FETCH_PARTITION_BYTES = 1024 * 1024;
const FETCH_MAX_BYTES = 8 * 1024 * 1024;
const FETCH_WAIT_MS = 500;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 10_000;
/** A session that asks for no records for so long has come to a halt. A rebalance may take REBALANCE_TIMEOUT_MS. */
const SILENT_MAX_MS = 120_000;
/** kafkajs waits for what is under way when it closes, at times for ever. */
const CLOSE_TIMEOUT_MS = 5_000;
const TOPICS_EVERY_MS = 30_000;

/** A session of a consumer, from its start to the reason why it is over. */
interface Session {
  readonly consumer: Consumer;
  readonly over: (reason: Error | undefined) => void;
  lastFetchMs: number;
}

export function createConsumer(options: ConsumerOptions): RecordSource {
  return new GroupConsumer(options);
}

class GroupConsumer implements RecordSource {
  readonly #options: ConsumerOptions;
  readonly #kafka: Kafka;
  readonly #stopping = new AbortController();
  #session: Session | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: ConsumerOptions) {
    this.#options = options;
    this.#kafka = kafkajsClient(options.kafka, options.log);
  }

  start(listener: SourceListener): void {
    this.#running = this.#run(listener);
  }

  resume({ topic, partition }: PartitionName): void {
    try {
      this.#session?.consumer.resume([{ topic, partitions: [partition] }]);
    } catch {
      // It is not running: the next session begins with nothing paused.
    }
  }

  async commit(progress: readonly Progress[]): Promise<boolean> {
    const session = this.#session;
    if (session === undefined) return false;
    try {
      const offsets = progress.map(({ topic, partition, next }) => ({ topic, partition, offset: String(next) }));
      await session.consumer.commitOffsets(offsets);
      return session === this.#session;
    } catch (error) {
      this.#options.log('debug', 'offsets are not committed', { error: errorText(error) });
      return false;
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#session?.over(undefined);
    // A connection that is being opened is not waited for.
    await withinTime(this.#running, 2 * CLOSE_TIMEOUT_MS);
  }

  async #run(listener: SourceListener): Promise<void> {
    let pauseMs = RETRY_MIN_MS;
    while (!this.#stopping.signal.aborted) {
      const startedMs = performance.now();
      try {
        await this.#oneSession(listener);
        pauseMs = RETRY_MIN_MS;
      } catch (error) {
        if (performance.now() - startedMs > 10 * RETRY_MAX_MS) pauseMs = RETRY_MIN_MS;
        listener.available(error);
        await sleep(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
        pauseMs = Math.min(2 * pauseMs, RETRY_MAX_MS);
      }
      listener.assigned([]);
    }
  }

  /** Resolves when another one may begin at once. @throws Error why it is over */
  async #oneSession(listener: SourceListener): Promise<void> {
    const topics = await this.#withAdmin((admin) => this.#wanted(admin));
    if (this.#stopping.signal.aborted) return;
    const consumer = this.#kafka.consumer({
      groupId: this.#options.groupId,
      sessionTimeout: SESSION_TIMEOUT_MS,
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      heartbeatInterval: HEARTBEAT_MS,
      maxBytesPerPartition: FETCH_PARTITION_BYTES,
      maxBytes: FETCH_MAX_BYTES,
      maxWaitTimeInMs: FETCH_WAIT_MS,
      allowAutoTopicCreation: false,
      retry: { initialRetryTime: 200, maxRetryTime: 5_000, retries: 4, restartOnFailure: () => Promise.resolve(false) },
    });
    let watch: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const over = (reason: Error | undefined): void => (reason === undefined ? resolve() : reject(reason));
        const session = (this.#session = { consumer, over, lastFetchMs: performance.now() });
        consumer.on(consumer.events.CRASH, ({ payload }) => over(payload.error));
        consumer.on(consumer.events.FETCH_START, () => {
          session.lastFetchMs = performance.now();
        });
        consumer.on(consumer.events.GROUP_JOIN, ({ payload: { memberAssignment } }) => {
          if (session !== this.#session) return;
          const mine = Object.entries(memberAssignment).flatMap(([topic, partitions]) =>
            partitions.map((partition) => ({ topic, partition })),
          );
          listener.assigned(mine);
          // A pause outlives a rebalance in kafkajs, what was taken does not.
          for (const each of mine) this.resume(each);
          listener.available(undefined);
        });
        watch = this.#watch(session, topics);
        void this.#begin(session, topics, listener).catch((error: unknown) =>
          over(error instanceof Error ? error : new Error(errorText(error))),
        );
      });
    } finally {
      clearInterval(watch);
      await withinTime(consumer.disconnect(), CLOSE_TIMEOUT_MS);
      this.#session = undefined;
    }
  }

  async #begin(session: Session, topics: string[], listener: SourceListener): Promise<void> {
    const { consumer } = session;
    await consumer.connect();
    await consumer.subscribe({ topics, fromBeginning: this.#options.startAt === 'earliest' });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: async (batch) => {
        // One that did not close in time is not to speak for its successor.
        if (session === this.#session) await take(batch, listener);
      },
    });
  }

  #watch(session: Session, topics: readonly string[]): NodeJS.Timeout {
    const watch = setInterval(() => {
      if (performance.now() - session.lastFetchMs > SILENT_MAX_MS) {
        session.over(new Error(`the consumer has not asked for records for ${SILENT_MAX_MS / 1000} s`));
      } else if (typeof this.#options.topics === 'function') {
        void this.#withAdmin((admin) => this.#wanted(admin)).then(
          (now) => {
            if (now.join() !== topics.join()) session.over(undefined);
          },
          () => undefined,
        );
      }
    }, this.#options.topicsEveryMs ?? TOPICS_EVERY_MS);
    watch.unref();
    return watch;
  }

  /** @throws Error where there is none: kafkajs fails with one topic that does not exist */
  async #wanted(admin: Admin): Promise<string[]> {
    const { topics } = this.#options;
    const there = await admin.listTopics();
    if (typeof topics === 'string') {
      if (there.includes(topics)) return [topics];
      throw new Error(`topic ${topics} does not exist, or may not be looked at`);
    }
    const matching = there.filter((topic) => !topic.startsWith('__') && topics(topic)).sort();
    if (matching.length === 0) throw new Error('no topic matches, of those that may be looked at');
    return matching;
  }

  async #withAdmin<T>(task: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = this.#kafka.admin();
    try {
      await admin.connect();
      return await task(admin);
    } finally {
      await withinTime(admin.disconnect(), CLOSE_TIMEOUT_MS);
    }
  }
}

/** As many as there is room for. It waits for nothing: whatever hangs here would cost the membership of the group. */
async function take(payload: EachBatchPayload, listener: SourceListener): Promise<void> {
  const { batch } = payload;
  const endOffset = Number(batch.highWatermark);
  for (const message of batch.messages) {
    if (!payload.isRunning() || payload.isStale()) return;
    if (!listener.take(sourceRecord(batch.topic, batch.partition, message), endOffset)) {
      payload.pause();
      break;
    }
    payload.resolveOffset(message.offset);
  }
  await payload.heartbeat();
}

type KafkajsMessage = EachBatchPayload['batch']['messages'][number];

/** With bytes of its own: those of kafkajs are part of all that was fetched with them, and would keep that in memory. */
function sourceRecord(topic: string, partition: number, message: KafkajsMessage): SourceRecord {
  const { key, value, offset, timestamp } = message;
  const headers: [string, Buffer][] = [];
  let bytes = 256 + (key?.length ?? 0) + (value?.length ?? 0);
  for (const [name, given] of Object.entries(message.headers ?? {})) {
    for (const each of Array.isArray(given) ? given : [given]) {
      if (each === undefined) continue;
      const text = Buffer.from(each);
      headers.push([name, text]);
      bytes += 2 * name.length + text.length;
    }
  }
  return {
    topic,
    partition,
    offset: Number(offset),
    timestamp: Number(timestamp),
    key: key && Buffer.from(key),
    value: value && Buffer.from(value),
    headers,
    bytes,
  };
}

async function withinTime(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  await Promise.race([work.catch(() => undefined), sleep(timeoutMs, undefined, { ref: false })]);
}
