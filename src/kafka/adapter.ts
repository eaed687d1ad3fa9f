/**
 * The port to a real Kafka. A chunk's way:
 *
 *     encode: one record batch ─> send: leader known? ─> stamped (sequences.ts) ─> with others for that broker
 *     (produce-queue.ts) ─> answered: confirmed | refused | sent again by the caller
 *
 * Sent again in here is only what would succeed at once: a chunk whose sequence the broker does not take, under a new
 * producer id; and a chunk that met a broker which is not, or not yet, the leader, a few times within a fifth of a second.
 */
import { encodeBatch } from './batch.ts';
import { Cluster } from './cluster.ts';
import { codecFor, type Codec, type Compression } from './compression.ts';
import { ErrorCode, faultOf, isSequenceLost, kafkaError, mayBeWritten } from './faults.ts';
import { kafkaSettings, type KafkaLog, type KafkaOptions, type KafkaSettings } from './options.ts';
import { ProduceQueue, type RequestMeasured } from './produce-queue.ts';
import { InitProducerId, type PartitionAnswer } from './protocol.ts';
import { EncodedChunk, NOT_IDEMPOTENT, Sequences, type ProducerIdentity } from './sequences.ts';
import { KafkaFault, type Chunk, type KafkaSink, type RecordSlice } from './sink.ts';
import { Topics } from './topics.ts';
import { Wire, type Kafkajs } from './wire.ts';

export type { KafkaLog, KafkaOptions } from './options.ts';

export interface KafkaSinkDependencies {
  readonly log?: KafkaLog | undefined;
  /** In place of the kafkajs that is installed. */
  readonly kafkajs?: Kafkajs | undefined;
  /** After how long a topic that was deleted is created again (where topics are created); 30 s by default. */
  readonly recreateAfterMs?: number | undefined;
  /** Hears how long each produce request took until its answer. */
  readonly measured?: RequestMeasured | undefined;
}

/** Brokers take no request above socket.request.max.bytes, 100 MiB by default: they close the connection. */
const BATCH_MAX_BYTES = 100 * 1024 * 1024 - 64 * 1024;
/** A batch that arrives corrupt twice was not damaged on its way. */
const CORRUPTIONS_MAX = 2;
const NOT_LEADER = 'NOT_LEADER_OR_FOLLOWER';
const LEADER_MOVE_WAITS_MS = [10, 30, 60, 110];
const INIT_AGAIN: ReadonlySet<number> = new Set([
  ErrorCode.coordinatorLoadInProgress,
  ErrorCode.coordinatorNotAvailable,
]);
const INIT_RETRIES = 40;
const INIT_RETRY_MS = 50;

/**
 * Connects when something is first sent or looked up.
 * @throws Error where the options cannot work here: a broker that is no host:port, a codec that this Node has not
 */
export function createKafkaSink(options: KafkaOptions, dependencies: KafkaSinkDependencies = {}): KafkaSink {
  return new KafkaAdapter(kafkaSettings(options), dependencies);
}

class KafkaAdapter implements KafkaSink {
  readonly #settings: KafkaSettings;
  readonly #log: KafkaLog;
  readonly #codec: Codec | undefined;
  /** Of topics that have one of their own. */
  readonly #codecs = new Map<Compression, Codec | undefined>();
  readonly #cluster: Cluster;
  readonly #topics: Topics;
  readonly #sequences: Sequences;
  readonly #queues = new Map<number, ProduceQueue>();
  readonly #measured: RequestMeasured | undefined;
  #idempotent: boolean;
  #closed = false;

  constructor(settings: KafkaSettings, { log = () => {}, kafkajs, recreateAfterMs, measured }: KafkaSinkDependencies) {
    this.#settings = settings;
    this.#log = log;
    this.#measured = measured;
    this.#codec = codecFor(settings.compression);
    this.#idempotent = settings.idempotent;
    this.#cluster = new Cluster(new Wire(settings, log, kafkajs), log);
    this.#topics = new Topics(this.#cluster, settings, log, { recreateAfterMs });
    this.#sequences = new Sequences(() => this.#initProducer());
    this.#cluster.onReplaced(() => this.#sequences.reset());
  }

  partitions(topic: string): number | undefined {
    return this.#topics.partitions(topic);
  }

  loadTopic(topic: string): Promise<number> {
    return this.#topics.load(topic);
  }

  onPartitionsChanged(listener: (topic: string, partitions: number) => void): void {
    this.#topics.onPartitionsChanged(listener);
  }

  encode(topic: string, partition: number, records: readonly RecordSlice[], from: number, to: number): Chunk {
    const { compression } = this.#settings.topic(topic) ?? {};
    const codec = compression === undefined ? this.#codec : this.#codecOf(compression);
    return new EncodedChunk(topic, partition, to - from, encodeBatch(records, from, to, codec));
  }

  async send(chunk: Chunk): Promise<void> {
    if (!(chunk instanceof EncodedChunk)) throw new TypeError('a chunk that this sink has not encoded');
    if (chunk.bytes > BATCH_MAX_BYTES) {
      const message = `${nameOf(chunk)}: ${chunk.bytes} bytes are more than a broker takes in one request`;
      throw new KafkaFault('record', 'MESSAGE_TOO_LARGE', message);
    }
    let renewals = 1;
    for (let moves = 0; ;) {
      const fault = await this.#attempt(chunk);
      if (fault === undefined) return;
      const moveMs = LEADER_MOVE_WAITS_MS[moves];
      if (fault.reason === NOT_LEADER && moveMs !== undefined) {
        // Nothing was written. A leader that moved is found by a look at the metadata, one just made by waiting.
        moves++;
        await new Promise((resolve) => setTimeout(resolve, moveMs));
      } else if (fault.reason !== NOT_LEADER && renewals > 0) {
        renewals--;
        this.#log('warn', `${fault.message}: it goes under a new producer id; records may repeat`);
      } else {
        throw fault;
      }
    }
  }

  abandon(chunk: Chunk): void {
    if (chunk instanceof EncodedChunk) this.#sequences.renew(chunk);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#topics.close();
    this.#cluster.close();
  }

  /** Resolves to the fault where another attempt, now, has a chance. */
  async #attempt(chunk: EncodedChunk): Promise<KafkaFault | undefined> {
    const answer = await this.#answerTo(chunk);
    const { errorCode } = answer;
    if (errorCode === ErrorCode.none) return this.#confirmed(chunk);
    const fault = faultOf(errorCode, nameOf(chunk), answer.message, answer.records);
    if (errorCode === ErrorCode.duplicateSequenceNumber) {
      // It is an earlier attempt of this very chunk that the broker has. Without one it would be records of another chunk,
      // and to take these for written would lose them.
      if (chunk.doubtful) return this.#confirmed(chunk);
      this.#sequences.renew(chunk);
      return fault;
    }
    if (isSequenceLost(errorCode)) {
      this.#sequences.renew(chunk);
      return fault;
    }
    if (fault.scope === 'record' || this.#corruptItself(chunk, errorCode)) {
      this.#sequences.refused(chunk);
      const named = fault.records === undefined ? {} : { records: fault.records };
      throw new KafkaFault('record', fault.reason, fault.message, named);
    }
    if (mayBeWritten(errorCode)) chunk.doubtful = true;
    if (errorCode === ErrorCode.clusterAuthorizationFailed && chunk.producer !== NOT_IDEMPOTENT) {
      this.#giveUpIdempotence(fault.message);
      this.#sequences.reset();
    }
    if (fault.scope === 'topic') this.#topics.suspect(chunk.topic);
    if (fault.reason === NOT_LEADER) return fault;
    throw fault;
  }

  #confirmed(chunk: EncodedChunk): undefined {
    this.#sequences.confirmed(chunk);
    this.#topics.well(chunk.topic);
  }

  #corruptItself(chunk: EncodedChunk, errorCode: number): boolean {
    return errorCode === ErrorCode.corruptMessage && ++chunk.corruptions >= CORRUPTIONS_MAX;
  }

  async #answerTo(chunk: EncodedChunk): Promise<PartitionAnswer> {
    const known = this.#topics.leader(chunk.topic, chunk.partition);
    const leader = typeof known === 'number' ? known : await known;
    const stamping = this.#sequences.stamp(chunk);
    if (stamping !== undefined) await stamping;
    if (chunk.producer === undefined) throw new KafkaFault('topic', 'ABANDONED', `${nameOf(chunk)} was abandoned`);
    try {
      return await this.#queueOf(leader).send(chunk);
    } catch (error) {
      chunk.doubtful = true;
      this.#topics.suspect(chunk.topic);
      const fault = error as KafkaFault;
      // One broker's silence is its partitions' affair while the others answer.
      if (this.#closed || !(await this.#cluster.reachable())) throw fault;
      throw new KafkaFault('topic', fault.reason, `${nameOf(chunk)}: ${fault.message}`, { cause: fault });
    }
  }

  #codecOf(compression: Compression): Codec | undefined {
    if (!this.#codecs.has(compression)) this.#codecs.set(compression, codecFor(compression));
    return this.#codecs.get(compression);
  }

  #queueOf(nodeId: number): ProduceQueue {
    let queue = this.#queues.get(nodeId);
    if (queue === undefined) {
      queue = new ProduceQueue(() => this.#cluster.node(nodeId), this.#settings.requestTimeoutMs, this.#measured);
      this.#queues.set(nodeId, queue);
    }
    return queue;
  }

  async #initProducer(): Promise<ProducerIdentity> {
    if (!this.#idempotent) return NOT_IDEMPOTENT;
    let { errorCode, producerId, producerEpoch } = await this.#cluster.ask(InitProducerId, undefined);
    // A broker that has just started has no ids to give before the controller gave it some.
    for (let left = INIT_RETRIES; left > 0 && INIT_AGAIN.has(errorCode) && !this.#closed; left--) {
      await new Promise((resolve) => setTimeout(resolve, INIT_RETRY_MS));
      ({ errorCode, producerId, producerEpoch } = await this.#cluster.ask(InitProducerId, undefined));
    }
    if (errorCode === ErrorCode.none) return { producerId, producerEpoch };
    const { name } = kafkaError(errorCode);
    if (errorCode === ErrorCode.clusterAuthorizationFailed) {
      this.#giveUpIdempotence(`InitProducerId: ${name}`);
      return NOT_IDEMPOTENT;
    }
    throw new KafkaFault('cluster', name, `Kafka gives no producer id: ${name}`);
  }

  #giveUpIdempotence(why: string): void {
    if (!this.#idempotent) return;
    this.#idempotent = false;
    const wayOut = 'grant IdempotentWrite on the cluster, or set kafka.idempotent: false to say that this is meant';
    this.#log(
      'warn',
      `Kafka refuses idempotent writes (${why}): a chunk that is sent again may be there twice; ${wayOut}`,
    );
  }
}

function nameOf({ topic, partition }: Chunk): string {
  return `${topic}/${partition}`;
}
