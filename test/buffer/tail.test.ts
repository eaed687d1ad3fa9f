import { describe, expect, it } from 'vitest';
import { FRAME_OVERHEAD_BYTES, HotTail } from '../../src/buffer/tail.ts';

/** A frame that takes so much memory, with all that is around it. */
const frame = (heldBytes: number): Buffer => Buffer.alloc(heldBytes - FRAME_OVERHEAD_BYTES);

describe('HotTail', () => {
  it('gives the frame that begins with the offset, once and uncopied', () => {
    const tail = new HotTail(100_000);
    const bytes = frame(1_000);
    tail.add(0, 5, 3, bytes);
    expect(tail.take(0, 5)).toEqual({ base: 5, count: 3, bytes });
    expect(tail.take(0, 5)).toBeUndefined();
    tail.add(0, 8, 1, bytes);
    expect(tail.take(0, 8)?.bytes).toBe(bytes);
  });

  it('keeps a frame that is not next yet, and forgets those that are passed', () => {
    const tail = new HotTail(100_000);
    tail.add(0, 1, 2, frame(1_000));
    tail.add(0, 3, 2, frame(1_000));
    tail.add(0, 9, 2, frame(1_000));
    expect(tail.take(0, 5)).toBeUndefined();
    expect(tail.has(0)).toBe(true);
    expect(tail.bytes).toBe(1_000);
    expect(tail.take(0, 10)).toBeUndefined();
    expect(tail.has(0)).toBe(false);
    expect(tail.bytes).toBe(0);
  });

  it('never gives a frame that only holds the offset', () => {
    const tail = new HotTail(100_000);
    tail.add(0, 1, 5, frame(1_000));
    expect(tail.take(0, 3)).toBeUndefined();
  });

  it('drops the whole tail of the shard that reaches the bound, and leaves the others', () => {
    const tail = new HotTail(10_000);
    tail.add(0, 1, 1, frame(4_000));
    tail.add(1, 1, 1, frame(4_000));
    tail.add(0, 2, 1, frame(2_100));
    expect(tail.take(0, 1)).toBeUndefined();
    expect(tail.take(0, 2)).toBeUndefined();
    expect(tail.take(1, 1)?.base).toBe(1);
    expect(tail.bytes).toBe(0);
    expect(tail.overflows).toBe(1);
  });

  it('does not keep a frame larger than the bound', () => {
    const tail = new HotTail(10_000);
    tail.add(0, 1, 1, frame(10_001));
    expect(tail.has(0)).toBe(false);
    expect(tail.bytes).toBe(0);
  });

  it('keeps nothing for a reader without room, and says so when it has room again', () => {
    const tail = new HotTail(100_000);
    tail.add(0, 1, 1, frame(1_000));
    tail.suspend(0);
    tail.add(0, 2, 1, frame(1_000));
    tail.add(1, 1, 1, frame(1_000));
    expect(tail.has(0)).toBe(false);
    expect(tail.bytes).toBe(1_000);
    expect(tail.resume(0)).toBe(true);
    expect(tail.resume(0)).toBe(false);
    tail.add(0, 3, 1, frame(1_000));
    expect(tail.take(0, 3)?.base).toBe(3);
  });

  it('counts the memory that a frame keeps, not only its bytes', () => {
    const tail = new HotTail(100_000);
    tail.add(0, 1, 1, Buffer.alloc(4_096).subarray(0, 100));
    expect(tail.bytes).toBe(4_096 + FRAME_OVERHEAD_BYTES);
  });

  it('never holds more than its bound, and nothing once all is taken', () => {
    const tail = new HotTail(100_000);
    let next = [1, 1, 1];
    for (let at = 0; at < 20_000; at++) {
      const shard = at % 3;
      tail.add(shard, Math.floor(at / 3) + 1, 1, frame(600 + (at % 97)));
      expect(tail.bytes).toBeLessThanOrEqual(100_000);
      if (at % 5 !== 0) continue;
      next = next.map((offset, each) => (tail.take(each, offset) === undefined ? Math.floor(at / 3) + 2 : offset + 1));
    }
    for (const shard of [0, 1, 2]) tail.take(shard, 1e9);
    expect(tail.bytes).toBe(0);
  });
});
