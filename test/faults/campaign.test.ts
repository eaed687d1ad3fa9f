/**
 * The quick version of the campaign (docs/faults.md): a few of everything in about five minutes, judged by counts, drawn from
 * a seed that a failure prints; SEED=… plays it again. Run by `npm run faults:quick`; the
 * long one is `npm run faults`.
 */
import { describe, expect, it } from 'vitest';
import { randomFrom } from '../support/random.ts';
import { missing, select } from './campaign.ts';
import { runScenario } from './run.ts';

const { seed } = randomFrom();
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
  ['leaders, three nodes', 0.25],
  ['topic faults', 0.1],
  ['topic faults and kills, redis', 0.1],
  ['partitions added', 0.1],
  ['oversized messages', 0.3],
];

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
