import type { MappedRecord } from './mapping.ts';
import type { RecordOwner } from './open-messages.ts';

export type RecordTest = (record: MappedRecord, owner: RecordOwner, index: number) => boolean;
export type RecordTaker = (record: MappedRecord, owner: RecordOwner, index: number) => void;

/** Taken places are given back once they are this many and half of the arrays. */
const COMPACT_FROM = 4_096;

/**
 * A FIFO of records with what they belong to. Parallel arrays: at 100,000 records a second one object less per record counts.
 */
export class RecordQueue {
  #records: MappedRecord[] = [];
  #owners: RecordOwner[] = [];
  #indexes: number[] = [];
  #head = 0;
  #bytes = 0;

  get length(): number {
    return this.#records.length - this.#head;
  }

  /** Encoded bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  push(record: MappedRecord, owner: RecordOwner, index: number): void {
    this.#records.push(record);
    this.#owners.push(owner);
    this.#indexes.push(index);
    this.#bytes += record.slice.end - record.slice.start;
  }

  /** `at` counts from the front, below length. */
  record(at: number): MappedRecord {
    return this.#records[this.#head + at] as MappedRecord;
  }

  owner(at: number): RecordOwner {
    return this.#owners[this.#head + at] as RecordOwner;
  }

  /** The message's index within its owner. */
  index(at: number): number {
    return this.#indexes[this.#head + at] as number;
  }

  /** Puts another record in a place: the same message, made differently. */
  replace(at: number, record: MappedRecord): void {
    const before = this.record(at).slice;
    this.#bytes += record.slice.end - record.slice.start - (before.end - before.start);
    this.#records[this.#head + at] = record;
  }

  /** Removes the first `count`. */
  drop(count: number): void {
    for (let at = 0; at < count; at++) {
      const { start, end } = this.record(at).slice;
      this.#bytes -= end - start;
    }
    this.#head += count;
    if (this.#head === this.#records.length) this.#reset(0);
    else if (this.#head >= COMPACT_FROM && this.#head * 2 > this.#records.length) this.#reset(this.#head);
  }

  /** Keeps, from place `from` on, what `keep` wants, in order; gives how many it removed. */
  filter(from: number, keep: RecordTest): number {
    let to = this.#head + from;
    const end = this.#records.length;
    for (let at = to; at < end; at++) {
      const record = this.#records[at] as MappedRecord;
      const owner = this.#owners[at] as RecordOwner;
      const index = this.#indexes[at] as number;
      if (!keep(record, owner, index)) {
        this.#bytes -= record.slice.end - record.slice.start;
        continue;
      }
      this.#records[to] = record;
      this.#owners[to] = owner;
      this.#indexes[to] = index;
      to++;
    }
    this.#records.length = to;
    this.#owners.length = to;
    this.#indexes.length = to;
    if (this.#head === to) this.#reset(0);
    return end - to;
  }

  #reset(from: number): void {
    if (from === 0) {
      this.#records = [];
      this.#owners = [];
      this.#indexes = [];
    } else {
      this.#records = this.#records.slice(from);
      this.#owners = this.#owners.slice(from);
      this.#indexes = this.#indexes.slice(from);
    }
    this.#head = 0;
  }
}
