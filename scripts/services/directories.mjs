import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of this clone. */
export const repository = fileURLToPath(new URL('../../', import.meta.url));

/** What is downloaded once for all clones of this user. */
export function cacheDirectory() {
  const base = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'sluice');
  return path.resolve(base);
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

const runs = path.join(repository, '.services', 'run');

/** Data and logs outlive stop() so that a service can be started again, and go when their process is gone. */
async function sweep() {
  for (const entry of await readdir(runs).catch(() => [])) {
    const directory = path.join(runs, entry);
    const owner = Number(await readFile(path.join(directory, 'owner'), 'utf8').catch(() => '0'));
    // No owner yet means that another process is between mkdtemp and its first write.
    if (owner > 0 && !isAlive(owner)) await rm(directory, { recursive: true, force: true }).catch(() => {});
  }
}

/** A new directory for the data of one service, on the disk of the clone: an fsync there costs what it costs. */
export async function makeRunDirectory(name) {
  await mkdir(runs, { recursive: true });
  await sweep();
  const directory = await mkdtemp(path.join(runs, `${name}-`));
  await writeFile(path.join(directory, 'owner'), String(process.pid));
  return directory;
}

const LOCK_POLL_MS = 100;
const LOCK_SETTLE_MS = 50;

/** Runs `task` while no other process of this machine runs one under the same lock file. */
export async function withLock(file, task) {
  await mkdir(path.dirname(file), { recursive: true });
  for (;;) {
    try {
      await writeFile(file, String(process.pid), { flag: 'wx' });
      // Two that find the lock of a dead process at once may both remove it; only one is named in it a moment later.
      await new Promise((resolve) => setTimeout(resolve, LOCK_SETTLE_MS));
      if ((await readFile(file, 'utf8').catch(() => '')) === String(process.pid)) break;
      continue;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const holder = Number(await readFile(file, 'utf8').catch(() => '0'));
    if (holder > 0 && !isAlive(holder)) await rm(file, { force: true });
    else await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
  }
  try {
    return await task();
  } finally {
    await rm(file, { force: true });
  }
}
