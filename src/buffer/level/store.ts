/**
 * The embedded buffer: one LevelDB in `<path>/buffer`, held by one process. An append is a synced batch of the frame, the
 * shard's counters and its QoS 2 ids.
 *
 *     open ──a write fails──> broken ──opened again, and a synced write worked──> open
 *
 * The state of each shard is in memory and is what the next batch is made from; when a write fails, all of it is read anew
 * from what is really there. Every opening begins a new log epoch: the directory may have been put back from a copy.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, statfs } from 'node:fs/promises';
import path from 'node:path';
import { SluiceError } from '../../errors.ts';
import type { LogIdentity } from '../epochs.ts';
import { fenced, stale } from '../shard-log.ts';
import { ShardView } from '../shard-view.ts';
import type {
  AppendOutcome,
  AppendRequest,
  BufferStore,
  Durability,
  Lease,
  ParkedEntry,
  Settlement,
  ShardState,
  ShardStats,
  StoredFrame,
  StoreEvents,
  StoreOpening,
} from '../store.ts';
import { openLevel, WriteQueue, type Database, type OpenDatabase, type Write } from './database.ts';
import { openError, readError, readOnlyError } from './errors.ts';
import { FORMAT_KEY, frameKey } from './keys.ts';
import { Reclaimer } from './reclaimer.ts';
import { LevelShard } from './shard.ts';

export interface LevelStoreOptions {
  /** Data directory; the buffer is `buffer` in it. */
  readonly path: string;
  readonly shards: number;
  readonly maxBytes: number;
  /** For tests: a database that fails. */
  readonly openDatabase?: OpenDatabase;
}

const FORMAT = 1;
const RECOVER_MIN_MS = 200;
const RECOVER_MAX_MS = 5_000;
/** There is one appender: a late append of an old connection does not exist here. */
const APPENDER = 'process';
/** f_type of file systems that live in memory (statfs(2)). */
const IN_MEMORY_FILE_SYSTEMS = new Set([0x01021994, 0x858458f6]);

interface Opened {
  readonly part: LevelShard;
  readonly found: LogIdentity;
}

export class LevelStore implements BufferStore {
  readonly kind = 'level';
  readonly shards: number;
  readonly maxBytes: number;
  readonly directory: string;
  readonly #owner = `${process.pid}:${randomBytes(6).toString('hex')}`;
  readonly #queue: WriteQueue;
  readonly #views: ShardView[];
  /** The highest offset that was committed, as far as this process knows. */
  readonly #committedHeads: number[];
  /** Settlements of a shard are applied one after the other, although they look things up first. */
  readonly #settling: Promise<void>[];
  readonly #reclaimer: Reclaimer;
  #parts: LevelShard[] = [];
  #events: StoreEvents | undefined;
  #recovering: Promise<void> | undefined;
  #recoverTimer: NodeJS.Timeout | undefined;
  #recoverDelayMs = RECOVER_MIN_MS;
  #closed = true;

  constructor(options: LevelStoreOptions) {
    this.shards = options.shards;
    this.maxBytes = options.maxBytes;
    this.directory = path.join(options.path, 'buffer');
    this.#queue = new WriteQueue(this.directory, options.openDatabase ?? openLevel, (error) => this.#onBroken(error));
    this.#reclaimer = new Reclaimer(() => this.#queue.db);
    this.#views = Array.from({ length: options.shards }, (_, shard) => new ShardView(shard));
    this.#committedHeads = this.#views.map(() => 0);
    this.#settling = this.#views.map(() => Promise.resolve());
  }

  async open(events: StoreEvents): Promise<StoreOpening> {
    try {
      await mkdir(this.directory, { recursive: true, mode: 0o700 });
      await chmod(this.directory, 0o700);
    } catch (error) {
      throw openError(this.directory, error);
    }
    this.#events = events;
    try {
      await this.#load();
    } catch (error) {
      await this.#queue.close();
      throw error;
    }
    this.#closed = false;
    void this.#sweep();
    return { durability: await durabilityOf(this.directory), shards: this.#views.map((view) => this.#state(view)) };
  }

  async append(request: AppendRequest): Promise<AppendOutcome> {
    const part = this.#part(request.shard);
    const { broken } = this.#queue;
    if (broken !== undefined) throw readOnlyError(broken);
    if (this.#closed) throw closedError();
    const refusal = part.log.refusal(APPENDER, request);
    if (refusal !== undefined) return refusal;
    const { base, writes } = part.append(APPENDER, request);
    const { head } = part.log.append;
    const { bytes } = part.log;
    if (writes.length > 0) await this.#queue.write(writes, true);
    if (base > 0) {
      this.#views[request.shard]!.saw(base);
      this.#committedHeads[request.shard] = head;
    }
    return { kind: 'committed', base, bytes };
  }

  async reopen(shard: number, knownHead: number): Promise<ShardState> {
    if (this.#closed) throw closedError();
    if (this.#queue.broken !== undefined || this.#recovering !== undefined) await this.#recover();
    const part = this.#part(shard);
    const view = this.#views[shard]!;
    if (part.log.append.head < knownHead) {
      const found = part.log.identity();
      part.log.beginEpoch(knownHead);
      await this.#queue.write([part.appendSide()], true);
      const missing = view.reopened(found, part.log.identity(), knownHead);
      return { shard, epochs: part.log.append.epochs, head: part.log.append.head, missing };
    }
    return this.#state(view, knownHead);
  }

  async read(shard: number, from: number, maxBytes: number): Promise<StoredFrame[]> {
    const part = this.#part(shard);
    const frames = await this.#reading((db) => part.read(db, from, maxBytes));
    const last = frames.at(-1);
    if (last !== undefined) this.#views[shard]!.saw(last.base);
    return frames;
  }

  async readParked(shard: number, topic: string, after: number, maxBytes: number): Promise<ParkedEntry[]> {
    const part = this.#part(shard);
    return this.#reading((db) => part.readParked(db, topic, after, maxBytes));
  }

  async acquire(shard: number, ttlMs: number): Promise<Lease | undefined> {
    const part = this.#part(shard);
    // Behind settlements that are on their way: they are void for the new lease, or counted in what it is given.
    await this.#settling[shard];
    const { log } = part;
    const token = log.acquire(this.#owner, performance.now(), ttlMs);
    if (token === undefined) return undefined;
    await this.#queue.write([part.settleSide()], false);
    this.#views[shard]!.leased(token, log.settle.settlements);
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
    const { log } = this.#part(lease.shard);
    if (!this.#views[lease.shard]!.holds(lease) || !log.holds(this.#owner, lease.token)) return false;
    log.leaseUntil = performance.now() + ttlMs;
    return true;
  }

  async yield(lease: Lease): Promise<void> {
    this.#views[lease.shard]!.unlease(lease.token);
    const { log } = this.#part(lease.shard);
    if (log.holds(this.#owner, lease.token)) log.leaseUntil = -Infinity;
  }

  async settle(lease: Lease, change: Settlement): Promise<void> {
    const number = this.#views[lease.shard]!.numberOf(lease, change);
    const turn = this.#settling[lease.shard]!.then(() => this.#settle(lease, change, number));
    this.#settling[lease.shard] = turn.then(
      () => {},
      () => {},
    );
    const written = await turn;
    await written.done;
  }

  async stats(shard: number): Promise<ShardStats> {
    const part = this.#part(shard);
    const { log } = part;
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
      setAside: part.setAside,
      cursors: { ...log.append.cursors },
      owner: log.leaseUntil > performance.now() ? log.settle.owner : undefined,
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#recoverTimer);
    this.#reclaimer.close();
    await this.#recovering?.catch(() => {});
    await this.#queue.close();
  }

  /** Resolves when the settlement is in the queue of writes, so that the next one may be prepared. */
  async #settle(lease: Lease, change: Settlement, number: number): Promise<{ done: Promise<void> }> {
    const part = this.#part(lease.shard);
    const { log } = part;
    const check = (): 'next' | 'applied' => log.settlementState(this.#owner, lease.token, number, change);
    if (check() === 'applied') return { done: Promise.resolve() };
    const removals = await this.#reading((db) => part.removals(db, change));
    const { broken } = this.#queue;
    if (broken !== undefined) throw readOnlyError(broken);
    if (this.#part(lease.shard) !== part) {
      throw new SluiceError(
        'STORE_UNAVAILABLE',
        `the embedded buffer was opened anew while shard ${lease.shard} settled`,
      );
    }
    if (!this.#views[lease.shard]!.holds(lease)) throw fenced(lease.shard, 'it was given to a new owner');
    check();
    const { writes, sync } = part.settle(change, removals);
    const done = this.#queue.write(writes, sync);
    // Failure is for settle(), which awaits it.
    done.then(
      () => this.#reclaimer.freed(lease.shard, change.freedBytes ?? 0, log.settle.trimmed),
      () => {},
    );
    return { done };
  }

  async #reading<T>(task: (db: Database) => Promise<T>): Promise<T> {
    const { db } = this.#queue;
    if (db === undefined) throw this.#queue.broken ?? closedError();
    try {
      return await task(db);
    } catch (error) {
      throw readError(error);
    }
  }

  /** Opens the database and puts every shard in order, under a new epoch each, with one synced write. */
  async #load(): Promise<void> {
    const db = await this.#queue.open();
    const opened: Opened[] = [];
    const writes: Write[] = [];
    try {
      const format = await checkFormat(db, this.shards);
      if (format !== undefined) writes.push(format);
      for (const { shard } of this.#views) opened.push(await this.#openShard(db, shard));
      for (const { part } of opened) writes.push(part.appendSide(), part.settleSide());
      await db.batch(writes, { sync: true });
    } catch (error) {
      throw openError(this.directory, error);
    }
    this.#queue.mended();
    this.#parts = opened.map(({ part }) => part);
    for (const view of this.#views) {
      const { part, found } = opened[view.shard]!;
      view.adopt(found, part.log.identity());
      this.#committedHeads[view.shard] = part.log.append.head;
    }
  }

  async #openShard(db: Database, shard: number): Promise<Opened> {
    const limitBytes = this.maxBytes / this.shards;
    const knownHead = this.#committedHeads[shard]!;
    const loaded = await LevelShard.load(db, shard, limitBytes);
    const part = loaded ?? LevelShard.create(shard, limitBytes, knownHead);
    const { log } = part;
    const found = { ...log.identity(), ...(loaded === undefined ? { head: 0 } : {}) };
    log.beginEpoch(knownHead);
    const before = this.#parts[shard]?.log;
    log.appenders.set(APPENDER, before?.appenders.get(APPENDER) ?? 0);
    if (before !== undefined) {
      // The lease is this process' own, whatever the disk lost of it; a token is never given twice.
      log.leaseUntil = before.leaseUntil;
      log.settle.token = Math.max(log.settle.token, before.settle.token);
      log.settle.owner = before.settle.owner;
    }
    return { part, found };
  }

  #onBroken(error: SluiceError): void {
    if (this.#closed) return;
    this.#events?.availability(false, readOnlyError(error).message);
    this.#recoverDelayMs = RECOVER_MIN_MS;
    this.#recoverLater();
  }

  #recoverLater(): void {
    clearTimeout(this.#recoverTimer);
    if (this.#closed) return;
    this.#recoverTimer = setTimeout(() => void this.#recover().catch(() => {}), this.#recoverDelayMs);
    this.#recoverDelayMs = Math.min(this.#recoverDelayMs * 2, RECOVER_MAX_MS);
  }

  /** One attempt, shared by all who ask while it runs. It also goes on by itself, with a growing distance. */
  #recover(): Promise<void> {
    // This attempt is also the one that is due: what it mends is not to be opened once more.
    clearTimeout(this.#recoverTimer);
    this.#recovering ??= this.#load()
      .then(
        () => this.#events?.availability(true, 'the embedded buffer was opened again'),
        (error: unknown) => {
          const failed = openError(this.directory, error);
          this.#queue.stillBroken(failed);
          this.#recoverLater();
          throw readOnlyError(failed);
        },
      )
      .finally(() => (this.#recovering = undefined));
    return this.#recovering;
  }

  /** Frames below the release point that are there again: an unsynced settlement was lost, a later one was not. */
  async #sweep(): Promise<void> {
    const { db } = this.#queue;
    for (const { log } of this.#parts) {
      try {
        await db?.clear({ gte: frameKey(log.shard, 0), lt: frameKey(log.shard, log.settle.trimmed) });
      } catch (error) {
        if (this.#queue.db === db && !this.#closed) this.#queue.break(openError(this.directory, error));
        return;
      }
    }
  }

  #state(view: ShardView, knownHead = 0): ShardState {
    const { log } = this.#part(view.shard);
    const now = log.identity();
    return { shard: view.shard, epochs: now.epochs, head: now.head, missing: view.reopened(now, now, knownHead) };
  }

  #part(shard: number): LevelShard {
    const part = this.#parts[shard];
    if (part === undefined) throw shard < this.shards ? closedError() : stale(shard, 'there is no such shard');
    return part;
  }
}

function closedError(): SluiceError {
  return new SluiceError('STORE_UNAVAILABLE', 'the embedded buffer is closed');
}

/** The record to write where there is none yet. @throws SluiceError STORE_FORMAT, SHARD_COUNT_MISMATCH */
async function checkFormat(db: Database, shards: number): Promise<Write | undefined> {
  const value = await db.get(FORMAT_KEY);
  if (value === undefined) {
    return { type: 'put', key: FORMAT_KEY, value: Buffer.from(JSON.stringify({ format: FORMAT, shards })) };
  }
  const stored = JSON.parse(value.toString()) as { format: number; shards: number };
  if (stored.format !== FORMAT) {
    throw new SluiceError(
      'STORE_FORMAT',
      `the buffer in ${db.location} has format ${stored.format}; this sluice reads format ${FORMAT}`,
    );
  }
  if (stored.shards !== shards) {
    throw new SluiceError(
      'SHARD_COUNT_MISMATCH',
      `the buffer in ${db.location} was made with ${stored.shards} shards, and ${shards} are configured`,
      {
        hint: `Set buffer.shards: ${stored.shards}. To change the number, let it drain (sluice status shows 0 buffered), stop sluice and move ${db.location} away.`,
      },
    );
  }
  return undefined;
}

async function durabilityOf(directory: string): Promise<Durability> {
  const weak: string[] = [];
  const fileSystem = await statfs(directory).catch(() => undefined);
  if (fileSystem !== undefined && IN_MEMORY_FILE_SYSTEMS.has(fileSystem.type)) {
    weak.push(`${directory} is on a file system in memory and does not survive a reboot: set buffer.path to a disk`);
  }
  return { summary: 'LevelDB, fsync per commit', weak };
}
