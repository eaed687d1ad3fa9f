import { eventually } from '../../support/eventually.ts';
import { compare, type Comparison } from './compare.ts';
import { deviations } from './deviations.ts';
import { Player } from './player.ts';
import type { Sequence } from './sequence.ts';

export interface Ports {
  readonly sluice: number;
  readonly mosquitto: number;
}

/** What the slower of the two may take to say what the other one has said. */
const LATE_MS = 1_500;
/** What nobody should say has come by then. */
const QUIET_MS = 50;

let runs = 0;

/** Both brokers, step by step: mosquitto first, which does one thing at a time, then sluice until it has said as much. */
export async function run(sequence: Sequence, ports: Ports): Promise<Comparison> {
  const prefix = `d${process.pid}-${runs++}`;
  const ours = new Player(ports.sluice, prefix, sequence);
  const theirs = new Player(ports.mosquitto, prefix, sequence);
  const compared = (): Comparison => compare(ours.seen(), theirs.seen(), deviations);
  try {
    for (const step of sequence.steps) {
      await theirs.play(step);
      await theirs.settle();
      await ours.play(step);
      await ours.settle();
      if (!compared().equal) await eventually(() => compared().equal, LATE_MS).catch(() => undefined);
      if (!compared().equal) break;
    }
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    await ours.settle();
    await theirs.settle();
    return compared();
  } finally {
    await ours.end();
    await theirs.end();
  }
}

/** The shortest part of a sequence that still differs, found by leaving steps out one by one; `tries` at most. */
export async function shrink(sequence: Sequence, ports: Ports, tries = 40): Promise<Sequence> {
  let shortest = sequence;
  let left = tries;
  for (let index = sequence.steps.length - 1; index >= 0 && left > 0; index--) {
    const steps = shortest.steps.filter((_, at) => at !== index);
    if (steps.length === shortest.steps.length) continue;
    left--;
    const shorter = { ...shortest, steps };
    if (!(await run(shorter, ports)).equal) shortest = shorter;
  }
  return shortest;
}
