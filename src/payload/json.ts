/** JSON as a payload: strict UTF-8, and not deeper than what follows can recurse into. */
import { isUtf8 } from 'node:buffer';
import { errorText } from '../errors.ts';
import { valueFault, type ValueFault } from './fault.ts';

export const JSON_MAX_DEPTH = 128;

export interface Json {
  readonly kind: 'json';
  readonly value: unknown;
}

export function parseJson(bytes: Buffer): Json | ValueFault {
  if (bytes.length === 0) return valueFault('PAYLOAD_INVALID', 'the payload is empty, not JSON');
  if (!isUtf8(bytes)) return valueFault('PAYLOAD_INVALID', 'the payload is not UTF-8');
  if (deeperThan(bytes, JSON_MAX_DEPTH)) {
    return valueFault('PAYLOAD_INVALID', `the JSON is nested deeper than ${JSON_MAX_DEPTH} levels`);
  }
  try {
    return { kind: 'json', value: JSON.parse(bytes.toString()) as unknown };
  } catch (error) {
    return valueFault('PAYLOAD_INVALID', `the payload is not JSON: ${errorText(error)}`);
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** By the brackets outside of strings. What is no JSON may be counted wrongly; it is refused in any case. */
function deeperThan(bytes: Buffer, limit: number): boolean {
  // Too short to be so deep.
  if (bytes.length <= limit) return false;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (inString) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > limit) return true;
    } else if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return false;
}
