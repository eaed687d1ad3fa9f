import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { eventually } from '../support/eventually.ts';

/** An installed `sluice start`, whatever way it was installed. */
export interface Running {
  /** What it printed. */
  output(): string;
  /** SIGTERM; gives the exit code, null when it had to be killed. */
  stop(): Promise<number | null>;
}

const STARTED_WITHIN_MS = 30_000;
/** Longer than shutdownTimeout's 20 s. */
const STOPPED_WITHIN_MS = 30_000;

/** Runs the command and resolves once it says that it is running; rejects with what it printed when it ends instead. */
export async function startCommand(
  command: string,
  args: readonly string[],
  options: { cwd: string; env?: Readonly<Record<string, string>> },
): Promise<Running> {
  const child: ChildProcess = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // A test that times out does not reach its stop().
  process.once('exit', () => child.kill('SIGKILL'));
  let printed = '';
  const take = (chunk: Buffer): void => {
    printed += chunk.toString();
  };
  child.stdout?.on('data', take);
  child.stderr?.on('data', take);
  const stop = async (): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOPPED_WITHIN_MS);
      await ended;
      clearTimeout(timer);
    }
    return child.exitCode;
  };
  try {
    await eventually(
      () => {
        if (child.exitCode !== null || child.signalCode !== null)
          throw new Error(`${command} ended with ${child.exitCode}:\n${printed}`);
        return printed.includes('is running');
      },
      STARTED_WITHIN_MS,
      () => `${command} did not say that it is running:\n${printed}`,
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return { output: () => printed, stop };
}
