/**
 * Writes to LevelDB, one after the other: its batches run on several threads and would overtake one another. What comes while
 * one is under way goes as one with the next.
 */

export type Put = { readonly type: 'put'; readonly key: string; readonly value: Buffer };
export type Operation = Put | { readonly type: 'del'; readonly key: string };

interface Group {
  readonly operations: Operation[];
  /** It is to outlive a power failure. */
  sync: boolean;
  /** Ranges to clear come in a group of their own. */
  readonly clear: readonly Range[] | undefined;
  readonly done: Promise<void>;
  readonly settle: { resolve(): void; reject(error: unknown): void };
}

export interface Range {
  readonly gte: string;
  readonly lt: string;
}

/** What is used of the database. */
export interface Writable {
  clear(range: Range): Promise<void>;
  batch(operations: Operation[], options: { readonly valueEncoding: 'buffer'; readonly sync: boolean }): Promise<void>;
}

export class OrderedWrites {
  readonly #db: Writable;
  readonly #groups: Group[] = [];
  #running = false;

  constructor(db: Writable) {
    this.#db = db;
  }

  /** `sync`: it is there after a power failure. */
  write(operations: readonly Operation[], sync = false): Promise<void> {
    const last = this.#groups.at(-1);
    // The first group is under way.
    if (last === undefined || last.clear !== undefined || (this.#running && this.#groups.length === 1)) {
      return this.#enter([...operations], undefined, sync);
    }
    last.operations.push(...operations);
    last.sync ||= sync;
    return last.done;
  }

  /** `also` is written behind it. */
  clear(ranges: readonly Range[], also: readonly Operation[]): Promise<void> {
    return this.#enter([...also], ranges, false);
  }

  #enter(operations: Operation[], clear: readonly Range[] | undefined, sync: boolean): Promise<void> {
    let settle: Group['settle'] | undefined;
    const done = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
    this.#groups.push({ operations, sync, clear, done, settle: settle as unknown as Group['settle'] });
    if (!this.#running) void this.#run();
    return done;
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let group = this.#groups[0]; group !== undefined; group = this.#groups[0]) {
      try {
        for (const range of group.clear ?? []) await this.#db.clear(range);
        await this.#db.batch(group.operations, { valueEncoding: 'buffer', sync: group.sync });
        group.settle.resolve();
      } catch (error) {
        group.settle.reject(error);
      }
      this.#groups.shift();
    }
    this.#running = false;
  }
}
