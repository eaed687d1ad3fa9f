/**
 * An ordinary device beside the fuzzer: it publishes to itself, again and again, and remembers the slowest round trip. What the
 * machine let both processes wait for a CPU, which others had, is not counted.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { stopwatch } from '../../support/cpu-wait.ts';
import { RawClient } from '../support/raw-client.ts';

const EVERY_MS = 20;

export class Canary {
  readonly #client: RawClient;
  readonly #closed: Promise<unknown>;
  readonly #loop: Promise<void>;
  #stopped = false;
  readonly #pids: number[];
  #elapsed: (() => number) | undefined;
  roundTrips = 0;
  slowestMs = 0;

  private constructor(client: RawClient, pid: number) {
    this.#pids = [process.pid, pid];
    this.#client = client;
    this.#closed = new Promise((resolve) => client.socket.once('close', resolve));
    this.#loop = this.#run();
  }

  static async start({ port, pid }: { port: number; pid: number }): Promise<Canary> {
    const client = await RawClient.connect(port, { clientId: 'canary' });
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'canary/echo', qos: 0 }] });
    await client.until('suback');
    return new Canary(client, pid);
  }

  get alive(): boolean {
    return !this.#client.closed;
  }

  /** Of the round trip that is under way, too. */
  get slowestSoFarMs(): number {
    return Math.max(this.slowestMs, this.#elapsed?.() ?? 0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop.catch(() => undefined);
    this.#client.destroy();
  }

  async #run(): Promise<void> {
    while (!this.#stopped && !this.#client.closed) {
      this.#client.received.length = 0;
      const back = new Promise<void>((resolve) => {
        this.#client.onPacket = ({ cmd }) => {
          if (cmd === 'publish') resolve();
        };
      });
      const elapsed = (this.#elapsed = stopwatch(...this.#pids));
      this.#client.publish('canary/echo', 'x', 0, 0);
      await Promise.race([back, this.#closed]);
      if (this.#client.closed) return;
      this.slowestMs = Math.max(this.slowestMs, elapsed());
      this.#elapsed = undefined;
      this.roundTrips++;
      await sleep(EVERY_MS);
    }
  }
}
