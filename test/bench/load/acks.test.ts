import { describe, expect, it } from 'vitest';
import { AckReader, CONNACK, PINGRESP, PUBACK, PUBCOMP, PUBREC } from '../../../bench/load/acks.mjs';

const stream = Buffer.from([0x20, 2, 0, 0, 0x40, 2, 0, 1, 0x40, 2, 1, 2, 0xd0, 0, 0x50, 2, 0, 3, 0x70, 2, 0, 3]);
const packets = [
  [CONNACK, 0],
  [PUBACK, 1],
  [PUBACK, 258],
  [PINGRESP, 0],
  [PUBREC, 3],
  [PUBCOMP, 3],
];

function read(chunks: Buffer[]) {
  const seen: number[][] = [];
  const reader = new AckReader((type, id) => seen.push([type, id]));
  for (const chunk of chunks) reader.read(chunk);
  return seen;
}

describe('the reader of acknowledgements', () => {
  it('reads packets that come together', () => {
    expect(read([stream])).toEqual(packets);
  });

  it('reads them the same however the stream is cut', () => {
    for (let size = 1; size < stream.length; size += 1) {
      const chunks = [];
      for (let from = 0; from < stream.length; from += size) chunks.push(stream.subarray(from, from + size));
      expect(read(chunks), `in pieces of ${size}`).toEqual(packets);
    }
  });

  it('refuses a packet that a publisher does not expect', () => {
    expect(() => read([Buffer.from([0x30, 2, 0, 0])])).toThrow('0x30');
    expect(() => read([Buffer.from([0x40, 3, 0, 1])])).toThrow('length of 3');
  });
});
