/**
 * The judge of a run: what devices attempted and got acknowledged, against what an independent reader found in Kafka.
 * It knows nothing of sluice.
 */
import type { Consumed } from '../support/kcat.ts';
import { readPayload } from './payload.mjs';

/** What one device did. Sequences count from 0, in publish order. */
export interface DeviceLog {
  readonly device: string;
  /** How many it tried to publish: 0 .. attempted - 1. */
  readonly attempted: number;
  /** Sequences that were acknowledged (PUBACK, or PUBCOMP for QoS 2). */
  readonly acknowledged: readonly number[];
}

export interface Verdict {
  readonly records: number;
  readonly acknowledged: number;
  /** Acknowledged, and not in Kafka. */
  readonly lost: readonly string[];
  /** In Kafka, and never published. */
  readonly phantom: readonly string[];
  /** First occurrences of one device that stand before an earlier one. */
  readonly reordered: readonly string[];
  /** Not what any device sent. */
  readonly corrupt: readonly string[];
  /** Records beyond the first of a message. */
  readonly duplicates: number;
  /** Two records of different messages, or of different attempts, with one sluice-id; or one id on two payloads. */
  readonly idsUsedTwice: readonly string[];
}

/** `records` of one topic, in offset order within each partition: a device's records are all in one partition. */
export class Checker {
  readonly #devices: ReadonlyMap<string, { log: DeviceLog; acknowledged: ReadonlySet<number> }>;
  readonly #seen = new Map<string, { partition: number; last: number; sequences: Set<number> }>();
  readonly #ids = new Map<string, string>();
  readonly #phantom: string[] = [];
  readonly #reordered: string[] = [];
  readonly #corrupt: string[] = [];
  readonly #idsUsedTwice: string[] = [];
  #records = 0;
  #duplicates = 0;

  constructor(devices: readonly DeviceLog[]) {
    this.#devices = new Map(devices.map((log) => [log.device, { log, acknowledged: new Set(log.acknowledged) }]));
  }

  add(record: Consumed): void {
    this.#records++;
    const place = `${record.partition}:${record.offset}`;
    const read = readPayload(record.value);
    if (read === undefined) {
      this.#corrupt.push(place);
      return;
    }
    const { device, sequence } = read;
    const known = this.#devices.get(device);
    if (known === undefined || !(sequence >= 0 && sequence < known.log.attempted)) {
      this.#phantom.push(`${device}:${sequence} at ${place}`);
      return;
    }
    this.#checkId(record, `${device}:${sequence}`);
    let seen = this.#seen.get(device);
    if (seen === undefined)
      this.#seen.set(device, (seen = { partition: record.partition, last: -1, sequences: new Set() }));
    if (seen.partition !== record.partition) {
      this.#reordered.push(`${device}:${sequence} in partition ${record.partition}, before in ${seen.partition}`);
    }
    if (seen.sequences.has(sequence)) {
      this.#duplicates++;
      return;
    }
    seen.sequences.add(sequence);
    if (sequence < seen.last) this.#reordered.push(`${device}:${sequence} after ${seen.last} at ${place}`);
    else seen.last = sequence;
  }

  verdict(): Verdict {
    const lost: string[] = [];
    let acknowledged = 0;
    for (const [device, known] of this.#devices) {
      acknowledged += known.acknowledged.size;
      const seen = this.#seen.get(device)?.sequences;
      for (const sequence of known.acknowledged) if (seen?.has(sequence) !== true) lost.push(`${device}:${sequence}`);
    }
    return {
      records: this.#records,
      acknowledged,
      lost,
      phantom: this.#phantom,
      reordered: this.#reordered,
      corrupt: this.#corrupt,
      duplicates: this.#duplicates,
      idsUsedTwice: this.#idsUsedTwice,
    };
  }

  #checkId(record: Consumed, message: string): void {
    const id = record.headers.find(([name]) => name === 'sluice-id')?.[1]?.toString();
    if (id === undefined) return;
    const before = this.#ids.get(id);
    if (before === undefined) this.#ids.set(id, message);
    else if (before !== message) this.#idsUsedTwice.push(`${id}: ${before} and ${message}`);
  }
}

/** One line, for a person. */
export function summary(verdict: Verdict): string {
  return (
    `${verdict.acknowledged} acknowledged, ${verdict.records} records: ${verdict.lost.length} lost, ` +
    `${verdict.phantom.length} phantom, ${verdict.reordered.length} out of order, ${verdict.corrupt.length} corrupt, ` +
    `${verdict.duplicates} duplicates, ${verdict.idsUsedTwice.length} ids used twice`
  );
}
