/** What a campaign is made of. */
import type { Random } from '../support/random.ts';
import type { Fault, Step } from './faults.ts';
import type { Recorder, StepRecord } from './recorder.ts';
import type { Judgement } from './judgement.ts';
import type { World, WorldOptions } from './world.ts';

/** What a scenario cannot do without: a C compiler on Linux for the shim, root for a small file system. */
export type Need = 'cc' | 'root';

/** A run as it is, for a scenario that does more than to play its steps. */
export interface Stage {
  readonly world: World;
  readonly recorder: Recorder;
  readonly random: Random;
  /** What is being done now, for whoever watches. */
  say(what: string): void;
  perform(step: Step): Promise<StepRecord>;
  /** Found wrong. */
  complain(what: string): void;
  /** Found too slow, or too large: wrong where the run is timed, else only said. */
  complainOfMeasure(what: string): void;
  /** For the report. */
  measure(name: string, value: number): void;
  measured(name: string): number | undefined;
}

export interface Scenario {
  readonly name: string;
  readonly about: string;
  readonly needs?: readonly Need[];
  /** How long it takes at full size, about. */
  readonly fullSeconds: number;
  /** What issue or guarantee asks for exactly this; a smaller run is said to be one. */
  readonly promised?: boolean;
  readonly world: WorldOptions;
  /** The next fault does not wait until sluice delivers again, only until it acknowledges. */
  readonly hurried?: boolean;
  /** Drawn before anything starts. `scale`: 1 is full size. */
  steps(random: Random, scale: number): readonly Step[];
  /** In place of playing the steps one after the other. */
  play?(stage: Stage, steps: readonly Step[], scale: number): Promise<void>;
  /** Further than what every run is held to. */
  check?(stage: Stage, judgement: Judgement, steps: readonly StepRecord[]): Promise<void> | void;
}

/** Together with the seed the whole schedule: names make streams of their own, so that --only draws the same. */
export function seedOf(seed: number, name: string): number {
  let hash = seed >>> 0;
  for (const char of name) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193) >>> 0;
  return hash;
}

export function scaled(count: number, scale: number, least = 1): number {
  return Math.max(least, Math.round(count * Math.min(1, scale)));
}

export function single(fault: Fault, gapMs: number): Step {
  return { gapMs, faults: [fault] };
}
