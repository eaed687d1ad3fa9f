/**
 * What a shard's log knows of itself, without the bytes: the rules of append, settle and lease, for the backends that keep
 * this state in the process (memory, level). redis has the same rules as scripts, where the server applies them.
 *
 * Nothing here waits or fails half-way: an operation is checked first, then applied whole.
 */
import { SluiceError } from '../errors.ts';
import { beginEpoch, newLogId, pruneEpochs, type LogIdentity } from './epochs.ts';
import type { AppendOutcome, AppendRequest, LogEpoch, Outcomes, ParkingState, Qos2Id, Settlement } from './store.ts';

/** Written by appends. */
export interface AppendSide {
  origin: string;
  head: number;
  accepted: number;
  bytesIn: number;
  epochs: LogEpoch[];
  cursors: Record<string, string>;
}

/** Written by settlements and leases. */
export interface SettleSide {
  released: number;
  trimmed: number;
  /** Bytes freed less bytes parked: what the shard holds is bytesIn - bytesOut. */
  bytesOut: number;
  outcomes: Outcomes;
  marks: Record<string, string>;
  /** The newest fencing token and who was given it. */
  token: number;
  owner: string;
  /** Settlements that took effect, ever. */
  settlements: number;
  /** The last parking position given, over all topics of the shard. */
  parkedPosition: number;
}

/** An entry that a settlement adds to a parking log. */
export interface Parking {
  readonly topic: string;
  readonly position: number;
  readonly bytes: Buffer;
}

export class ShardLog {
  readonly shard: number;
  readonly limitBytes: number;
  readonly append: AppendSide;
  readonly settle: SettleSide;
  readonly parked: Map<string, ParkingState>;
  readonly qos2: Qos2Ids;
  /** Last sequence of each appender that may write. */
  readonly appenders = new Map<string, number>();
  /** When the lease ends, on the clock of acquire(). */
  leaseUntil = -Infinity;

  constructor(
    shard: number,
    limitBytes: number,
    append: AppendSide,
    settle: SettleSide,
    parked = new Map<string, ParkingState>(),
    qos2 = new Qos2Ids(),
  ) {
    this.shard = shard;
    this.limitBytes = limitBytes;
    this.append = append;
    this.settle = settle;
    this.parked = parked;
    this.qos2 = qos2;
  }

  /** A log that nothing is known of. `knownHead`: it takes the place of one that was emptied, and never goes back. */
  static create(shard: number, limitBytes: number, knownHead: number): ShardLog {
    const origin = newLogId();
    return new ShardLog(
      shard,
      limitBytes,
      {
        origin,
        head: knownHead,
        accepted: 0,
        bytesIn: 0,
        epochs: [{ logId: origin, from: knownHead + 1 }],
        cursors: {},
      },
      {
        released: knownHead,
        trimmed: knownHead + 1,
        bytesOut: 0,
        outcomes: { delivered: 0, deadLettered: 0, expired: 0, discarded: {} },
        marks: {},
        token: 0,
        owner: '',
        settlements: 0,
        parkedPosition: 0,
      },
    );
  }

  get logId(): string {
    return this.append.epochs.at(-1)!.logId;
  }

  /** What is stored now, frames and parking logs. */
  get bytes(): number {
    return this.append.bytesIn - this.settle.bytesOut;
  }

  get parkedBytes(): number {
    let bytes = 0;
    for (const state of this.parked.values()) bytes += state.bytes;
    return bytes;
  }

  identity(): LogIdentity {
    return { origin: this.append.origin, epochs: this.append.epochs, head: this.append.head };
  }

  /** The log may have lost its end: it goes on behind `knownHead`, under a new log id. */
  beginEpoch(knownHead: number): void {
    const { append, settle } = this;
    if (knownHead > append.head) {
      append.accepted += knownHead - append.head;
      append.head = knownHead;
    }
    append.epochs = pruneEpochs(beginEpoch(append.epochs, append.head), settle.trimmed);
  }

  /**
   * undefined: it may be applied.
   * @throws SluiceError APPENDER_STALE
   */
  refusal(appender: string, request: AppendRequest): AppendOutcome | undefined {
    const last = this.appenders.get(appender);
    if (last === undefined) throw stale(this.shard, 'its appender is no longer registered');
    if (request.logId !== this.logId) throw stale(this.shard, 'the log has a new id');
    if (request.sequence <= last) throw stale(this.shard, `sequence ${request.sequence} is not above ${last}`);
    const indexes: number[] = [];
    request.qos2Add.forEach((id, index) => {
      if (!request.qos2Clear.includes(id.clientId) && this.qos2.has(id)) indexes.push(index);
    });
    if (indexes.length > 0) return { kind: 'duplicate', indexes };
    if (request.frame !== undefined && this.bytes + request.frame.length > this.limitBytes) return { kind: 'full' };
    return undefined;
  }

  /** Takes the offsets of an append that was not refused, and gives the first. */
  applyAppend(appender: string, request: AppendRequest): number {
    const { append } = this;
    this.appenders.set(appender, request.sequence);
    for (const clientId of request.qos2Clear) this.qos2.clear(clientId);
    for (const id of request.qos2Add) this.qos2.add(id);
    for (const id of request.qos2Remove) this.qos2.remove(id);
    if (request.frame === undefined) return 0;
    const base = append.head + 1;
    append.head += request.count;
    append.accepted += request.count;
    append.bytesIn += request.frame.length;
    for (const [name, value] of Object.entries(request.cursors ?? {})) {
      if (value === '') delete append.cursors[name];
      else append.cursors[name] = value;
    }
    return base;
  }

  /** The new token; undefined: someone else holds the shard. */
  acquire(owner: string, now: number, ttlMs: number): number | undefined {
    if (this.settle.owner !== owner && this.leaseUntil > now) return undefined;
    this.settle.owner = owner;
    this.settle.token += 1;
    this.leaseUntil = now + ttlMs;
    return this.settle.token;
  }

  holds(owner: string, token: number): boolean {
    return this.settle.owner === owner && this.settle.token === token;
  }

  /**
   * 'next': it may be applied. 'applied': this very settlement has taken effect already.
   * @throws SluiceError FENCED
   */
  settlementState(owner: string, token: number, number: number, change: Settlement): 'next' | 'applied' {
    if (!this.holds(owner, token)) throw fenced(this.shard, 'another owner took the shard');
    if (number <= this.settle.settlements) return 'applied';
    if (number !== this.settle.settlements + 1) throw fenced(this.shard, 'an earlier settlement did not take effect');
    if ((change.released ?? 0) > this.append.head) throw fenced(this.shard, 'the log ends before what was settled');
    return 'next';
  }

  /** `unparked[i]`: how many entries change.unpark[i] removes. Gives what it parks. */
  applySettlement(change: Settlement, unparked: readonly number[]): Parking[] {
    const { settle } = this;
    settle.settlements += 1;
    settle.released = Math.max(settle.released, change.released ?? 0);
    settle.trimmed = Math.max(settle.trimmed, Math.min(change.trimmed ?? 0, settle.released + 1));
    settle.bytesOut += change.freedBytes ?? 0;
    addOutcomes(settle.outcomes, change.outcomes);
    change.unpark?.forEach(({ topic, messages, bytes }, index) => {
      const state = this.parked.get(topic);
      if (state === undefined) return;
      const entries = state.entries - (unparked[index] ?? 0);
      if (entries <= 0) {
        this.parked.delete(topic);
        settle.bytesOut += state.bytes;
      } else {
        const left = { topic, entries, messages: state.messages - messages, bytes: state.bytes - bytes };
        this.parked.set(topic, left);
        settle.bytesOut += bytes;
      }
    });
    const parkings = (change.park ?? []).map(({ topic, bytes, messages }) => {
      const state = this.parked.get(topic) ?? { topic, entries: 0, messages: 0, bytes: 0 };
      this.parked.set(topic, {
        topic,
        entries: state.entries + 1,
        messages: state.messages + messages,
        bytes: state.bytes + bytes.length,
      });
      settle.bytesOut -= bytes.length;
      return { topic, position: ++settle.parkedPosition, bytes };
    });
    for (const [name, value] of Object.entries(change.marks ?? {})) {
      if (value === '') delete settle.marks[name];
      else settle.marks[name] = value;
    }
    // An empty log holds no bytes: whatever was lost or counted wrong does not narrow the limit for ever.
    if (settle.trimmed > this.append.head) settle.bytesOut = this.append.bytesIn - this.parkedBytes;
    return parkings;
  }

  parkedMessages(): number {
    let messages = 0;
    for (const state of this.parked.values()) messages += state.messages;
    return messages;
  }
}

export class Qos2Ids {
  readonly #clients = new Map<string, Set<Qos2Id['packetId']>>();

  has({ clientId, packetId }: Qos2Id): boolean {
    return this.#clients.get(clientId)?.has(packetId) ?? false;
  }

  of(clientId: string): Iterable<Qos2Id['packetId']> {
    return this.#clients.get(clientId) ?? [];
  }

  add({ clientId, packetId }: Qos2Id): void {
    const ids = this.#clients.get(clientId);
    if (ids === undefined) this.#clients.set(clientId, new Set([packetId]));
    else ids.add(packetId);
  }

  remove({ clientId, packetId }: Qos2Id): void {
    const ids = this.#clients.get(clientId);
    if (ids?.delete(packetId) === true && ids.size === 0) this.#clients.delete(clientId);
  }

  clear(clientId: string): void {
    this.#clients.delete(clientId);
  }

  entries(): [string, Qos2Id['packetId'][]][] {
    return [...this.#clients].map(([clientId, ids]) => [clientId, [...ids]]);
  }
}

function addOutcomes(total: Outcomes, more: Settlement['outcomes']): void {
  total.delivered += more?.delivered ?? 0;
  total.deadLettered += more?.deadLettered ?? 0;
  total.expired += more?.expired ?? 0;
  for (const [rule, count] of Object.entries(more?.discarded ?? {})) {
    total.discarded[rule] = (total.discarded[rule] ?? 0) + count;
  }
}

export function stale(shard: number, why: string): SluiceError {
  return new SluiceError('APPENDER_STALE', `an append to shard ${shard} was refused: ${why}`);
}

export function fenced(shard: number, why: string): SluiceError {
  return new SluiceError('FENCED', `the lease of shard ${shard} is void: ${why}`);
}
