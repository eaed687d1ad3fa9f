import { describe, expect, it } from 'vitest';
import { Histogram } from '../../bench/histogram.mjs';
import { randomFrom } from '../support/random.ts';

describe('the latency histogram', () => {
  it('gives percentiles within one percent of the sorted times', () => {
    const random = randomFrom();
    const histogram = new Histogram();
    const times = Array.from({ length: 20_000 }, () => 0.05 + 5_000 * random.next() ** 8);
    for (const time of times) histogram.record(time);
    times.sort((one, other) => one - other);
    for (const percent of [1, 50, 90, 99, 99.9, 100]) {
      const exact = times[Math.ceil((percent / 100) * times.length) - 1] ?? NaN;
      const found = histogram.percentile(percent) ?? NaN;
      expect(Math.abs(found - exact), `seed ${random.seed}, p${percent}: ${found} for ${exact}`).toBeLessThanOrEqual(
        exact * 0.01 + 0.001,
      );
    }
  });

  it('counts a time as often as it is told', () => {
    const histogram = new Histogram();
    histogram.record(1, 99);
    histogram.record(100);
    expect(histogram.percentile(99)).toBeCloseTo(1, 1);
    expect(histogram.summary()).toMatchObject({ count: 100, maxMs: 100 });
  });

  it('has no percentile where nothing was recorded', () => {
    const histogram = new Histogram();
    histogram.record(1);
    histogram.reset();
    expect(histogram.summary()).toMatchObject({ count: 0, p50Ms: undefined, maxMs: undefined });
  });
});
