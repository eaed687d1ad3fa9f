/** Strings as they stand in the bytes: UTF-8, topic names, topic filters. Each is looked at once and never decoded. */
import { broken, rules, type Rule } from './rules.ts';

const SLASH = 0x2f;
const HASH = 0x23;
const PLUS = 0x2b;

/**
 * The end of the character that begins at `at` with a byte of 0x80 or more: well-formed UTF-8 as RFC 3629 has it, no overlong
 * forms, no surrogates, nothing above U+10FFFF.
 */
function characterEnd(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at]!;
  // The second byte's range is what tells overlong forms, surrogates and the end of Unicode.
  let from = 0x80;
  let to = 0xbf;
  let length = 2;
  if (first < 0xc2 || first > 0xf4) broken(rules.utf8);
  if (first >= 0xf0) {
    length = 4;
    if (first === 0xf0) from = 0x90;
    else if (first === 0xf4) to = 0x8f;
  } else if (first >= 0xe0) {
    length = 3;
    if (first === 0xe0) from = 0xa0;
    else if (first === 0xed) to = 0x9f;
  }
  if (at + length > end) broken(rules.utf8);
  const second = bytes[at + 1]!;
  if (second < from || second > to) broken(rules.utf8);
  for (let index = at + 2; index < at + length; index++) {
    if ((bytes[index]! & 0xc0) !== 0x80) broken(rules.utf8);
  }
  return at + length;
}

/** [MQTT-1.5.3-1], [MQTT-1.5.3-2]; U+FEFF is a character like others [MQTT-1.5.3-3]. */
export function checkText(bytes: Uint8Array, at: number, end: number): void {
  while (at < end) {
    const byte = bytes[at]!;
    if (byte === 0) broken(rules.nul);
    if (byte < 0x80) at++;
    else at = characterEnd(bytes, at, end);
  }
}

/** A topic name: no wildcard, no U+0000; whether it may be empty is the packet's matter. */
export function checkTopicName(bytes: Uint8Array, at: number, end: number, maxLevels: number, wildcard: Rule): void {
  let levels = 1;
  while (at < end) {
    const byte = bytes[at]!;
    if (byte >= 0x80) {
      at = characterEnd(bytes, at, end);
      continue;
    }
    if (byte === SLASH) levels++;
    else if (byte === HASH || byte === PLUS) broken(wildcard);
    else if (byte === 0) broken(rules.topicNul);
    at++;
  }
  if (levels > maxLevels) broken(rules.topicLevels);
}

/** A topic filter: # as the last level, + as a whole one (§4.7.1). */
export function checkTopicFilter(bytes: Uint8Array, at: number, end: number, maxLevels: number): void {
  if (at === end) broken(rules.filterEmpty);
  const start = at;
  let levels = 1;
  while (at < end) {
    const byte = bytes[at]!;
    if (byte >= 0x80) {
      at = characterEnd(bytes, at, end);
      continue;
    }
    if (byte === SLASH) levels++;
    else if (byte === HASH && (at + 1 !== end || !isLevelStart(bytes, at, start))) broken(rules.filterHash);
    else if (byte === PLUS && !(isLevelStart(bytes, at, start) && isLevelEnd(bytes, at, end))) broken(rules.filterPlus);
    else if (byte === 0) broken(rules.topicNul);
    at++;
  }
  if (levels > maxLevels) broken(rules.filterLevels);
}

function isLevelStart(bytes: Uint8Array, at: number, start: number): boolean {
  return at === start || bytes[at - 1] === SLASH;
}

function isLevelEnd(bytes: Uint8Array, at: number, end: number): boolean {
  return at + 1 === end || bytes[at + 1] === SLASH;
}

const SHARE = Buffer.from('$share/');

/** The filter is `$share/…`, which MQTT 5 gives a meaning (§4.8.2). */
export function isShared(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < SHARE.length) return false;
  for (let index = 0; index < SHARE.length; index++) {
    if (bytes[at + index] !== SHARE[index]) return false;
  }
  return true;
}

/** $share/{name}/{filter}: a name without wildcards ([MQTT-4.8.2-1], [MQTT-4.8.2-2]). */
export function checkSharedFilter(bytes: Uint8Array, at: number, end: number, maxLevels: number): void {
  const name = at + SHARE.length;
  let nameEnd = name;
  while (nameEnd < end && bytes[nameEnd] !== SLASH) {
    const byte = bytes[nameEnd]!;
    if (byte === HASH || byte === PLUS) broken(rules.shareForm);
    nameEnd++;
  }
  if (nameEnd === name) broken(rules.shareNameEmpty);
  if (nameEnd + 1 >= end) broken(rules.shareForm);
  checkText(bytes, name, nameEnd);
  checkTopicFilter(bytes, nameEnd + 1, end, maxLevels);
}
