/** Payloads that devices compress. The output is bounded: a few bytes can stand for gigabytes. */
import * as zlib from 'node:zlib';
import { errorText } from '../errors.ts';
import { valueFault, type ValueFault } from './fault.ts';

export const codecs = ['gzip', 'zlib', 'zstd'] as const;
export type PayloadCodec = (typeof codecs)[number];

export const DECOMPRESSED_MAX_BYTES = 4 * 1024 * 1024;

/** In Node from 22.15 on. */
const zstdDecompress = (zlib as { zstdDecompressSync?: typeof zlib.gunzipSync }).zstdDecompressSync;

export const zstdAvailable = zstdDecompress !== undefined;

export function decompress(bytes: Buffer, codec: PayloadCodec, maxOutputLength: number): Buffer | ValueFault {
  try {
    switch (codec) {
      case 'gzip':
        return zlib.gunzipSync(bytes, { maxOutputLength });
      case 'zlib':
        return zlib.inflateSync(bytes, { maxOutputLength });
      case 'zstd':
        if (zstdDecompress === undefined) return valueFault('PAYLOAD_INVALID', 'this Node has no zstd');
        return zstdDecompress(bytes, { maxOutputLength });
    }
  } catch (error) {
    const tooLarge = error instanceof RangeError || (error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE';
    return valueFault(
      'PAYLOAD_INVALID',
      tooLarge
        ? `the payload is more than ${maxOutputLength} bytes when it is decompressed`
        : `the payload does not decompress as ${codec}: ${errorText(error)}`,
    );
  }
}
