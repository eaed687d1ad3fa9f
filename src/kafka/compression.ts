/** The codecs of a record batch: what stands behind the header, all records together, is compressed (KIP-98). */
import { createRequire } from 'node:module';
import * as zlib from 'node:zlib';
import type * as Lz4 from 'lz4-napi';
import type * as Snappy from 'snappy';

export type Compression = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';

export interface Codec {
  /** Bits 0..2 of the batch's attributes. */
  readonly attribute: number;
  compress(records: Buffer): Buffer;
}

/** @throws Error where this Node has no such codec: the message says which Node does. */
export function codecFor(compression: Compression): Codec | undefined {
  switch (compression) {
    case 'none':
      return undefined;
    case 'gzip':
      return { attribute: 1, compress: (records) => zlib.gzipSync(records, { level: 1 }) };
    case 'snappy':
      return snappy();
    case 'lz4':
      return lz4();
    case 'zstd':
      return zstd();
  }
}

// Native modules are loaded by those who asked for them only.
const require = createRequire(import.meta.url);

/**
 * Snappy travels in the framing of the Java library xerial: a magic, two versions, then blocks behind their length. Raw
 * Snappy is read by librdkafka, but not by the Java client and broker.
 */
const XERIAL_HEADER = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00, 0, 0, 0, 1, 0, 0, 0, 1]);
const XERIAL_BLOCK_BYTES = 32 * 1024;

function snappy(): Codec {
  const { compressSync } = require('snappy') as typeof Snappy;
  return {
    attribute: 2,
    compress(records) {
      const parts: Buffer[] = [XERIAL_HEADER];
      for (let at = 0; at < records.length; at += XERIAL_BLOCK_BYTES) {
        const block = compressSync(records.subarray(at, at + XERIAL_BLOCK_BYTES));
        const length = Buffer.allocUnsafe(4);
        length.writeInt32BE(block.length);
        parts.push(length, block);
      }
      return Buffer.concat(parts);
    },
  };
}

/** The LZ4 frame format, whose header checksum is the right one since magic 2 (KIP-57). */
function lz4(): Codec {
  const { compressFrameSync } = require('lz4-napi') as typeof Lz4;
  return { attribute: 3, compress: (records) => compressFrameSync(records) };
}

type ZstdCompress = (buffer: Buffer, options?: { params?: Record<number, number> }) => Buffer;

function zstd(): Codec {
  const { zstdCompressSync, constants } = zlib as unknown as {
    zstdCompressSync?: ZstdCompress;
    constants: Record<string, number>;
  };
  if (zstdCompressSync === undefined) {
    const message = `zstd compression needs Node 22.15 or newer, this is ${process.versions.node}: take lz4, or a newer Node`;
    throw new Error(message);
  }
  const params = { [constants['ZSTD_c_compressionLevel'] as number]: 1 };
  return { attribute: 4, compress: (records) => zstdCompressSync(records, { params }) };
}
