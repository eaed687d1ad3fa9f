import { describe, expect, it } from 'vitest';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/config/fields.ts';

/** Numerical Recipes' LCG: the same numbers each time. */
function random(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

describe('durations', () => {
  it.each([
    ['0s', 0],
    ['500ms', 500],
    ['10s', 10_000],
    ['1.5s', 1500],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['2d', 172_800_000],
  ])('%s is %d ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', '10', 's', '-1s', '1 s', '1S', '1w', '1s2', '.5s', '1e3s', '9999999999999999s'])('%j is none', (text) =>
    expect(parseDuration(text)).toBeUndefined(),
  );

  it('are written so that they mean the same when read', () => {
    const next = random(1);
    for (let round = 0; round < 1000; round++) {
      const ms = Math.floor(next() * 10 ** Math.floor(next() * 12));
      expect(parseDuration(formatDuration(ms))).toBe(ms);
    }
    expect(formatDuration(90_000)).toBe('90s');
    expect(formatDuration(0)).toBe('0ms');
  });
});

describe('sizes', () => {
  it.each<[string | number, number]>([
    [0, 0],
    [1000, 1000],
    ['5B', 5],
    ['256KB', 262_144],
    ['1.5MB', 1_572_864],
    ['10GB', 10 * 2 ** 30],
    ['1TB', 2 ** 40],
  ])('%s is %d bytes', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it.each<string | number>(['', '10', '10kb', '10 KB', '10KiB', '-1KB', 'KB', 1.5, -1, NaN, Infinity, '99999999999TB'])(
    '%j is none',
    (text) => expect(parseSize(text)).toBeUndefined(),
  );

  it('are written so that they mean the same when read', () => {
    const next = random(2);
    for (let round = 0; round < 1000; round++) {
      const bytes = Math.floor(next() * 10 ** Math.floor(next() * 15));
      expect(parseSize(formatSize(bytes))).toBe(bytes);
    }
    expect(formatSize(256 * 1024)).toBe('256KB');
  });
});
