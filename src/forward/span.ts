/**
 * A span: a run of offsets between the release point and the end of what was read. Frames whose messages are on their way,
 * and stretches that hold no message to send (corrupt, missing). Spans of a shard join without a hole.
 */
import { decodeFrame } from '../buffer/frame.ts';
import type { StoredFrame } from '../buffer/store.ts';
import type { Message } from '../message.ts';
import type { Ownership } from './ownership.ts';
import type { Tally } from './tally.ts';

/** What became of a message, in rising order: the highest of its records counts. */
export const Outcome = { byRule: 1, delivered: 2, deadLettered: 3 } as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/** What records belong to: it is told once for each of them what became of it. */
export interface RecordOwner {
  readonly ownership: Ownership;
  /** A record of message `index` is in Kafka. */
  recordSettled(index: number, outcome: Outcome): void;
  /** One more record of message `index` is on its way. */
  recordAdded(index: number, bytes: number): void;
  /** A record of message `index` will not be sent: another one, added before, stands for it. */
  recordRemoved(index: number): void;
  message(index: number): Message;
  offset(index: number): number;
  readonly logId: string;
}

export interface Span {
  readonly base: number;
  /** Offsets in it. */
  readonly count: number;
  /** Offsets from base on that are settled and counted. */
  readonly cursor: number;
  /** Bytes in the store that its removal frees. */
  readonly storedBytes: number;
  /** Part of the window that it takes. */
  readonly windowBytes: number;
  /** Moved out of the log in the settlement that passes its end. */
  readonly setAside: StoredFrame | undefined;
  /** Moves the cursor over what is settled and counts it. */
  advance(tally: Tally): void;
  /** It is passed: lets go of what it holds. */
  close(): void;
}

/** Hears that the cursor of a span can move, and keeps the sum of what the spans take of the window. */
export interface SpanListener {
  windowBytes: number;
  advanced(span: Span): void;
}

/** A frame whose messages are on their way. Two small numbers per message; the messages themselves are not kept. */
export class OpenFrame implements Span, RecordOwner {
  readonly ownership: Ownership;
  readonly base: number;
  readonly count: number;
  readonly storedBytes: number;
  readonly logId: string;
  readonly setAside = undefined;
  windowBytes: number;
  cursor: number;
  readonly #listener: SpanListener;
  /** Records of each message that are not settled. */
  readonly #remaining: Uint16Array;
  readonly #outcomes: Uint8Array;
  #rules: Map<number, string> | undefined;
  #bytes: Buffer | undefined;
  /** Decoded again, once, when a dead letter needs one of them. */
  #messages: readonly Message[] | undefined;

  /** `settledBefore` messages at its start were settled by an earlier owner: they are neither sent nor counted. */
  constructor(
    ownership: Ownership,
    base: number,
    bytes: Buffer,
    decoded: { readonly logId: string; readonly messages: readonly Message[] },
    settledBefore: number,
    listener: SpanListener,
  ) {
    this.ownership = ownership;
    this.base = base;
    this.count = decoded.messages.length;
    this.storedBytes = bytes.length;
    this.windowBytes = bytes.length;
    this.logId = decoded.logId;
    this.cursor = settledBefore;
    this.#listener = listener;
    listener.windowBytes += bytes.length;
    this.#remaining = new Uint16Array(this.count);
    this.#outcomes = new Uint8Array(this.count);
    this.#bytes = bytes;
  }

  recordAdded(index: number, bytes: number): void {
    this.#remaining[index]! += 1;
    this.windowBytes += bytes;
    this.#listener.windowBytes += bytes;
  }

  recordSettled(index: number, outcome: Outcome): void {
    if (this.#outcomes[index]! < outcome) this.#outcomes[index] = outcome;
    if ((this.#remaining[index]! -= 1) === 0 && index === this.cursor) this.#listener.advanced(this);
  }

  recordRemoved(index: number): void {
    this.#remaining[index]! -= 1;
  }

  /** Message `index` makes no record, by this rule. */
  discard(index: number, rule: string): void {
    this.#outcomes[index] = Outcome.byRule;
    this.#rules ??= new Map();
    this.#rules.set(index, rule);
  }

  /** Records that are not settled, over all messages. */
  get open(): number {
    let open = 0;
    for (let index = this.cursor; index < this.count; index++) open += this.#remaining[index]!;
    return open;
  }

  advance(tally: Tally): void {
    let cursor = this.cursor;
    const remaining = this.#remaining;
    while (cursor < this.count && remaining[cursor] === 0) {
      switch (this.#outcomes[cursor]) {
        case Outcome.delivered:
          tally.delivered++;
          break;
        case Outcome.deadLettered:
          tally.deadLettered++;
          break;
        default:
          tally.discard(this.#rules?.get(cursor) ?? 'unrouted', 1);
      }
      cursor++;
    }
    this.cursor = cursor;
  }

  message(index: number): Message {
    if (this.#messages === undefined) {
      if (this.#bytes === undefined) throw new RangeError(`the frame at ${this.base} is settled`);
      this.#messages = decodeFrame(this.#bytes).messages;
    }
    const message = this.#messages[index];
    if (message === undefined) throw new RangeError(`the frame at ${this.base} has no message ${index}`);
    return message;
  }

  offset(index: number): number {
    return this.base + index;
  }

  close(): void {
    this.#bytes = undefined;
    this.#messages = undefined;
  }
}

/** Offsets that hold nothing to send: counted as discarded when the release point passes them. */
export class EmptySpan implements Span {
  readonly base: number;
  readonly count: number;
  readonly storedBytes: number;
  readonly windowBytes = 0;
  readonly setAside: StoredFrame | undefined;
  cursor: number;
  readonly #rule: string;

  constructor(rule: 'corrupt' | 'missing', base: number, count: number, settledBefore: number, setAside?: StoredFrame) {
    this.#rule = rule;
    this.base = base;
    this.count = count;
    this.cursor = settledBefore;
    this.storedBytes = setAside?.bytes.length ?? 0;
    this.setAside = setAside;
  }

  advance(tally: Tally): void {
    tally.discard(this.#rule, this.count - this.cursor);
    this.cursor = this.count;
  }

  close(): void {}
}
