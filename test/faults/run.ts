/** Plays one scenario: world up, devices publishing, faults one step after the other, all delivered, judged. */
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import { randomFrom, type Random } from '../support/random.ts';
import { actionFor } from './actions.ts';
import { describeFault, describeStep, holdsMs, type Fault, type Step } from './faults.ts';
import type { Latency } from './fleet.ts';
import { judge, type Judgement } from './judgement.ts';
import { Recorder, type Held, type StepRecord } from './recorder.ts';
import { seedOf, type Scenario, type Stage } from './scenario.ts';
import type { Supervisor } from './supervisor.ts';
import { DEVICES, World } from './world.ts';

/** Told while a scenario runs. */
export interface Watcher {
  /** Something begins, ends, or is found. */
  event(text: string): void;
  /** About ten times a second: what is being done, and counts. */
  state(doing: string, counts: { acknowledged: number; attempted: number; connected: number }): void;
}

export interface Result {
  readonly name: string;
  readonly about: string;
  readonly store: string;
  readonly scale: number;
  readonly schedule: readonly string[];
  readonly ok: boolean;
  readonly complaints: readonly string[];
  readonly seconds: number;
  readonly judgement: Omit<Judgement, 'complaints'> | undefined;
  readonly steps: readonly StepRecord[];
  /** Publish to acknowledgement over the whole run, faults included, ms. */
  readonly latency: Latency | undefined;
  readonly starts: number;
  readonly startsRefused: number;
  readonly startMsMax: number;
  readonly measures: Readonly<Record<string, number>>;
  /** What the sluices logged; kept where something is wrong. */
  readonly logFiles: readonly string[];
}

/** Of the devices, and messages that must have been acknowledged, before a fault: without load it would prove nothing. */
const CONNECTED_BEFORE = 0.9;
const LOAD_BEFORE = 500;
const RESUME_TIMEOUT_MS = 90_000;
const DELIVERS_TIMEOUT_MS = 90_000;
const FINISH_TIMEOUT_MS = 120_000;
const DRAIN_TIMEOUT_MS = 180_000;
/** What is on its way when a fault begins arrives within this. */
const IN_FLIGHT_MS = 500;

export async function runScenario(
  scenario: Scenario,
  options: {
    seed: number;
    scale: number;
    watcher: Watcher;
    /** false: counts alone decide, as on a machine that does other things at the same time. */
    timed: boolean;
  },
): Promise<Result> {
  const { scale } = options;
  const began = performance.now();
  const random = randomFrom(seedOf(options.seed, scenario.name));
  const steps = scenario.steps(random, scale);
  const run = new Run(scenario, random, options);
  let judgement: Judgement | undefined;
  let latency: Latency | undefined;
  try {
    run.say('starting');
    const stage = await run.open();
    if (scenario.play === undefined) for (const step of steps) await stage.perform(step);
    else await scenario.play(stage, steps, scale);
    latency = await stage.world.fleet.latency();
    await run.finish();
    run.say('judging');
    judgement = await judge(
      stage.world,
      steps.flatMap(({ faults }) => faults),
    );
    for (const complaint of judgement.complaints) stage.complain(complaint);
    await scenario.check?.(stage, judgement, run.records);
  } catch (error) {
    run.complain(`the run broke off: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await run.close();
  }
  const sluices = run.world?.sluices ?? [];
  const logFiles = run.complaints.length === 0 ? [] : await keepLogs(scenario.name, options.seed, sluices);
  return {
    name: scenario.name,
    about: scenario.about,
    store: scenario.world.store,
    scale,
    schedule: steps.map((step) => `after ${step.gapMs} ms: ${describeStep(step)}`),
    ok: run.complaints.length === 0,
    complaints: run.complaints,
    seconds: Math.round((performance.now() - began) / 100) / 10,
    judgement,
    steps: run.records,
    latency,
    starts: sluices.reduce((sum, { starts }) => sum + starts, 0),
    startsRefused: sluices.reduce((sum, { startsRefused }) => sum + startsRefused, 0),
    startMsMax: Math.round(Math.max(0, ...sluices.flatMap(({ startMs }) => startMs))),
    measures: run.measures,
    logFiles,
  };
}

async function keepLogs(name: string, seed: number, sluices: readonly Supervisor[]): Promise<string[]> {
  const directory = join(tmpdir(), 'sluice-faults-logs');
  await mkdir(directory, { recursive: true });
  return Promise.all(
    sluices.map(async ({ process }, index) => {
      const file = join(directory, `${name.replaceAll(/[^a-z0-9]+/gi, '-')}-${seed}-${index + 1}.log`);
      await writeFile(file, process.stderr);
      return file;
    }),
  );
}

class Run {
  readonly complaints: string[] = [];
  readonly records: StepRecord[] = [];
  readonly measures: Record<string, number> = {};
  world: World | undefined;
  readonly #scenario: Scenario;
  readonly #random: Random;
  readonly #watcher: Watcher;
  readonly #timed: boolean;
  #recorder!: Recorder;
  #doing = '';

  constructor(scenario: Scenario, random: Random, { watcher, timed }: { watcher: Watcher; timed: boolean }) {
    this.#scenario = scenario;
    this.#random = random;
    this.#watcher = watcher;
    this.#timed = timed;
  }

  say(doing: string): void {
    this.#doing = doing;
    this.#watcher.event(doing);
  }

  complain(what: string): void {
    this.complaints.push(what);
    this.#watcher.event(`WRONG: ${what}`);
  }

  async open(): Promise<Stage> {
    const world = (this.world = await World.create(this.#scenario.world));
    this.#recorder = new Recorder(world);
    this.#recorder.start((counts) => this.#watcher.state(this.#doing, counts));
    return {
      world,
      recorder: this.#recorder,
      random: this.#random,
      say: (what) => this.say(what),
      perform: (step) => this.#perform(world, step),
      complain: (what) => this.complain(what),
      complainOfMeasure: (what) => (this.#timed ? this.complain(what) : this.#watcher.event(`slow: ${what}`)),
      measure: (name, value) => (this.measures[name] = value),
      measured: (name) => this.measures[name],
    };
  }

  /** Nothing new is published; what is unacknowledged is acknowledged, what is buffered is delivered. */
  async finish(): Promise<void> {
    const world = this.world!;
    this.say('finishing');
    await world.fleet.finish(FINISH_TIMEOUT_MS).catch((error: unknown) => this.complain(String(error)));
    this.say('draining');
    const end = performance.now() + DRAIN_TIMEOUT_MS;
    for (;;) {
      const status = await world.status();
      if (status?.ledger.buffered === 0) return;
      if (performance.now() > end) {
        const { buffer, kafka, ledger } = status ?? {};
        this.complain(`it did not drain: ${JSON.stringify({ ledger, shards: buffer?.shards, kafka })}`);
        return;
      }
      await sleep(100);
    }
  }

  async close(): Promise<void> {
    await this.#recorder?.stop();
    await this.world?.discard();
  }

  async #perform(world: World, step: Step): Promise<StepRecord> {
    this.#doing = 'load';
    const before = (await world.counts()).acknowledged;
    const devices = world.options.fleet.devices ?? DEVICES;
    await world.fleet.until(
      ({ acknowledged, connected }) => acknowledged > before + LOAD_BEFORE && connected >= devices * CONNECTED_BEFORE,
      RESUME_TIMEOUT_MS,
    );
    await sleep(step.gapMs);
    const text = describeStep(step);
    this.say(text);
    const peacefulBefore = await world.peacefulRecords();
    const faults = await Promise.all(step.faults.map((fault) => this.#hold(world, fault)));
    const endMs = this.#recorder.nowMs();
    const peacefulAfter = await world.peacefulRecords();
    if (world.options.peacefulTopic === true) this.measures[`peaceful during ${text}`] = peacefulAfter - peacefulBefore;
    const { acknowledged } = await world.counts();
    await world.fleet
      .until((counts) => counts.acknowledged > acknowledged, RESUME_TIMEOUT_MS)
      .catch(() => this.complain(`nothing was acknowledged for ${RESUME_TIMEOUT_MS / 1000} s after ${text}`));
    const resumedAfterMs = Math.round(this.#recorder.nowMs() - endMs);
    const deliversAfterMs = this.#scenario.hurried === true ? undefined : await this.#delivers(world, endMs, text);
    const record = { step: text, faults, resumedAfterMs, deliversAfterMs };
    this.records.push(record);
    this.#checkFalseAcknowledgements(step, faults);
    return record;
  }

  async #delivers(world: World, endMs: number, step: string): Promise<number> {
    this.#doing = 'waiting for delivery';
    await eventually(() => world.delivers(), DELIVERS_TIMEOUT_MS).catch(() =>
      this.complain(`sluice did not deliver again within ${DELIVERS_TIMEOUT_MS / 1000} s of ${step}`),
    );
    return Math.round(this.#recorder.nowMs() - endMs);
  }

  async #hold(world: World, fault: Fault): Promise<Held> {
    const action = actionFor(world, fault, this.#random);
    await action.begin();
    const fromMs = this.#recorder.nowMs();
    await sleep(holdsMs(fault));
    const toMs = this.#recorder.nowMs();
    await action.end();
    return { fault: describeFault(fault), fromMs: Math.round(fromMs), toMs: Math.round(toMs) };
  }

  /** With nothing committed, nothing is acknowledged: but for what was committed before, and came late for another reason. */
  #checkFalseAcknowledgements(step: Step, held: readonly Held[]): void {
    const late = held.filter((_, index) => holdsBackAcknowledgements(step.faults[index]!));
    for (const [index, fault] of step.faults.entries()) {
      const { fromMs, toMs } = held[index]!;
      if (!storeIsAway(fault)) continue;
      const others = late.filter((other) => other !== held[index] && other.fromMs < toMs);
      const sinceMs = Math.max(fromMs, ...others.map((other) => other.toMs));
      const acknowledged = this.#recorder.acknowledgedBetween(sinceMs + IN_FLIGHT_MS, toMs);
      if (acknowledged > 0) this.complain(`${acknowledged} acknowledgements during ${describeFault(fault)}`);
    }
  }
}

/** What sluice has committed, or written to its devices, gets there when the fault has ended. */
function holdsBackAcknowledgements(fault: Fault): boolean {
  switch (fault.do) {
    case 'freeze':
      return fault.who === 'sluice';
    case 'hang':
    case 'delay':
      return fault.link === 'devices';
    default:
      return false;
  }
}

function storeIsAway(fault: Fault): boolean {
  switch (fault.do) {
    case 'kill':
    case 'freeze':
      return fault.who !== 'kafka' && (fault.who === 'redis' || fault.node === undefined);
    case 'hang':
    case 'refuse':
      return fault.link === 'redis';
    case 'redis full':
    case 'redis read-only':
    case 'disk error':
      return true;
    default:
      return false;
  }
}
