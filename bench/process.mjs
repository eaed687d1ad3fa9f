/** The parent's side of a benchmark process. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const STDERR_KEPT_CHARACTERS = 4_000;
const EXIT_TIMEOUT_MS = 10_000;

/**
 * Starts bench/roles/<role>.mjs.
 *
 * @param {string} role
 * @param {{ execArgv?: string[], env?: Record<string, string> }} [options]
 */
export async function startRole(role, { execArgv = [], env = {} } = {}) {
  const file = fileURLToPath(new URL(`./roles/${role}.mjs`, import.meta.url));
  const child = fork(file, [], {
    execArgv,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    serialization: 'advanced',
  });
  const pending = new Map();
  let nextId = 1;
  let stderr = '';
  let readied;
  let failed;
  const ready = new Promise((resolve, reject) => {
    readied = resolve;
    failed = reject;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr = (stderr + text).slice(-STDERR_KEPT_CHARACTERS);
  });
  child.on('message', ({ ready: isReady, id, result, error }) => {
    if (isReady) return readied();
    const call = pending.get(id);
    pending.delete(id);
    if (error === undefined) call.resolve(result);
    else call.reject(new Error(`${role}: ${error}`));
  });
  // Not 'close' of the child: it does not come after disconnect(). The end of stderr completes what it said.
  const said = once(child.stderr, 'close');
  const exited = once(child, 'exit').then(async ([code, signal]) => {
    await said;
    const error = new Error(`${role} ended with ${signal ?? code}\n${stderr.trim()}`);
    failed(error);
    for (const call of pending.values()) call.reject(error);
    pending.clear();
  });
  await ready;

  return {
    pid: child.pid,
    /** What it last wrote to standard error. */
    get stderr() {
      return stderr.trim();
    },
    /** @returns {Promise<any>} */
    call(method, argument) {
      return new Promise((resolve, reject) => {
        if (!child.connected) return reject(new Error(`${role} has ended\n${stderr.trim()}`));
        const id = nextId++;
        pending.set(id, { resolve, reject });
        child.send({ id, method, argument });
      });
    },
    async end() {
      if (child.connected) child.disconnect();
      const timer = setTimeout(() => child.kill('SIGKILL'), EXIT_TIMEOUT_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** @typedef {Awaited<ReturnType<typeof startRole>>} Role */
