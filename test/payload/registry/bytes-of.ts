import { isFault, type ValueFault } from '../../../src/payload/fault.ts';

/** The bytes; what is wrong with the payload is thrown, for a test to expect. */
export function bytesOf(encoded: Buffer | ValueFault): Buffer {
  if (isFault(encoded)) throw new Error(encoded.reason, { cause: encoded });
  return encoded;
}
