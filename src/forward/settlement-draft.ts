/** One settlement while it is put together: what became of messages, what is parked, what leaves the parking logs. */
import type { Settlement } from '../buffer/store.ts';
import type { Message } from '../message.ts';
import type { HeldRecord, OpenMessages, Outcome } from './open-messages.ts';
import { encodeParked, toWaiting, type ParkedMessage } from './parked-entry.ts';
import { Tally } from './tally.ts';

/** Entries are cut at about this size: each parked topic may hold one in memory. */
const ENTRY_BYTES = 32 * 1024;
/** What a message takes in an entry beside its payload, about. */
const MESSAGE_BYTES = 200;

export interface ParkingRoom {
  /** `bytes` more fit into the parking log of this topic. */
  room(topic: string, bytes: number): boolean;
}

interface Parking {
  readonly logId: string;
  readonly parked: ParkedMessage;
  readonly message: Message;
  readonly bytes: number;
  /** The ledger counts a message once: in the first of the topics that it waits for. */
  readonly counted: boolean;
}

export class TopicChange {
  readonly parkings: Parking[] = [];
  /** Bytes of `parkings`, about. */
  parkingBytes = 0;
  /** Entries up to this position leave; 0: none. */
  upTo = 0;
  entries = 0;
  messages = 0;
  bytes = 0;
}

type Park = NonNullable<Settlement['park']>[number];

export class SettlementDraft {
  readonly tally = new Tally();
  readonly marks: Record<string, string> = {};
  readonly topics = new Map<string, TopicChange>();
  readonly #room: ParkingRoom;

  constructor(room: ParkingRoom) {
    this.#room = room;
  }

  topic(name: string): TopicChange {
    let change = this.topics.get(name);
    if (change === undefined) this.topics.set(name, (change = new TopicChange()));
    return change;
  }

  /** Parks a message whose `held` records wait. false: there is no room, so it stays in the log, and all behind it. */
  park(owner: OpenMessages, index: number, held: readonly HeldRecord[], outcome: Outcome | 0): boolean {
    const message = owner.message(index);
    const bytes = message.payload.length + MESSAGE_BYTES;
    const names = [...new Set(held.map(({ topic }) => topic))].sort();
    for (const name of names) {
      if (!this.#room.room(name, (this.topics.get(name)?.parkingBytes ?? 0) + bytes)) return false;
    }
    for (const [at, name] of names.entries()) {
      const change = this.topic(name);
      const parked: ParkedMessage = {
        offset: owner.offset(index),
        outcome,
        alsoIn: names.filter((other) => other !== name),
        records: held.filter(({ topic }) => topic === name).map(toWaiting),
      };
      change.parkings.push({ logId: owner.logId, parked, message, bytes, counted: at === 0 });
      change.parkingBytes += bytes;
    }
    return true;
  }

  /** The parts of a settlement that it makes, beside the release point. undefined: none. */
  build(): Pick<Settlement, 'outcomes' | 'park' | 'unpark' | 'marks'> {
    const park = [...this.topics].flatMap(([topic, { parkings }]) => entriesOf(topic, parkings));
    const unpark = [...this.topics]
      .filter(([, { upTo, messages }]) => upTo > 0 || messages !== 0)
      .map(([topic, { upTo, messages, bytes }]) => ({ topic, upTo, messages, bytes }));
    return {
      outcomes: this.tally.outcomes,
      ...(park.length > 0 ? { park } : {}),
      ...(unpark.length > 0 ? { unpark } : {}),
      ...(Object.keys(this.marks).length > 0 ? { marks: this.marks } : {}),
    };
  }
}

/** In order, cut where an entry is large enough or the log id changes. */
function entriesOf(topic: string, parkings: readonly Parking[]): Park[] {
  const entries: Park[] = [];
  let from = 0;
  let bytes = 0;
  for (let at = 0; at < parkings.length; at++) {
    bytes += parkings[at]!.bytes;
    const next = parkings[at + 1];
    if (next !== undefined && next.logId === parkings[at]!.logId && bytes + next.bytes <= ENTRY_BYTES) continue;
    const run = parkings.slice(from, at + 1);
    entries.push({
      topic,
      bytes: encodeParked(
        run[0]!.logId,
        run.map(({ parked }) => parked),
        run.map(({ message }) => message),
      ),
      messages: run.filter(({ counted }) => counted).length,
    });
    from = at + 1;
    bytes = 0;
  }
  return entries;
}
