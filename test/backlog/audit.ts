/** What a topic holds after the drain of a backlog: every message of every device once, in order, unchanged. Memory per device only. */
import { readPayload } from '../faults/payload.mjs';
import { deviceName, type Backlog } from './fill.ts';

export interface AuditResult {
  readonly records: number;
  /** Messages that are not there, by what the last record of each device tells, and those that were jumped over. */
  readonly missing: number;
  /** Records that do not come right behind the one before them of their device: repeated, or out of order. */
  readonly misplaced: number;
  readonly corrupt: number;
}

export class Audit {
  readonly #backlog: Backlog;
  readonly #next = new Map<string, number>();
  #records = 0;
  #jumped = 0;
  #misplaced = 0;
  #corrupt = 0;

  constructor(backlog: Backlog) {
    this.#backlog = backlog;
    for (let index = 0; index < backlog.devices; index++) this.#next.set(deviceName(index), 0);
  }

  add(value: Buffer): void {
    this.#records++;
    const read = readPayload(value);
    const next = read === undefined ? undefined : this.#next.get(read.device);
    if (read === undefined || next === undefined || read.sequence >= this.#backlog.messages) {
      this.#corrupt++;
      return;
    }
    if (read.sequence !== next) this.#misplaced++;
    if (read.sequence < next) return;
    this.#jumped += read.sequence - next;
    this.#next.set(read.device, read.sequence + 1);
  }

  result(): AuditResult {
    let missing = this.#jumped;
    for (const next of this.#next.values()) missing += this.#backlog.messages - next;
    return { records: this.#records, missing, misplaced: this.#misplaced, corrupt: this.#corrupt };
  }
}
