/**
 * The judge of a run: what devices attempted and got acknowledged, against what an independent reader found in Kafka.
 * It knows nothing of sluice but the names of its headers.
 */
import type { Consumed } from '../support/kcat.ts';
import { headOf, readPayload } from './payload.mjs';

/** What one device did. Sequences count from 0, in publish order. */
export interface DeviceLog {
  readonly device: string;
  /** How many it tried to publish: 0 .. attempted - 1. */
  readonly attempted: number;
  /** Sequences that were acknowledged: PUBACK, or of QoS 2 what the fleet counts as such. */
  readonly acknowledged: readonly number[];
  /** 2: no message may have two sluice-ids. Default 1. */
  readonly qos?: 1 | 2;
}

export interface CheckerOptions {
  /** What a store that was wiped on purpose may have taken with it: acknowledged by then. Counted, not called lost. */
  readonly mayBeLost?: readonly DeviceLog[];
  /**
   * The topic got more partitions during the run: a device may move to another one, behind all it had in the old one. That
   * is judged by the records' timestamps, so they must be LogAppendTime of one broker.
   */
  readonly partitionsMayChange?: boolean;
}

export interface Verdict {
  readonly records: number;
  readonly acknowledged: number;
  /** Acknowledged, and not in Kafka. */
  readonly lost: readonly string[];
  /** As lost, but it was to be expected: see CheckerOptions.mayBeLost. */
  readonly lostWithStore: number;
  /** In Kafka, and never published. */
  readonly phantom: readonly string[];
  /** First occurrences of one device that stand before an earlier one. */
  readonly reordered: readonly string[];
  /** Not what any device sent. */
  readonly corrupt: readonly string[];
  /** Records beyond the first of a message: repeats + resends. */
  readonly duplicates: number;
  /** Records with a sluice-id that an earlier record of the message has: sluice delivered it again. */
  readonly repeats: number;
  /** Further sluice-ids of a message: the device published it again, and both attempts were committed. */
  readonly resends: number;
  /** Messages with several sluice-ids of which more than one has no mqtt-dup. */
  readonly unmarked: readonly string[];
  /** QoS 2 messages with several sluice-ids: exactly once into the buffer was broken. */
  readonly twice: readonly string[];
  /** Two records of different messages with one sluice-id. */
  readonly idsUsedTwice: readonly string[];
  /** Of the records, ms since the epoch. */
  readonly timestamps: { readonly first: number; readonly last: number };
  /** Devices that are in more than one partition. */
  readonly moved: number;
  /** Different sluice-ids: messages that sluice committed, as far as Kafka shows. */
  readonly ids: number;
  /** Different messages that are in the dead-letter topic, by reason code. */
  readonly deadLettered: Readonly<Record<string, number>>;
}

interface Seen {
  readonly index: number;
  /** The last sequence by partition. */
  readonly places: Map<number, number>;
  /** Kept where a device may move. */
  readonly history: { readonly sequence: number; readonly partition: number; readonly timestamp: number }[];
  readonly sequences: Set<number>;
  readonly dead: Set<number>;
}

/** Messages are kept as numbers: many of them are looked at. */
const SEQUENCES = 2 ** 32;

/** `records` of one topic, in offset order within each partition: a device's records are all in one partition. */
export class Checker {
  readonly #options: CheckerOptions;
  readonly #devices: ReadonlyMap<string, { log: DeviceLog; acknowledged: ReadonlySet<number> }>;
  readonly #names: readonly string[];
  readonly #seen = new Map<string, Seen>();
  /** sluice-id -> message */
  readonly #ids = new Map<string, number>();
  /** Messages with more than one id. */
  readonly #several = new Map<number, number>();
  /** How many of a message's ids came without mqtt-dup. */
  readonly #unmarkedIds = new Map<number, number>();
  readonly #phantom: string[] = [];
  readonly #reordered: string[] = [];
  readonly #corrupt: string[] = [];
  readonly #idsUsedTwice: string[] = [];
  readonly #deadLettered: Record<string, number> = {};
  readonly #timestamps = { first: Infinity, last: -Infinity };
  #records = 0;
  #repeats = 0;
  #duplicates = 0;

  constructor(devices: readonly DeviceLog[], options: CheckerOptions = {}) {
    this.#options = options;
    this.#devices = new Map(devices.map((log) => [log.device, { log, acknowledged: new Set(log.acknowledged) }]));
    this.#names = devices.map(({ device }) => device);
    for (const [index, device] of this.#names.entries()) {
      this.#seen.set(device, { index, places: new Map(), history: [], sequences: new Set(), dead: new Set() });
    }
  }

  add(record: Consumed): void {
    const read = this.#identify(record, readPayload(record.value));
    if (read === undefined) return;
    const { device, sequence, seen, place } = read;
    if (seen.sequences.has(sequence)) {
      this.#duplicates++;
      return;
    }
    seen.sequences.add(sequence);
    this.#checkOrder(seen, device, sequence, record.partition, place);
    if (this.#options.partitionsMayChange === true) {
      seen.history.push({ sequence, partition: record.partition, timestamp: record.timestamp });
    }
  }

  /** A record of the dead-letter topic: the message is accounted for, and counted by reason. Its order is not looked at. */
  addDeadLetter(record: Consumed): void {
    const truncated = headerOf(record, 'sluice-payload-truncated') !== undefined;
    const read = this.#identify(record, truncated ? headOf(record.value) : readPayload(record.value));
    if (read === undefined || read.seen.dead.has(read.sequence)) return;
    read.seen.dead.add(read.sequence);
    const code = headerOf(record, 'sluice-error-code') ?? 'no code';
    this.#deadLettered[code] = (this.#deadLettered[code] ?? 0) + 1;
  }

  verdict(): Verdict {
    const lost: string[] = [];
    let acknowledged = 0;
    let lostWithStore = 0;
    const excused = new Map(
      this.#options.mayBeLost?.map((log) => [log.device, new Set(log.acknowledged)] as const) ?? [],
    );
    for (const [device, known] of this.#devices) {
      acknowledged += known.acknowledged.size;
      const seen = this.#seen.get(device);
      for (const sequence of known.acknowledged) {
        if (seen?.sequences.has(sequence) === true || seen?.dead.has(sequence) === true) continue;
        if (excused.get(device)?.has(sequence) === true) lostWithStore++;
        else lost.push(`${device}:${sequence}`);
      }
    }
    let resends = 0;
    const twice: string[] = [];
    const unmarked: string[] = [];
    for (const [message, further] of this.#several) {
      resends += further;
      const name = this.#nameOf(message);
      if (this.#devices.get(name.slice(0, name.lastIndexOf(':')))?.log.qos === 2) twice.push(name);
      if ((this.#unmarkedIds.get(message) ?? 0) > 1) unmarked.push(name);
    }
    return {
      records: this.#records,
      acknowledged,
      lost,
      lostWithStore,
      phantom: this.#phantom,
      reordered: [...this.#reordered, ...this.#overtaken()],
      corrupt: this.#corrupt,
      duplicates: this.#duplicates,
      repeats: this.#repeats,
      resends,
      unmarked,
      twice,
      idsUsedTwice: this.#idsUsedTwice,
      timestamps: this.#timestamps,
      moved: [...this.#seen.values()].filter(({ places }) => places.size > 1).length,
      ids: this.#ids.size,
      deadLettered: this.#deadLettered,
    };
  }

  /** Whose message it is; undefined: it is corrupt or a phantom, and taken note of. */
  #identify(
    record: Consumed,
    read: { device: string; sequence: number } | undefined,
  ): { device: string; sequence: number; seen: Seen; place: string } | undefined {
    this.#records++;
    this.#timestamps.first = Math.min(this.#timestamps.first, record.timestamp);
    this.#timestamps.last = Math.max(this.#timestamps.last, record.timestamp);
    const place = `${record.partition}:${record.offset}`;
    if (read === undefined) {
      this.#corrupt.push(place);
      return undefined;
    }
    const { device, sequence } = read;
    const known = this.#devices.get(device);
    const seen = this.#seen.get(device);
    if (known === undefined || seen === undefined || !(sequence >= 0 && sequence < known.log.attempted)) {
      this.#phantom.push(`${device}:${sequence} at ${place}`);
      return undefined;
    }
    this.#checkId(record, seen, sequence);
    return { device, sequence, seen, place };
  }

  #checkId(record: Consumed, seen: Seen, sequence: number): void {
    const id = headerOf(record, 'sluice-id');
    if (id === undefined) return;
    const message = seen.index * SEQUENCES + sequence;
    const before = this.#ids.get(id);
    if (before === message) this.#repeats++;
    else if (before !== undefined) {
      this.#idsUsedTwice.push(`${id}: ${this.#nameOf(before)} and ${this.#nameOf(message)}`);
    } else {
      this.#ids.set(id, message);
      const known = seen.sequences.has(sequence) || seen.dead.has(sequence);
      if (known) this.#several.set(message, (this.#several.get(message) ?? 0) + 1);
      if (headerOf(record, 'mqtt-dup') === undefined) {
        this.#unmarkedIds.set(message, (this.#unmarkedIds.get(message) ?? 0) + 1);
      }
    }
  }

  #checkOrder(seen: Seen, device: string, sequence: number, partition: number, place: string): void {
    const before = seen.places.get(partition);
    if (before === undefined) {
      const [other] = seen.places.keys();
      if (other !== undefined && this.#options.partitionsMayChange !== true) {
        this.#reordered.push(`${device}:${sequence} in partition ${partition}, before in ${other}`);
      }
      seen.places.set(partition, sequence);
    } else if (sequence < before) this.#reordered.push(`${device}:${sequence} after ${before} at ${place}`);
    else seen.places.set(partition, sequence);
  }

  /** Where devices may move: what a partition got before the one in front of it was written elsewhere. */
  #overtaken(): string[] {
    const found: string[] = [];
    for (const [device, { history }] of this.#seen) {
      let before: Seen['history'][number] | undefined;
      for (const record of history.sort((a, b) => a.sequence - b.sequence)) {
        if (before !== undefined && record.timestamp < before.timestamp) {
          found.push(
            `${device}:${record.sequence} in partition ${record.partition} before ${before.sequence} in ${before.partition}`,
          );
        } else before = record;
      }
    }
    return found;
  }

  #nameOf(message: number): string {
    return `${this.#names[Math.floor(message / SEQUENCES)]}:${message % SEQUENCES}`;
  }
}

function headerOf(record: Consumed, name: string): string | undefined {
  return record.headers.find(([each]) => each === name)?.[1]?.toString();
}

/** One line, for a person. */
export function summary(verdict: Verdict): string {
  const dead = Object.entries(verdict.deadLettered).map(([code, count]) => `, ${count} dead-lettered (${code})`);
  return (
    `${verdict.acknowledged} acknowledged, ${verdict.records} records: ${verdict.lost.length} lost, ` +
    `${verdict.phantom.length} phantom, ${verdict.reordered.length} out of order, ${verdict.corrupt.length} corrupt, ` +
    `${verdict.duplicates} duplicates (${verdict.repeats} repeated, ${verdict.resends} resent), ` +
    `${verdict.idsUsedTwice.length} ids used twice${dead.join('')}` +
    (verdict.lostWithStore > 0 ? `, ${verdict.lostWithStore} gone with the store` : '')
  );
}
