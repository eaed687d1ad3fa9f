/**
 * Walks the record batches (magic 2) of a fetch response without building objects: a consumer that costs next to nothing
 * is what lets two cores hold a broker, Kafka and the benchmark. Format: https://kafka.apache.org/documentation/#recordbatch
 */
import { crc32c } from '@node-rs/crc32';

const OVERHEAD_BYTES = 12; // base offset and batch length come before what the length counts
const HEADER_BYTES = 61;
const AT = { length: 8, magic: 16, crc: 17, attributes: 21, lastOffsetDelta: 23, count: 57 };
const COMPRESSION_MASK = 0x07;
const CONTROL_BATCH = 0x20;

let position = 0;

/** A zigzag varint at `position`, which moves behind it. */
function varint(buffer) {
  let value = 0;
  let shift = 0;
  let byte;
  do {
    byte = buffer[position++];
    value |= (byte & 0x7f) << shift;
    shift += 7;
  } while (byte >= 0x80);
  return (value >>> 1) ^ -(value & 1);
}

/**
 * Calls `onValue` for the value of each record. A batch that the response cuts short is left for the next fetch.
 *
 * @param {Buffer} buffer record sets of one partition
 * @param {(buffer: Buffer, start: number, end: number) => void} onValue
 * @returns {bigint | undefined} the offset to fetch next; undefined when there was no whole batch
 */
export function readBatches(buffer, onValue) {
  let next;
  let at = 0;
  while (at + HEADER_BYTES <= buffer.length) {
    const end = at + OVERHEAD_BYTES + buffer.readInt32BE(at + AT.length);
    if (end > buffer.length) break;
    const base = buffer.readBigInt64BE(at);
    const attributes = buffer.readInt16BE(at + AT.attributes);
    if (buffer[at + AT.magic] !== 2) throw new Error(`batch at offset ${base} has magic ${buffer[at + AT.magic]}`);
    if ((attributes & COMPRESSION_MASK) !== 0) throw new Error('the benchmark reads uncompressed batches only');
    if (crc32c(buffer.subarray(at + AT.attributes, end)) !== buffer.readUInt32BE(at + AT.crc)) {
      throw new Error(`the batch at offset ${base} does not pass its CRC`);
    }
    if ((attributes & CONTROL_BATCH) === 0) {
      const count = buffer.readInt32BE(at + AT.count);
      position = at + HEADER_BYTES;
      for (let index = 0; index < count; index += 1) {
        const length = varint(buffer);
        const recordEnd = position + length;
        position += 1; // attributes
        varint(buffer); // timestamp delta
        varint(buffer); // offset delta
        const keyBytes = varint(buffer);
        if (keyBytes > 0) position += keyBytes;
        const valueBytes = varint(buffer);
        onValue(buffer, position, position + Math.max(0, valueBytes));
        position = recordEnd;
      }
    }
    next = base + BigInt(buffer.readInt32BE(at + AT.lastOffsetDelta)) + 1n;
    at = end;
  }
  return next;
}
