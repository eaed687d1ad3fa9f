/** What the figures of a run depend on. */
import { open, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { makeRunDirectory } from '../scripts/services/index.mjs';
import { Histogram } from './histogram.mjs';

const SYNCS = 200;
const SYNC_BYTES = 4_096;

/** Appends 4 KB and waits for fdatasync, over and over, on the disk that the stores of a run use. */
async function syncLatency() {
  const directory = await makeRunDirectory('fsync');
  const latency = new Histogram();
  const file = await open(path.join(directory, 'probe'), 'w');
  const block = Buffer.alloc(SYNC_BYTES, 1);
  try {
    for (let count = 0; count < SYNCS; count += 1) {
      const from = performance.now();
      await file.write(block);
      await file.datasync();
      latency.record(performance.now() - from);
    }
  } finally {
    await file.close();
    await rm(directory, { recursive: true, force: true });
  }
  return latency.summary();
}

export async function machine() {
  return {
    cores: os.availableParallelism(),
    cpu: os.cpus()[0]?.model,
    memoryBytes: os.totalmem(),
    platform: `${os.platform()} ${os.release()} ${os.arch()}`,
    node: process.version,
    loadAverageBefore: os.loadavg()[0],
    appendAndSync: await syncLatency(),
  };
}
