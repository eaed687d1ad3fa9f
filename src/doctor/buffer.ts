/** The buffer: does it keep what is acknowledged, and is there room? */
import { constants } from 'node:fs';
import { access, mkdir, open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { inspectRedis } from '../buffer/redis/inspect.ts';
import type { BufferConfig } from '../config/config.ts';
import { formatSize } from '../config/fields.ts';
import { errorText } from '../errors.ts';
import { fault, ok, warning, type Finding } from './finding.ts';
import { clockDifference } from './machine.ts';

const TIMEOUT_MS = 5_000;
const SYNCS = 5;
/** A commit waits for one sync: beyond this every acknowledgement is slow. */
const SLOW_SYNC_MS = 50;
/** statfs(2): tmpfs, ramfs. */
const IN_MEMORY: ReadonlySet<number> = new Set([0x01021994, 0x858458f6]);

export async function bufferFindings(buffer: BufferConfig): Promise<Finding[]> {
  switch (buffer.store) {
    case 'memory':
      return [
        warning('buffer', 'store: memory keeps messages until the process ends', 'buffer.store: level, or redis'),
      ];
    case 'level':
      return directoryFindings(buffer);
    case 'redis':
      return redisFindings(buffer);
  }
}

async function directoryFindings({ path, maxBytes }: BufferConfig): Promise<Finding[]> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const mend = `give it to the user that runs sluice: chown -R sluice ${path}; or set buffer.path`;
    return [fault('buffer', `the data directory ${path} cannot be written: ${errorText(error)}`, mend)];
  }
  const findings: Finding[] = [];
  const { type, bavail, bsize } = await statfs(path);
  if (IN_MEMORY.has(type))
    findings.push(
      warning(
        'buffer',
        `${path} is a file system in memory: a restart of the machine loses acknowledged messages`,
        'set buffer.path to a directory on a disk',
      ),
    );
  const free = bavail * bsize;
  if (free < maxBytes)
    findings.push(
      warning(
        'buffer',
        `${path} has ${formatSize(Math.floor(free))} free, less than buffer.maxBytes (${formatSize(maxBytes)}): the disk would be full before the buffer says so`,
        'free disk space, or set buffer.maxBytes below what is free',
      ),
    );
  try {
    const ms = await syncMs(path);
    findings.push(
      ms > SLOW_SYNC_MS
        ? warning(
            'buffer',
            `a sync of the disk takes ${ms.toFixed(0)} ms: no acknowledgement comes sooner`,
            'put buffer.path on a faster disk',
          )
        : ok('buffer', `${path}: ${formatSize(Math.floor(free))} free, a sync takes ${ms.toFixed(1)} ms`),
    );
  } catch (error) {
    findings.push(
      fault(
        'buffer',
        `a file in ${path} cannot be written and synced: ${errorText(error)}`,
        'is the disk full, read-only, failing?',
      ),
    );
  }
  return findings;
}

/** Median of a few. */
async function syncMs(path: string): Promise<number> {
  const file = join(path, `.doctor-${process.pid}`);
  const handle = await open(file, 'w', 0o600);
  try {
    const times: number[] = [];
    for (let n = 0; n < SYNCS; n++) {
      await handle.write(Buffer.alloc(4_096));
      const began = performance.now();
      await handle.datasync();
      times.push(performance.now() - began);
    }
    return times.sort((a, b) => a - b)[Math.floor(SYNCS / 2)] ?? 0;
  } finally {
    await handle.close();
    await rm(file, { force: true });
  }
}

async function redisFindings({ url = '', maxBytes, allowWeakDurability }: BufferConfig): Promise<Finding[]> {
  const found = await inspectRedis(url, TIMEOUT_MS).catch((error: unknown) => errorText(error));
  if (typeof found === 'string')
    return [
      fault(
        'buffer',
        `Redis does not answer: ${found}`,
        'is it up, is the way to it open, are buffer.url and its password right? redis-cli -u URL ping',
      ),
    ];
  const { durability, memoryMaxBytes, memoryUsedBytes, time } = found;
  const state = allowWeakDurability === true ? warning : fault;
  const findings = durability.weak.map((weakness) =>
    (durability.shortcomings.includes(weakness) ? state : warning)(
      'buffer',
      `Redis: ${weakness}`,
      'as it says; or buffer.allowWeakDurability: true, where that loss is acceptable',
    ),
  );
  if (memoryMaxBytes > 0 && memoryMaxBytes - memoryUsedBytes < maxBytes)
    findings.push(
      warning(
        'buffer',
        `Redis has ${formatSize(Math.max(0, memoryMaxBytes - memoryUsedBytes))} of its maxmemory left, less than buffer.maxBytes (${formatSize(maxBytes)})`,
        'raise maxmemory, or set buffer.maxBytes below what is left',
      ),
    );
  if (findings.length === 0) findings.push(ok('buffer', durability.summary));
  return [...findings, clockDifference('Redis', time, Date.now())];
}
