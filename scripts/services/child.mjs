import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';

/**
 * Services must not outlive the process that started them, not even one that was killed with SIGKILL. The guard is a
 * shell in a session of its own that reads from a pipe; when the pipe ends, because its only writer is gone, it kills
 * whatever was named to it and not taken back. Stopped processes (SIGSTOP) die of SIGKILL too.
 */
const GUARD = `
trap '' INT TERM HUP
pids=' '
while read -r op pid; do
  case "$op" in
    watch) pids="$pids$pid " ;;
    forget) case "$pids" in *" $pid "*) pids="\${pids%% $pid *} \${pids#* $pid }" ;; esac ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
`;

let guard;

function tellGuard(line) {
  if (guard === undefined) {
    guard = spawn('sh', ['-c', GUARD], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    guard.unref();
    guard.stdin.unref?.();
    guard.on('error', () => {});
    guard.stdin.on('error', () => {});
  }
  guard.stdin.write(`${line}\n`);
}

const STOP_TIMEOUT_MS = 20_000;
const READY_TIMEOUT_MS = 90_000;
const READY_POLL_MS = 25;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function tail(file, bytes = 2_000) {
  const handle = await open(file, 'r').catch(() => undefined);
  if (handle === undefined) return '';
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, bytes);
    const { buffer } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString();
  } finally {
    await handle.close();
  }
}

/**
 * A program that can be started, stopped, killed, paused and started again with the same arguments.
 *
 * @param {{ name: string, command: string, args: string[], cwd: string, logFile: string, env?: Record<string, string>,
 *   isReady: () => Promise<boolean> }} options
 */
export function serviceProcess({ name, command, args, cwd, logFile, env = {}, isReady }) {
  let child;
  let exited;
  let paused = false;

  const running = () => child !== undefined && child.exitCode === null && child.signalCode === null;

  async function start() {
    if (running()) return;
    const log = openSync(logFile, 'a');
    const started = spawn(command, args, {
      cwd,
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
    });
    closeSync(log);
    let spawnError;
    child = started;
    paused = false;
    exited = new Promise((resolve) => {
      started.once('error', (error) => {
        spawnError = error;
        resolve();
      });
      started.once('exit', () => {
        tellGuard(`forget ${started.pid}`);
        resolve();
      });
    });
    if (started.pid !== undefined) tellGuard(`watch ${started.pid}`);
    // The guard ends the service with us; the service must not keep us.
    started.unref();

    const deadline = performance.now() + READY_TIMEOUT_MS;
    while (!(await isReady())) {
      if (spawnError !== undefined) throw new Error(`${name}: cannot run ${command}: ${spawnError.message}`);
      if (!running()) throw new Error(`${name} ended while starting (${logFile}):\n${await tail(logFile)}`);
      if (performance.now() > deadline) {
        await kill('SIGKILL');
        throw new Error(
          `${name} is not ready after ${READY_TIMEOUT_MS / 1000} s (${logFile}):\n${await tail(logFile)}`,
        );
      }
      await pause(READY_POLL_MS);
    }
  }

  async function ended(timeoutMs) {
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(() => resolve(false), timeoutMs);
    });
    const result = await Promise.race([exited.then(() => true), late]);
    clearTimeout(timer);
    return result;
  }

  /** Ends it at once by default, without giving it a chance to write anything; resolves when it is gone. */
  async function kill(signal = 'SIGKILL') {
    if (!running()) return;
    child.kill(signal);
    if (paused && signal !== 'SIGKILL') child.kill('SIGCONT');
    if (!(await ended(STOP_TIMEOUT_MS))) {
      child.kill('SIGKILL');
      await exited;
    }
  }

  return {
    get pid() {
      return child?.pid;
    },
    get running() {
      return running();
    },
    start,
    kill,
    /** Ends it as an operator would: SIGTERM, then SIGKILL after 20 s. The data stays. */
    stop: () => kill('SIGTERM'),
    /** SIGSTOP: connections stay, nothing answers. */
    pause() {
      if (!running()) throw new Error(`${name} is not running`);
      child.kill('SIGSTOP');
      paused = true;
    },
    resume() {
      if (running()) child.kill('SIGCONT');
      paused = false;
    },
    /** Starts it again on the same port and data; ends it first if it still runs. */
    async restart() {
      await kill('SIGTERM');
      await start();
    },
  };
}
