import { readFileSync } from 'node:fs';

/**
 * How long the main thread of a process has waited for a CPU so far, in ms: what a busy machine adds to every latency, and
 * nothing that is measured is to blame for. 0 where the kernel does not tell (it is Linux that does).
 */
export function cpuWaitMs(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[1]) / 1e6;
  } catch {
    return 0;
  }
}

/** A stopwatch of the time that these processes had, besides what they waited for a CPU. */
export function stopwatch(...pids: number[]): () => number {
  const waited = (): number => pids.reduce((sum, pid) => sum + cpuWaitMs(pid), 0);
  const startedAt = performance.now();
  const before = waited();
  return () => Math.max(0, performance.now() - startedAt - (waited() - before));
}
