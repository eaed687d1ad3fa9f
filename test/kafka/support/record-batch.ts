import { crc32c } from '@node-rs/crc32';
import type { RecordSlice } from '../../../src/kafka/sink.ts';

/** A record as a test looks at it. */
export interface DecodedRecord {
  key: Buffer | null;
  value: Buffer | null;
  /** In the order of the record; a name may come more than once. */
  headers: [name: string, value: Buffer | null][];
  /** Milliseconds since the epoch. */
  timestamp: number;
}

export interface DecodedBatch {
  crcMatches: boolean;
  attributes: number;
  lastOffsetDelta: number;
  baseTimestamp: number;
  maxTimestamp: number;
  producerId: bigint;
  producerEpoch: number;
  baseSequence: number;
  records: DecodedRecord[];
}

/** Reads what the protocol describes (KIP-98), without sharing a line with the code that writes it. */
class Reader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get at(): number {
    return this.#at;
  }

  varint(): number {
    let zigzag = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.#bytes.readUInt8(this.#at++);
      zigzag |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(zigzag & 1n ? -(zigzag >> 1n) - 1n : zigzag >> 1n);
    }
  }

  int8(): number {
    return this.#bytes.readInt8(this.#at++);
  }

  field(): Buffer | null {
    const length = this.varint();
    if (length < 0) return null;
    if (this.#at + length > this.#bytes.length) throw new Error(`a field of ${length} bytes ends behind the record`);
    this.#at += length;
    return Buffer.from(this.#bytes.subarray(this.#at - length, this.#at));
  }

  /** From the key to the headers. */
  body(timestamp: number): DecodedRecord {
    const [key, value] = [this.field(), this.field()];
    const headers = Array.from({ length: this.varint() }, (): [string, Buffer | null] => [
      String(this.field()),
      this.field(),
    ]);
    return { key, value, headers, timestamp };
  }
}

export function decodeSlice({ slab, start, end, timestamp }: RecordSlice): DecodedRecord {
  const reader = new Reader(slab.subarray(0, end), start);
  const record = reader.body(timestamp);
  if (reader.at !== end) throw new Error(`the record ends at ${reader.at}, its slice at ${end}`);
  return record;
}

/** @param decompress of the records, where the batch says that they are compressed */
export function decodeBatch(
  batch: Buffer,
  decompress: (records: Buffer) => Buffer = (records) => records,
): DecodedBatch {
  if (batch.readInt32BE(8) !== batch.length - 12) throw new Error('batchLength does not match');
  if (batch.readInt8(16) !== 2) throw new Error('not of format v2');
  const attributes = batch.readInt16BE(21);
  const body = batch.subarray(61);
  const plain = (attributes & 7) === 0 ? body : decompress(body);
  const reader = new Reader(plain, 0);
  const baseTimestamp = Number(batch.readBigInt64BE(27));
  const records = Array.from({ length: batch.readInt32BE(57) }, (_, index) => {
    const length = reader.varint();
    const end = reader.at + length;
    if (reader.int8() !== 0) throw new Error('record attributes are not 0');
    const timestamp = baseTimestamp + reader.varint();
    if (reader.varint() !== index) throw new Error('offsetDelta does not count up');
    const record = reader.body(timestamp);
    if (reader.at !== end) throw new Error(`record ${index} ends at ${reader.at} instead of ${end}`);
    return record;
  });
  if (reader.at !== plain.length) throw new Error('something stands behind the last record');
  return {
    crcMatches: batch.readUInt32BE(17) === crc32c(batch.subarray(21)),
    attributes,
    lastOffsetDelta: batch.readInt32BE(23),
    baseTimestamp,
    maxTimestamp: Number(batch.readBigInt64BE(35)),
    producerId: batch.readBigInt64BE(43),
    producerEpoch: batch.readInt16BE(51),
    baseSequence: batch.readInt32BE(53),
    records,
  };
}
