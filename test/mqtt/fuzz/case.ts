/** One connection of the fuzzer: a valid session with damage done to it, in chunks. Seed and index are all it needs. */
import { randomFrom, type Random } from '../../support/random.ts';
import { drawSession } from './session.ts';

export interface FuzzCase {
  /** Packets as far as they are still packets. */
  readonly packets: readonly Buffer[];
  /** Sizes of the chunks they are sent in, used in turn; empty: at once. */
  readonly chunkSizes: readonly number[];
  readonly damaged: boolean;
}

/** So few that sessions are resumed and taken over. */
export const CLIENT_IDS: readonly string[] = [
  ...Array.from({ length: 30 }, (_, index) => `fuzz-${index}`),
  '__proto__',
  'constructor',
];

/** Bytes that mean something somewhere. */
const TELLING = [0x00, 0x01, 0x02, 0x7f, 0x80, 0xff, 0x10, 0x32, 0x34, 0x62, 0x82, 0xc0, 0xe0, 0xed, 0x23, 0x2b, 0x2f];

export function drawCase(seed: number, index: number): FuzzCase {
  const random = randomFrom((seed ^ Math.imul(index + 1, 0x9e3779b1)) >>> 0);
  // Few client ids: sessions are resumed and taken over.
  const clientId = random.pick(CLIENT_IDS);
  const { packets } = drawSession(random, clientId);
  const damaged = random.next() < 0.75;
  return {
    packets: damaged ? damage(packets, random) : packets,
    chunkSizes: random.pick([[], [], [1], [3, 1, 200], [1 + random.int(50)], [1_460]]),
    damaged,
  };
}

function damage(packets: readonly Buffer[], random: Random): Buffer[] {
  const out = [...packets];
  const times = 1 + random.int(random.pick([1, 1, 4]));
  for (let time = 0; time < times; time++) {
    const at = random.int(out.length);
    const one = out[at]!;
    const position = random.int(Math.max(1, Math.min(one.length, random.pick([8, 40, 10_000]))));
    const damages: (() => void)[] = [
      () => (out[at] = changed(one, position, one[position]! ^ (1 << random.int(8)))),
      () => (out[at] = changed(one, position, random.pick(TELLING))),
      () =>
        (out[at] = Buffer.concat([one.subarray(0, position), Buffer.of(random.pick(TELLING)), one.subarray(position)])),
      () => (out[at] = Buffer.concat([one.subarray(0, position), one.subarray(position + 1 + random.int(3))])),
      () => (out[at] = one.subarray(0, position)),
      // The same damage, with the length mended: it gets behind the fixed header.
      () => (out[at] = mended(changed(one, position, random.pick(TELLING)))),
      () =>
        (out[at] = mended(
          Buffer.concat([one.subarray(0, position), Buffer.of(random.int(256)), one.subarray(position)]),
        )),
      () => out.splice(at, 0, one),
      () => out.splice(at, 1),
      () => out.splice(at, 0, random.pick(packets)),
      () => (out[at] = Buffer.concat([one.subarray(0, position), random.pick(packets).subarray(position)])),
      () => out.push(Buffer.from(Array.from({ length: random.int(12) }, () => random.int(256)))),
    ];
    random.pick(damages)();
    if (out.length === 0) break;
  }
  return out.filter(({ length }) => length > 0);
}

function changed(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  if (at < copy.length) copy[at] = value;
  return copy;
}

/** With the length of the fixed header as it should be, where that takes one byte. */
function mended(bytes: Buffer): Buffer {
  if (bytes.length < 2 || bytes.length > 129 || bytes[1]! >= 0x80) return bytes;
  return changed(bytes, 1, bytes.length - 2);
}

export function chunksOf({ packets, chunkSizes }: FuzzCase): Buffer[] {
  const all = Buffer.concat(packets);
  if (chunkSizes.length === 0) return all.length === 0 ? [] : [all];
  const chunks = [];
  for (let at = 0, turn = 0; at < all.length; turn++) {
    const end = at + chunkSizes[turn % chunkSizes.length]!;
    chunks.push(all.subarray(at, end));
    at = end;
  }
  return chunks;
}
