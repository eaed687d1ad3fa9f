import { bytes, type Version } from '../bytes.ts';
import type { Clauses } from './row.ts';

export interface BadString {
  readonly clauses: Clauses;
  readonly what: string;
  readonly text: Buffer;
}

const ILL_FORMED: Clauses = ['1.5.3-1', '1.5.4-1'];

/** Strings that are none. MQTT 3.1, which is read like 3.1.1, gets a sample of them. */
export function badStrings(version: Version): BadString[] {
  const all: BadString[] = [
    { clauses: ILL_FORMED, what: 'a surrogate', text: bytes('a', 0xed, 0xa0, 0x80) },
    { clauses: ['1.5.3-2', '1.5.4-2'], what: 'U+0000', text: bytes('a\0b') },
    { clauses: ILL_FORMED, what: 'an overlong slash', text: bytes(0xc0, 0xaf) },
    { clauses: ILL_FORMED, what: 'an overlong form of three bytes', text: bytes(0xe0, 0x80, 0xaf) },
    { clauses: ILL_FORMED, what: 'a code point above U+10FFFF', text: bytes(0xf4, 0x90, 0x80, 0x80) },
    { clauses: ILL_FORMED, what: 'a character cut off', text: bytes('a', 0xe2, 0x82) },
    { clauses: ILL_FORMED, what: 'a continuation byte alone', text: bytes(0xbf, 'a') },
  ];
  return version === 3 ? all.slice(0, 2) : all;
}
