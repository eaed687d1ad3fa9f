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
import type { SluiceError } from './errors.ts';
import { messageOf, readDeadLetter, type FoundDeadLetter } from './forward/dead-letter-reading.ts';
import type { Ingest } from './ingest/ingest.ts';
import { TopicReader, type PartitionRange } from './kafka/topic-reader.ts';
import type { KafkaOptions } from './kafka/options.ts';

/** All that is given must hold. */
export interface DeadLetterFilter {
  readonly code?: string | undefined;
  readonly route?: string | undefined;
  readonly clientId?: string | undefined;
  /** MQTT topic, whole. */
  readonly topic?: string | undefined;
  readonly sluiceId?: string | undefined;
  /** Arrival, milliseconds since the epoch: from, inclusive; to, exclusive. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

export interface ReplayCounts {
  readonly found: number;
  /** Put in again, durably. */
  readonly replayed: number;
  /** Put in by an earlier run of this replay. */
  readonly before: number;
  /** On no route now. */
  readonly noRoute: number;
  /** Cut when they were written. */
  readonly incomplete: number;
}

export interface ReplayOptions {
  /** Counts what would be put in, and puts nothing in. */
  readonly dryRun?: boolean;
  /** Told about each step, for who watches. */
  readonly onProgress?: (counts: ReplayCounts) => void;
}

interface DeskParts {
  readonly kafka: KafkaOptions;
  readonly topic: string;
  readonly store: Pick<BufferStore, 'stats' | 'shards'>;
  readonly ingest: Pick<Ingest, 'replay' | 'routed'>;
}

/** Put in and not committed yet. */
const IN_FLIGHT_MAX = 1_000;

export class DeadLetterDesk {
  readonly #parts: DeskParts;
  #replaying: Promise<unknown> = Promise.resolve();

  constructor(parts: DeskParts) {
    this.#parts = parts;
  }

  /** In the order of the topic, partition after partition. @throws KafkaFault, also where there is no such topic */
  async *list(filter: DeadLetterFilter = {}): AsyncGenerator<FoundDeadLetter> {
    const reader = new TopicReader(this.#parts.kafka, this.#parts.topic);
    try {
      for (const range of await reader.ranges()) {
        for await (const { letter } of lettersOf(reader, range, filter)) yield letter;
      }
    } finally {
      reader.close();
    }
  }

  /** One at a time. @throws SluiceError of the buffer, KafkaFault: run it again, it goes on where it was cut */
  replay(filter: DeadLetterFilter, options: ReplayOptions = {}): Promise<ReplayCounts> {
    const turn = this.#replaying.catch(() => undefined).then(() => this.#replay(filter, options));
    this.#replaying = turn;
    return turn;
  }

  async #replay(filter: DeadLetterFilter, { dryRun = false, onProgress }: ReplayOptions): Promise<ReplayCounts> {
    const { kafka, topic, store, ingest } = this.#parts;
    const counts = { found: 0, replayed: 0, before: 0, noRoute: 0, incomplete: 0 };
    const name = replayName(topic, filter);
    const cursors = await Promise.all(
      Array.from({ length: store.shards }, async (_, shard) => (await store.stats(shard)).cursors),
    );
    const flight = new Flight();
    const reader = new TopicReader(kafka, topic);
    try {
      for (const range of await reader.ranges()) {
        const cursor = `${name}:${range.partition}`;
        for await (const { letter, record } of lettersOf(reader, range, filter)) {
          counts.found++;
          const shard = shardOf(letter.clientId, store.shards);
          if (letter.incomplete !== undefined) counts.incomplete++;
          else if (letter.offset <= Number(cursors[shard]?.[cursor] ?? -1)) counts.before++;
          else if (!ingest.routed(letter.mqttTopic)) counts.noRoute++;
          else if (dryRun) counts.replayed++;
          else {
            await flight.room();
            const value = String(letter.offset);
            ingest.replay(
              messageOf(letter, record),
              { name: cursor, value },
              flight.waiter(() => counts.replayed++),
            );
          }
          onProgress?.(counts);
        }
      }
      await flight.landed();
      return { ...counts };
    } finally {
      reader.close();
    }
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

async function* lettersOf(reader: TopicReader, range: PartitionRange, filter: DeadLetterFilter) {
  for await (const records of reader.read(range)) {
    for (const record of records) {
      const letter = readDeadLetter(range.partition, record);
      if (letter !== undefined && matches(letter, filter)) yield { letter, record };
    }
  }
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
