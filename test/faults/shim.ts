/**
 * Faults below a process: shim.c, preloaded. Its wall clock jumps, its disk fails or syncs slowly, and after a power loss
 * its files are cut to what was synced.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { constants, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Random } from '../support/random.ts';

const run = promisify(execFile);
const source = fileURLToPath(new URL('./shim.c', import.meta.url));

/** Byte offsets in the shared page: struct control of shim.c. */
const At = { clockS: 0, error: 8, delayUs: 16 } as const;
const PAGE_BYTES = 4096;

export interface Cut {
  readonly file: string;
  readonly from: number;
  readonly to: number;
}

/** Compiles the shim, once per version of its source. */
async function library(): Promise<string> {
  const hash = createHash('sha256')
    .update(await readFile(source))
    .digest('hex')
    .slice(0, 12);
  const directory = join(tmpdir(), `sluice-faults-${userInfo().uid}`);
  const file = join(directory, `shim-${hash}.so`);
  if (existsSync(file)) return file;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  await run('cc', ['-O2', '-fPIC', '-shared', '-o', draft, source, '-ldl']);
  await rename(draft, file);
  return file;
}

/** Why the shim cannot be had here; undefined: it can. A shim that does not compile is a fault, not a reason. */
export async function shimMissing(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'the fault shim is preloaded, which needs Linux';
  try {
    await run('cc', ['--version']);
    return undefined;
  } catch {
    return 'there is no C compiler (cc) to make the fault shim with';
  }
}

export class Shim {
  /** For the process that is to be disturbed. */
  readonly env: Readonly<Record<string, string>>;
  readonly #directory: string;
  readonly #own: string;

  private constructor(directory: string, own: string, file: string) {
    this.#directory = directory;
    this.#own = own;
    this.env = {
      LD_PRELOAD: file,
      FAULT_CONTROL: join(own, 'control'),
      FAULT_SYNCED: join(own, 'synced'),
      FAULT_DIRECTORY: directory,
    };
  }

  /** `directory`: whose files the disk faults are about. */
  static async prepare(directory: string): Promise<Shim> {
    const own = await mkdtemp(join(tmpdir(), 'sluice-shim-'));
    await writeFile(join(own, 'control'), Buffer.alloc(PAGE_BYTES));
    await writeFile(join(own, 'synced'), '');
    return new Shim(directory, own, await library());
  }

  /** From now on, the wall clock is that far off; 0: right again. */
  async clock(seconds: number): Promise<void> {
    await this.#set(At.clockS, seconds);
  }

  /** From now on, writes and syncs fail with it; undefined: they work. */
  async diskError(code: 'EIO' | 'ENOSPC' | undefined): Promise<void> {
    await this.#set(At.error, code === undefined ? 0 : constants.errno[code]);
  }

  /** From now on, each sync takes that much longer. */
  async syncDelay(ms: number): Promise<void> {
    await this.#set(At.delayUs, Math.round(ms * 1000));
  }

  /**
   * What a power loss would have left: every file is cut, at a place drawn at random, between what was synced of it and
   * what was written. The process must be dead. Files only grow; one that was never synced may be left empty.
   */
  async losePower(random: Random): Promise<Cut[]> {
    const syncedBytes = new Map<number, number>();
    for (const line of (await readFile(join(this.#own, 'synced'), 'utf8')).split('\n')) {
      const [inode, size] = line.split(' ').map(Number);
      // A file is a new one where its inode was used before.
      if (inode !== undefined && size !== undefined) syncedBytes.set(inode, size);
    }
    if (syncedBytes.size === 0) throw new Error('nothing was ever synced: the shim was not there');
    const cuts: Cut[] = [];
    for (const entry of await readdir(this.#directory, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const file = join(entry.parentPath, entry.name);
      const { ino, size } = await stat(file);
      const synced = syncedBytes.get(ino) ?? 0;
      if (size <= synced) continue;
      // As often nothing more than what was synced, as some of it.
      const to = random.int(2) === 0 ? synced : synced + random.int(size - synced + 1);
      if (to < size) await truncate(file, to);
      cuts.push({ file, from: size, to });
    }
    // What is left is on the disk; from here on, all files are as good as synced.
    const lines: string[] = [];
    for (const entry of await readdir(this.#directory, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const { ino, size } = await stat(join(entry.parentPath, entry.name));
      lines.push(`${ino} ${size}\n`);
    }
    await writeFile(join(this.#own, 'synced'), lines.join(''));
    return cuts;
  }

  async discard(): Promise<void> {
    await rm(this.#own, { recursive: true, force: true });
  }

  async #set(at: number, value: number): Promise<void> {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    const file = await open(join(this.#own, 'control'), 'r+');
    try {
      await file.write(bytes, 0, bytes.length, at);
    } finally {
      await file.close();
    }
  }
}
