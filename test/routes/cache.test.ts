import { describe, expect, it } from 'vitest';
import { ClockCache } from '../../src/routes/cache.ts';
import { randomFrom } from '../support/random.ts';

describe('a bounded cache', () => {
  it('gives back what was put in', () => {
    const cache = new ClockCache<string, number>({ maxEntries: 10, maxWeight: 100 });
    cache.set('__proto__', 1, 1);
    expect(cache.get('__proto__')).toBe(1);
    expect(cache.get('constructor')).toBeUndefined();
  });

  it('never exceeds its bounds, by number or by weight, and never answers wrongly', () => {
    const random = randomFrom();
    console.log(`cache: SEED=${random.seed}`);
    const cache = new ClockCache<number, string>({ maxEntries: 20, maxWeight: 100 });
    let hits = 0;
    for (let step = 0; step < 20_000; step++) {
      const key = random.int(40);
      const found = cache.get(key);
      if (found === undefined) {
        if (cache.admits()) cache.set(key, `v${key}`, random.int(30));
      } else {
        expect(found).toBe(`v${key}`);
        hits++;
      }
      expect(cache.size).toBeLessThanOrEqual(20);
      expect(cache.weight).toBeLessThanOrEqual(100);
    }
    expect(hits).toBeGreaterThan(1_000);
  });

  it('keeps what is in use while others pass through', () => {
    const cache = new ClockCache<number, string>({ maxEntries: 10, maxWeight: 1_000 });
    cache.set(-1, 'used', 1);
    for (let key = 0; key < 1_000; key++) {
      cache.set(key, '', 1);
      expect(cache.get(-1)).toBe('used');
    }
  });

  it('goes on letting in one of sixteen, in no step with anything, once it has been full', () => {
    const cache = new ClockCache<number, string>({ maxEntries: 10, maxWeight: 1_000 });
    for (let key = 0; key < 10; key++) {
      expect(cache.admits()).toBe(true);
      cache.set(key, '', 1);
    }
    cache.set(10, '', 1);
    for (let turn = 0; turn < 16; turn++) {
      let admitted = 0;
      for (let step = 0; step < 16_000; step++) if (cache.admits() && step % 16 === turn) admitted++;
      expect(admitted).toBeGreaterThan(30);
      expect(admitted).toBeLessThan(110);
    }
  });

  it('lets in what comes often, also while it is full of what comes once', () => {
    const cache = new ClockCache<number, string>({ maxEntries: 100, maxWeight: 1_000 });
    let hits = 0;
    for (let key = 0; key < 2_000; key++) {
      if (cache.admits()) cache.set(key, '', 1);
      if (key < 1_000) continue;
      if (cache.get(-1) !== undefined) hits++;
      else if (cache.admits()) cache.set(-1, 'often', 1);
    }
    expect(hits).toBeGreaterThan(900);
  });

  it('does not keep a value that takes more than half of the weight', () => {
    const cache = new ClockCache<string, string>({ maxEntries: 10, maxWeight: 100 });
    cache.set('small', '', 10);
    cache.set('huge', '', 51);
    expect(cache.get('huge')).toBeUndefined();
    expect(cache.get('small')).toBe('');
  });
});
