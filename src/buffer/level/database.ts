/**
 * One LevelDB and the one queue of writes into it.
 *
 * At most one batch is in flight; what is asked for in the meantime goes together into the next one: appends of several
 * shards share one fsync, and a settlement that comes with an append costs none. It also holds one thread of the pool at
 * most, where LevelDB would park one per writer.
 *
 *     open ──a write fails──> broken ──close, open again──> open
 *
 * LevelDB refuses writes after an I/O error until it is opened again, and a record written behind a torn one could be
 * dropped when the log is read. So the first failure breaks the whole queue: the batch in flight has an unknown outcome, what
 * waited was certainly not written.
 */
import { ClassicLevel } from 'classic-level';
import { SluiceError } from '../../errors.ts';
import { openError, readOnlyError, writeError } from './errors.ts';

export type Database = ClassicLevel<Buffer, Buffer>;
export type Write =
  | { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: Buffer };

export type OpenDatabase = (directory: string) => Promise<Database>;

interface Waiting {
  readonly writes: readonly Write[];
  readonly sync: boolean;
  readonly resolve: () => void;
  readonly reject: (error: SluiceError) => void;
}

/** Frames are deleted soon after they are written: a larger memtable lets more of them go before they reach a table. */
const WRITE_BUFFER_BYTES = 8 * 1024 * 1024;
/**
 * LevelDB maps the tables that it has open into memory, up to 64 of them at the least it takes for `maxOpenFiles`. Read pages count as
 * resident: with the defaults (1,000 files) a backlog of 700 MB made the process 700 MB larger while it drained.
 */
const TABLE_BYTES = 2 * 1024 * 1024;
const OPEN_FILES_MAX = 74;

/**
 * No compression: payloads are what they are, a frame is read once, and a damaged byte then stays within its frame, where
 * the frame's own checksum finds it.
 */
export async function openLevel(directory: string): Promise<Database> {
  const db: Database = new ClassicLevel<Buffer, Buffer>(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    compression: false,
    writeBufferSize: WRITE_BUFFER_BYTES,
    maxFileSize: TABLE_BYTES,
    maxOpenFiles: OPEN_FILES_MAX,
  });
  await db.open();
  return db;
}

export class WriteQueue {
  readonly #directory: string;
  readonly #openDatabase: OpenDatabase;
  readonly #onBroken: (error: SluiceError) => void;
  #db: Database | undefined;
  #waiting: Waiting[] = [];
  #writing = false;
  #broken: SluiceError | undefined;
  #idle: (() => void)[] = [];

  constructor(directory: string, openDatabase: OpenDatabase, onBroken: (error: SluiceError) => void) {
    this.#directory = directory;
    this.#openDatabase = openDatabase;
    this.#onBroken = onBroken;
  }

  /** For reading. undefined while it is closed. */
  get db(): Database | undefined {
    return this.#db;
  }

  get broken(): SluiceError | undefined {
    return this.#broken;
  }

  /**
   * Opens the database, a broken one anew. Writes are refused until mended(): who asks for them must first know what is there.
   * @throws SluiceError STORE_LOCKED, STORE_READ_ONLY, STORE_UNAVAILABLE, STORE_REFUSED
   */
  async open(): Promise<Database> {
    this.#broken ??= new SluiceError('STORE_UNAVAILABLE', 'the embedded buffer is being opened');
    this.#refuseWaiting(this.#broken);
    await this.#closeDatabase();
    try {
      this.#db = await this.#openDatabase(this.#directory);
    } catch (error) {
      throw openError(this.#directory, error);
    }
    return this.#db;
  }

  mended(): void {
    this.#broken = undefined;
  }

  /** It is still broken, for this reason now. */
  stillBroken(error: SluiceError): void {
    this.#broken = error;
  }

  /** Atomic; durable when it resolves if `sync`. Takes effect after all writes that were asked for before. */
  write(writes: readonly Write[], sync: boolean): Promise<void> {
    if (this.#broken !== undefined) return Promise.reject(readOnlyError(this.#broken));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ writes, sync, resolve, reject });
      // At the end of this turn: what else it brings goes along.
      if (!this.#writing && this.#waiting.length === 1) process.nextTick(this.#next);
    });
  }

  /** Declares it broken from outside: a read or a sweep met an error after which writes are not to be trusted. */
  break(error: SluiceError): void {
    if (this.#broken !== undefined) return;
    this.#broken = error;
    this.#refuseWaiting(error);
    this.#onBroken(error);
  }

  #refuseWaiting(error: SluiceError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { reject } of waiting) reject(readOnlyError(error));
  }

  /** After what was asked for is written. */
  async close(): Promise<void> {
    if (this.#writing || this.#waiting.length > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    await this.#closeDatabase();
  }

  async #closeDatabase(): Promise<void> {
    const db = this.#db;
    this.#db = undefined;
    // Closing one that failed may fail as well; its lock goes with it either way.
    await db?.close().catch(() => {});
  }

  readonly #next = (): void => {
    const batch = this.#waiting;
    if (this.#writing || batch.length === 0 || this.#db === undefined) return this.#wakeIdle();
    this.#waiting = [];
    this.#writing = true;
    void this.#write(this.#db, batch);
  };

  async #write(db: Database, batch: readonly Waiting[]): Promise<void> {
    const first = batch[0]!;
    const writes = batch.length === 1 ? first.writes : batch.flatMap((waiting) => waiting.writes);
    const sync = batch.some((waiting) => waiting.sync);
    try {
      await db.batch(writes as Write[], { sync });
    } catch (error) {
      this.#writing = false;
      const failed = writeError(error);
      this.break(failed);
      for (const { reject } of batch) reject(failed);
      this.#wakeIdle();
      return;
    }
    this.#writing = false;
    for (const { resolve } of batch) resolve();
    // Still in this turn, but behind what the resolved ones do at once: their next appends go along.
    if (this.#waiting.length > 0) process.nextTick(this.#next);
    else this.#wakeIdle();
  }

  #wakeIdle(): void {
    if (this.#writing || (this.#waiting.length > 0 && this.#broken === undefined && this.#db !== undefined)) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }
}
