import { RecordWriter, type Field } from '../../../src/kafka/record.ts';
import type { RecordSlice } from '../../../src/kafka/sink.ts';

export interface PlainRecord {
  key?: Field;
  value?: Field;
  headers?: readonly (readonly [name: string, value: Field])[];
  timestamp?: number;
}

/** Encodes records as the forward side does. */
export function slicesOf(records: readonly PlainRecord[]): RecordSlice[] {
  const writer = new RecordWriter();
  return records.map(({ key = null, value = null, headers = [], timestamp = 1_700_000_000_000 }) => {
    writer.begin();
    writer.key(key);
    writer.value(value);
    for (const [name, text] of headers) writer.header(name, text);
    return writer.end(timestamp);
  });
}

/** Values 'v<from>' .. without anything else. */
export function numbered(count: number, from = 0): PlainRecord[] {
  return Array.from({ length: count }, (_, index) => ({ value: `v${from + index}` }));
}
