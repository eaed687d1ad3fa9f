import { describe, expect, it } from 'vitest';
import { keyHash, murmur2, partitionFor } from '../../src/kafka/partitioner.ts';
import { randomFrom } from '../support/random.ts';

/** Utils.murmur2 of the Java client, line by line, with integers that cannot overflow by mistake. */
function reference(data: Buffer): number {
  const int = (value: bigint): bigint => BigInt.asIntN(32, value);
  const shifted = (value: bigint, by: bigint): bigint => BigInt.asUintN(32, value) >> by;
  const m = 0x5bd1e995n;
  let h = int(0x9747b28cn ^ BigInt(data.length));
  const length4 = Math.floor(data.length / 4);
  for (let i = 0; i < length4; i++) {
    let k = BigInt(data.readInt32LE(i * 4));
    k = int(k * m);
    k = int(k ^ shifted(k, 24n));
    k = int(k * m);
    h = int(h * m);
    h = int(h ^ k);
  }
  const rest = data.subarray(length4 * 4);
  if (rest.length > 2) h = int(h ^ (BigInt(rest[2]!) << 16n));
  if (rest.length > 1) h = int(h ^ (BigInt(rest[1]!) << 8n));
  if (rest.length > 0) h = int(int(h ^ BigInt(rest[0]!)) * m);
  h = int(h ^ shifted(h, 13n));
  h = int(h * m);
  h = int(h ^ shifted(h, 15n));
  return Number(h);
}

describe('murmur2', () => {
  // org.apache.kafka.common.utils.UtilsTest.testMurmur2
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('of %s is what the Java client computes', (key, hash) => {
    expect(murmur2(Buffer.from(key))).toBe(hash);
  });

  it('agrees with a plain reference on random bytes of any length, and within a larger buffer', () => {
    const random = randomFrom();
    for (let round = 0; round < 2_000; round++) {
      const key = Buffer.from(Array.from({ length: random.int(70) }, () => random.int(256)));
      const expected = reference(key);
      expect(murmur2(key), `seed ${random.seed}, key ${key.toString('hex')}`).toBe(expected);
      const before = random.int(9);
      const around = Buffer.concat([Buffer.alloc(before, 0xa5), key, Buffer.alloc(random.int(9), 0x5a)]);
      expect(murmur2(around, before, before + key.length), `seed ${random.seed}`).toBe(expected);
    }
  });
});

describe('partitionFor', () => {
  it('takes the hash without its sign modulo the count', () => {
    for (const key of ['21', 'foobar', 'abc', '']) {
      const positive = reference(Buffer.from(key)) & 0x7fffffff;
      expect(keyHash(Buffer.from(key))).toBe(positive);
      expect(partitionFor(Buffer.from(key), 7)).toBe(positive % 7);
    }
  });
});
