/**
 * Keeps a sluice running as systemd would, and tells what nobody meant: an end that the harness did not bring about. One
 * that cannot start because its store is not there ends with a documented code and is started again; that is counted apart.
 */
import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { SluiceProcess, type SluiceOptions } from '../support/sluice.ts';

const RESTART_MS = 250;
const START_TIMEOUT_MS = 120_000;
/** Exit code of a start that finds no store (docs/cli.md). */
const NO_STORE = 3;

export interface LogLine {
  readonly event: string;
  readonly [field: string]: unknown;
}

export class Supervisor {
  readonly process: SluiceProcess;
  /** How it ended while nobody meant it, with what it said last. */
  readonly endedByItself: string[] = [];
  /** Starts that were refused because the store was not there. */
  startsRefused = 0;
  starts = 0;
  readonly startMs: number[] = [];
  #wanted = false;
  #listening = false;
  #starting: Promise<void> | undefined;

  private constructor(process: SluiceProcess) {
    this.process = process;
  }

  static async prepare(options: SluiceOptions): Promise<Supervisor> {
    const process = await SluiceProcess.prepare(options);
    await mkdir(process.path, { recursive: true });
    return new Supervisor(process);
  }

  /** Resolves when it listens; rejects when it cannot be started at all. */
  async start(): Promise<void> {
    this.#wanted = true;
    await (this.#starting ??= this.#startUntilItListens().finally(() => (this.#starting = undefined)));
  }

  async kill(): Promise<void> {
    this.#wanted = false;
    this.#listening = false;
    await this.process.kill('SIGKILL');
    // One that is being started sees that it is not wanted any more.
    await this.#starting?.catch(() => undefined);
  }

  freeze(): void {
    this.process.signal('SIGSTOP');
  }

  thaw(): void {
    this.process.signal('SIGCONT');
  }

  /** What it logged over all its starts; a line that a kill cut short is left out. */
  log(): LogLine[] {
    const lines: LogLine[] = [];
    for (const line of this.process.stderr.split('\n')) {
      if (!line.startsWith('{')) continue;
      try {
        lines.push(JSON.parse(line) as LogLine);
      } catch {
        // Cut short.
      }
    }
    return lines;
  }

  async discard(): Promise<void> {
    this.#wanted = false;
    this.thaw();
    await this.process.discard();
  }

  async #startUntilItListens(): Promise<void> {
    const began = performance.now();
    while (this.#wanted) {
      this.starts++;
      const child = this.process.spawn();
      child.once('exit', (code, signal) => this.#ended(code, signal));
      try {
        await this.process.listening();
        this.#listening = this.#wanted;
        this.startMs.push(performance.now() - began);
        return;
      } catch (error) {
        if (!this.#wanted) return;
        // Anything but a store that is not there will be the same the next time.
        if (child.exitCode !== NO_STORE || performance.now() - began > START_TIMEOUT_MS) throw error;
      }
      await sleep(RESTART_MS);
    }
  }

  #ended(code: number | null, signal: NodeJS.Signals | null): void {
    if (!this.#wanted) return;
    if (!this.#listening && code === NO_STORE) this.startsRefused++;
    else {
      const last = this.process.stderr.trimEnd().split('\n').slice(-3).join('\n');
      this.endedByItself.push(`${this.#listening ? 'running' : 'starting'}, ended with ${code ?? signal}: ${last}`);
    }
    if (!this.#listening) return;
    this.#listening = false;
    void this.start().catch(() => undefined);
  }
}
