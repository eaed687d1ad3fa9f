/**
 * The shard of a client id. Part of the stored format: QoS 2 ids and order live with the shard, so this function never
 * changes for a given shard count. FNV-1a over the UTF-8 bytes with murmur3's finalizer, for ids that differ in one digit.
 */
export function shardOf(clientId: string, shards: number): number {
  const bytes = Buffer.from(clientId, 'utf8');
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash ^= hash >>> 16;
  return (hash >>> 0) % shards;
}
