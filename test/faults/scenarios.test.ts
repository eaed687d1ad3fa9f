import { describe, expect, it } from 'vitest';
import { randomFrom } from '../support/random.ts';
import { scaleFor, select } from './campaign.ts';
import { describeStep } from './faults.ts';
import { seedOf, type Scenario } from './scenario.ts';
import { scenarios } from './scenarios.ts';

const draw = (scenario: Scenario, seed: number, scale = 1): string[] =>
  scenario.steps(randomFrom(seedOf(seed, scenario.name)), scale).map((step) => `${step.gapMs} ${describeStep(step)}`);

const drawn = scenarios.filter(({ play }) => play === undefined);

describe('the scenarios of the campaign', () => {
  it('have names of their own', () => {
    expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length);
  });

  it.each(drawn)('$name: the same seed is the same schedule', (scenario) => {
    expect(draw(scenario, 7)).toEqual(draw(scenario, 7));
  });

  it('another seed is another schedule, and so is another name', () => {
    const [level, redis] = ['mix 1, level', 'mix 2, level'].map((name) => select([name])[0]!);
    expect(draw(level!, 7)).not.toEqual(draw(level!, 8));
    expect(draw(level!, 7)).not.toEqual(draw(redis!, 7));
  });

  it.each(drawn)('$name: does something at any size, and more the larger it is', (scenario) => {
    const [small, large] = [draw(scenario, 7, 0.01).length, draw(scenario, 7, 1).length];
    expect(small).toBeGreaterThan(0);
    expect(large).toBeGreaterThanOrEqual(small);
  });

  it('kill as often as is promised, at full size', () => {
    const steps = (name: string): number => draw(select([name])[0]!, 7).length;
    for (const store of ['level', 'redis']) {
      for (const qos of [1, 2]) {
        for (const who of ['sluice', 'kafka', ...(store === 'redis' ? ['redis'] : [])]) {
          expect(steps(`kill ${who}, ${store}, QoS ${qos}`)).toBe(20);
        }
        expect(steps(`kill all, ${store}, QoS ${qos}`)).toBe(10);
      }
    }
  });
});

describe('a selection', () => {
  it('takes whole names, parts of names, and mixtures that are not in the list', () => {
    expect(select(['clock, level']).map(({ name }) => name)).toEqual(['clock, level']);
    expect(select(['clock']).map(({ name }) => name)).toEqual(['clock, level', 'clock, redis']);
    expect(select(['mix 12, redis']).map(({ name }) => name)).toEqual(['mix 12, redis']);
    expect(() => select(['clok'])).toThrow('no scenario is named clok');
  });
});

describe('the size of a campaign', () => {
  it('is full where there is time, else what fits', () => {
    expect(scaleFor(scenarios, 600)).toBe(1);
    const half = scaleFor(scenarios, 50);
    expect(half).toBeGreaterThan(0.2);
    expect(half).toBeLessThan(0.8);
    expect(scaleFor(scenarios, 0)).toBeGreaterThan(0);
  });
});
