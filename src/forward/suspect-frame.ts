/** What can be found out about a frame that does not pass its checksum. */
import { decodeFrame } from '../buffer/frame.ts';
import type { BufferStore, StoredFrame } from '../buffer/store.ts';
import { isSluiceError } from '../errors.ts';

/** How far to look for the frame behind a corrupt one: more than any frame holds. */
const LOOK_BEHIND_BYTES = 64 * 1024 * 1024;

export interface Suspect {
  /** The frame as the store has it now; undefined: it has none that begins there. */
  readonly frame: StoredFrame | undefined;
  readonly corrupt: boolean;
  /** Offsets that it takes: up to the next frame, or, if it is the last, what its header says, or else up to the head. */
  readonly count: number;
}

/** Reads the frame at `base` again, with what lies behind it: what memory holds may be damaged where the store is not. */
export async function examine(store: BufferStore, shard: number, base: number, readMaxBytes: number): Promise<Suspect> {
  // The head first: every frame up to it is then in what is read.
  const { head } = await store.stats(shard);
  const look = async (maxBytes: number): Promise<StoredFrame[]> =>
    (await store.read(shard, base, maxBytes)).filter((frame) => frame.base >= base);
  let [frame, behind] = await look(readMaxBytes);
  if (frame !== undefined && behind === undefined) [frame, behind] = await look(LOOK_BEHIND_BYTES);
  if (frame?.base !== base) return { frame: undefined, corrupt: false, count: 0 };
  const count = behind === undefined ? lastFrameCount(frame, head) : behind.base - base;
  return { frame, corrupt: isCorrupt(frame.bytes), count };
}

function isCorrupt(bytes: Buffer): boolean {
  try {
    decodeFrame(bytes);
    return false;
  } catch (error) {
    return isSluiceError(error, 'FRAME_CORRUPT');
  }
}

function lastFrameCount(frame: StoredFrame, head: number): number {
  const most = Math.max(1, head - frame.base + 1);
  const said = frame.bytes.length >= 16 ? frame.bytes.readUInt32LE(12) : 0;
  return said >= 1 && said <= most ? said : most;
}
