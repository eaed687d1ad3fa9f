import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { ClassicLevel } from 'classic-level';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLevel, type Database } from '../../src/buffer/level/database.ts';
import { LevelStore } from '../../src/buffer/level/store.ts';
import { codeOf, TestProcess } from '../conformance/store.ts';

const run = promisify(execFile);
const quiet = { appended: (): void => {}, availability: (): void => {} };

let directory: string;
const opened: LevelStore[] = [];

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'sluice-level-'));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
  await rm(directory, { recursive: true, force: true });
});

function makeStore(change: Partial<ConstructorParameters<typeof LevelStore>[0]> = {}): LevelStore {
  const store = new LevelStore({ path: directory, shards: 2, maxBytes: 1e9, ...change });
  opened.push(store);
  return store;
}

const start = (change?: Partial<ConstructorParameters<typeof LevelStore>[0]>): Promise<TestProcess> =>
  new TestProcess(makeStore(change)).open();

const buffer = (file = ''): string => path.join(directory, 'buffer', file);

async function filesEndingIn(ending: string): Promise<string[]> {
  return (await readdir(buffer())).filter((file) => file.endsWith(ending)).map((file) => buffer(file));
}

/** A disk that fails on command: every batch until told otherwise, before or after it took effect. */
class FailingDisk {
  fail: 'before' | 'after' | undefined;
  refuseOpen = false;
  opens = 0;

  readonly openDatabase = async (at: string): Promise<Database> => {
    this.opens += 1;
    if (this.refuseOpen) throw ioError(at);
    const db = await openLevel(at);
    const batch = db.batch.bind(db) as (...args: unknown[]) => Promise<void>;
    db.batch = (async (...args: unknown[]) => {
      if (this.fail === 'before') throw ioError(at);
      await batch(...args);
      if (this.fail === 'after') throw ioError(at);
    }) as typeof db.batch;
    return db;
  };
}

function ioError(at: string): Error {
  return Object.assign(new Error(`IO error: ${at}/000003.log: No space left on device`), { code: 'LEVEL_IO_ERROR' });
}

describe('the directory of the embedded buffer', () => {
  it('is the owner’s alone', async () => {
    await start();
    expect((await stat(buffer())).mode & 0o777).toBe(0o700);
  });

  it('is held by one process', async () => {
    await start();
    const second = makeStore();
    expect(await codeOf(second.open(quiet))).toBe('STORE_LOCKED');
  });

  it('with data of another format is refused', async () => {
    const process = await start();
    await process.store.close();
    const db = new ClassicLevel(buffer());
    await db.put('!format', JSON.stringify({ format: 2, shards: 2 }));
    await db.close();
    expect(await codeOf(makeStore().open(quiet))).toBe('STORE_FORMAT');
  });

  it('that cannot be made is read-only, not a crash', async () => {
    await writeFile(path.join(directory, 'file'), '');
    const code = await codeOf(makeStore({ path: path.join(directory, 'file') }).open(quiet));
    expect(code).toMatch(/STORE_UNAVAILABLE|STORE_READ_ONLY/);
  });

  it('with damaged files says so and how to go on', async () => {
    const process = await start();
    await process.append('a');
    await process.store.close();
    for (const manifest of (await readdir(buffer())).filter((file) => file.startsWith('MANIFEST'))) {
      await writeFile(buffer(manifest), 'not a manifest');
    }
    const error = await makeStore()
      .open(quiet)
      .then(() => undefined)
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'STORE_REFUSED', hint: expect.stringContaining('backup') as unknown });
  });
});

describe('the disk space of an outage', () => {
  it('is given back after the drain', async () => {
    const process = await start({ shards: 1 });
    const frame = randomBytes(1_500_000);
    for (let i = 0; i < 90; i++) await process.store.append(process.request({ frame, count: 1 }));
    const usedBytes = async (): Promise<number> => {
      const sizes = await Promise.all(
        (await readdir(buffer())).map((file) =>
          stat(buffer(file)).then(
            ({ size }) => size,
            () => 0,
          ),
        ),
      );
      return sizes.reduce((sum, size) => sum + size, 0);
    };
    expect(await usedBytes()).toBeGreaterThan(120e6);
    const lease = await process.lease();
    for (let i = 1; i <= 90; i++) {
      await process.store.settle(lease, { released: i, trimmed: i + 1, freedBytes: frame.length });
    }
    await expect.poll(usedBytes, { timeout: 20_000 }).toBeLessThan(40e6);
  });
});

describe('a write that fails', () => {
  it('has an unknown outcome; until the database is open again, nothing is attempted', async () => {
    const disk = new FailingDisk();
    const told: [boolean, string][] = [];
    const process = new TestProcess(makeStore({ openDatabase: disk.openDatabase }));
    await process.open({ appended: () => {}, availability: (is, reason) => void told.push([is, reason]) });
    await process.append('a');
    disk.fail = 'before';
    disk.refuseOpen = true;
    expect(await codeOf(process.store.append(process.request({ frames: 'b' })))).toBe('STORE_UNAVAILABLE');
    expect(told).toEqual([[false, expect.stringContaining('No space left on device')]]);
    expect(await codeOf(process.store.append(process.request({ frames: 'c' })))).toBe('STORE_READ_ONLY');
    expect(await codeOf(process.reopen())).toBe('STORE_READ_ONLY');
    expect(told).toHaveLength(1);
    disk.fail = undefined;
    disk.refuseOpen = false;
    const before = process.logId();
    const state = await process.reopen();
    expect(told.at(-1)![0]).toBe(true);
    expect(state).toMatchObject({ head: 1, missing: undefined });
    expect(process.logId()).not.toBe(before);
    expect(await process.append('d')).toBe(2);
    expect(await process.texts()).toEqual([
      [1, 'a'],
      [2, 'd'],
    ]);
  });

  it('and is found afterwards keeps its offset', async () => {
    const disk = new FailingDisk();
    const process = await start({ openDatabase: disk.openDatabase });
    await process.append('a');
    disk.fail = 'after';
    expect(await codeOf(process.store.append(process.request({ frames: 'there', count: 3 })))).toBe(
      'STORE_UNAVAILABLE',
    );
    disk.fail = undefined;
    const state = await process.reopen();
    expect(state.head).toBe(4);
    expect(await process.append('b')).toBe(5);
    expect((await process.texts()).map(([base]) => base)).toEqual([1, 2, 5]);
    expect((await process.store.stats(0)).accepted).toBe(5);
  });

  it('fails for all shards that shared it; each goes on after its own reopen', async () => {
    const disk = new FailingDisk();
    const process = await start({ openDatabase: disk.openDatabase });
    disk.fail = 'before';
    const codes = await Promise.all(
      [0, 1].map((shard) => codeOf(process.store.append(process.request({ frames: 'x', shard })))),
    );
    expect(codes).toEqual(['STORE_UNAVAILABLE', 'STORE_UNAVAILABLE']);
    disk.fail = undefined;
    await Promise.all([process.reopen(0), process.reopen(1)]);
    expect(disk.opens).toBe(2);
    expect(await process.append('a', 1, 0)).toBe(1);
    expect(await process.append('b', 1, 1)).toBe(1);
  });

  it('is mended without anybody asking', async () => {
    const disk = new FailingDisk();
    const told: boolean[] = [];
    const process = new TestProcess(makeStore({ openDatabase: disk.openDatabase }));
    await process.open({ appended: () => {}, availability: (is) => void told.push(is) });
    const lease = await process.lease();
    disk.fail = 'before';
    const change = { marks: { a: 'b' } };
    expect(await codeOf(process.store.settle(lease, change))).toBe('STORE_UNAVAILABLE');
    disk.fail = undefined;
    await expect.poll(() => told, { timeout: 10_000 }).toEqual([false, true]);
    await process.store.settle(lease, change);
    expect((await process.lease()).marks).toEqual({ a: 'b' });
  });

  it('is mended once: what was opened on demand is not opened again by the timer, under writes', async () => {
    const disk = new FailingDisk();
    const process = await start({ openDatabase: disk.openDatabase });
    disk.fail = 'before';
    expect(await codeOf(process.store.append(process.request({ frames: 'x' })))).toBe('STORE_UNAVAILABLE');
    disk.fail = undefined;
    await process.reopen();
    // The timer of the embedded buffer would be due after 200 ms.
    const until = performance.now() + 600;
    while (performance.now() < until) await process.append('a');
    expect(disk.opens).toBe(2);
  });

  it('takes a settlement once, whether the failed one took effect or not', async () => {
    for (const fail of ['before', 'after'] as const) {
      const disk = new FailingDisk();
      const process = await start({ path: path.join(directory, fail), openDatabase: disk.openDatabase });
      await process.append('abc', 3);
      const lease = await process.lease();
      disk.fail = fail;
      const change = {
        released: 2,
        outcomes: { delivered: 1 },
        park: [{ topic: 't', bytes: Buffer.from('p'), messages: 1 }],
      };
      expect(await codeOf(process.store.settle(lease, change))).toBe('STORE_UNAVAILABLE');
      disk.fail = undefined;
      await process.reopen();
      await process.store.settle(lease, change);
      await process.store.settle(lease, { released: 3, outcomes: { delivered: 1 } });
      expect(await process.store.stats(0)).toMatchObject({
        released: 3,
        parkedMessages: 1,
        outcomes: { delivered: 2 },
      });
    }
  });

  it('of QoS 2 ids leaves them as the disk has them', async () => {
    const disk = new FailingDisk();
    const process = await start({ openDatabase: disk.openDatabase });
    const id = (packetId: number): { clientId: string; packetId: number } => ({ clientId: 'c', packetId });
    await process.store.append(process.request({ frames: 'a', qos2Add: [id(1)] }));
    disk.fail = 'before';
    await codeOf(process.store.append(process.request({ frames: 'b', qos2Add: [id(2)], qos2Remove: [id(1)] })));
    disk.fail = undefined;
    await process.reopen();
    const outcome = await process.store.append(process.request({ frames: 'c', qos2Add: [id(1), id(2)] }));
    expect(outcome).toEqual({ kind: 'duplicate', indexes: [0] });
  });
});

describe('a disk that is full', () => {
  it('refuses appends, loses nothing, and goes on by itself when there is room again', async ({ skip }) => {
    const disk = path.join(directory, 'disk');
    await mkdir(disk);
    const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk]).then(
      () => true,
      () => false,
    );
    // Only root may mount; the failing disk above shows the same without the system's part in it.
    if (!mounted) {
      console.log('skipped: a tmpfs cannot be mounted here');
      return skip('cannot mount a tmpfs');
    }
    try {
      const ballast = path.join(disk, 'ballast');
      await writeFile(ballast, Buffer.alloc(8 * 1024 * 1024));
      const process = await start({ path: disk });
      expect(process.opening.durability.weak).toHaveLength(1);
      const kept = new Map<number, string>();
      let code: string = 'no error';
      for (let i = 0; i < 100 && code === 'no error'; i++) {
        const text = `${i}:`.padEnd(500_000, 'x');
        code = await codeOf(process.append(text).then((base) => kept.set(base, text)));
      }
      expect(code).toBe('STORE_UNAVAILABLE');
      expect(kept.size).toBeGreaterThan(5);
      await rm(ballast);
      await expect.poll(() => codeOf(process.reopen()), { timeout: 20_000 }).toBe('no error');
      kept.set(await process.append('after'), 'after');
      const found = new Map<number, string>();
      for (let from = 1; from <= process.heads[0]!;) {
        const frames = await process.texts(from, 0, 1_000_000);
        for (const [base, text] of frames) found.set(base, text);
        from = frames.at(-1)![0] + 1;
      }
      for (const [base, text] of kept) expect(found.get(base) === text).toBe(true);
    } finally {
      await Promise.all(opened.splice(0).map((store) => store.close()));
      await run('umount', [disk]);
    }
  });

  it('with no right to write in the directory is the same', async ({ skip }) => {
    if (process.getuid?.() === 0) {
      console.log('skipped: root may write everywhere');
      return skip('root may write everywhere');
    }
    const started = await start();
    await started.append('a');
    await started.store.close();
    await chmod(buffer(), 0o500);
    try {
      expect(await codeOf(makeStore().open(quiet))).toBe('STORE_READ_ONLY');
    } finally {
      await chmod(buffer(), 0o700);
    }
  });
});

describe('damaged data', () => {
  it('whose end was cut off goes on behind what is left, under a new log id', async () => {
    let process = await start();
    const first = process.logId();
    for (let i = 0; i < 50; i++) await process.append(`${i}`.padEnd(2_000, '.'), 2);
    await process.store.close();
    const [log] = await filesEndingIn('.log');
    await truncate(log!, Math.floor((await stat(log!)).size / 2));
    process = await start();
    const { head } = process.states[0]!;
    expect(head).toBeGreaterThan(10);
    expect(head).toBeLessThan(100);
    expect(process.logId()).not.toBe(first);
    const frames = await process.texts();
    expect(frames.map(([base]) => base)).toEqual(Array.from({ length: head / 2 }, (_, i) => 2 * i + 1));
    expect(await process.append('next')).toBe(head + 1);
  });

  it('with a byte changed in the log file loses no more than is said', async () => {
    let process = await start();
    for (let i = 0; i < 100; i++) await process.append(`${i}:`.padEnd(5_000, '.'));
    await process.store.close();
    const [log] = await filesEndingIn('.log');
    const bytes = await readFile(log!);
    bytes[Math.floor(bytes.length / 2)]! ^= 0xff;
    await writeFile(log!, bytes);
    process = await start();
    // Later records know the head: the gap is to be seen, and no offset is used again.
    expect(process.states[0]!.head).toBe(100);
    expect(await process.append('next')).toBe(101);
    const bases: number[] = [];
    for (let from = 1; from <= 101;) {
      const frames = await process.texts(from, 0, 50_000);
      bases.push(...frames.map(([base]) => base));
      from = bases.at(-1)! + 1;
    }
    expect(bases.length).toBeGreaterThan(80);
    expect(bases.length).toBeLessThan(101);
    expect(bases.at(-1)).toBe(101);
  });

  it('with a byte changed in a table gives the other frames, and that one as it is or not at all', async () => {
    let process = await start();
    for (let i = 0; i < 200; i++) await process.append(`${i}:`.padEnd(20_000, '.'));
    await process.store.close();
    // Opening again moves the log file into a table.
    process = await start();
    await process.store.close();
    const tables = await filesEndingIn('.ldb');
    expect(tables.length).toBeGreaterThan(0);
    for (const at of [0.3, 0.5]) {
      const copy = `${tables[0]!}.copy`;
      await copyFile(tables[0]!, copy);
      const bytes = await readFile(tables[0]!);
      // The place of a key: its block no longer parses. Else: a byte of a frame, which only the frame's checksum can tell.
      const key = bytes.indexOf(Buffer.from('f\0\0'), Math.floor(bytes.length * at));
      bytes.fill(0xff, key - 3, key);
      await writeFile(tables[0]!, bytes);
      process = await start();
      const bases = new Set<number>();
      for (let from = 1; from <= 200;) {
        const frames = await process.texts(from, 0, 100_000);
        if (frames.length === 0) break;
        for (const [base] of frames) bases.add(base);
        from = frames.at(-1)![0] + 1;
      }
      expect(bases.size).toBeGreaterThanOrEqual(198);
      // In one piece, where LevelDB reports the damage instead of stepping over it.
      expect((await process.texts(1, 0, 1e9)).map(([base]) => base)).toEqual([...bases]);
      expect(bases.has(200)).toBe(true);
      await process.store.close();
      await rm(copy);
    }
  });

  it('with frames that the head does not know of takes them in', async () => {
    let process = await start();
    await process.appendAll('a', 'bb', 'ccc');
    await process.store.close();
    const db = new ClassicLevel<Buffer, Buffer>(buffer(), { keyEncoding: 'buffer', valueEncoding: 'buffer' });
    const key = Buffer.from([0x61, 0, 0]);
    const side = JSON.parse((await db.get(key))!.toString()) as Record<string, unknown>;
    await db.put(key, Buffer.from(JSON.stringify({ ...side, head: 1, accepted: 1, bytesIn: 1 })));
    await db.close();
    process = await start();
    expect(process.states[0]!.head).toBe(3);
    expect(await process.store.stats(0)).toMatchObject({ accepted: 3, bytes: 6 });
    expect(await process.append('d')).toBe(4);
  });

  it('with settled frames that are there again removes them', async () => {
    let process = await start();
    await process.appendAll('a', 'b', 'c');
    await process.store.settle(await process.lease(), { released: 2, trimmed: 3, freedBytes: 2 });
    await process.store.close();
    const db = new ClassicLevel<Buffer, Buffer>(buffer(), { keyEncoding: 'buffer', valueEncoding: 'buffer' });
    const key = Buffer.from('66000000000000000000010000'.padEnd(30, '0'), 'hex');
    key.writeUInt32BE(1, 11);
    await db.put(key, Buffer.from('a'));
    await db.close();
    process = await start();
    await expect.poll(() => process.texts(), { timeout: 5_000 }).toEqual([[3, 'c']]);
  });
});
