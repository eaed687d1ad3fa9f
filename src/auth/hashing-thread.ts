/**
 * scrypt on a thread of its own, which yields to all others: who guesses at passwords is to use what is left of the machine, not what
 * acknowledgements need. libuv's pool, where node:crypto would hash, has the priority of the main thread, and commits need it.
 */
import os from 'node:os';
import { Worker } from 'node:worker_threads';
import { errorText } from '../errors.ts';
import type { Derive } from './password.ts';

/** Linux counts niceness by thread; elsewhere it would be that of the process. A third of the weight of the main thread. */
const NICENESS = 5;

/** As a text, so that it runs the same from TypeScript, JavaScript and a bundle. */
const program = `
const { scryptSync } = require('node:crypto');
const os = require('node:os');
const { parentPort, workerData } = require('node:worker_threads');
if (workerData.niceness > 0) {
  try { os.setPriority(workerData.niceness); } catch {}
}
parentPort.on('message', ({ password, salt, length, options }) => {
  parentPort.postMessage(scryptSync(password, salt, length, options));
});
`;

interface Job {
  readonly resolve: (hash: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/** Hashes are made in the order in which they are asked for. The thread begins with the first, and again after a fault. */
export class HashingThread {
  #worker: Worker | undefined;
  readonly #jobs: Job[] = [];
  #closing = false;

  readonly derive: Derive = (password, salt, length, options) =>
    new Promise((resolve, reject) => {
      this.#worker ??= this.#start();
      this.#jobs.push({ resolve, reject });
      this.#worker.postMessage({ password, salt, length, options });
    });

  /** Once what was asked for is done. */
  close(): void {
    this.#closing = true;
    if (this.#jobs.length === 0) void this.#worker?.terminate();
  }

  #start(): Worker {
    const niceness = process.platform === 'linux' ? niceFrom(os.getPriority()) : 0;
    const worker = new Worker(program, { eval: true, workerData: { niceness } });
    worker.unref();
    worker.on('message', (hash: Uint8Array) => {
      this.#jobs.shift()?.resolve(Buffer.from(hash));
      if (this.#closing) this.close();
    });
    const ended = (why: string): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      for (const { reject } of this.#jobs.splice(0))
        reject(new Error(`the thread that hashes passwords ended: ${why}`));
    };
    worker.on('error', (error) => ended(errorText(error)));
    worker.on('exit', (code) => ended(`exit code ${code}`));
    return worker;
  }
}

/** Of a process that is nice itself, the thread is nicer still. */
function niceFrom(own: number): number {
  return Math.min(19, own + NICENESS);
}
