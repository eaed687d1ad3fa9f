import { describe, expect, it } from 'vitest';
import { GenerationCache } from '../../src/routes/cache.ts';
import { randomFrom } from '../support/random.ts';

describe('a cache of two generations', () => {
  it('gives back what was put in', () => {
    const cache = new GenerationCache<string, number>({ maxEntries: 10, maxWeight: 100 });
    cache.set('__proto__', 1, 1);
    expect(cache.get('__proto__')).toBe(1);
    expect(cache.get('constructor')).toBeUndefined();
    cache.clear();
    expect(cache.get('__proto__')).toBeUndefined();
    expect([cache.size, cache.weight]).toEqual([0, 0]);
  });

  it('never exceeds its bounds, by number or by weight, and never answers wrongly', () => {
    const random = randomFrom();
    console.log(`cache: SEED=${random.seed}`);
    const cache = new GenerationCache<number, string>({ maxEntries: 20, maxWeight: 100 });
    let hits = 0;
    for (let step = 0; step < 20_000; step++) {
      const key = random.int(40);
      const found = cache.get(key);
      if (found === undefined) cache.set(key, `v${key}`, random.int(30));
      else {
        expect(found).toBe(`v${key}`);
        hits++;
      }
      expect(cache.size).toBeLessThanOrEqual(20);
      expect(cache.weight).toBeLessThanOrEqual(100);
    }
    expect(hits).toBeGreaterThan(1_000);
  });

  it('keeps what is in use while others pass through', () => {
    const cache = new GenerationCache<number, string>({ maxEntries: 10, maxWeight: 1_000 });
    cache.set(-1, 'used', 1);
    for (let key = 0; key < 1_000; key++) {
      cache.set(key, '', 1);
      expect(cache.get(-1)).toBe('used');
    }
  });

  it('does not keep a value that would push out half of the others', () => {
    const cache = new GenerationCache<string, string>({ maxEntries: 10, maxWeight: 100 });
    cache.set('small', '', 10);
    cache.set('huge', '', 51);
    expect(cache.get('huge')).toBeUndefined();
    expect(cache.get('small')).toBe('');
  });
});
