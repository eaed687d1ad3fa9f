/** Steers fleet.mjs: devices in a process of their own, so that they live through whatever happens to sluice. */
import { fork, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { DeviceLog } from './checker.ts';

export interface FleetOptions {
  readonly urls: readonly string[];
  readonly devices: number;
  readonly prefix?: string;
  /** Topic of each device, with {device}. */
  readonly topic?: string;
  readonly qos?: 1 | 2;
  /** Each device publishes so many; without it, until finish(). */
  readonly messages?: number;
  /** Of the whole fleet; without it, as fast as the window allows. */
  readonly perSecond?: number;
  readonly window?: number;
  readonly bytes?: number;
  readonly protocolVersion?: 4 | 5;
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string };
}

export interface FleetCounts {
  readonly attempted: number;
  readonly acknowledged: number;
  readonly connected: number;
  readonly reconnects: number;
  readonly done: boolean;
  /** Publish to acknowledgement, ms, since counts() was asked last. */
  readonly latency: { readonly count: number; readonly p50: number; readonly p99: number; readonly max: number };
}

export class Fleet {
  readonly #child: ChildProcess;
  #nextId = 1;
  readonly #asked = new Map<number, (value: unknown) => void>();

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', ({ id, value }: { id: number; value: unknown }) => {
      this.#asked.get(id)?.(value);
      this.#asked.delete(id);
    });
  }

  static async start(options: FleetOptions): Promise<Fleet> {
    const fleet = new Fleet(fork(fileURLToPath(new URL('./fleet.mjs', import.meta.url)), { execArgv: [] }));
    await fleet.#ask('start', {
      prefix: 'device-',
      topic: 'devices/{device}/telemetry',
      qos: 1,
      window: 20,
      bytes: 100,
      protocolVersion: 4,
      ...options,
    });
    return fleet;
  }

  async counts(): Promise<FleetCounts> {
    return (await this.#ask('counts')) as FleetCounts;
  }

  /** Publishes nothing new, and waits until what is in flight is acknowledged. */
  async finish(timeoutMs = 60_000): Promise<void> {
    await this.#ask('finish');
    await this.done(timeoutMs);
  }

  /** Waits until every device has published its messages and has them acknowledged. */
  async done(timeoutMs = 120_000): Promise<void> {
    await this.until((counts) => counts.done, timeoutMs);
  }

  async until(condition: (counts: FleetCounts) => boolean, timeoutMs = 60_000): Promise<FleetCounts> {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const counts = await this.counts();
      if (condition(counts)) return counts;
      if (performance.now() > end)
        throw new Error(`the fleet did not get there within ${timeoutMs} ms: ${JSON.stringify(counts)}`);
      await sleep(50);
    }
  }

  async logs(): Promise<DeviceLog[]> {
    return (await this.#ask('logs')) as DeviceLog[];
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }

  #ask(what: string, options?: unknown): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, resolve);
      this.#child.send({ id, do: what, options }, (error) => {
        if (error !== null) reject(error);
      });
    });
  }
}
