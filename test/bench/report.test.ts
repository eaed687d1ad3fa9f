import { describe, expect, it } from 'vitest';
import { compare } from '../../bench/report.mjs';

const result = (
  scenario: string,
  acknowledgedPerSecond: number,
  cpuPerMessageUs: number,
  deliveredPerSecond?: number,
) => ({
  scenario,
  acknowledgedPerSecond,
  cpuPerMessageUs,
  deliveredPerSecond,
});

describe('the ratios to bare aedes', () => {
  it('are to the mean of its rounds, and say how far these are apart', () => {
    const { baseline, ratios } = compare([
      result('aedes', 90, 9),
      result('redis-null', 60, 12),
      result('redis-kafka', 55, 16, 50),
      result('aedes', 110, 11),
    ]);
    expect(baseline).toMatchObject({ rounds: 2, acknowledgedPerSecond: 100, cpuPerMessageUs: 10 });
    expect(baseline?.drift).toBeCloseTo(0.222, 3);
    expect(ratios.map(({ scenario, ratio, met }) => [scenario, ratio, met])).toEqual([
      ['redis-null', 0.6, true],
      ['redis-kafka', 0.5, true],
      ['redis-kafka', 1.6, true],
    ]);
  });

  it('say when a target is not met', () => {
    const { ratios } = compare([result('aedes', 100, 10), result('redis-kafka', 39, 19, 39)]);
    expect(ratios.map(({ met }) => met)).toEqual([false, false]);
  });

  it('are left out where one side was not measured', () => {
    expect(compare([result('redis-null', 60, 12)])).toEqual({ baseline: undefined, ratios: [] });
    expect(compare([result('aedes', 60, 12)]).ratios).toEqual([]);
  });
});
