import { createRequire } from 'node:module';
import * as zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { codecFor } from '../../src/kafka/compression.ts';

const require = createRequire(import.meta.url);
// Larger than one block of the xerial framing and of LZ4's smallest.
const RECORDS = Buffer.from('{"temperature":21.5}\n'.repeat(10_000));

describe('codecFor', () => {
  it('has nothing to do for none', () => expect(codecFor('none')).toBeUndefined());

  it('gzip gives what gunzip reads', () => {
    const gzip = codecFor('gzip')!;
    expect(gzip.attribute).toBe(1);
    expect(zlib.gunzipSync(gzip.compress(RECORDS)).equals(RECORDS)).toBe(true);
  });

  it('snappy gives the xerial framing: magic, versions, blocks behind their length', () => {
    const { uncompressSync } = require('snappy') as { uncompressSync: (block: Buffer) => Buffer };
    const codec = codecFor('snappy')!;
    const framed = codec.compress(RECORDS);
    expect(codec.attribute).toBe(2);
    expect(framed.subarray(0, 8).toString('latin1')).toBe('\x82SNAPPY\0');
    expect([framed.readInt32BE(8), framed.readInt32BE(12)]).toEqual([1, 1]);
    const blocks: Buffer[] = [];
    for (let at = 16; at < framed.length;) {
      const length = framed.readInt32BE(at);
      blocks.push(uncompressSync(framed.subarray(at + 4, at + 4 + length)));
      at += 4 + length;
    }
    expect(blocks.length).toBeGreaterThan(1);
    expect(Buffer.concat(blocks).equals(RECORDS)).toBe(true);
  });

  it('lz4 gives frames of version 1 with independent blocks, which is all that the Java client reads', () => {
    const { decompressFrameSync } = require('lz4-napi') as { decompressFrameSync: (frame: Buffer) => Buffer };
    const codec = codecFor('lz4')!;
    const frame = codec.compress(RECORDS);
    expect(codec.attribute).toBe(3);
    expect(frame.readUInt32LE(0)).toBe(0x184d2204);
    const flags = frame[4]!;
    expect(flags >>> 6).toBe(1);
    expect(flags & 0x20).toBe(0x20);
    expect(decompressFrameSync(frame).equals(RECORDS)).toBe(true);
  });

  it('zstd compresses where Node has it, and says which Node does where it has not', () => {
    if ('zstdDecompressSync' in zlib) {
      const codec = codecFor('zstd')!;
      const decompress = zlib.zstdDecompressSync as (bytes: Buffer) => Buffer;
      expect(codec.attribute).toBe(4);
      expect(decompress(codec.compress(RECORDS)).equals(RECORDS)).toBe(true);
    } else {
      expect(() => codecFor('zstd')).toThrow(/Node 22\.15/);
    }
  });
});
