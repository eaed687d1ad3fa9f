/** sluice as a user runs it: the built command in a process of its own, which a test can kill. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { askAdmin } from '../../src/http/admin.ts';
import type { SluiceStatus } from '../../src/status.ts';
import { eventually } from './eventually.ts';
import { freePort } from './services.ts';

export const mainFile = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface SluiceOptions {
  /** `--set` values by dotted path. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Routes cannot be set by flags: they go to a configuration file. */
  readonly routes?: readonly Route[];
  readonly brokers: readonly string[];
  readonly redisUrl?: string;
  /** Data directory; one of the test's own by default. */
  readonly path?: string;
  readonly configFile?: string;
  /** In front of the node command, e.g. ['faketime', '+1h']. */
  readonly wrapper?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Route {
  readonly name?: string;
  readonly from: string;
  readonly to: string;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly value?: 'raw' | 'json';
}

export class SluiceProcess {
  readonly port: number;
  readonly path: string;
  readonly url: string;
  readonly #args: readonly string[];
  readonly #options: SluiceOptions;
  #child: ChildProcess | undefined;
  #stderr = '';
  stdout = '';

  private constructor(port: number, path: string, options: SluiceOptions) {
    this.port = port;
    this.path = path;
    this.url = `mqtt://127.0.0.1:${port}`;
    this.#options = options;
    const settings: Record<string, string | number> = {
      'listeners.mqtt.port': port,
      'listeners.ws': 'false',
      'buffer.path': path,
      'kafka.brokers': options.brokers.join(','),
      'log.level': 'info',
      'log.format': 'json',
      ...(options.redisUrl === undefined
        ? {}
        : { 'buffer.store': 'redis', 'buffer.url': options.redisUrl, 'buffer.namespace': `t${port}` }),
      ...options.settings,
    };
    this.#args = [
      'start',
      ...(options.configFile === undefined ? [] : ['-c', options.configFile]),
      ...Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
    ];
  }

  /** Starts it and waits until it listens. */
  static async start(options: SluiceOptions): Promise<SluiceProcess> {
    const sluice = await SluiceProcess.prepare(options);
    await sluice.start();
    return sluice;
  }

  static async prepare(options: SluiceOptions): Promise<SluiceProcess> {
    const path = options.path ?? (await mkdtemp(join(tmpdir(), 'sluice-test-')));
    const port = await freePort();
    if (options.routes === undefined) return new SluiceProcess(port, path, options);
    // JSON is YAML.
    const configFile = join(tmpdir(), `sluice-test-${port}.yaml`);
    await writeFile(configFile, JSON.stringify({ routes: options.routes }));
    return new SluiceProcess(port, path, { ...options, configFile });
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What it logged, one object a line, over all its starts. */
  get log(): Record<string, unknown>[] {
    return this.#stderr
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  get stderr(): string {
    return this.#stderr;
  }

  async start(): Promise<void> {
    await mkdir(this.path, { recursive: true });
    this.spawn();
    await this.listening();
  }

  spawn(): ChildProcess {
    const [command = process.execPath, ...before] = [...(this.#options.wrapper ?? []), process.execPath];
    const child = spawn(command, [...before, mainFile, ...this.#args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: this.path,
      env: { ...process.env, ...this.#options.env },
    });
    this.stdout = '';
    child.stdout?.on('data', (part: Buffer) => (this.stdout += part.toString()));
    child.stderr?.on('data', (part: Buffer) => (this.#stderr += part.toString()));
    this.#child = child;
    return child;
  }

  /** Resolves when it has said where it listens; rejects with what it said when it ends instead. */
  async listening(timeoutMs = 30_000): Promise<void> {
    await eventually(
      () => {
        if (!this.running) throw new Error(`sluice ended with ${this.#child?.exitCode}: ${this.#stderr.slice(-4_000)}`);
        return this.stdout.includes('is running');
      },
      timeoutMs,
      'sluice did not say that it is running',
    );
  }

  async status(): Promise<SluiceStatus> {
    return (await askAdmin(this.path, '/api/v1/status')) as SluiceStatus;
  }

  /** Waits until nothing is buffered. */
  async drained(timeoutMs = 60_000): Promise<SluiceStatus> {
    let status: SluiceStatus | undefined;
    await eventually(
      async () => (status = await this.status()).ledger.buffered === 0,
      timeoutMs,
      () => `the buffer did not drain: ${JSON.stringify(status)}`,
    );
    return status!;
  }

  /** Resident set size, bytes (Linux). */
  rss(): number {
    const text = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(text)?.[1] ?? NaN) * 1024;
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || !this.running) return child?.exitCode ?? null;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
    return child.exitCode;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** SIGTERM; gives the exit code. */
  async stop(): Promise<number | null> {
    return this.kill('SIGTERM');
  }

  /** Ends it, whatever its state, and removes its data. @throws Error where it runs, and its ledger does not balance */
  async discard(): Promise<void> {
    const ledger = await this.#ledger();
    await this.kill();
    if (this.#options.routes !== undefined && this.#options.configFile !== undefined)
      await rm(this.#options.configFile, { force: true });
    if (this.#options.path === undefined) await rm(this.path, { recursive: true, force: true });
    assertBalance(ledger);
  }

  /** undefined: it does not run, or does not answer. */
  async #ledger(): Promise<SluiceStatus['ledger'] | undefined> {
    if (!this.running) return undefined;
    return this.status().then(
      ({ ledger }) => ledger,
      () => undefined,
    );
  }
}

/** Looked at after every test that runs a sluice: whatever the test was about, no message is unaccounted for. */
export function assertBalance(ledger: SluiceStatus['ledger'] | undefined): void {
  if (ledger === undefined || ledger.imbalance === 0) return;
  throw new Error(`the ledger is out of balance by ${ledger.imbalance}: ${JSON.stringify(ledger)}`);
}

/** Runs a sluice command to its end. */
export async function runSluice(
  args: readonly string[],
  options: { cwd?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [mainFile, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (part: Buffer) => (stdout += part.toString()));
  child.stderr.on('data', (part: Buffer) => (stderr += part.toString()));
  await once(child, 'close');
  return { code: child.exitCode, stdout, stderr };
}
