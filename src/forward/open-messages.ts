/**
 * Messages that were read and are not settled, each with the number of its records that are on their way. They come from a
 * frame of the log or from an entry of a parking log.
 */
import type { Message } from '../message.ts';
import { rules, type Awaited, type Letter, type MappedRecord, type Rule } from './mapping.ts';
import type { Ownership } from './ownership.ts';
import type { SettlementDraft } from './settlement-draft.ts';

/** What became of a message, in rising order: the highest of its records counts. */
export const Outcome = { byRule: 1, delivered: 2, deadLettered: 3 } as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/** What records belong to: it is told once for each of them what became of it. */
export interface RecordOwner {
  readonly ownership: Ownership;
  readonly logId: string;
  /** One more record of message `index`. false: it is not to be sent now, but goes to its topic's parking log. */
  admit(record: MappedRecord, index: number): boolean;
  /** A record of message `index` is in Kafka. */
  recordSettled(index: number, outcome: Outcome): void;
  /** A record of message `index` will not be sent: another one, admitted before, stands for it. */
  recordRemoved(index: number): void;
  message(index: number): Message;
  offset(index: number): number;
}

/** A record that is kept back for a parking log: enough to make it again. */
export interface HeldRecord {
  /** Kafka topic. */
  readonly topic: string;
  readonly route: string;
  /** Place in the batch that the message is. */
  readonly index: number | undefined;
  /** Why it is a dead letter, if it is one. */
  readonly letter: Letter | undefined;
  /** Encoded; it takes its part of the window as if it were on its way, for it may be sent after all. */
  readonly bytes: number;
}

/** Hears what the messages need, and keeps the sum of what they take of the window. */
export interface MessagesListener {
  windowBytes: number;
  /** The first message that is not settled has no record on its way any more. */
  advanced(messages: OpenMessages): void;
  /** New records of this topic are kept back. On the hot path. */
  holdsBack(topic: string): boolean;
  /** A record of this topic cannot be encoded before `awaited` is ready: from now on the topic is held. */
  awaits(topic: string, awaited: Awaited): void;
}

export abstract class OpenMessages implements RecordOwner {
  readonly ownership: Ownership;
  readonly logId: string;
  readonly count: number;
  windowBytes: number;
  /** Messages before this one are settled and counted. */
  cursor = 0;
  readonly #listener: MessagesListener;
  /** Records of each message that are on their way. */
  readonly #remaining: Uint32Array;
  readonly #outcomes: Uint8Array;
  /** Records that are kept back, by message. */
  #held: Map<number, HeldRecord[]> | undefined;
  /** Why messages have no record, by message: the strongest of what their routes say. */
  #rules: Map<number, Rule> | undefined;
  /** Decoded again, once, when one of them is needed. */
  #messages: readonly Message[] | undefined;

  constructor(
    ownership: Ownership,
    logId: string,
    count: number,
    windowBytes: number,
    listener: MessagesListener,
    outcomes = new Uint8Array(count),
  ) {
    this.ownership = ownership;
    this.logId = logId;
    this.count = count;
    this.windowBytes = windowBytes;
    this.#listener = listener;
    this.#remaining = new Uint32Array(count);
    this.#outcomes = outcomes;
    listener.windowBytes += windowBytes;
  }

  abstract offset(index: number): number;

  /** All messages, from the bytes. */
  protected abstract decode(): readonly Message[];

  admit(record: MappedRecord, index: number): boolean {
    this.#grow(record.slice.end - record.slice.start);
    if (record.awaits !== undefined) this.#listener.awaits(record.topic, record.awaits);
    const held = record.awaits !== undefined || this.#listener.holdsBack(record.topic);
    if (held) {
      this.#hold(record, index);
      return false;
    }
    this.#remaining[index]! += 1;
    return true;
  }

  /** A route makes no record of message `index`, by a rule. It counts where nothing else became of the message. */
  ruled(index: number, rule: Rule): void {
    const known = (this.#rules ??= new Map<number, Rule>()).get(index);
    if (known === undefined || rules.indexOf(known) < rules.indexOf(rule)) this.#rules.set(index, rule);
  }

  /** What ruled() said of a message. */
  rule(index: number): Rule | undefined {
    return this.#rules?.get(index);
  }

  recordSettled(index: number, outcome: Outcome): void {
    if (this.#outcomes[index]! < outcome) this.#outcomes[index] = outcome;
    this.recordRemoved(index);
  }

  recordRemoved(index: number): void {
    if ((this.#remaining[index]! -= 1) === 0 && index === this.cursor) this.#listener.advanced(this);
  }

  /** A record that was admitted, and came back from its lane unsent, is kept back. */
  keepBack(record: MappedRecord, index: number): void {
    this.#hold(record, index);
    this.recordRemoved(index);
  }

  /** Hands over, in order, the records of a topic (undefined: of any) that are kept back: they are to be sent after all. */
  takeHeld(topic: string | undefined, take: (index: number, record: HeldRecord) => void): void {
    if (this.#held === undefined) return;
    // The order of the keys is that of keeping back, not that of the messages.
    for (const index of [...this.#held.keys()].sort((a, b) => a - b)) {
      const held = this.#held.get(index) ?? [];
      const rest = topic === undefined ? [] : held.filter((record) => record.topic !== topic);
      if (rest.length === held.length) continue;
      if (rest.length > 0) this.#held.set(index, rest);
      else this.#held.delete(index);
      for (const record of held) {
        if (topic !== undefined && record.topic !== topic) continue;
        this.#grow(-record.bytes);
        take(index, record);
      }
    }
  }

  /** Moves the cursor over what is settled or can be parked. */
  advance(draft: SettlementDraft): void {
    let cursor = this.cursor;
    const remaining = this.#remaining;
    while (cursor < this.count && remaining[cursor] === 0) {
      const outcome = this.#outcomes[cursor] as Outcome | 0;
      const held = this.#held?.get(cursor);
      if (held === undefined) draft.tally.count(outcome, this.rule(cursor));
      else if (draft.park(this, cursor, held, outcome)) this.#held?.delete(cursor);
      else break;
      cursor++;
    }
    this.cursor = cursor;
  }

  /** Moves the cursor over messages without records on their way or kept back; true: it has passed them all. */
  pass(): boolean {
    const kept = this.#held;
    while (this.cursor < this.count && this.#remaining[this.cursor] === 0 && kept?.has(this.cursor) !== true)
      this.cursor++;
    return this.cursor === this.count;
  }

  outcome(index: number): Outcome | 0 {
    return this.#outcomes[index] as Outcome | 0;
  }

  message(index: number): Message {
    this.#messages ??= this.decode();
    const message = this.#messages[index];
    if (message === undefined) throw new RangeError(`there is no message ${index} of ${this.count}`);
    return message;
  }

  close(): void {
    this.#messages = undefined;
    this.#held = undefined;
  }

  #grow(bytes: number): void {
    this.windowBytes += bytes;
    this.#listener.windowBytes += bytes;
  }

  #hold({ topic, route, index: element, letter, slice }: MappedRecord, index: number): void {
    this.#held ??= new Map();
    const held = this.#held.get(index);
    const record = { topic, route, index: element, letter, bytes: slice.end - slice.start };
    if (held === undefined) this.#held.set(index, [record]);
    else held.push(record);
  }
}
