/** Reads back what record.ts wrote: for people, not on the way of a message. */
import type { RecordSlice } from './sink.ts';

export interface ReadRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [name: string, value: Buffer | null])[];
}

export function readRecord({ slab, start, end }: RecordSlice): ReadRecord {
  let at = start;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 0x80) {
      const byte = slab[at++] ?? 0;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  };
  const field = (): Buffer | null => {
    const length = varint();
    if (length < 0) return null;
    if (at + length > end) throw new RangeError('a field is longer than its record');
    at += length;
    return Buffer.from(slab.subarray(at - length, at));
  };
  const key = field();
  const value = field();
  const headers: [string, Buffer | null][] = [];
  for (let count = varint(); count > 0; count--) headers.push([field()?.toString() ?? '', field()]);
  return { key, value, headers };
}
