/**
 * Record batches of format v2 (KIP-98, "Message Format"), written straight into one Buffer:
 *
 *     0 baseOffset: int64 = 0          23 lastOffsetDelta: int32     53 baseSequence: int32
 *     8 batchLength: int32             27 baseTimestamp: int64       57 recordCount: int32
 *    12 partitionLeaderEpoch: int32    35 maxTimestamp: int64        61 records, compressed as a whole
 *    16 magic: int8 = 2                43 producerId: int64
 *    17 crc: uint32, CRC-32C of 21..   51 producerEpoch: int16
 *    21 attributes: int16
 *
 *     record: length: varint  attributes: int8 = 0  timestampDelta: varlong  offsetDelta: varint  key .. headers
 */
import { crc32c } from '@node-rs/crc32';
import type { Codec } from './compression.ts';
import { varintSize, varlongSize, writeVarint, writeVarlong } from './record.ts';
import type { RecordSlice } from './sink.ts';

export const BATCH_HEADER_BYTES = 61;
const MAGIC = 2;
/** batchLength counts from behind itself. */
const LENGTH_FROM = 12;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const PRODUCER_ID_AT = 43;

/** Who wrote a batch, in which order: what makes the broker recognise one that is sent again. */
export interface ProducerStamp {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  /** Of the batch's first record, 0 .. 2^31 - 1. */
  readonly baseSequence: number;
}

/** A batch of a producer that is not idempotent. */
export const NO_PRODUCER: ProducerStamp = { producerId: -1n, producerEpoch: -1, baseSequence: -1 };

/** An upper bound of what the records take: few bytes above the truth. */
export function batchBytes(records: readonly RecordSlice[], from: number, to: number): number {
  return BATCH_HEADER_BYTES + measure(records, from, to).recordsMaxBytes;
}

interface Measure {
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  readonly recordsMaxBytes: number;
}

function measure(records: readonly RecordSlice[], from: number, to: number): Measure {
  const baseTimestamp = (records[from] as RecordSlice).timestamp;
  let minTimestamp = baseTimestamp;
  let maxTimestamp = baseTimestamp;
  let bytes = 0;
  let longest = 0;
  for (let index = from; index < to; index++) {
    const { start, end, timestamp } = records[index] as RecordSlice;
    const length = end - start;
    bytes += length;
    if (length > longest) longest = length;
    if (timestamp > maxTimestamp) maxTimestamp = timestamp;
    else if (timestamp < minTimestamp) minTimestamp = timestamp;
  }
  const timestampSize = Math.max(varlongSize(maxTimestamp - baseTimestamp), varlongSize(minTimestamp - baseTimestamp));
  const inner = 1 + timestampSize + varintSize(to - from - 1);
  const recordsMaxBytes = bytes + (to - from) * (inner + varintSize(longest + inner));
  return { baseTimestamp, maxTimestamp, recordsMaxBytes };
}

/** Reused for what is about to be compressed: encoding is synchronous. */
let scratch = Buffer.allocUnsafeSlow(0);
const SCRATCH_KEPT_BYTES = 4 * 1024 * 1024;

function scratchOf(bytes: number): Buffer {
  if (scratch.length >= bytes) return scratch;
  const fresh = Buffer.allocUnsafeSlow(Math.max(bytes, 512 * 1024));
  if (fresh.length <= SCRATCH_KEPT_BYTES) scratch = fresh;
  return fresh;
}

/**
 * Encodes records[from, to), at least one. It cannot be sent before stampBatch(): producer and checksum are missing.
 * Records that the codec does not make smaller are left as they are.
 */
export function encodeBatch(records: readonly RecordSlice[], from: number, to: number, codec?: Codec): Buffer {
  if (to <= from) throw new RangeError('a record batch holds at least one record');
  const { baseTimestamp, maxTimestamp, recordsMaxBytes } = measure(records, from, to);
  let batch: Buffer;
  let attributes = 0;
  if (codec === undefined) {
    const whole = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES + recordsMaxBytes);
    const end = writeRecords(whole, BATCH_HEADER_BYTES, records, from, to, baseTimestamp);
    batch = whole.subarray(0, end);
  } else {
    const target = scratchOf(recordsMaxBytes);
    const plain = target.subarray(0, writeRecords(target, 0, records, from, to, baseTimestamp));
    const compressed = codec.compress(plain);
    const smaller = compressed.length < plain.length;
    const body = smaller ? compressed : plain;
    if (smaller) attributes = codec.attribute;
    batch = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES + body.length);
    batch.set(body, BATCH_HEADER_BYTES);
  }
  writeHeader(batch, attributes, to - from, baseTimestamp, maxTimestamp);
  return batch;
}

function writeRecords(
  target: Buffer,
  at: number,
  records: readonly RecordSlice[],
  from: number,
  to: number,
  baseTimestamp: number,
): number {
  for (let index = from; index < to; index++) {
    const { slab, start, end, timestamp } = records[index] as RecordSlice;
    const timestampDelta = timestamp - baseTimestamp;
    const offsetDelta = index - from;
    const length = 1 + varlongSize(timestampDelta) + varintSize(offsetDelta) + end - start;
    at = writeVarint(target, at, length);
    target[at++] = 0;
    at = writeVarlong(target, at, timestampDelta);
    at = writeVarint(target, at, offsetDelta);
    slab.copy(target, at, start, end);
    at += end - start;
  }
  return at;
}

function writeHeader(
  batch: Buffer,
  attributes: number,
  count: number,
  baseTimestamp: number,
  maxTimestamp: number,
): void {
  batch.fill(0, 0, 8);
  batch.writeInt32BE(batch.length - LENGTH_FROM, 8);
  batch.writeInt32BE(-1, 12);
  batch[16] = MAGIC;
  // Bit 3 of the attributes stays 0: the timestamps are CreateTime.
  batch.writeInt16BE(attributes, ATTRIBUTES_AT);
  batch.writeInt32BE(count - 1, 23);
  writeTimestamp(batch, baseTimestamp, 27);
  writeTimestamp(batch, maxTimestamp, 35);
  batch.writeInt32BE(count, 57);
}

/** An int64 without a BigInt: timestamps are safe integers. */
function writeTimestamp(batch: Buffer, timestamp: number, at: number): void {
  const high = Math.floor(timestamp / 2 ** 32);
  batch.writeInt32BE(high, at);
  batch.writeUInt32BE(timestamp - high * 2 ** 32, at + 4);
}

/** Writes the producer into an encoded batch, for the first time or anew, and the checksum that it changes. */
export function stampBatch(batch: Buffer, stamp: ProducerStamp): void {
  batch.writeBigInt64BE(stamp.producerId, PRODUCER_ID_AT);
  batch.writeInt16BE(stamp.producerEpoch, PRODUCER_ID_AT + 8);
  batch.writeInt32BE(stamp.baseSequence, PRODUCER_ID_AT + 10);
  batch.writeUInt32BE(crc32c(batch.subarray(ATTRIBUTES_AT)), CRC_AT);
}
