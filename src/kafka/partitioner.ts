/** Same key, same partition as the Java client's default partitioner. */

// The constants of murmur2 as org.apache.kafka.common.utils.Utils has them.
const SEED = 0x9747b28c;
const M = 0x5bd1e995;
const R = 24;

/** 32-bit murmur2 of bytes[start, end), as a signed integer: Kafka's Utils.murmur2. */
export function murmur2(bytes: Uint8Array, start = 0, end = bytes.length): number {
  const length = end - start;
  let hash = SEED ^ length;
  const tail = start + (length & ~3);
  for (let at = start; at < tail; at += 4) {
    let word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    word = Math.imul(word, M);
    word ^= word >>> R;
    hash = Math.imul(hash, M) ^ Math.imul(word, M);
  }
  const rest = length & 3;
  if (rest > 0) {
    if (rest === 3) hash ^= (bytes[tail + 2] as number) << 16;
    if (rest >= 2) hash ^= (bytes[tail + 1] as number) << 8;
    hash ^= bytes[tail] as number;
    hash = Math.imul(hash, M);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, M);
  return hash ^ (hash >>> 15);
}

/** Utils.toPositive(murmur2(key)): what is taken modulo the partition count. 0 .. 2^31 - 1. */
export function keyHash(bytes: Uint8Array, start = 0, end = bytes.length): number {
  return murmur2(bytes, start, end) & 0x7fffffff;
}

/** The partition that the Java client's default partitioner gives a record with this key. */
export function partitionFor(key: Uint8Array, partitions: number): number {
  return keyHash(key) % partitions;
}
