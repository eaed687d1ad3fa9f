/** One shard of the embedded buffer: how its state is loaded, and which keys each operation reads and writes. */
import type { AppendSide, Parking, SettleSide } from '../shard-log.ts';
import { Qos2Ids, ShardLog } from '../shard-log.ts';
import type { AppendRequest, ParkedEntry, ParkingState, Settlement, StoredFrame } from '../store.ts';
import type { Database, Write } from './database.ts';
import {
  appendSideKey,
  asideKey,
  frameKey,
  parkedIndexKey,
  parkedKey,
  parkedRange,
  parseAsideKey,
  parseFrameKey,
  parseParkedIndexKey,
  parseParkedPosition,
  parseQos2Key,
  qos2Key,
  rangeOf,
  settleSideKey,
} from './keys.ts';
import { RecentKeys } from './recent-keys.ts';

const NO_VALUE = Buffer.alloc(0);
const ASIDE_MAX_FRAMES = 1_000;
const ASIDE_MAX_BYTES = 64 * 1024 * 1024;
const READ_MAX_FRAMES = 1_000;

const toJson = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const fromJson = <T>(value: Buffer): T => JSON.parse(value.toString()) as T;

export class LevelShard {
  readonly log: ShardLog;
  /** Frames set aside, oldest first. */
  readonly #aside: { base: number; bytes: number }[];
  readonly #recent = new RecentKeys();

  private constructor(log: ShardLog, aside: { base: number; bytes: number }[]) {
    this.log = log;
    this.#aside = aside;
  }

  /** As the database holds it; undefined: it knows nothing of this shard. */
  static async load(db: Database, shard: number, limitBytes: number): Promise<LevelShard | undefined> {
    const [append, settle] = await db.getMany([appendSideKey(shard), settleSideKey(shard)]);
    if (append === undefined) return undefined;
    const log = new ShardLog(
      shard,
      limitBytes,
      { cursors: {}, ...fromJson<Omit<AppendSide, 'cursors'>>(append) },
      settleSideOf(settle),
      undefined,
      new Qos2Ids(),
    );
    for (const kind of ['q', 'k'] as const) {
      for await (const key of db.keys(rangeOf(kind, shard))) log.qos2.add(parseQos2Key(key));
    }
    for await (const [key, value] of db.iterator(rangeOf('i', shard))) {
      const topic = parseParkedIndexKey(key);
      log.parked.set(topic, { topic, ...fromJson<Omit<ParkingState, 'topic'>>(value) });
    }
    const aside: { base: number; bytes: number }[] = [];
    for await (const key of db.keys(rangeOf('x', shard))) aside.push(parseAsideKey(key));
    await takeFramesBeyondHead(db, log);
    return new LevelShard(log, aside);
  }

  static create(shard: number, limitBytes: number, knownHead: number): LevelShard {
    return new LevelShard(ShardLog.create(shard, limitBytes, knownHead), []);
  }

  get setAside(): number {
    return this.#aside.length;
  }

  appendSide(): Write {
    return { type: 'put', key: appendSideKey(this.log.shard), value: toJson(this.log.append) };
  }

  settleSide(): Write {
    return { type: 'put', key: settleSideKey(this.log.shard), value: toJson(this.log.settle) };
  }

  /** Applies an append that was not refused: its base, and what makes it so on disk. */
  append(appender: string, request: AppendRequest): { base: number; writes: Write[] } {
    const { shard } = this.log;
    const writes: Write[] = [];
    const forget = (clientId: string, packetId: number | string): void => {
      writes.push({ type: 'del', key: qos2Key(shard, clientId, packetId) });
    };
    for (const clientId of request.qos2Clear) {
      for (const packetId of this.log.qos2.of(clientId)) forget(clientId, packetId);
    }
    for (const { clientId, packetId } of request.qos2Add) {
      writes.push({ type: 'put', key: qos2Key(shard, clientId, packetId), value: NO_VALUE });
    }
    for (const { clientId, packetId } of request.qos2Remove) forget(clientId, packetId);
    const base = this.log.applyAppend(appender, request);
    if (request.frame !== undefined) {
      const key = frameKey(shard, base, request.count);
      this.#recent.add(base, key);
      writes.push({ type: 'put', key, value: request.frame });
      writes.push(this.appendSide());
    }
    return { base, writes };
  }

  /** What a settlement removes, looked up before it is applied. Nothing else removes the same. */
  async removals(db: Database, change: Settlement): Promise<{ writes: Write[]; unparked: number[] }> {
    const { shard, settle } = this.log;
    const writes: Write[] = [];
    const trimmed = Math.min(change.trimmed ?? 0, Math.max(settle.released, change.released ?? 0) + 1);
    if (trimmed > settle.trimmed) {
      const recent = this.#recent.take(settle.trimmed, trimmed);
      if (recent !== undefined) {
        for (const key of recent) writes.push({ type: 'del', key });
      } else {
        // From where the last one ended: what lies before is tombstones.
        const range = { gte: frameKey(shard, settle.trimmed), lt: frameKey(shard, trimmed) };
        for await (const key of db.keys(range)) writes.push({ type: 'del', key });
      }
    }
    const unparked: number[] = [];
    for (const { topic, upTo } of change.unpark ?? []) {
      const keys = await db.keys(parkedRange(shard, topic, 0, upTo)).all();
      for (const key of keys) writes.push({ type: 'del', key });
      unparked.push(keys.length);
    }
    return { writes, unparked };
  }

  /** Applies a settlement: what makes it so on disk, and whether that must be synced. */
  settle(change: Settlement, removals: { writes: Write[]; unparked: number[] }): { writes: Write[]; sync: boolean } {
    const { shard } = this.log;
    const parkings = this.log.applySettlement(change, removals.unparked);
    const writes = [...removals.writes, this.settleSide()];
    for (const { topic, position, bytes } of parkings) {
      writes.push({ type: 'put', key: parkedKey(shard, topic, position), value: bytes });
    }
    for (const topic of topicsOf(change, parkings)) writes.push(this.#parkedIndex(topic));
    for (const frame of change.setAside ?? []) writes.push(...this.#keepAside(frame));
    return { writes, sync: mustBeSynced(change) };
  }

  #parkedIndex(topic: string): Write {
    const state = this.log.parked.get(topic);
    const key = parkedIndexKey(this.log.shard, topic);
    if (state === undefined) return { type: 'del', key };
    const { entries, messages, bytes } = state;
    return { type: 'put', key, value: toJson({ entries, messages, bytes }) };
  }

  #keepAside(frame: StoredFrame): Write[] {
    const { shard } = this.log;
    const aside = this.#aside;
    if (aside.some(({ base }) => base === frame.base)) return [];
    const writes: Write[] = [{ type: 'put', key: asideKey(shard, frame.base, frame.bytes.length), value: frame.bytes }];
    aside.push({ base: frame.base, bytes: frame.bytes.length });
    let bytes = aside.reduce((sum, kept) => sum + kept.bytes, 0);
    while (aside.length > ASIDE_MAX_FRAMES || (bytes > ASIDE_MAX_BYTES && aside.length > 1)) {
      const oldest = aside.shift()!;
      bytes -= oldest.bytes;
      writes.push({ type: 'del', key: asideKey(shard, oldest.base, oldest.bytes) });
    }
    return writes;
  }

  async read(db: Database, from: number, maxBytes: number): Promise<StoredFrame[]> {
    const { shard, append, settle } = this.log;
    if (from > append.head) return [];
    const { lt } = rangeOf('f', shard);
    const frames = await readFrames(db, { gte: frameKey(shard, from), lt }, maxBytes);
    if (frames[0]?.base === from) return frames;
    // `from` may lie within a frame that begins before it.
    const before = { gte: frameKey(shard, settle.trimmed), lt: frameKey(shard, from), reverse: true, limit: 1 };
    for (const key of await db.keys(before).all()) {
      const { base, count } = parseFrameKey(key);
      if (base + count > from) return readFrames(db, { gte: key, lt }, maxBytes);
    }
    return frames;
  }

  async readParked(db: Database, topic: string, after: number, maxBytes: number): Promise<ParkedEntry[]> {
    const entries = await readBounded(db, parkedRange(this.log.shard, topic, after), maxBytes);
    return entries.map(([key, bytes]) => ({ position: parseParkedPosition(key), bytes }));
  }
}

/**
 * A settlement that only moves the release point may be lost in a power failure: batches are atomic, so the messages are
 * delivered again, once more. What is parked or set aside leaves the log on the strength of its copy, and a later batch may
 * survive although an earlier, unsynced one did not (LevelDB does not sync a log file that it has filled): there the copy
 * must be durable first. What leaves a parking log is not to come back beside counters that no longer know it.
 */
function mustBeSynced(change: Settlement): boolean {
  const some = (list: readonly unknown[] | undefined): boolean => list !== undefined && list.length > 0;
  return some(change.park) || some(change.unpark) || some(change.setAside) || change.marks !== undefined;
}

function topicsOf(change: Settlement, parkings: readonly Parking[]): Set<string> {
  return new Set([...(change.unpark ?? []), ...parkings].map(({ topic }) => topic));
}

function settleSideOf(value: Buffer | undefined): SettleSide {
  const fresh = ShardLog.create(0, 0, 0).settle;
  return value === undefined ? fresh : { ...fresh, ...fromJson<SettleSide>(value) };
}

/** Frames that the append side does not know of: its record was lost, they were not. They keep their offsets. */
async function takeFramesBeyondHead(db: Database, log: ShardLog): Promise<void> {
  const { shard, append, settle } = log;
  const begin = Math.max(append.head + 1, settle.trimmed);
  const { lt } = rangeOf('f', shard);
  for await (const [key, value] of db.iterator({ gte: frameKey(shard, begin), lt })) {
    const { base, count } = parseFrameKey(key);
    append.accepted += base + count - 1 - append.head;
    append.head = base + count - 1;
    append.bytesIn += value.length;
  }
}

async function readFrames(db: Database, range: { gte: Buffer; lt: Buffer }, maxBytes: number): Promise<StoredFrame[]> {
  const entries = await readBounded(db, range, maxBytes);
  return entries.map(([key, bytes]) => ({ base: parseFrameKey(key).base, bytes }));
}

type Range = { gte: Buffer; lt: Buffer } | { gt: Buffer; lte: Buffer };

/** At least one entry if there is any, else up to maxBytes. */
async function readBounded(db: Database, range: Range, maxBytes: number): Promise<[Buffer, Buffer][]> {
  // fillCache: what is read here is read once.
  const iterator = db.iterator({ ...range, highWaterMarkBytes: maxBytes, fillCache: false });
  try {
    return upTo(await iterator.nextv(READ_MAX_FRAMES), maxBytes);
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'LEVEL_CORRUPTION') throw error;
  } finally {
    await iterator.close();
  }
  return readAroundDamage(db, range, maxBytes);
}

/** A damaged table block hides its entries. LevelDB goes on behind it, one entry at a time; the reader sees the gap. */
async function readAroundDamage(db: Database, range: Range, maxBytes: number): Promise<[Buffer, Buffer][]> {
  const found: [Buffer, Buffer][] = [];
  const iterator = db.iterator({ ...range, highWaterMarkBytes: 1, fillCache: false });
  let bytes = 0;
  try {
    while (bytes < maxBytes && found.length < READ_MAX_FRAMES) {
      const [entry] = await iterator.nextv(1);
      if (entry === undefined) break;
      found.push(entry);
      bytes += entry[1].length;
    }
  } catch (error) {
    // It reports the damage at the end of the range.
    if ((error as { code?: unknown }).code !== 'LEVEL_CORRUPTION') throw error;
  } finally {
    await iterator.close();
  }
  return upTo(found, maxBytes);
}

function upTo(entries: [Buffer, Buffer][], maxBytes: number): [Buffer, Buffer][] {
  let bytes = 0;
  const end = entries.findIndex(([, value], index) => (bytes += value.length) > maxBytes && index > 0);
  return end === -1 ? entries : entries.slice(0, end);
}
