/**
 * A campaign: the scenarios one after the other, each as large as the time allows, and what is left of the time in
 * mixtures of everything. What cannot be run here is said with the reason.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rmdir } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Progress } from './progress.ts';
import { runScenario, type Result } from './run.ts';
import type { Need, Scenario } from './scenario.ts';
import { mixScenario, scenarios } from './scenarios.ts';
import { shimMissing } from './shim.ts';

const run = promisify(execFile);
const machineFile = new URL('../../bench/machine.mjs', import.meta.url).href;

export interface CampaignOptions {
  readonly minutes: number;
  readonly seed: number;
  /** Part of a name, or all of it; empty: every scenario. */
  readonly only: readonly string[];
  /** In place of what the time allows. */
  readonly scale: number | undefined;
}

export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

export interface Report {
  readonly seed: number;
  readonly minutes: number;
  readonly startedAt: string;
  readonly seconds: number;
  readonly machine: unknown;
  readonly ok: boolean;
  readonly skipped: readonly Skipped[];
  readonly results: readonly Result[];
}

/** Starting, finishing and judging take that long at any size. */
const FIXED_SECONDS = 12;
/** Below this a scenario of that kind shows little. */
const SCALE_MIN = 0.05;

export async function campaign(options: CampaignOptions, progress: Progress): Promise<Report> {
  const began = performance.now();
  const startedAt = new Date().toISOString();
  const chosen = select(options.only);
  const scale = options.scale ?? scaleFor(chosen, options.minutes);
  const { able, skipped } = await separate(chosen);
  progress.line(`seed ${options.seed}, ${able.length} scenarios at ${Math.round(scale * 100)} % of their full size`);
  for (const { name, reason } of skipped) progress.line(`skipped ${name}: ${reason}`);
  const { machine } = (await import(machineFile)) as { machine: () => Promise<object> };
  const facts = await machine();
  const results: Result[] = [];
  const play = async (scenario: Scenario, place: string, size: number): Promise<void> => {
    const watcher = progress.watch(scenario.name, place);
    const result = await runScenario(scenario, { seed: options.seed, scale: size, watcher, timed: true });
    progress.verdict(result);
    results.push(result);
  };
  for (const [index, scenario] of able.entries()) await play(scenario, `${index + 1}/${able.length}`, scale);
  const minutesLeft = (): number => options.minutes - (performance.now() - began) / 60_000;
  // All that was asked for has been played in full: the rest of the time goes to chance.
  if (options.only.length === 0 && scale >= 1) {
    for (let round = 2; minutesLeft() > 3; round++)
      await play(mixScenario(round % 2 === 0 ? 'level' : 'redis', round), 'more', 1);
  }
  return {
    seed: options.seed,
    minutes: options.minutes,
    startedAt,
    seconds: Math.round((performance.now() - began) / 1000),
    machine: { ...facts, hostLoad: os.loadavg() },
    ok: results.length > 0 && results.every(({ ok }) => ok),
    skipped,
    results,
  };
}

/** Those whose name is one of them, or holds it; a mix that the table does not list is made. */
export function select(only: readonly string[]): readonly Scenario[] {
  if (only.length === 0) return scenarios;
  return only.flatMap((wanted) => {
    const exact = scenarios.filter(({ name }) => name === wanted);
    if (exact.length > 0) return exact;
    const [, round, store] = /^mix (\d+), (level|redis)$/.exec(wanted) ?? [];
    if (round !== undefined) return [mixScenario(store as 'level' | 'redis', Number(round))];
    const found = scenarios.filter(({ name }) => name.includes(wanted));
    if (found.length === 0) throw new Error(`no scenario is named ${wanted}; --list shows them`);
    return found;
  });
}

export function scaleFor(chosen: readonly Scenario[], minutes: number): number {
  const variable = chosen.reduce((sum, { fullSeconds }) => sum + fullSeconds, 0);
  const left = minutes * 60 - chosen.length * FIXED_SECONDS;
  return Math.min(1, Math.max(SCALE_MIN, left / variable));
}

async function separate(chosen: readonly Scenario[]): Promise<{ able: Scenario[]; skipped: Skipped[] }> {
  const able: Scenario[] = [];
  const skipped: Skipped[] = [];
  const reasons = new Map<Need, string | undefined>();
  for (const scenario of chosen) {
    let reason: string | undefined;
    for (const need of scenario.needs ?? []) {
      if (!reasons.has(need)) reasons.set(need, await missing(need));
      reason ??= reasons.get(need);
    }
    if (reason === undefined) able.push(scenario);
    else skipped.push({ name: scenario.name, reason });
  }
  return { able, skipped };
}

/** Why something cannot be had here; undefined: it can. */
export async function missing(need: Need): Promise<string | undefined> {
  switch (need) {
    case 'cc':
      return shimMissing();
    case 'root':
      return cannotMount();
  }
}

async function cannotMount(): Promise<string | undefined> {
  const directory = await mkdtemp(join(os.tmpdir(), 'sluice-mount-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory]);
    await run('umount', [directory]);
    return undefined;
  } catch (error) {
    return `a small file system cannot be mounted here (${String(error).split('\n')[0]})`;
  } finally {
    await rmdir(directory).catch(() => undefined);
  }
}
