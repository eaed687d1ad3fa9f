import { describe, expect, it } from 'vitest';
import { newLogId } from '../../src/buffer/epochs.ts';
import { decodeParked, encodeParked, type ParkedMessage } from '../../src/forward/parked-entry.ts';
import { message } from './support/rig.ts';

const logId = newLogId();
const parked: ParkedMessage[] = [
  { offset: 7, outcome: 0, alsoIn: [], records: [{ route: 'r', letter: undefined }] },
  {
    offset: 2 ** 40,
    outcome: 3,
    alsoIn: ['other', 'third'],
    records: [
      { route: 'r', letter: undefined },
      { route: undefined, letter: { code: 'NO_ROUTE', reason: 'none "at all"', topic: undefined } },
      { route: 's', letter: { code: 'INVALID_RECORD', reason: '', topic: 'iot' } },
    ],
  },
];
const messages = [message('c', 'a/b', 'one'), message('d', 'a/b', Buffer.alloc(10_000, 9))];
const bytes = encodeParked(logId, parked, messages);

describe('a parked entry', () => {
  it('comes back as it was parked', () => {
    expect(decodeParked(bytes)).toEqual({ logId, parked, messages });
  });

  it('is corrupt where any byte of it is changed', () => {
    for (let at = 0; at < bytes.length; at += 1 + Math.floor(at / 50)) {
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 0x10;
      // The version stands outside of the checksum: it says how to read the rest.
      const code = at === 0 ? 'STORE_FORMAT' : 'FRAME_CORRUPT';
      if (at >= 1 && at < 4) expect(() => decodeParked(flipped)).not.toThrow();
      else expect(() => decodeParked(flipped), `byte ${at}`).toThrow(expect.objectContaining({ code }) as Error);
    }
  });

  it('is corrupt where it is cut short', () => {
    for (const length of [0, 5, 11, 12, 40, bytes.length - 1]) {
      const cut = (): unknown => decodeParked(bytes.subarray(0, length));
      expect(cut).toThrow(expect.objectContaining({ code: 'FRAME_CORRUPT' }) as Error);
    }
  });
});
