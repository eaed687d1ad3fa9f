import { describe, expect, it } from 'vitest';
import { randomFrom } from '../../support/random.ts';
import { judge } from '../guard/machine.ts';
import { campaign } from './campaign.ts';
import { chunksOf, drawCase } from './case.ts';
import { faultOf, type Judge } from './oracle.ts';
import { show, shrink } from './shrink.ts';

const random = randomFrom();
const PURE_CASES = 4_000;
const LIVE_MS = 60_000;

describe('the fuzzer', () => {
  it('draws the same cases from the same seed, valid ones and broken ones', () => {
    const cases = Array.from({ length: 300 }, (_, index) => drawCase(5, index));
    for (const [index, one] of cases.entries()) expect(show(drawCase(5, index))).toBe(show(one));
    const broken = cases.filter((one) => judge(chunksOf(one)).violation !== undefined);
    expect(broken.length).toBeGreaterThan(75);
    expect(broken.length).toBeLessThan(225);
  });

  it('finds what is planted in the guard, and shrinks it to the packets and bytes it takes', async () => {
    // Blind for wildcards in topic names: the guard as it would be without that check.
    const blind: Judge = (chunks) => {
      const judged = judge(chunks);
      const blinded = judged.violation?.clause === 'MQTT-3.3.2-2';
      return blinded ? { ...judged, valid: Buffer.of(0x00), violation: undefined } : judged;
    };
    const fails = (one: ReturnType<typeof drawCase>): boolean => faultOf(one, blind) === 'passes on what did not come';
    let index = 0;
    while (!fails(drawCase(random.seed, index))) {
      index++;
      expect(index, `seed ${random.seed}`).toBeLessThan(20_000);
    }
    const small = await shrink(drawCase(random.seed, index), fails);
    expect(fails(small)).toBe(true);
    // CONNECT and PUBLISH.
    expect(small.packets.length, show(small)).toBeLessThanOrEqual(2);
    // Fields that say their length stay as long as they say.
    expect(Buffer.concat(small.packets).length, show(small)).toBeLessThan(1_000);
  });

  // FUZZ_LIVE=1: takes minutes on a busy machine.
  it.runIf(process.env['FUZZ_LIVE'])('finds what ends the process, and shrinks it', { timeout: 400_000 }, async () => {
    const { failure } = await campaign({ seed: random.seed, packets: 10_000, timeMs: 60_000, env: { PLANT: '1' } });
    expect(failure, `seed ${random.seed}`).toMatch(/ends the process .*planted/s);
    expect(failure?.split('\n').filter((line) => /^ {2}[0-9a-f]+$/.test(line)).length).toBeLessThanOrEqual(4);
  });
});

it(`the guard's verdicts hold for ${PURE_CASES} cases`, { timeout: 400_000 }, () => {
  for (let index = 0; index < PURE_CASES; index++) {
    const one = drawCase(random.seed, index);
    expect(faultOf(one), `seed ${random.seed}, case ${index}\n${show(one)}`).toBeUndefined();
  }
});

it(
  'the broker lives through a minute of it, and a device beside it notices nothing',
  { timeout: 400_000 },
  async () => {
    const outcome = await campaign({ seed: random.seed, packets: Infinity, timeMs: LIVE_MS });
    expect(outcome.failure, `seed ${outcome.seed}`).toBeUndefined();
    expect(outcome.cases).toBeGreaterThan(100);
    expect(outcome.roundTrips).toBeGreaterThan(50);
    console.log(JSON.stringify(outcome));
  },
);
