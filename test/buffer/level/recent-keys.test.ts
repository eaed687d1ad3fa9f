import { describe, expect, it } from 'vitest';
import { RecentKeys } from '../../../src/buffer/level/recent-keys.ts';

const key = (base: number): Buffer => Buffer.from(String(base));
const texts = (keys: Buffer[] | undefined): string[] | undefined => keys?.map(String);

describe('the keys of the frames appended last', () => {
  it('are given once for a range whose every frame was appended here', () => {
    const recent = new RecentKeys();
    for (const base of [11, 14, 20, 21]) recent.add(base, key(base));
    expect(texts(recent.take(11, 20))).toEqual(['11', '14']);
    expect(texts(recent.take(20, 22))).toEqual(['20', '21']);
    expect(texts(recent.take(22, 30))).toEqual([]);
  });

  it('are not given for a range that began before: the database knows it whole', () => {
    const recent = new RecentKeys();
    recent.add(11, key(11));
    recent.add(14, key(14));
    expect(recent.take(5, 12)).toBeUndefined();
    expect(texts(recent.take(12, 15))).toEqual(['14']);
    expect(new RecentKeys().take(1, 5)).toBeUndefined();
  });

  it('are bounded: of a long backlog the oldest are forgotten, and said not to be known', () => {
    const recent = new RecentKeys();
    for (let base = 1; base <= 10_000; base++) recent.add(base, key(base));
    expect(recent.take(1, 100)).toBeUndefined();
    expect(recent.take(9_000, 10_001)).toHaveLength(1_001);
  });
});
