/**
 * The dead letters as an operator sees them: looked at in Kafka, and put in again through the routes of now.
 *
 *     Kafka ─read in order─> filter ─┬─ on no route, or cut when it was written: skipped, and counted
 *                                    └─> buffer, with the cursor of this replay in the same commit ─> delivered like any message
 *
 * A replay is named by its filter. It goes on behind its cursor, so one that was cut and is run again puts nothing in twice.
 * Its messages keep their sluice-id.
 */
import { createHash } from 'node:crypto';
import type { CommitWaiter } from './buffer/commit.ts';
import { shardOf } from './buffer/shard.ts';
import type { BufferStore } from './buffer/store.ts';
import { SluiceError } from './errors.ts';
import type { DeadLetterFilter, ReplayCounts, StoredDeadLetter } from './status.ts';
import { messageOf, readDeadLetter, type FoundDeadLetter } from './forward/dead-letter-reading.ts';
import type { Ingest } from './ingest/ingest.ts';
import type { KafkaOptions } from './kafka/options.ts';
import { KafkaFault } from './kafka/sink.ts';
import { TopicReader, type PartitionRange } from './kafka/topic-reader.ts';

export type { FoundDeadLetter } from './forward/dead-letter-reading.ts';

export interface ReplayOptions {
  /** Counts what would be put in, and puts nothing in. */
  readonly dryRun?: boolean;
}

interface DeskParts {
  readonly kafka: KafkaOptions;
  readonly topic: string;
  readonly store: Pick<BufferStore, 'stats' | 'shards'>;
  readonly ingest: Pick<Ingest, 'replay' | 'routed'>;
}

/** Of newest(): records of each partition that are looked through for those that a filter wants, and the time that all of it may take. */
const NEWEST_SCAN_MAX = 10_000;
const NEWEST_TIMEOUT_MS = 10_000;
/** Of a payload or header that is shown. */
const SHOWN_MAX_BYTES = 4_096;
/** Put in and not committed yet. */
const IN_FLIGHT_MAX = 1_000;

/** In the order of the topic, partition after partition. @throws SluiceError KAFKA_CLUSTER, KAFKA_TOPIC */
export async function* listDeadLetters(
  kafka: KafkaOptions,
  topic: string,
  filter: DeadLetterFilter = {},
): AsyncGenerator<FoundDeadLetter> {
  for await (const { letter } of found(kafka, topic, filter)) yield letter;
}

export class DeadLetterDesk {
  readonly #parts: DeskParts;
  #replaying: Promise<unknown> = Promise.resolve();

  constructor(parts: DeskParts) {
    this.#parts = parts;
  }

  list(filter: DeadLetterFilter = {}): AsyncGenerator<FoundDeadLetter> {
    return listDeadLetters(this.#parts.kafka, this.#parts.topic, filter);
  }

  /** The last ones that match, the newest first, among the last of each partition. @throws SluiceError KAFKA_CLUSTER, KAFKA_TOPIC */
  async newest(filter: DeadLetterFilter, limit: number): Promise<StoredDeadLetter[]> {
    const { kafka, topic } = this.#parts;
    const reader = new TopicReader(kafka, topic);
    const late = setTimeout(() => reader.close(), NEWEST_TIMEOUT_MS);
    try {
      const kept = new Map<number, FoundDeadLetter[]>();
      for await (const { letter } of foundBy(reader, filter, NEWEST_SCAN_MAX)) {
        const own = kept.get(letter.partition) ?? [];
        own.push(letter);
        if (own.length > limit) own.shift();
        kept.set(letter.partition, own);
      }
      const letters = [...kept.values()].flat().sort((a, b) => b.receivedAt - a.receivedAt || b.offset - a.offset);
      return letters.slice(0, limit).map(stored);
    } finally {
      clearTimeout(late);
    }
  }

  /** One at a time. @throws SluiceError of the buffer or of Kafka: run it again, it goes on where it was cut */
  replay(filter: DeadLetterFilter, options: ReplayOptions = {}): Promise<ReplayCounts> {
    const turn = this.#replaying.catch(() => undefined).then(() => this.#replay(filter, options));
    this.#replaying = turn;
    return turn;
  }

  async #replay(filter: DeadLetterFilter, { dryRun = false }: ReplayOptions): Promise<ReplayCounts> {
    const { kafka, topic, store, ingest } = this.#parts;
    const counts = { found: 0, replayed: 0, before: 0, noRoute: 0, incomplete: 0 };
    const name = replayName(topic, filter);
    const cursors = await Promise.all(
      Array.from({ length: store.shards }, async (_, shard) => (await store.stats(shard)).cursors),
    );
    const flight = new Flight();
    for await (const { letter, record } of found(kafka, topic, filter)) {
      counts.found++;
      const cursor = { name: `${name}:${letter.partition}`, value: String(letter.offset) };
      const done = cursors[shardOf(letter.clientId, store.shards)]?.[cursor.name] ?? -1;
      if (letter.incomplete !== undefined) counts.incomplete++;
      else if (letter.offset <= Number(done)) counts.before++;
      else if (!ingest.routed(letter.mqttTopic)) counts.noRoute++;
      else if (dryRun) counts.replayed++;
      else {
        await flight.room();
        const waiter = flight.waiter(() => counts.replayed++);
        ingest.replay(messageOf(letter, record), cursor, waiter);
      }
    }
    await flight.landed();
    return { ...counts };
  }
}

/** What was handed to the buffer. The first refusal ends the replay: what comes behind it in its shard is refused as well. */
class Flight {
  #count = 0;
  #refused: SluiceError | undefined;
  #wake: (() => void) | undefined;

  waiter(committed: () => void): CommitWaiter {
    this.#count++;
    const done = (): void => {
      this.#count--;
      this.#wake?.();
    };
    return {
      committed: () => {
        committed();
        done();
      },
      refused: (error) => {
        this.#refused ??= error;
        done();
      },
      dropped: done,
    };
  }

  room(): Promise<void> {
    return this.#until(() => this.#count < IN_FLIGHT_MAX);
  }

  landed(): Promise<void> {
    return this.#until(() => this.#count === 0);
  }

  async #until(holds: () => boolean): Promise<void> {
    while (this.#refused === undefined && !holds()) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    if (this.#refused !== undefined) throw this.#refused;
  }
}

function found(kafka: KafkaOptions, topic: string, filter: DeadLetterFilter) {
  return foundBy(new TopicReader(kafka, topic), filter, Infinity);
}

/** `lastOfEach`: of each partition no more than its last ones are looked at. */
async function* foundBy(reader: TopicReader, filter: DeadLetterFilter, lastOfEach: number) {
  try {
    for (const { partition, from, to } of await rangesOf(reader)) {
      const range = { partition, from: Math.max(from, to - lastOfEach), to };
      for await (const records of reader.read(range)) {
        for (const record of records) {
          const letter = readDeadLetter(range.partition, record);
          if (letter !== undefined && matches(letter, filter)) yield { letter, record };
        }
      }
    }
  } catch (error) {
    if (!(error instanceof KafkaFault)) throw error;
    const code = error.scope === 'cluster' ? 'KAFKA_CLUSTER' : 'KAFKA_TOPIC';
    throw new SluiceError(code, `the dead letters cannot be read: ${error.message}`, { cause: error });
  } finally {
    reader.close();
  }
}

/** Without its topic there never was a dead letter. */
async function rangesOf(reader: TopicReader): Promise<PartitionRange[]> {
  try {
    return await reader.ranges();
  } catch (error) {
    if (error instanceof KafkaFault && error.reason === 'UNKNOWN_TOPIC_OR_PARTITION') return [];
    throw error;
  }
}

function stored(letter: FoundDeadLetter): StoredDeadLetter {
  const { payload, mqttTopic, route = '', headers, originalTopic: _, ...rest } = letter;
  const shown = payload.subarray(0, SHOWN_MAX_BYTES);
  // A character that the cut has halved does not make a text binary.
  const isText = !shown
    .toString('utf8')
    .replace(/\ufffd{1,3}$/, '')
    .includes('\ufffd');
  const encoding = isText ? 'utf8' : 'base64';
  return {
    ...rest,
    route,
    topic: mqttTopic,
    payload: shown.toString(encoding),
    payloadEncoding: encoding,
    payloadBytes: payload.length,
    headers: headers.map(([name, value]) => [name, value.slice(0, SHOWN_MAX_BYTES)]),
  };
}

function matches(letter: FoundDeadLetter, filter: DeadLetterFilter): boolean {
  const { code, route, clientId, topic, sluiceId, from, to } = filter;
  return (
    (code === undefined || letter.code === code) &&
    (route === undefined || letter.route === route) &&
    (clientId === undefined || letter.clientId === clientId) &&
    (topic === undefined || letter.mqttTopic === topic) &&
    (sluiceId === undefined || letter.sluiceId === sluiceId) &&
    (from === undefined || letter.receivedAt >= from) &&
    (to === undefined || letter.receivedAt < to)
  );
}

function replayName(topic: string, filter: DeadLetterFilter): string {
  const { code, route, clientId, topic: mqttTopic, sluiceId, from, to } = filter;
  const text = JSON.stringify([topic, code, route, clientId, mqttTopic, sluiceId, from, to].map((one) => one ?? null));
  return `dlq:${createHash('sha256').update(text).digest('base64url').slice(0, 12)}`;
}
