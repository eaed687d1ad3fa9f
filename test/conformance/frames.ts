/** A frame's bytes, from its seed alone: 100 B to 20 KB, with the seed in front. */
export function frameOf(seed: number): Buffer {
  const frame = Buffer.alloc(100 + (seed % 20_000));
  let state = seed >>> 0;
  for (let at = 0; at + 4 <= frame.length; at += 4) {
    frame.writeUInt32LE(state, at);
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  }
  return frame;
}

export function seedOf(frame: Buffer): number {
  return frame.readUInt32LE(0);
}
