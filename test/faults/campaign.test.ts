/**
 * The quick version of the campaign (docs/faults.md): a few of everything in about five minutes, judged by counts. `npm test`
 * plays the same schedule each time, so that what turns it red is the change and not the draw; SEED=… plays another one. What draws anew
 * each time is the long one, `npm run faults`.
 */
import { describe, expect, it } from 'vitest';
import { missing, select } from './campaign.ts';
import { runScenario } from './run.ts';
import { single, type Scenario } from './scenario.ts';

const seed = Number(process.env['SEED'] ?? 1);
const TIMEOUT_MS = 240_000;

/** By name, how large. */
const QUICK: readonly [name: string, scale: number][] = [
  ['mix 1, level', 0.13],
  ['mix 1, redis', 0.13],
  ['kill all, level, QoS 1', 0.1],
  ['kill all, redis, QoS 2', 0.1],
  ['hang redis, redis', 0.1],
  ['two sluices, redis', 0.1],
  ['redis refuses', 0.3],
  ['redis emptied', 1],
  ['redis rolled back', 1],
  ['power loss, redis', 0.2],
  ['power loss, level', 0.2],
  ['disk full, level', 0.2],
  ['disk errors, level', 0.25],
  ['clock, level', 0.5],
  ['leaders, three nodes, level', 0.25],
  ['topic faults, level', 0.1],
  ['topic faults and kills, redis', 0.1],
  ['partitions added, level', 0.1],
  ['oversized messages, level', 0.3],
];

/** What acknowledges before it has stored is to be found: a buffer in memory, killed while Kafka is silent. */
const acknowledgesTooEarly: Scenario = {
  name: 'a buffer that keeps nothing',
  about: 'planted: acknowledged before it is stored',
  fullSeconds: 15,
  world: {
    store: 'level',
    settings: { 'buffer.store': 'memory' },
    fleet: { devices: 10, perSecond: 500, qos: 1 },
  },
  steps: () => [
    single({ do: 'hang', link: 'kafka', direction: 'both', forMs: 3_000 }, 0),
    single({ do: 'kill', who: 'sluice', downMs: 0 }, 0),
  ],
  play: async ({ perform }, [hang, kill]) =>
    void (await Promise.all([perform(hang!), perform({ ...kill!, gapMs: 1_500 })])),
};

describe('the campaign itself', () => {
  it('finds what a buffer in memory loses', { timeout: TIMEOUT_MS }, async () => {
    const watcher = { event: () => undefined, state: () => undefined };
    const result = await runScenario(acknowledgesTooEarly, { seed, scale: 1, watcher, timed: false });
    expect(result.judgement?.verdict.lost.length).toBeGreaterThan(0);
    expect(result.ok).toBe(false);
  });
});

describe(`a quick campaign, seed ${seed}`, () => {
  it.for(QUICK)('%s', { timeout: TIMEOUT_MS }, async ([name, scale], { skip }) => {
    const [scenario] = select([name]);
    for (const need of scenario!.needs ?? []) {
      const reason = await missing(need);
      if (reason !== undefined) {
        console.log(`skipped ${name}: ${reason}`);
        skip(reason);
      }
    }
    const said: string[] = [];
    const watcher = { event: (text: string) => said.push(text), state: () => undefined };
    const result = await runScenario(scenario!, { seed, scale, watcher, timed: false });
    const replay = `npm run faults -- --seed ${seed} --scale ${scale} --only '${name}'`;
    console.log(`${name} (${result.seconds} s): ${result.judgement?.summary}`);
    expect(result.complaints, `${said.join('\n')}\nagain: ${replay}\n${result.logFiles.join('\n')}`).toEqual([]);
  });
});
