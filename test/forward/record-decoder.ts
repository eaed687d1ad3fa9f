/** Reads `key .. headers` of a v2 record back, written from the format's description and sharing nothing with the writer. */
import type { RecordSlice } from '../../src/kafka/sink.ts';

export interface DecodedRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [name: string, value: Buffer | null])[];
}

export function decodeRecord({ slab, start, end }: RecordSlice): DecodedRecord {
  const bytes = slab.subarray(start, end);
  let at = 0;
  const varint = (): number => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error('the record ends in a varint');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return Number((value >> 1n) ^ -(value & 1n));
  };
  const field = (): Buffer | null => {
    const length = varint();
    if (length === -1) return null;
    if (length < 0 || at + length > bytes.length) throw new Error(`a field of ${length} bytes at ${at}`);
    at += length;
    // A copy: whoever writes into the slab later must not change what was compared.
    return Buffer.from(bytes.subarray(at - length, at));
  };
  const key = field();
  const value = field();
  const headers: [string, Buffer | null][] = [];
  for (let count = varint(); count > 0; count--) {
    const name = field();
    if (name === null) throw new Error('a header without a name');
    headers.push([name.toString(), field()]);
  }
  if (at !== bytes.length) throw new Error(`${bytes.length - at} bytes are left over`);
  return { key, value, headers };
}

/** Header values as text. */
export function textHeaders(record: DecodedRecord): (readonly [string, string | undefined])[] {
  return record.headers.map(([name, value]) => [name, value?.toString()] as const);
}
