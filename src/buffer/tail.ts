/**
 * The hot tail: frames that this process has just committed, on their way to the forwarder without a read of the store.
 *
 * It is a cache, never the truth: everything in it is in the store as well. So it may be dropped at any moment, and a reader
 * takes a frame only where its base is exactly the offset that it needs next; for everything else the store is read.
 */

export interface TailFrame {
  /** Offset of the frame's first message. */
  readonly base: number;
  readonly count: number;
  /** The frame as it was appended; not copied. */
  readonly bytes: Buffer;
}

class ShardTail {
  frames: TailFrame[] = [];
  /** Frames before this index are taken. */
  first = 0;
  bytes = 0;
}

/** What a frame takes beside its bytes: Buffer, backing store, entry. Quiet devices make many small frames. */
export const FRAME_OVERHEAD_BYTES = 512;

function held(bytes: Buffer): number {
  return bytes.buffer.byteLength + FRAME_OVERHEAD_BYTES;
}

/** A fresh array beats shifting: taken places are given back once they are half of a long array. */
const COMPACT_FROM = 256;

export class HotTail {
  /** Bound over all shards. */
  readonly maxBytes: number;
  /** Times a shard's tail was dropped because the bound was reached. */
  overflows = 0;
  readonly #shards = new Map<number, ShardTail>();
  readonly #suspended = new Set<number>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Memory held, over all shards. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Keeps a frame, after all that were added for its shard before. Beyond the bound the shard's tail is dropped whole, this
   * frame too: the reader is behind and reads the store, and what it reads there next would be dropped from here anyway.
   */
  add(shard: number, base: number, count: number, bytes: Buffer): void {
    if (this.#suspended.has(shard)) return;
    const heldBytes = held(bytes);
    if (this.#bytes + heldBytes > this.maxBytes) {
      this.overflows++;
      this.drop(shard);
      return;
    }
    let tail = this.#shards.get(shard);
    if (tail === undefined) this.#shards.set(shard, (tail = new ShardTail()));
    tail.frames.push({ base, count, bytes });
    tail.bytes += heldBytes;
    this.#bytes += heldBytes;
  }

  /** The frame that begins with `offset`, once; frames that begin before it are forgotten. undefined: read the store. */
  take(shard: number, offset: number): TailFrame | undefined {
    const tail = this.#shards.get(shard);
    if (tail === undefined) return undefined;
    for (;;) {
      const frame = tail.frames[tail.first];
      if (frame === undefined || frame.base > offset) return undefined;
      this.#removeFirst(tail, frame);
      if (frame.base === offset) return frame;
    }
  }

  /** A frame waits here, whether it is the next one or not. */
  has(shard: number): boolean {
    const tail = this.#shards.get(shard);
    return tail !== undefined && tail.first < tail.frames.length;
  }

  /** The reader of this shard has no room: until resume() nothing is kept for it, for an outage may last and memory is short. */
  suspend(shard: number): void {
    this.drop(shard);
    this.#suspended.add(shard);
  }

  /** true: it was suspended, and what came since is only in the store. */
  resume(shard: number): boolean {
    return this.#suspended.delete(shard);
  }

  drop(shard: number): void {
    const tail = this.#shards.get(shard);
    if (tail === undefined) return;
    this.#bytes -= tail.bytes;
    this.#shards.delete(shard);
  }

  #removeFirst(tail: ShardTail, frame: TailFrame): void {
    tail.first++;
    const heldBytes = held(frame.bytes);
    tail.bytes -= heldBytes;
    this.#bytes -= heldBytes;
    if (tail.first === tail.frames.length) {
      tail.frames = [];
      tail.first = 0;
    } else if (tail.first >= COMPACT_FROM && tail.first * 2 > tail.frames.length) {
      tail.frames = tail.frames.slice(tail.first);
      tail.first = 0;
    }
  }
}
