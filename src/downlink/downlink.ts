/**
 * One downlink: records of Kafka on their way to MQTT.
 *
 *     take ─> mapped ─┬─ skipped by a rule ─────────────────────────────────────────────────────────> settled
 *                     ├─ cannot be mapped ────────────────────────────────> dead letter ─confirmed──> settled
 *                     └─ in turn ─> entrusted to the broker ─┬─ taken ──────────────────────────────> settled
 *                                     ^        ^             ├─ unavailable ─> waits, again
 *                                     │        └─────────────┘
 *                                     └── held: somebody subscribes ─────── none ── by the rule ────> dropped, dead letter
 *
 * What is settled is committed as far as nothing before it is open (offsets.ts). A partition that has no room is paused.
 */
import { errorText, SluiceError } from '../errors.ts';
import {
  RecordTooLarge,
  type PartitionName,
  type RecordSource,
  type RecordWriterPort,
  type SourceListener,
  type SourceRecord,
} from '../kafka/record-source.ts';
import { deadLetter, type DeadLetterReason } from './dead-letter.ts';
import type { DownlinkDefinition } from './definition.ts';
import { Holds } from './holds.ts';
import type { DownlinkMapper, DownlinkMessage, Mapped, SkipRule } from './mapping.ts';
import type { TakenOffset } from './offsets.ts';
import { orderNames, PartitionWindow } from './window.ts';

/** The broker, as a downlink needs it. */
export interface Subscribers {
  /** Never rejects. What the results mean: src/mqtt/delivery/receipt.ts. */
  entrust(message: DownlinkMessage, answerMs: number): Promise<'taken' | 'none' | 'unacknowledged' | 'unavailable'>;
  hasSubscriber(topic: string): boolean;
}

export interface DownlinkEvents {
  connected(): void;
  fault(error: SluiceError): void;
  deadLettered(record: SourceRecord, why: DeadLetterReason): void;
}

export interface DownlinkParts {
  readonly definition: DownlinkDefinition;
  readonly mapper: DownlinkMapper;
  readonly source: RecordSource;
  readonly letters: RecordWriterPort;
  readonly subscribers: Subscribers;
  readonly events: DownlinkEvents;
}

/** What became of records. */
export type Outcome = 'delivered' | 'deadLettered' | 'noSubscriber' | 'unacknowledged' | SkipRule;

export interface DownlinkState {
  readonly records: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  readonly open: number;
  readonly openBytes: number;
  readonly held: number;
  readonly paused: number;
  readonly partitions: number;
  readonly lag: number;
  /** undefined: it reads from Kafka. */
  readonly error: string | undefined;
}

const COMMIT_EVERY_MS = 250;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;
/** At a stop: for what the store or a device is about to answer. */
const FINISH_MAX_MS = 2_000;

export class Downlink implements SourceListener {
  readonly #parts: DownlinkParts;
  readonly #holds: Holds;
  #windows = new Map<string, PartitionWindow>();
  readonly #underWay = new Set<Promise<void>>();
  #bytes = 0;
  #records = 0;
  readonly #outcomes: Record<Outcome, number> = {
    delivered: 0,
    deadLettered: 0,
    noSubscriber: 0,
    unacknowledged: 0,
    filtered: 0,
    loop: 0,
    expired: 0,
  };
  #error: string | undefined = 'it has not begun to read yet';
  #committing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: DownlinkParts) {
    this.#parts = parts;
    const { definition, subscribers } = parts;
    this.#holds = new Holds(definition.holdTimeoutMs, (topic) => subscribers.hasSubscriber(topic));
  }

  get name(): string {
    return this.#parts.definition.name;
  }

  start(): void {
    this.#parts.source.start(this);
    this.#timer = setInterval(() => void this.#commit(), COMMIT_EVERY_MS);
  }

  /** Begins nothing more, commits what is done, leaves the group. What is not done comes again after the next start. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    for (const window of this.#windows.values()) window.over = true;
    this.#holds.look();
    await Promise.race([Promise.all(this.#underWay), pause(FINISH_MAX_MS)]);
    await this.#committing;
    await this.#commit();
    await this.#parts.source.stop();
    await this.#parts.letters.close();
  }

  state(): DownlinkState {
    const windows = [...this.#windows.values()];
    return {
      records: this.#records,
      outcomes: { ...this.#outcomes },
      open: windows.reduce((sum, { offsets }) => sum + offsets.open, 0),
      openBytes: this.#bytes,
      held: this.#holds.size,
      paused: windows.filter(({ paused }) => paused).length,
      partitions: windows.length,
      lag: windows.reduce((sum, { lag }) => sum + lag, 0),
      error: this.#error,
    };
  }

  // From Kafka.

  take(record: SourceRecord, endOffset: number): boolean {
    const window = this.#windows.get(nameOf(record));
    // Of an assignment that is over: it is not ours to take.
    if (window === undefined || window.over) return false;
    window.endOffset = endOffset;
    const { windowRecords, windowBytes } = this.#parts.definition;
    const { open } = window.offsets;
    // One record has room whatever its size.
    if (open >= windowRecords || (open > 0 && this.#bytes + record.bytes > windowBytes)) {
      window.paused = true;
      return false;
    }
    const taken = window.offsets.take(record.offset);
    if (taken === undefined) return true;
    this.#records++;
    const mapped = this.#parts.mapper.map(record, Date.now());
    if (mapped.kind === 'skip') {
      this.#settle(window, taken, mapped.rule);
      return true;
    }
    this.#bytes += record.bytes;
    const work = (): Promise<void> => this.#see(window, taken, record, mapped);
    if (mapped.kind === 'fault') void work();
    else window.sequence.run(orderNames(record, mapped.message.topic), work);
    return true;
  }

  assigned(partitions: readonly PartitionName[]): void {
    for (const window of this.#windows.values()) window.over = true;
    this.#windows = new Map(partitions.map((each) => [nameOf(each), new PartitionWindow(each)]));
    this.#holds.look();
  }

  available(error: unknown): void {
    if (error === undefined) {
      this.#error = undefined;
      this.#parts.events.connected();
      return;
    }
    this.#error = errorText(error);
    const message = `downlink ${this.name} reads nothing from Kafka now: ${this.#error}`;
    this.#parts.events.fault(new SluiceError('DOWNLINK_UNAVAILABLE', message, { cause: error }));
  }

  // To MQTT.

  /** From its turn to its outcome. */
  async #see(
    window: PartitionWindow,
    taken: TakenOffset,
    record: SourceRecord,
    mapped: Exclude<Mapped, { kind: 'skip' }>,
  ): Promise<void> {
    const seeing = (async () => {
      const outcome =
        mapped.kind === 'fault'
          ? await this.#bury(window, record, mapped)
          : await this.#deliver(window, record, mapped.message);
      this.#bytes -= record.bytes;
      if (outcome !== undefined) this.#settle(window, taken, outcome);
      this.#resumePaused();
    })();
    this.#underWay.add(seeing);
    await seeing;
    this.#underWay.delete(seeing);
  }

  /** undefined: it comes again, to us or to another process. */
  async #deliver(
    window: PartitionWindow,
    record: SourceRecord,
    message: DownlinkMessage,
  ): Promise<Outcome | undefined> {
    const { definition, subscribers } = this.#parts;
    const { noSubscriber, acknowledgeTimeoutMs } = definition;
    let pauseMs = RETRY_MIN_MS;
    while (!window.over) {
      const result = await subscribers.entrust(message, acknowledgeTimeoutMs);
      switch (result) {
        case 'taken':
          this.#holds.present(message.topic);
          return 'delivered';
        case 'unavailable':
          await pause(pauseMs);
          pauseMs = Math.min(2 * pauseMs, RETRY_MAX_MS);
          break;
        case 'unacknowledged': {
          if (noSubscriber === 'drop') return 'unacknowledged';
          const reason = `a subscriber of ${message.topic} did not acknowledge it within ${acknowledgeTimeoutMs} ms`;
          return this.#bury(window, record, { code: 'NOT_ACKNOWLEDGED', reason });
        }
        case 'none':
          if (noSubscriber === 'hold' && (await this.#holds.wait(message.topic, () => window.over))) break;
          if (noSubscriber === 'drop') return 'noSubscriber';
          return this.#bury(window, record, {
            code: 'NO_SUBSCRIBER',
            reason: `nobody has subscribed to ${message.topic}`,
          });
      }
    }
    return undefined;
  }

  /** Kafka may be away: until it has the dead letter the record is not settled. */
  async #bury(window: PartitionWindow, record: SourceRecord, why: DeadLetterReason): Promise<Outcome | undefined> {
    const { definition, letters, events } = this.#parts;
    const to = { downlink: this.name, topic: definition.deadLetters, withValue: true };
    let pauseMs = RETRY_MIN_MS;
    while (!window.over) {
      try {
        await letters.write(deadLetter(record, why, to));
        events.deadLettered(record, why);
        return 'deadLettered';
      } catch (error) {
        const message = `downlink ${this.name}: a dead letter cannot be written to ${to.topic}: ${errorText(error)}`;
        events.fault(new SluiceError('DOWNLINK_UNAVAILABLE', message, { cause: error }));
        if (error instanceof RecordTooLarge) to.withValue = false;
        await pause(pauseMs);
        pauseMs = Math.min(2 * pauseMs, RETRY_MAX_MS);
      }
    }
    return undefined;
  }

  #settle(window: PartitionWindow, taken: TakenOffset, outcome: Outcome): void {
    this.#outcomes[outcome]++;
    window.offsets.settle(taken);
  }

  /** Half of it is free: not for each record a request to Kafka. */
  #resumePaused(): void {
    const { windowRecords, windowBytes } = this.#parts.definition;
    for (const window of this.#windows.values()) {
      if (!window.paused || window.over) continue;
      const { open } = window.offsets;
      if (open > 0 && (open > windowRecords / 2 || this.#bytes > windowBytes / 2)) continue;
      window.paused = false;
      this.#parts.source.resume(window);
    }
  }

  /** What is done. One request is under way. */
  async #commit(): Promise<void> {
    if (this.#committing !== undefined) return;
    this.#committing = this.#commitOnce();
    await this.#committing;
    this.#committing = undefined;
  }

  async #commitOnce(): Promise<void> {
    const done = [...this.#windows.values()].flatMap((window) => {
      const { next } = window.offsets;
      return next === undefined || next === window.committed ? [] : [{ window, next }];
    });
    if (done.length === 0) return;
    const progress = done.map(({ window: { topic, partition }, next }) => ({ topic, partition, next }));
    if (!(await this.#parts.source.commit(progress))) return;
    for (const { window, next } of done) window.committed = next;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function nameOf({ topic, partition }: PartitionName): string {
  return `${partition} ${topic}`;
}
