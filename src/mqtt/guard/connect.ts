/** CONNECT (§3.1): the protocol, the flags, and a payload that holds what they say. */
import type { Fields } from './fields.ts';
import { In, Property, type Properties } from './properties.ts';
import { broken, rules } from './rules.ts';
import type { Session } from './session.ts';
import { checkTopicName } from './text.ts';

const Flag = { reserved: 0x01, clean: 0x02, will: 0x04, willQos: 0x18, willRetain: 0x20, password: 0x40, user: 0x80 };

const MQTT = 'MQTT';
/** MQTT 3.1. */
const MQISDP = 'MQIsdp';

export function checkConnect(fields: Fields, properties: Properties, session: Session): void {
  const name = protocolName(fields);
  const level = fields.byte();
  if (name === MQISDP ? level !== 3 : level !== 4 && level !== 5) {
    // Above 5 the client comes from a future that knows the answers of MQTT 5. From 0x80 on it is a bridge of mosquitto, which
    // takes return code 1 for "without my extensions, please".
    if (level > 5 && level < 0x80) session.version = 5;
    broken(rules.protocolLevel);
  }
  session.version = level;

  const flags = fields.byte();
  checkFlags(flags, level);
  // Keep alive: every value is valid.
  fields.twoBytes();
  if (level === 5) {
    properties.read(fields, In.connect);
    session.authenticationMethod = properties.has(Property.authenticationMethod);
    if (properties.has(Property.authenticationData) && !session.authenticationMethod)
      broken(rules.authDataWithoutMethod);
    if (properties.has(Property.sessionExpiryInterval))
      session.sessionExpiryInterval = properties.number(Property.sessionExpiryInterval);
  }

  const idStart = fields.at;
  fields.text();
  // [MQTT-3.1.3-8]; MQTT 5 assigns one in any case [MQTT-3.1.3-6].
  if (fields.at === idStart + 2 && level < 5) {
    if (level === 3) broken(rules.clientIdMissing);
    if ((flags & Flag.clean) === 0) broken(rules.clientIdEmpty);
  }
  if ((flags & Flag.will) !== 0) checkWill(fields, properties, session);
  if ((flags & Flag.user) !== 0) fields.text();
  if ((flags & Flag.password) !== 0) fields.skip();
  if (!fields.done) broken(rules.connectFormat);
}

function protocolName(fields: Fields): typeof MQTT | typeof MQISDP {
  const start = fields.skip();
  const length = fields.at - start;
  for (const name of [MQTT, MQISDP] as const) {
    if (length !== name.length) continue;
    let index = 0;
    while (index < length && fields.bytes[start + index] === name.charCodeAt(index)) index++;
    if (index === length) return name;
  }
  return broken(rules.protocolName);
}

function checkFlags(flags: number, level: number): void {
  if ((flags & Flag.reserved) !== 0) broken(rules.connectReserved);
  if ((flags & Flag.will) === 0) {
    if ((flags & Flag.willQos) !== 0) broken(rules.willQosWithoutWill);
    if ((flags & Flag.willRetain) !== 0) broken(rules.willRetainWithoutWill);
  } else if ((flags & Flag.willQos) === Flag.willQos) {
    broken(rules.willQos);
  }
  // MQTT 5 allows it (§3.1.2.9).
  if (level < 5 && (flags & Flag.password) !== 0 && (flags & Flag.user) === 0) broken(rules.passwordWithoutUser);
}

function checkWill(fields: Fields, properties: Properties, session: Session): void {
  if (session.version === 5) properties.read(fields, In.will);
  const start = fields.skip();
  if (start === fields.at) broken(rules.willTopicEmpty);
  checkTopicName(fields.bytes, start, fields.at, session.limits.topicLevelsMax, rules.willTopicWildcard);
  fields.skip();
}
