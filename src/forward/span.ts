/**
 * A span: a run of offsets between the release point and the end of what was read. Frames whose messages are on their way,
 * and stretches that hold no message to send (corrupt, missing). Spans of a shard join without a hole.
 */
import { decodeFrame } from '../buffer/frame.ts';
import type { StoredFrame } from '../buffer/store.ts';
import type { Message } from '../message.ts';
import { OpenMessages, type MessagesListener } from './open-messages.ts';
import type { Ownership } from './ownership.ts';
import type { SettlementDraft } from './settlement-draft.ts';

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
  /** Moves the cursor over what is settled, and puts what became of it into the draft. */
  advance(draft: SettlementDraft): void;
  /** It is passed: lets go of what it holds. */
  close(): void;
}

/** What an open frame takes of memory beside its bytes, about: quiet devices make many small frames. */
const FRAME_OVERHEAD_BYTES = 1_024;

/** A frame whose messages are on their way. Two small numbers per message; the messages themselves are not kept. */
export class OpenFrame extends OpenMessages implements Span {
  readonly base: number;
  readonly storedBytes: number;
  readonly setAside = undefined;
  /** Arrival of its first message, milliseconds since the epoch. */
  readonly arrivedAt: number | undefined;
  #bytes: Buffer | undefined;

  /** `settledBefore` messages at its start were settled by an earlier owner: they are neither sent nor counted. */
  constructor(
    ownership: Ownership,
    base: number,
    bytes: Buffer,
    decoded: { readonly logId: string; readonly messages: readonly Message[] },
    settledBefore: number,
    listener: MessagesListener,
  ) {
    const heldBytes = bytes.length + FRAME_OVERHEAD_BYTES;
    super(ownership, decoded.logId, decoded.messages.length, heldBytes, listener);
    this.base = base;
    this.storedBytes = bytes.length;
    this.cursor = settledBefore;
    this.arrivedAt = decoded.messages[0]?.receivedAt;
    this.#bytes = bytes;
  }

  override offset(index: number): number {
    return this.base + index;
  }

  protected override decode(): readonly Message[] {
    if (this.#bytes === undefined) throw new RangeError(`the frame at ${this.base} is settled`);
    return decodeFrame(this.#bytes).messages;
  }

  override close(): void {
    super.close();
    this.#bytes = undefined;
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

  advance(draft: SettlementDraft): void {
    draft.tally.discard(this.#rule, this.count - this.cursor);
    this.cursor = this.count;
  }

  close(): void {}
}
