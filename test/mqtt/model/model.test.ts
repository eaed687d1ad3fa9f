import { afterEach, describe, expect, it } from 'vitest';
import { randomFrom } from '../../support/random.ts';
import { startMosquitto } from '../../support/services.ts';
import { WholeSluice } from '../support/whole-sluice.ts';
import { campaign, type CampaignResult } from './campaign.ts';
import { check } from './checker.ts';
import type { Delivered, History } from './history.ts';

const { seed } = randomFrom();
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

function expectSound({ violations, counts }: CampaignResult): void {
  console.log(`SEED=${seed}: ${JSON.stringify(counts)}`);
  expect(violations.slice(0, 20).map(({ rule, text }) => `${rule}: ${text}`)).toEqual([]);
  // Enough has happened to show something.
  expect(counts.published).toBeGreaterThan(300);
  expect(counts.delivered).toBeGreaterThan(300);
  expect(counts.connected).toBeGreaterThan(40);
}

const rulesOf = (history: History): Set<string> => new Set(check(history).map(({ rule }) => rule));

/** Faults planted into what a run has recorded. */
function expectFound({ history }: CampaignResult): void {
  const deliveries = history.filter(
    (event) => event.kind === 'delivered' && !event.retain && !event.again,
  ) as Delivered[];
  const exactlyOnce = deliveries.filter(({ qos }) => qos === 2);
  const sample = exactlyOnce.filter((_, index) => index % Math.ceil(exactlyOnce.length / 20) === 0);
  // Not where the subscription has ended since.
  const lost = sample.filter((victim) => rulesOf(history.filter((event) => event !== victim)).has('lost'));
  expect(lost.length).toBeGreaterThan(3);
  for (const victim of sample) expect(rulesOf([...history, victim])).toEqual(new Set(['twice']));
  const lane = ({ device, publisher, topic }: Delivered): string => `${device} ${publisher} ${topic}`;
  let swaps = 0;
  for (const [index, first] of exactlyOnce.slice(0, 20).entries()) {
    const second = exactlyOnce.slice(index + 1).find((one) => lane(one) === lane(first));
    if (second === undefined) continue;
    const swapped = history.map((event) => (event === first ? second : event === second ? first : event));
    expect(rulesOf(swapped)).toContain('order');
    swaps++;
  }
  expect(swaps).toBeGreaterThan(2);
}

describe('publish and subscribe at random keep to the specification', () => {
  it(
    'with mosquitto, which shows that the checker does, and that it finds what is planted',
    { timeout: 60_000 },
    async () => {
      const mosquitto = await startMosquitto({ settings: { max_inflight_messages: 0, max_queued_messages: 0 } });
      stops.push(() => mosquitto.stop());
      // It sends one message for each of several filters that match.
      const filters = ['s/0', 's/1/+', 's/2/x', 'r/+', 's/2'];
      const result = await campaign({ seed, port: () => mosquitto.port, filters });
      expectSound(result);
      expectFound(result);
    },
  );

  // MODEL=1: order of QoS 1 over a restart or a take-over breaks at times (a few of 2,000 deliveries); nothing is lost or repeated.
  it.runIf(process.env['MODEL']).each(['level'] as const)(
    'with sessions on %s, through a restart of sluice',
    { timeout: 60_000 },
    async (store) => {
      const sluice = await WholeSluice.start(store);
      stops.push(() => sluice.stop());
      const restart = async (): Promise<void> => {
        await sluice.close();
        await sluice.open();
      };
      expectSound(await campaign({ seed, port: () => sluice.port, restart }));
    },
  );
});
