import type { ParkedEntry } from '../buffer/store.ts';
import type { Message } from '../message.ts';
import { OpenMessages, type MessagesListener } from './open-messages.ts';
import type { Ownership } from './ownership.ts';
import { decodeParked, type DecodedParked, type ParkedMessage } from './parked-entry.ts';

/** The messages of one entry of a parking log, on their way. */
export class ParkedBatch extends OpenMessages {
  readonly position: number;
  readonly storedBytes: number;
  readonly parked: readonly ParkedMessage[];
  #bytes: Buffer;

  constructor(ownership: Ownership, entry: ParkedEntry, decoded: DecodedParked, listener: MessagesListener) {
    const { logId, parked } = decoded;
    const outcomes = Uint8Array.from(parked, ({ outcome }) => outcome);
    super(ownership, logId, parked.length, entry.bytes.length, listener, outcomes);
    this.position = entry.position;
    this.storedBytes = entry.bytes.length;
    this.parked = parked;
    this.#bytes = entry.bytes;
  }

  /** Its first offset; every message of an entry behind it has a higher one. */
  get firstOffset(): number {
    return this.parked[0]?.offset ?? Infinity;
  }

  get lastOffset(): number {
    return this.parked.at(-1)?.offset ?? 0;
  }

  override offset(index: number): number {
    return this.parked[index]!.offset;
  }

  protected override decode(): readonly Message[] {
    return decodeParked(this.#bytes).messages;
  }
}
