/** What happened in a run, by the clock of the harness: samples of the fleet, and when each fault held. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FleetCounts } from './fleet.ts';
import type { World } from './world.ts';

const SAMPLE_MS = 100;

export interface Sample {
  readonly atMs: number;
  readonly attempted: number;
  readonly acknowledged: number;
  readonly connected: number;
  readonly rssBytes: number;
}

export interface Held {
  readonly fault: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface StepRecord {
  readonly step: string;
  readonly faults: readonly Held[];
  /** From the end of the last fault until the first acknowledgement after it; undefined: none came. */
  readonly resumedAfterMs: number | undefined;
  /** From then until sluice knew of nothing that keeps it from delivering; undefined: it was not waited for. */
  readonly deliversAfterMs: number | undefined;
}

export class Recorder {
  readonly samples: Sample[] = [];
  latest: FleetCounts | undefined;
  readonly #world: World;
  readonly #began = performance.now();
  #stopped = false;
  #running: Promise<void> = Promise.resolve();

  constructor(world: World) {
    this.#world = world;
  }

  start(each: (counts: FleetCounts) => void): void {
    this.#running = this.#run(each);
  }

  nowMs(): number {
    return performance.now() - this.#began;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** Acknowledgements in a stretch of time, as far as samples lie fully within it. */
  acknowledgedBetween(fromMs: number, toMs: number): number {
    const within = this.samples.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
    return (within.at(-1)?.acknowledged ?? 0) - (within[0]?.acknowledged ?? 0);
  }

  async #run(each: (counts: FleetCounts) => void): Promise<void> {
    while (!this.#stopped) {
      const counts = await this.#world.counts().catch(() => undefined);
      if (counts !== undefined) {
        const { attempted, acknowledged, connected } = counts;
        this.latest = counts;
        this.samples.push({ atMs: this.nowMs(), attempted, acknowledged, connected, rssBytes: this.#world.rss() });
        each(counts);
      }
      await sleep(SAMPLE_MS);
    }
  }
}
