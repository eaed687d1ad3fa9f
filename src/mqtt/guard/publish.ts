/**
 * PUBLISH (§3.3): all but its payload, which is never looked at. That holds for MQTT 5's payload format indicator, too: a server
 * need not check that a payload is what its indicator says (§3.3.2.3.2), and passes both on unaltered.
 */
import type { Fields } from './fields.ts';
import { In, Property, type Properties } from './properties.ts';
import { broken, rules } from './rules.ts';
import type { Session } from './session.ts';
import { checkTopicName } from './text.ts';

const DUP = 0x08;

export function checkPublishFlags(flags: number): void {
  const qos = (flags >> 1) & 3;
  if (qos === 3) broken(rules.qos);
  if (qos === 0 && (flags & DUP) !== 0) broken(rules.dupWithoutQos);
}

/**
 * Where what is checked ends and the payload begins, for a packet whose body is from `at` to `packetEnd` and has come up to `end`.
 * Where that cannot be said yet: how far one must have read to know more, negative.
 */
export function publishHeadEnd(
  bytes: Uint8Array,
  flags: number,
  version: number,
  at: number,
  end: number,
  packetEnd: number,
): number {
  let headEnd = at + 2;
  if (headEnd > packetEnd) broken(rules.short);
  if (headEnd > end) return -headEnd;
  headEnd += ((bytes[at]! << 8) | bytes[at + 1]!) + ((flags & 0x06) === 0 ? 0 : 2);
  if (headEnd > packetEnd) broken(rules.short);
  if (version !== 5) return headEnd > end ? -headEnd : headEnd;

  let length = 0;
  for (let scale = 1; ; scale *= 0x80) {
    if (headEnd >= packetEnd) broken(rules.short);
    if (headEnd >= end) return -(headEnd + 1);
    const byte = bytes[headEnd++]!;
    length += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
    if (scale === 0x200000) broken(rules.lengthTooLong);
  }
  headEnd += length;
  if (headEnd > packetEnd) broken(rules.propertyLength);
  return headEnd > end ? -headEnd : headEnd;
}

/** `at` to `headEnd`: topic name, packet identifier, properties. */
export function checkPublish(
  bytes: Uint8Array,
  flags: number,
  at: number,
  headEnd: number,
  session: Session,
  fields: Fields,
  properties: Properties,
): void {
  const topic = at + 2;
  const topicEnd = topic + ((bytes[at]! << 8) | bytes[at + 1]!);
  checkTopicName(bytes, topic, topicEnd, session.limits.topicLevelsMax, rules.topicWildcard);
  let next = topicEnd;
  if ((flags & 0x06) !== 0) {
    if (bytes[next] === 0 && bytes[next + 1] === 0) broken(rules.packetId);
    next += 2;
  }
  if (next === headEnd || bytes[next] === 0) {
    if (topic === topicEnd) broken(rules.topicEmpty);
    return;
  }
  fields.open(bytes, next, headEnd, rules.propertyLength);
  properties.read(fields, In.publish);
  fields.close();
  checkAlias(properties, topic === topicEnd, session);
}

/** Aliases live as long as the connection [MQTT-3.3.2-7]. */
function checkAlias(properties: Properties, topicEmpty: boolean, session: Session): void {
  if (!properties.has(Property.topicAlias)) {
    if (topicEmpty) broken(rules.topicEmpty);
    return;
  }
  const alias = properties.number(Property.topicAlias);
  const { topicAliasMaximum } = session.limits;
  if (alias === 0) broken(rules.aliasZero);
  if (alias > topicAliasMaximum) broken(rules.aliasTooLarge);
  const index = alias >> 3;
  const bit = 1 << (alias & 7);
  if (topicEmpty) {
    if (((session.aliases?.[index] ?? 0) & bit) === 0) broken(rules.aliasUnknown);
  } else {
    session.aliases ??= new Uint8Array((topicAliasMaximum >> 3) + 1);
    session.aliases[index]! |= bit;
  }
}
