/**
 * The part of a v2 record that does not depend on its batch, from its key to its headers (KIP-98, "Message Format"):
 *
 *     keyLength: varint  key  valueLength: varint  value  headerCount: varint
 *     [nameLength: varint  name  valueLength: varint  value] ...
 *
 * A length of -1 is null. A varint is zigzag-encoded, seven bits to a byte, the lowest first.
 */
import { keyHash } from './partitioner.ts';
import type { RecordSlice } from './sink.ts';

/** What a key, a value or the value of a header may be. Strings are UTF-8 on the wire. */
export type Field = string | Uint8Array | null;

/** Slices of one slab keep all of it in memory: a slab that a slow partition holds on to should not be large. */
const SLAB_BYTES = 64 * 1024;
/** Up to here a loop in JavaScript is faster than a call into C++ (measured on Node 20). */
const SHORT_STRING = 24;
const SHORT_BYTES = 32;
const VARINT_MAX_BYTES = 5;
/** The largest zigzag varint of one byte. */
const ONE_BYTE_MAX = 63;
const NULL_LENGTH = 0x01;

/** Bytes of `value`, a 32-bit signed integer, as a zigzag varint. */
export function varintSize(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  if (zigzag < 0x80) return 1;
  if (zigzag < 0x4000) return 2;
  if (zigzag < 0x200000) return 3;
  return zigzag < 0x10000000 ? 4 : 5;
}

/** Writes `value`, a 32-bit signed integer, as a zigzag varint; returns where it ends. */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  let zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  while (zigzag > 0x7f) {
    target[at++] = (zigzag & 0x7f) | 0x80;
    zigzag >>>= 7;
  }
  target[at++] = zigzag;
  return at;
}

/** Bytes of `value`, any safe integer, as a zigzag varlong. */
export function varlongSize(value: number): number {
  if ((value | 0) === value) return varintSize(value);
  let zigzag = value < 0 ? -value * 2 - 1 : value * 2;
  let size = 1;
  while (zigzag > 0x7f) {
    zigzag = Math.floor(zigzag / 0x80);
    size++;
  }
  return size;
}

/** Writes `value`, an integer of at most 52 bits, as a zigzag varlong; returns where it ends. */
export function writeVarlong(target: Uint8Array, at: number, value: number): number {
  if ((value | 0) === value) return writeVarint(target, at, value);
  let zigzag = value < 0 ? -value * 2 - 1 : value * 2;
  while (zigzag > 0x7f) {
    target[at++] = (zigzag % 0x80) | 0x80;
    zigzag = Math.floor(zigzag / 0x80);
  }
  target[at++] = zigzag;
  return at;
}

/** A header as it stands in a record, to be written with RecordWriter.encodedHeaders(). */
export function encodeHeader(name: string, value: Field): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  const header = nameWithRoom(name, VARINT_MAX_BYTES + (bytes?.length ?? 0));
  const at = writeVarint(header.bytes, header.end, bytes === null ? -1 : bytes.length);
  if (bytes !== null) header.bytes.set(bytes, at);
  return header.bytes.subarray(0, at + (bytes?.length ?? 0));
}

/** The name of a header as it stands in a record, to be written with RecordWriter.namedHeader(). */
export function encodedHeaderName(name: string): Buffer {
  const { bytes, end } = nameWithRoom(name, 0);
  return bytes.subarray(0, end);
}

function nameWithRoom(name: string, room: number): { bytes: Buffer; end: number } {
  const length = Buffer.byteLength(name);
  const bytes = Buffer.allocUnsafeSlow(VARINT_MAX_BYTES + length + room);
  const start = writeVarint(bytes, 0, length);
  bytes.write(name, start);
  return { bytes, end: start + length };
}

/**
 * Encodes records one behind the other into slabs. The calls for one record, in this order, the key and the value always:
 *
 *     begin()  key()  value()  header() | namedHeader() | encodedHeaders() ...  end()
 *
 * A record that was begun and not ended is taken back by the next begin(). What end() gave is never written again.
 */
export class RecordWriter {
  readonly #slabBytes: number;
  #slab: Buffer;
  /** Start of the record that is being written. */
  #start = 0;
  #at = 0;
  #keyStart = 0;
  #keyEnd = -1;
  #countAt = 0;
  #headers = 0;
  /** Length of the field written last, without its varint. */
  #fieldBytes = 0;

  constructor(slabBytes = SLAB_BYTES) {
    this.#slabBytes = slabBytes;
    this.#slab = Buffer.allocUnsafeSlow(slabBytes);
  }

  begin(): void {
    this.#at = this.#start;
    this.#headers = 0;
  }

  key(key: Field): void {
    this.#field(key);
    const length = key === null ? -1 : this.#fieldBytes;
    this.#keyEnd = length < 0 ? -1 : this.#at - this.#start;
    this.#keyStart = this.#keyEnd - length;
  }

  /** partitioner.ts' keyHash() of the key just written; -1 for a null key. */
  keyHash(): number {
    if (this.#keyEnd < 0) return -1;
    return keyHash(this.#slab, this.#start + this.#keyStart, this.#start + this.#keyEnd);
  }

  value(value: Field): void {
    this.#field(value);
    this.#ensure(1);
    // The count is known at the end; nearly always it fits the one byte that is left for it here.
    this.#countAt = this.#at++ - this.#start;
  }

  header(name: string, value: Field): void {
    this.#string(name);
    this.#field(value);
    this.#headers++;
  }

  /** `name` as encodedHeaderName() made it. */
  namedHeader(name: Uint8Array, value: Field): void {
    this.#bytes(name);
    this.#field(value);
    this.#headers++;
  }

  /** `count` headers as encodeHeader() made them, one behind the other. */
  encodedHeaders(headers: Uint8Array, count: number): void {
    this.#bytes(headers);
    this.#headers += count;
  }

  /** @param timestamp milliseconds since the epoch */
  end(timestamp: number): RecordSlice {
    if (this.#headers <= ONE_BYTE_MAX) this.#slab[this.#start + this.#countAt] = this.#headers << 1;
    else this.#widenCount();
    const slice = { slab: this.#slab, start: this.#start, end: this.#at, timestamp };
    this.#start = this.#at;
    return slice;
  }

  #widenCount(): void {
    const more = varintSize(this.#headers) - 1;
    this.#ensure(more);
    const countAt = this.#start + this.#countAt;
    this.#slab.copyWithin(countAt + 1 + more, countAt + 1, this.#at);
    writeVarint(this.#slab, countAt, this.#headers);
    this.#at += more;
  }

  #field(value: Field): void {
    if (typeof value === 'string') {
      this.#string(value);
    } else if (value === null) {
      this.#ensure(1);
      this.#slab[this.#at++] = NULL_LENGTH;
    } else {
      this.#ensure(VARINT_MAX_BYTES);
      this.#at = writeVarint(this.#slab, this.#at, value.length);
      this.#bytes(value);
      this.#fieldBytes = value.length;
    }
  }

  #string(value: string): void {
    const { length } = value;
    if (length <= SHORT_STRING) {
      this.#ensure(1 + length);
      const slab = this.#slab;
      let at = this.#at + 1;
      let index = 0;
      for (; index < length; index++) {
        const code = value.charCodeAt(index);
        if (code > 0x7f) break;
        slab[at++] = code;
      }
      if (index === length) {
        slab[this.#at] = length << 1;
        this.#at = at;
        this.#fieldBytes = length;
        return;
      }
    }
    const bytes = Buffer.byteLength(value);
    this.#ensure(VARINT_MAX_BYTES + bytes);
    const at = writeVarint(this.#slab, this.#at, bytes);
    this.#slab.write(value, at, bytes, bytes === length ? 'latin1' : 'utf8');
    this.#at = at + bytes;
    this.#fieldBytes = bytes;
  }

  #bytes(bytes: Uint8Array): void {
    const { length } = bytes;
    this.#ensure(length);
    const slab = this.#slab;
    let at = this.#at;
    if (length <= SHORT_BYTES) for (let index = 0; index < length; index++) slab[at++] = bytes[index] as number;
    else slab.set(bytes, at);
    this.#at += length;
  }

  /** Room for `bytes` more. Takes a new slab when there is none: the old one belongs to its slices. */
  #ensure(bytes: number): void {
    if (this.#at + bytes > this.#slab.length) this.#renew(bytes);
  }

  #renew(bytes: number): void {
    const written = this.#at - this.#start;
    const slab = Buffer.allocUnsafeSlow(Math.max(this.#slabBytes, written + bytes + (this.#slabBytes >>> 1)));
    this.#slab.copy(slab, 0, this.#start, this.#at);
    this.#slab = slab;
    this.#start = 0;
    this.#at = written;
  }
}
