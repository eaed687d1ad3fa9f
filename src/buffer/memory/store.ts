/**
 * The buffer in memory, for tests and for trying sluice out: the rules of the real backends without their durability. What
 * the "server" holds is in MemoryLogs; a second store on the same logs is a restart or another process.
 */
import { randomBytes } from 'node:crypto';
import { SluiceError } from '../../errors.ts';
import type { LogIdentity } from '../epochs.ts';
import { fenced, ShardLog, stale } from '../shard-log.ts';
import { ShardView } from '../shard-view.ts';
import type {
  AppendOutcome,
  AppendRequest,
  BufferStore,
  Lease,
  ParkedEntry,
  Settlement,
  ShardState,
  ShardStats,
  StoredFrame,
  StoreEvents,
  StoreOpening,
} from '../store.ts';
import { MemoryLogs, MemoryShard } from './logs.ts';

export interface MemoryStoreOptions {
  readonly shards: number;
  readonly maxBytes: number;
  readonly logs?: MemoryLogs;
  /** Clock of the leases, milliseconds, monotonic. */
  readonly now?: () => number;
}

/** Set by tests. What they throw is what the operation throws; while they wait, it hangs. */
export interface MemoryStoreHooks {
  /** Before the server sees the append: it may come late, or never. */
  beforeAppend?: (request: AppendRequest) => Promise<void> | void;
  /** The server has applied or refused it, and its answer is on the way. */
  afterAppend?: (request: AppendRequest, outcome: AppendOutcome) => Promise<void> | void;
  beforeSettle?: (change: Settlement) => Promise<void> | void;
  afterSettle?: (change: Settlement) => Promise<void> | void;
  beforeReopen?: (shard: number) => Promise<void> | void;
  beforeRead?: (shard: number, from: number) => Promise<void> | void;
}

const ASIDE_MAX_FRAMES = 1_000;

export class MemoryStore implements BufferStore {
  readonly kind = 'memory';
  readonly shards: number;
  readonly maxBytes: number;
  readonly logs: MemoryLogs;
  readonly hooks: MemoryStoreHooks = {};
  readonly #now: () => number;
  readonly #processId = `memory:${randomBytes(6).toString('hex')}`;
  readonly #views: ShardView[];
  readonly #tokens = new Map<number, string>();
  #open = false;

  constructor(options: MemoryStoreOptions) {
    this.shards = options.shards;
    this.maxBytes = options.maxBytes;
    this.logs = options.logs ?? new MemoryLogs();
    this.#now = options.now ?? ((): number => performance.now());
    this.#views = Array.from({ length: options.shards }, (_, shard) => new ShardView(shard));
  }

  async open(events: StoreEvents): Promise<StoreOpening> {
    const { logs } = this;
    if (logs.shardCount !== undefined && logs.shardCount !== this.shards) {
      throw new SluiceError(
        'SHARD_COUNT_MISMATCH',
        `the buffer has ${logs.shardCount} shards and ${this.shards} are configured`,
      );
    }
    logs.shardCount = this.shards;
    this.#open = true;
    logs.listeners.set(this.#processId, {
      appended: (shard) => events.appended(shard),
      // What was open is to be opened again: the log may be another one.
      disconnected: () => this.#tokens.clear(),
    });
    const shards = this.#views.map((view) => this.#openShard(view, 0));
    return { durability: { summary: 'memory, nothing survives', weak: ['a restart loses everything'] }, shards };
  }

  async append(request: AppendRequest): Promise<AppendOutcome> {
    const token = this.#tokens.get(request.shard);
    if (token === undefined) throw stale(request.shard, 'the shard is not open');
    await this.hooks.beforeAppend?.(request);
    const outcome = this.#append(token, request);
    await this.hooks.afterAppend?.(request, outcome);
    return outcome;
  }

  async reopen(shard: number, knownHead: number): Promise<ShardState> {
    await this.hooks.beforeReopen?.(shard);
    this.#checkOpen();
    return this.#openShard(this.#view(shard), knownHead);
  }

  async read(shard: number, from: number, maxBytes: number): Promise<StoredFrame[]> {
    await this.hooks.beforeRead?.(shard, from);
    const state = this.#shard(shard);
    const view = this.#view(shard);
    view.learn(state.log.identity());
    const { frames } = state;
    let low = 0;
    let high = frames.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const frame = frames[middle]!;
      if (frame.base + frame.count <= from) low = middle + 1;
      else high = middle;
    }
    const found: StoredFrame[] = [];
    let bytes = 0;
    for (; low < frames.length; low++) {
      const frame = frames[low]!;
      bytes += frame.bytes.length;
      if (found.length > 0 && bytes > maxBytes) break;
      found.push({ base: frame.base, bytes: frame.bytes });
      view.saw(frame.base);
    }
    return found;
  }

  async readParked(shard: number, topic: string, after: number, maxBytes: number): Promise<ParkedEntry[]> {
    const found: ParkedEntry[] = [];
    let bytes = 0;
    for (const entry of this.#shard(shard).parking.get(topic) ?? []) {
      if (entry.position <= after) continue;
      bytes += entry.bytes.length;
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(entry);
    }
    return found;
  }

  async acquire(shard: number, ttlMs: number): Promise<Lease | undefined> {
    const { log } = this.#shard(shard);
    const token = log.acquire(this.#processId, this.#now(), ttlMs);
    if (token === undefined) return undefined;
    const view = this.#view(shard);
    view.adopt(log.identity(), log.identity());
    view.leased(token, log.settle.settlements);
    return {
      shard,
      token,
      released: log.settle.released + 1,
      trimmed: log.settle.trimmed,
      parked: [...log.parked.values()],
      marks: { ...log.settle.marks },
    };
  }

  async renew(lease: Lease, ttlMs: number): Promise<boolean> {
    const { log } = this.#shard(lease.shard);
    const view = this.#view(lease.shard);
    view.learn(log.identity());
    if (!view.holds(lease) || !log.holds(this.#processId, lease.token)) return false;
    log.leaseUntil = this.#now() + ttlMs;
    return true;
  }

  async yield(lease: Lease): Promise<void> {
    this.#view(lease.shard).unlease(lease.token);
    const { log } = this.#shard(lease.shard);
    if (log.holds(this.#processId, lease.token)) log.leaseUntil = -Infinity;
  }

  async settle(lease: Lease, change: Settlement): Promise<void> {
    const view = this.#view(lease.shard);
    const number = view.numberOf(lease, change);
    await this.hooks.beforeSettle?.(change);
    const state = this.#shard(lease.shard);
    view.learn(state.log.identity());
    if (!view.holds(lease)) throw fenced(lease.shard, 'the log was replaced');
    if (state.log.settlementState(this.#processId, lease.token, number, change) === 'next') settle(state, change);
    await this.hooks.afterSettle?.(change);
  }

  async stats(shard: number): Promise<ShardStats> {
    const { log, aside } = this.#shard(shard);
    return {
      shard,
      head: log.append.head,
      released: log.settle.released,
      accepted: log.append.accepted,
      outcomes: structuredClone(log.settle.outcomes),
      logMessages: log.append.head - log.settle.released,
      parkedMessages: log.parkedMessages(),
      bytes: log.bytes,
      parked: [...log.parked.values()],
      setAside: aside.length,
      cursors: { ...log.append.cursors },
      owner: log.leaseUntil > this.#now() ? log.settle.owner : undefined,
    };
  }

  async close(): Promise<void> {
    this.#open = false;
    this.#tokens.clear();
    this.logs.listeners.delete(this.#processId);
  }

  #append(token: string, request: AppendRequest): AppendOutcome {
    const state = this.logs.shards.get(request.shard);
    if (state === undefined) throw stale(request.shard, 'the log was emptied');
    const { log } = state;
    const refusal = log.refusal(token, request);
    if (refusal !== undefined) return refusal;
    const base = log.applyAppend(token, request);
    if (request.frame !== undefined) {
      state.frames.push({ base, count: request.count, bytes: request.frame });
      this.#view(request.shard).saw(base);
      if (log.settle.owner !== this.#processId && log.leaseUntil > this.#now()) {
        const owner = this.logs.listeners.get(log.settle.owner);
        if (owner !== undefined) setImmediate(() => owner.appended(request.shard));
      }
    }
    return { kind: 'committed', base, bytes: log.bytes };
  }

  #openShard(view: ShardView, knownHead: number, report = true): ShardState {
    const { logs } = this;
    const { shard } = view;
    let state = logs.shards.get(shard);
    let found: LogIdentity;
    if (state === undefined) {
      state = new MemoryShard(ShardLog.create(shard, this.maxBytes / this.shards, knownHead));
      logs.shards.set(shard, state);
      found = { ...state.log.identity(), head: 0 };
    } else {
      found = state.log.identity();
      if (logs.writtenUnder.get(shard) !== logs.runId || found.head < knownHead) state.log.beginEpoch(knownHead);
    }
    logs.writtenUnder.set(shard, logs.runId);
    const former = this.#tokens.get(shard);
    if (former !== undefined) state.log.appenders.delete(former);
    const token = randomBytes(9).toString('base64url');
    state.log.appenders.set(token, 0);
    this.#tokens.set(shard, token);
    const now = state.log.identity();
    if (!report) {
      view.adopt(found, now);
      return { shard, epochs: now.epochs, head: now.head };
    }
    return { shard, epochs: now.epochs, head: now.head, missing: view.reopened(found, now, knownHead) };
  }

  #shard(shard: number): MemoryShard {
    this.#checkOpen();
    let state = this.logs.shards.get(shard);
    if (state === undefined) {
      // Emptied under us: it goes on as a new log, and reopen() will tell what is missing.
      this.#openShard(this.#view(shard), this.#view(shard).seen, false);
      this.#tokens.delete(shard);
      state = this.logs.shards.get(shard)!;
    }
    return state;
  }

  #view(shard: number): ShardView {
    const view = this.#views[shard];
    if (view === undefined) throw new RangeError(`there is no shard ${shard}`);
    return view;
  }

  #checkOpen(): void {
    if (!this.#open) throw new SluiceError('STORE_UNAVAILABLE', 'the buffer store is closed');
  }
}

function settle(state: MemoryShard, change: Settlement): void {
  const { log, parking } = state;
  const unparked = (change.unpark ?? []).map(({ topic, upTo }) => {
    const entries = parking.get(topic) ?? [];
    const left = entries.filter((entry) => entry.position > upTo);
    if (left.length > 0) parking.set(topic, left);
    else parking.delete(topic);
    return entries.length - left.length;
  });
  for (const { topic, position, bytes } of log.applySettlement(change, unparked)) {
    const entries = parking.get(topic);
    if (entries === undefined) parking.set(topic, [{ position, bytes }]);
    else entries.push({ position, bytes });
  }
  const kept = state.frames.findIndex((frame) => frame.base >= log.settle.trimmed);
  state.frames.splice(0, kept === -1 ? state.frames.length : kept);
  for (const frame of change.setAside ?? []) {
    if (!state.aside.some(({ base }) => base === frame.base)) state.aside.push(frame);
  }
  if (state.aside.length > ASIDE_MAX_FRAMES) state.aside.splice(0, state.aside.length - ASIDE_MAX_FRAMES);
}
