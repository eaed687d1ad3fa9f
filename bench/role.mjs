/**
 * The side of a benchmark process: answers calls of its parent over IPC. Each role is a process of its own so that its
 * CPU time is its own; process.cpuUsage() counts all of its threads.
 */
import { Session } from 'node:inspector';
import { writeFile } from 'node:fs/promises';
import { monotonicMs } from './clock.mjs';

/** @param {Record<string, (argument: any) => any>} methods */
export function serve(methods) {
  const all = { usage, startProfile, stopProfile, ...methods };
  process.on('message', async ({ id, method, argument }) => {
    try {
      const result = await all[method](argument);
      process.send({ id, result });
    } catch (error) {
      process.send({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
  // A parent that has gone wants nothing any more.
  process.on('disconnect', () => process.exit(1));
  process.send({ ready: true });
}

let utilization = performance.eventLoopUtilization();

/** What this process has used up to now; eventLoopUtilization is of the time since the last call. */
export function usage() {
  const { user, system } = process.cpuUsage();
  const now = performance.eventLoopUtilization();
  const since = performance.eventLoopUtilization(now, utilization);
  utilization = now;
  return {
    atMs: monotonicMs(),
    cpuUserUs: user,
    cpuSystemUs: system,
    rssBytes: process.memoryUsage.rss(),
    eventLoopUtilization: since.utilization,
  };
}

/** @type {Session | undefined} */
let session;

const post = (method, parameters) =>
  new Promise((resolve, reject) => {
    session.post(method, parameters, (error, result) => (error ? reject(error) : resolve(result)));
  });

async function startProfile() {
  session = new Session();
  session.connect();
  await post('Profiler.enable');
  await post('Profiler.setSamplingInterval', { interval: 500 });
  await post('Profiler.start');
}

async function stopProfile(file) {
  const { profile } = await post('Profiler.stop');
  session.disconnect();
  await writeFile(file, JSON.stringify(profile));
}
