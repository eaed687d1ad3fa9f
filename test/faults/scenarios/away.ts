/** Kafka away for ten minutes at 1,000 msg/s: latency as usual, memory bounded, and a fast drain under continued load. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Scenario, Stage } from '../scenario.ts';
import type { StoreName } from '../world.ts';

const FULL_AWAY_MS = 600_000;
const RATE = 1_000;
const WARM_UP_MS = 15_000;
const USUAL_MS = 20_000;
const RSS_GROWTH_MAX_MB = 100;
const DRAIN_MIN_PER_SECOND = 20_000;
const SLOWER_MAX = 2;
const SLOWER_MAX_MS = 10;
const DRAIN_TIMEOUT_MS = 300_000;
const MB = 2 ** 20;

async function play(
  { world, recorder, say, complain, complainOfMeasure, measure }: Stage,
  scale: number,
): Promise<void> {
  const shorter = Math.min(1, Math.max(scale * 4, 0.2));
  say('usual load');
  await world.fleet.until(({ acknowledged }) => acknowledged > RATE);
  await sleep(WARM_UP_MS * shorter);
  await world.fleet.latency();
  const usualFromMs = recorder.nowMs();
  await sleep(USUAL_MS * shorter);
  const usual = await world.fleet.latency();
  const rssBefore = Math.max(...rssBetween(usualFromMs, recorder.nowMs()));

  const awayMs = Math.round(FULL_AWAY_MS * Math.min(1, scale));
  say(`Kafka away for ${Math.round(awayMs / 1000)} s`);
  await world.kafka.kill();
  const awayFromMs = recorder.nowMs();
  await sleep(awayMs);
  const away = await world.fleet.latency();
  const rssAway = Math.max(...rssBetween(awayFromMs, recorder.nowMs()));

  say('Kafka comes back');
  const backlog = (await world.status())?.ledger.buffered ?? NaN;
  const [rate] = await Promise.all([drainRate(), world.kafka.start()]);
  const acknowledged = recorder.acknowledgedBetween(awayFromMs, awayFromMs + awayMs);
  const grownMb = (rssAway - rssBefore) / MB;

  measure('usual p99, ms', round(usual.p99));
  measure('p99 while Kafka is away, ms', round(away.p99));
  measure('RSS before, MB', round(rssBefore / MB));
  measure('RSS grown, MB', round(grownMb));
  measure('backlog', backlog);
  measure('drained per second', Math.round(rate));
  if (acknowledged < (RATE * awayMs * 0.9) / 1000) complain(`only ${acknowledged} messages acknowledged in the outage`);
  const p99Max = Math.max(SLOWER_MAX * usual.p99, usual.p99 + SLOWER_MAX_MS);
  if (away.p99 > p99Max)
    complainOfMeasure(`PUBACK p99 was ${round(away.p99)} ms in the outage, ${round(usual.p99)} ms before`);
  if (grownMb > RSS_GROWTH_MAX_MB) complainOfMeasure(`RSS grew by ${round(grownMb)} MB`);
  if (rate < DRAIN_MIN_PER_SECOND) complainOfMeasure(`drained at ${Math.round(rate)} msg/s under continued load`);

  function rssBetween(fromMs: number, toMs: number): number[] {
    return recorder.samples.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs).map(({ rssBytes }) => rssBytes);
  }

  /** Messages per second that leave the buffer, from the last moment at which none had until a hundredth is left. */
  async function drainRate(): Promise<number> {
    let first: { atMs: number; delivered: number } | undefined;
    const end = performance.now() + DRAIN_TIMEOUT_MS;
    while (performance.now() < end) {
      const atMs = performance.now();
      const ledger = (await world.status())?.ledger;
      if (ledger !== undefined) {
        if (first === undefined || ledger.delivered === first.delivered) first = { atMs, delivered: ledger.delivered };
        else if (ledger.buffered < backlog / 100) {
          return ((ledger.delivered - first.delivered) / (performance.now() - first.atMs)) * 1000;
        }
      }
      await sleep(20);
    }
    return 0;
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function away(store: StoreName): Scenario {
  return {
    name: `kafka away, ${store}`,
    about: `Kafka away for 10 minutes at ${RATE} msg/s: PUBACKs as usual, memory bounded, drained at ${DRAIN_MIN_PER_SECOND} msg/s or more`,
    fullSeconds: 700,
    promised: true,
    world: {
      store,
      // Latency and rate are measured: no proxies in between, and the window that sluice has by itself.
      proxied: false,
      settings: { 'forward.windowBytes': '32MB' },
      fleet: { devices: 40, perSecond: RATE, window: 20, qos: 1 },
    },
    steps: () => [],
    play: (stage, _steps, scale) => play(stage, scale),
  };
}

export const awayScenarios: readonly Scenario[] = [away('level'), away('redis')];
