/**
 * Keys of the embedded buffer. Numbers are big-endian and of fixed width, so that key order is offset order.
 *
 *     !format                                  {"format":1,"shards":n}
 *     a <shard u16>                            append side of a shard (JSON)
 *     s <shard u16>                            settle side of a shard (JSON)
 *     f <shard u16> <base u64> <count u32>     a frame
 *     i <shard u16> <topic>                    a topic's parking log: entries, messages, bytes (JSON)
 *     p <shard u16> <topic> 00 <position u64>  an entry of it
 *     q <shard u16> <client id> 00 <id u16>    a QoS 2 packet id, no value
 *     k <shard u16> <name> 00 <text>           the same with a text for an id; the name begins with 00
 *     x <shard u16> <base u64> <bytes u32>     a frame set aside
 *
 * The sizes stand in the keys so that counting and trimming read no values. Topics and client ids hold no U+0000
 * ([MQTT-1.5.4-2]; Kafka topic names are ASCII).
 */
const NUL = Buffer.of(0);
const MAX_U64 = Buffer.alloc(8, 0xff);

export const FORMAT_KEY = Buffer.from('!format');

type Kind = 'a' | 's' | 'f' | 'i' | 'p' | 'q' | 'k' | 'x';

function prefix(kind: Kind, shard: number, restBytes: number): Buffer {
  const key = Buffer.alloc(3 + restBytes);
  key[0] = kind.charCodeAt(0);
  key.writeUInt16BE(shard, 1);
  return key;
}

function writeU64(key: Buffer, value: number, at: number): void {
  key.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  key.writeUInt32BE(value % 2 ** 32, at + 4);
}

function readU64(key: Buffer, at: number): number {
  return key.readUInt32BE(at) * 2 ** 32 + key.readUInt32BE(at + 4);
}

/** [first, end): every key of a kind in a shard. */
export function rangeOf(kind: Kind, shard: number): { gte: Buffer; lt: Buffer } {
  const lt = prefix(kind, shard, 0);
  if (shard === 0xffff) throw new RangeError('a shard number is below 65535');
  lt.writeUInt16BE(shard + 1, 1);
  return { gte: prefix(kind, shard, 0), lt };
}

export const appendSideKey = (shard: number): Buffer => prefix('a', shard, 0);
export const settleSideKey = (shard: number): Buffer => prefix('s', shard, 0);

/** Without a count: where frames from `base` on begin. */
export function frameKey(shard: number, base: number, count?: number): Buffer {
  const key = prefix('f', shard, count === undefined ? 8 : 12);
  writeU64(key, base, 3);
  if (count !== undefined) key.writeUInt32BE(count, 11);
  return key;
}

export function parseFrameKey(key: Buffer): { base: number; count: number } {
  return { base: readU64(key, 3), count: key.readUInt32BE(11) };
}

export function parkedIndexKey(shard: number, topic: string): Buffer {
  return Buffer.concat([prefix('i', shard, 0), Buffer.from(topic)]);
}

export function parseParkedIndexKey(key: Buffer): string {
  return key.toString('utf8', 3);
}

export function parkedKey(shard: number, topic: string, position: number): Buffer {
  const name = Buffer.from(topic);
  const key = prefix('p', shard, name.length + 9);
  key.set(name, 3);
  writeU64(key, position, 4 + name.length);
  return key;
}

/** Entries of one topic above `after`, up to and including `upTo`. */
export function parkedRange(shard: number, topic: string, after: number, upTo?: number): { gt: Buffer; lte: Buffer } {
  const lte = parkedKey(shard, topic, upTo ?? 0);
  if (upTo === undefined) lte.set(MAX_U64, lte.length - 8);
  return { gt: parkedKey(shard, topic, after), lte };
}

export function parseParkedPosition(key: Buffer): number {
  return readU64(key, key.length - 8);
}

export function qos2Key(shard: number, clientId: string, packetId: number | string): Buffer {
  const name = Buffer.from(clientId);
  if (typeof packetId === 'string') return Buffer.concat([prefix('k', shard, 0), name, NUL, Buffer.from(packetId)]);
  const key = prefix('q', shard, name.length + 3);
  key.set(name, 3);
  key.writeUInt16BE(packetId, 4 + name.length);
  return key;
}

export function parseQos2Key(key: Buffer): { clientId: string; packetId: number | string } {
  if (key[0] === 'k'.charCodeAt(0)) {
    const end = key.indexOf(0, 4);
    return { clientId: key.toString('utf8', 3, end), packetId: key.toString('utf8', end + 1) };
  }
  return { clientId: key.toString('utf8', 3, key.length - 3), packetId: key.readUInt16BE(key.length - 2) };
}

export function asideKey(shard: number, base: number, bytes: number): Buffer {
  const key = prefix('x', shard, 12);
  writeU64(key, base, 3);
  key.writeUInt32BE(bytes, 11);
  return key;
}

export function parseAsideKey(key: Buffer): { base: number; bytes: number } {
  return { base: readU64(key, 3), bytes: key.readUInt32BE(11) };
}
