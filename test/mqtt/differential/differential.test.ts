import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomFrom } from '../../support/random.ts';
import { startMosquitto, type Mosquitto } from '../../support/services.ts';
import { WholeSluice } from '../support/whole-sluice.ts';
import { compare } from './compare.ts';
import { deviations, type Deviation } from './deviations.ts';
import { generate } from './generate.ts';
import type { Seen } from './player.ts';
import { run, shrink, type Ports } from './run.ts';
import type { Sequence } from './sequence.ts';
import { writtenSequences } from './written.ts';

let sluice: WholeSluice;
let mosquitto: Mosquitto;
let ports: Ports;
beforeAll(async () => {
  sluice = await WholeSluice.start('level');
  mosquitto = await startMosquitto({ settings: { max_inflight_messages: 0, max_queued_messages: 0 } });
  ports = { sluice: sluice.port, mosquitto: mosquitto.port };
});
afterAll(async () => {
  await sluice.stop();
  await mosquitto.stop();
});

/** Of the random sequences; more for a long run. */
const SEQUENCES = Number(process.env['SEQUENCES'] ?? 30);
const SIDE_BY_SIDE = 6;
/** Each takes up to a minute to be shortened. */
const FAILURES_MAX = 3;

/** What differs, each as the shortest sequence that shows it; and which deviations were met. */
async function differences(sequences: readonly Sequence[]): Promise<{ failures: string[]; needed: Set<Deviation> }> {
  const failures: string[] = [];
  const needed = new Set<Deviation>();
  const left = [...sequences];
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined && failures.length < FAILURES_MAX; next = left.shift()) {
      const comparison = await run(next, ports);
      for (const deviation of comparison.needed) needed.add(deviation);
      if (!comparison.equal) failures.push(await story(next, comparison.difference));
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, work));
  return { failures, needed };
}

async function story(sequence: Sequence, difference: string): Promise<string> {
  const shortest = await shrink(sequence, ports);
  const again = await run(shortest, ports);
  const steps = shortest.steps.map((step) => JSON.stringify(step));
  return [`${sequence.name}; versions ${sequence.versions.join()}`, ...steps, again.difference || difference].join(
    '\n',
  );
}

describe('sluice says what mosquitto says', () => {
  it('in what is written down, but for the deviations that are explained', { timeout: 120_000 }, async () => {
    const { failures, needed } = await differences(writtenSequences);
    expect(failures.join('\n\n')).toBe('');
    // One that is not met any more is to be taken out.
    expect(deviations.filter((deviation) => !needed.has(deviation)).map(({ what }) => what)).toEqual([]);
  });

  it('in random sequences', { timeout: 120_000 + SEQUENCES * 5_000 }, async () => {
    const random = randomFrom();
    console.log(`SEED=${random.seed} SEQUENCES=${SEQUENCES}`);
    const sequences = Array.from({ length: SEQUENCES }, (_, index) => generate(random, `random ${index}`));
    const { failures } = await differences(sequences);
    expect(failures.join('\n\n')).toBe('');
  });
});

describe('the comparison', () => {
  const delivery = {
    kind: 'message',
    topic: 'a',
    payload: 'x',
    qos: 1,
    retain: false,
    dup: false,
    overlapping: false,
    properties: {},
  } as const;
  const seen: Seen = { client: 0, answers: [{ kind: 'puback', code: 0 }], messages: { a: [delivery] } };
  const equal = (other: Partial<Seen>): boolean => compare([seen], [{ ...seen, ...other }], deviations).equal;

  it('finds another answer, one more, and none', () => {
    expect(equal({})).toBe(true);
    expect(equal({ answers: [{ kind: 'puback', code: 0x10 }] })).toBe(true);
    expect(equal({ answers: [{ kind: 'puback', code: 0x80 }] })).toBe(false);
    expect(equal({ answers: [...seen.answers, { kind: 'closed' }] })).toBe(false);
    expect(equal({ answers: [] })).toBe(false);
  });

  it('finds another message, one more, none, and two that are swapped', () => {
    const second = { ...delivery, payload: 'y' };
    for (const other of [{ qos: 0 }, { retain: true }, { dup: true }, { payload: 'y' }, { properties: { a: 1 } }])
      expect(equal({ messages: { a: [{ ...delivery, ...other }] } })).toBe(false);
    expect(equal({ messages: { a: [delivery, delivery] } })).toBe(false);
    expect(equal({ messages: {} })).toBe(false);
    expect(
      compare(
        [{ ...seen, messages: { a: [delivery, second] } }],
        [{ ...seen, messages: { a: [second, delivery] } }],
        deviations,
      ).equal,
    ).toBe(false);
  });
});
