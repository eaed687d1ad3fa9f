/** Steers fleet.mjs: devices in a process of their own, so that they live through whatever happens to sluice. */
import { fork, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { DeviceLog } from './checker.ts';

export interface FleetOptions {
  /** 'mqtt.js' (the default), or 'socket': device.mjs, which resends as real devices do and sees more; TCP only. */
  readonly client?: 'mqtt.js' | 'socket';
  readonly urls: readonly string[];
  readonly devices: number;
  readonly prefix?: string;
  /** Topic of each device, with {device}; a list is dealt out to the devices in turn. */
  readonly topic?: string | readonly string[];
  /** A list is dealt out to the devices in turn. */
  readonly qos?: 1 | 2 | readonly (1 | 2)[];
  /** Each device publishes so many; without it, until finish(). */
  readonly messages?: number;
  /** Of the whole fleet; without it, as fast as the window allows. */
  readonly perSecond?: number;
  readonly window?: number;
  readonly bytes?: number;
  readonly protocolVersion?: 4 | 5 | 'both';
  /** Every n-th message of a device is that long (socket only). */
  readonly oversized?: { readonly every: number; readonly bytes: number };
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string };
}

/** What only devices of kind 'socket' can tell is 0 or empty for the others. */
export interface FleetCounts {
  readonly attempted: number;
  readonly acknowledged: number;
  readonly connected: number;
  readonly reconnects: number;
  /** Publishes sent again with DUP (socket). */
  readonly resent: number;
  /** Against [MQTT-4.6.0-2] (socket). */
  readonly acksOutOfOrder: number;
  /** Session Present was 0 where a session with a subscription had been (socket). */
  readonly sessionsLost: number;
  /** Acknowledgements with an error code, by code: the device gives the message up (socket). */
  readonly refused: Readonly<Record<string, number>>;
  /** DISCONNECTs of the server, by code (socket, MQTT 5). */
  readonly disconnects: Readonly<Record<string, number>>;
  readonly done: boolean;
  /** Milliseconds since the epoch; 0: never. */
  readonly lastAckAt: number;
  /** Publish to acknowledgement, ms, since counts() was asked last. */
  readonly latency: Latency;
}

export interface Latency {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export class Fleet {
  readonly #child: ChildProcess;
  #nextId = 1;
  readonly #asked = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', ({ id, value }: { id: number; value: unknown }) => {
      this.#asked.get(id)?.resolve(value);
      this.#asked.delete(id);
    });
    child.on('exit', (code, signal) => {
      const error = new Error(`the fleet ended (${code ?? signal})`);
      for (const { reject } of this.#asked.values()) reject(error);
      this.#asked.clear();
    });
  }

  static async start(options: FleetOptions): Promise<Fleet> {
    const fleet = new Fleet(fork(fileURLToPath(new URL('./fleet.mjs', import.meta.url)), { execArgv: [] }));
    await fleet.#ask('start', {
      client: 'mqtt.js',
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

  /** Publish to acknowledgement, ms, since latency() was asked last, over all calls of counts(). */
  async latency(): Promise<Latency> {
    await this.counts();
    return (await this.#ask('latency')) as Latency;
  }

  /** From now on, messages per second of the whole fleet; undefined: as fast as the window allows. */
  async rate(perSecond: number | undefined): Promise<void> {
    await this.#ask('rate', perSecond);
  }

  /** Publishes nothing new; what is in flight goes on until it is acknowledged. */
  async publishNoMore(): Promise<void> {
    await this.#ask('finish');
  }

  /** Publishes nothing new, and waits until what is in flight is acknowledged. */
  async finish(timeoutMs = 60_000): Promise<void> {
    await this.publishNoMore();
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
      if (!this.#child.connected) return reject(new Error('the fleet has ended'));
      this.#asked.set(id, { resolve, reject });
      this.#child.send({ id, do: what, options }, (error) => {
        if (error !== null) reject(error);
      });
    });
  }
}
