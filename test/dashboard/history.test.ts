import { describe, expect, it } from 'vitest';
import { quantile } from '../../dashboard/history.ts';

const boundsSeconds = [0.001, 0.01, 0.1];
const none = { boundsSeconds, counts: [0, 0, 0, 0] };

describe('a quantile of what has come since', () => {
  it('is told from buckets', () => {
    expect(quantile({ boundsSeconds, counts: [100, 0, 0, 0] }, none, 0.5)).toBeCloseTo(0.0005);
    expect(quantile({ boundsSeconds, counts: [50, 50, 0, 0] }, none, 0.99)).toBeCloseTo(0.00982);
    expect(quantile({ boundsSeconds, counts: [0, 0, 0, 5] }, none, 0.5)).toBe(0.1);
  });

  it('knows nothing of what came before, and nothing where nothing came', () => {
    const before = { boundsSeconds, counts: [1_000, 0, 0, 0] };
    expect(quantile({ boundsSeconds, counts: [1_000, 10, 0, 0] }, before, 0.01)).toBeGreaterThan(0.001);
    expect(quantile(before, before, 0.99)).toBeUndefined();
  });
});
