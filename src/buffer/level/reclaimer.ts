import type { Database } from './database.ts';
import { frameKey } from './keys.ts';

/** How much is freed before it is worth a look while more is being freed. */
const LOOK_EVERY_BYTES = 32 * 1024 * 1024;
/** Dead bytes in tables that make a compaction worth its writes: under load, and once nothing was freed for a while. */
const COMPACT_FROM_BYTES = 64 * 1024 * 1024;
const COMPACT_QUIET_FROM_BYTES = 8 * 1024 * 1024;
const QUIET_MS = 1_000;

/**
 * Gives disk space back after an outage. LevelDB drops what was deleted only when a table is compacted, and tables that
 * nothing is written beside any more are not: measured, 720 MB of 740 stayed after draining, and went within two seconds
 * with this. What is forwarded at once seldom reaches a table that lasts, so in ordinary times this only looks, and finds
 * little.
 */
export class Reclaimer {
  readonly #db: () => Database | undefined;
  /** Shards of which something was removed since they were looked at in quiet: bytes since the last look, and up to where. */
  readonly #freed = new Map<number, { bytes: number; trimmed: number }>();
  #running = false;
  #quiet: NodeJS.Timeout | undefined;

  constructor(db: () => Database | undefined) {
    this.#db = db;
  }

  /** Frames of a shard below `trimmed` were removed. */
  freed(shard: number, bytes: number, trimmed: number): void {
    if (bytes <= 0) return;
    const before = this.#freed.get(shard)?.bytes ?? 0;
    this.#freed.set(shard, { bytes: before + bytes, trimmed });
    this.#quiet ??= setTimeout(this.#becameQuiet, QUIET_MS).unref();
    this.#quiet.refresh();
    if (before + bytes >= LOOK_EVERY_BYTES) this.#start(() => this.#underLoad());
  }

  close(): void {
    clearTimeout(this.#quiet);
    this.#quiet = undefined;
    this.#freed.clear();
  }

  readonly #becameQuiet = (): void => {
    if (this.#running) this.#quiet?.refresh();
    else this.#start(() => this.#inQuiet());
  };

  #start(task: () => Promise<void>): void {
    if (this.#running) return;
    this.#running = true;
    // Space is all that is at stake: what fails here fails a write as well, and is reported there.
    task()
      .catch(() => {})
      .finally(() => (this.#running = false));
  }

  /** One shard after the other, until none has freed enough. */
  async #underLoad(): Promise<void> {
    for (;;) {
      const next = [...this.#freed].find(([, { bytes }]) => bytes >= LOOK_EVERY_BYTES);
      if (next === undefined) return;
      const [shard, { trimmed }] = next;
      this.#freed.set(shard, { bytes: 0, trimmed });
      await this.#look(shard, trimmed, COMPACT_FROM_BYTES);
    }
  }

  async #inQuiet(): Promise<void> {
    for (const [shard, { trimmed }] of [...this.#freed]) {
      this.#freed.delete(shard);
      await this.#look(shard, trimmed, COMPACT_QUIET_FROM_BYTES);
    }
  }

  async #look(shard: number, trimmed: number, compactFromBytes: number): Promise<void> {
    const db = this.#db();
    if (db === undefined) return;
    const [first, end] = [frameKey(shard, 0), frameKey(shard, trimmed)];
    if ((await db.approximateSize(first, end)) >= compactFromBytes) await db.compactRange(first, end);
  }
}
