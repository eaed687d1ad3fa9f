import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Admission } from '../../src/ingest/admission.ts';
import { Throttle, Throttles, type RateLimits } from '../../src/ingest/throttle.ts';

const publish = (bytes = 10): Admission =>
  ({ message: { topic: '', payload: Buffer.alloc(bytes) } }) as unknown as Admission;

describe('a throttle', () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
  afterEach(() => vi.useRealTimers());

  /** How many of as many as come go through, at once and after so many seconds. */
  function flood(limits: RateLimits, count: number, bytes: number, seconds: number): { atOnce: number; then: number } {
    const throttle = new Throttle(() => limits);
    let passed = 0;
    for (let each = 0; each < count; each++) {
      const admission = publish(bytes);
      if (throttle.take(admission)) passed++;
      else throttle.wait(admission, () => passed++);
    }
    const atOnce = passed;
    vi.advanceTimersByTime(seconds * 1000);
    return { atOnce, then: passed };
  }

  it('lets a second’s worth of messages go at once, and the rest at the rate', () => {
    const limits = { messagesPerSecond: 10, bytesPerSecond: 0, overRate: 'slow' } as const;
    const { atOnce, then } = flood(limits, 100, 10, 5);
    expect(atOnce).toBe(10);
    expect(then).toBeGreaterThanOrEqual(58);
    expect(then).toBeLessThanOrEqual(60);
    expect(flood(limits, 100, 10, 10).then).toBe(100);
  });

  it('counts bytes, and lets one go that is larger than a second’s worth', () => {
    const limits = { messagesPerSecond: 0, bytesPerSecond: 1_000, overRate: 'slow' } as const;
    expect(flood(limits, 3, 10_000, 0).atOnce).toBe(1);
    expect(flood(limits, 3, 10_000, 9.5).then).toBe(2);
    const { then } = flood(limits, 1_000, 100, 10);
    expect(then).toBeGreaterThanOrEqual(108);
    expect(then).toBeLessThanOrEqual(112);
  });

  it('keeps the order, holds nobody without limits, and drops what waits with the connection', () => {
    const throttle = new Throttle(() => ({ messagesPerSecond: 1, bytesPerSecond: 0, overRate: 'slow' }));
    const [first, second, third] = [publish(), publish(), publish()];
    const resumed: Admission[] = [];
    expect(throttle.take(first)).toBe(true);
    for (const late of [second, third]) {
      expect(throttle.take(late)).toBe(false);
      throttle.wait(late, (admission) => resumed.push(admission));
    }
    expect(throttle.throttled).toBe(true);
    vi.advanceTimersByTime(1_100);
    expect(resumed).toEqual([second]);
    expect(throttle.abandon()).toEqual([third]);
    vi.advanceTimersByTime(10_000);
    expect(resumed).toEqual([second]);
    const free = new Throttle(() => ({ messagesPerSecond: 0, bytesPerSecond: 0, overRate: 'slow' }));
    for (let each = 0; each < 10_000; each++) expect(free.take(publish())).toBe(true);
  });

  it('is found again by a client that reconnects', () => {
    const throttles = new Throttles({ messagesPerSecond: 5, bytesPerSecond: 0, overRate: 'slow' });
    let passed = 0;
    for (let round = 0; round < 10; round++) {
      const throttle = throttles.arrive('c');
      for (let each = 0; each < 5; each++) if (throttle.take(publish())) passed++;
      throttles.depart('c', throttle);
    }
    expect(passed).toBe(5);
    vi.advanceTimersByTime(1_000);
    expect(throttles.arrive('c').take(publish())).toBe(true);
  });
});
