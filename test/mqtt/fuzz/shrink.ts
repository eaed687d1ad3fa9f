/** The smallest case that still fails, as far as leaving things out finds it. */
import type { FuzzCase } from './case.ts';

/** Looks at most at so many cases. */
const TRIES_MAX = 2_000;

export async function shrink(
  failing: FuzzCase,
  fails: (smaller: FuzzCase) => boolean | Promise<boolean>,
  triesMax = TRIES_MAX,
): Promise<FuzzCase> {
  let best = failing;
  let tries = 0;
  const attempt = async (smaller: FuzzCase): Promise<boolean> => {
    if (tries++ >= triesMax || !(await fails(smaller))) return false;
    best = smaller;
    return true;
  };
  await attempt({ ...best, chunkSizes: [] });
  let progress = true;
  while (progress && tries < triesMax) {
    progress = false;
    // Whole packets, many at once at first, from the last on: what comes after the failure goes first.
    for (let count = Math.ceil(best.packets.length / 2); count >= 1; count = count === 1 ? 0 : Math.ceil(count / 2)) {
      for (let at = best.packets.length - count; at > -count; at -= count) {
        const from = Math.max(0, at);
        const fewer = best.packets.toSpliced(from, at + count - from);
        if (fewer.length > 0 && (await attempt({ ...best, packets: fewer }))) progress = true;
      }
    }
    for (let at = 0; at < best.packets.length; at++) {
      for (
        let length = Math.ceil(best.packets[at]!.length / 2);
        length >= 1;
        length = length === 1 ? 0 : Math.ceil(length / 2)
      ) {
        for (let from = 0; from + length <= best.packets[at]!.length;) {
          const one = best.packets[at]!;
          const shorter = Buffer.concat([one.subarray(0, from), one.subarray(from + length)]);
          if (shorter.length > 0 && (await attempt({ ...best, packets: best.packets.with(at, shorter) })))
            progress = true;
          else from += length;
          if (tries >= triesMax) return best;
        }
      }
    }
  }
  return best;
}

export function show({ packets, chunkSizes }: FuzzCase): string {
  const lines = packets.map((packet) => `  ${packet.toString('hex')}`);
  return `${lines.join('\n')}\n  ${chunkSizes.length === 0 ? 'at once' : `in chunks of ${chunkSizes.join(', ')}`}`;
}
