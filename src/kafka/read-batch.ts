/** Record batches read: the other direction of batch.ts, for dead letters that are looked at and put in again. */
import { createRequire } from 'node:module';
import * as zlib from 'node:zlib';
import type * as Lz4 from 'lz4-napi';
import type * as Snappy from 'snappy';

export interface ReadRecord {
  readonly offset: number;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** In the order of the record; a name may come more than once. */
  readonly headers: readonly (readonly [name: string, value: Buffer | null])[];
}

const HEADER_BYTES = 61;
const CONTROL = 1 << 5;
const CODEC_MASK = 7;
/** A batch says nothing of its size unpacked; sluice and the Java client write at most some megabytes. */
const UNPACKED_MAX_BYTES = 256 * 1024 * 1024;

const require = createRequire(import.meta.url);

/**
 * The records of what a Fetch answered: whole batches, of which the last may be cut off (it comes again with the next Fetch).
 * `next`: the offset behind the last whole batch.
 * @throws Error for a batch of an older format than v2 (Kafka before 0.11), an unknown codec, or damage
 */
export function readBatches(bytes: Buffer, from: number): { records: ReadRecord[]; next: number } {
  const records: ReadRecord[] = [];
  let next = from;
  let at = 0;
  while (at + HEADER_BYTES <= bytes.length) {
    const end = at + 12 + bytes.readInt32BE(at + 8);
    if (end > bytes.length) break;
    const baseOffset = Number(bytes.readBigInt64BE(at));
    const magic = bytes.readInt8(at + 16);
    if (magic !== 2) throw new Error(`a record batch of format ${magic}`);
    const attributes = bytes.readInt16BE(at + 21);
    next = Math.max(next, baseOffset + bytes.readInt32BE(at + 23) + 1);
    if ((attributes & CONTROL) === 0) {
      const baseTimestamp = Number(bytes.readBigInt64BE(at + 27));
      const count = bytes.readInt32BE(at + 57);
      const body = unpack(bytes.subarray(at + HEADER_BYTES, end), attributes & CODEC_MASK);
      readRecords(body, count, baseOffset, baseTimestamp, from, records);
    }
    at = end;
  }
  return { records, next };
}

function readRecords(
  body: Buffer,
  count: number,
  baseOffset: number,
  baseTimestamp: number,
  from: number,
  into: ReadRecord[],
): void {
  const reader = new RecordReader(body);
  for (let index = 0; index < count; index++) {
    const end = reader.varint() + reader.at;
    reader.skip(1);
    const timestamp = baseTimestamp + reader.varint();
    const offset = baseOffset + reader.varint();
    const key = reader.field();
    const value = reader.field();
    const headers: [string, Buffer | null][] = [];
    for (let left = reader.varint(); left > 0; left--)
      headers.push([reader.field()?.toString('utf8') ?? '', reader.field()]);
    if (reader.at !== end) throw new Error(`the record at offset ${offset} does not end where it says`);
    // A batch is fetched whole, also where it begins before what was asked for.
    if (offset >= from) into.push({ offset, timestamp, key, value, headers });
  }
}

class RecordReader {
  readonly #bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  skip(count: number): void {
    this.at += count;
  }

  /** Zigzag, up to 64 bits; what sluice reads stays below 2^53. */
  varint(): number {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = this.#bytes.readUInt8(this.at++);
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
      factor *= 128;
    }
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
  }

  field(): Buffer | null {
    const length = this.varint();
    if (length < 0) return null;
    const start = this.at;
    this.at += length;
    if (this.at > this.#bytes.length) throw new Error('a field ends behind its batch');
    return this.#bytes.subarray(start, this.at);
  }
}

/** `codec`: bits 0..2 of the attributes of a batch. */
export function unpack(body: Buffer, codec: number): Buffer {
  switch (codec) {
    case 0:
      return body;
    case 1:
      return zlib.gunzipSync(body, { maxOutputLength: UNPACKED_MAX_BYTES });
    case 2:
      return unpackSnappy(body);
    case 3:
      return (require('lz4-napi') as typeof Lz4).decompressFrameSync(body);
    case 4: {
      const { zstdDecompressSync } = zlib as { zstdDecompressSync?: (bytes: Buffer, options: object) => Buffer };
      if (zstdDecompressSync === undefined) throw new Error('zstd needs Node 22.15 or newer to be read');
      return zstdDecompressSync(body, { maxOutputLength: UNPACKED_MAX_BYTES });
    }
    default:
      throw new Error(`a record batch with the unknown codec ${codec}`);
  }
}

/** In the framing of xerial (see compression.ts), or raw as librdkafka also writes it. */
function unpackSnappy(body: Buffer): Buffer {
  const { uncompressSync } = require('snappy') as typeof Snappy;
  const unpackBlock = (block: Buffer): Buffer => uncompressSync(block, { asBuffer: true }) as Buffer;
  if (body.readUInt8(0) !== 0x82 || body.toString('latin1', 1, 7) !== 'SNAPPY') return unpackBlock(body);
  const parts: Buffer[] = [];
  for (let at = 16; at < body.length;) {
    const length = body.readInt32BE(at);
    parts.push(unpackBlock(body.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return Buffer.concat(parts);
}
