/** SUBSCRIBE and UNSUBSCRIBE (§3.8, §3.10). */
import type { Fields } from './fields.ts';
import { In, type Properties } from './properties.ts';
import { broken, rules } from './rules.ts';
import type { Session } from './session.ts';
import { checkSharedFilter, checkTopicFilter, isShared } from './text.ts';

const Option = { qos: 0x03, noLocal: 0x04, retainHandling: 0x30, reserved: 0xc0, reservedV3: 0xfc };

export function checkSubscribe(fields: Fields, properties: Properties, session: Session): void {
  start(fields, properties, session, In.subscribe);
  if (fields.done) broken(rules.subscribeNothing);
  while (!fields.done) {
    const shared = checkFilter(fields, session);
    const options = fields.byte();
    if ((options & (session.version === 5 ? Option.reserved : Option.reservedV3)) !== 0) broken(rules.optionsReserved);
    if ((options & Option.qos) === 3) broken(rules.optionsQos);
    if ((options & Option.retainHandling) === Option.retainHandling) broken(rules.optionsRetainHandling);
    if (shared && (options & Option.noLocal) !== 0) broken(rules.sharedNoLocal);
  }
}

export function checkUnsubscribe(fields: Fields, properties: Properties, session: Session): void {
  start(fields, properties, session, In.unsubscribe);
  if (fields.done) broken(rules.unsubscribeNothing);
  while (!fields.done) checkFilter(fields, session);
}

function start(fields: Fields, properties: Properties, session: Session, place: number): void {
  if (fields.twoBytes() === 0) broken(rules.packetId);
  if (session.version === 5) properties.read(fields, place);
}

/** true: a shared subscription of MQTT 5. */
function checkFilter(fields: Fields, { version, limits }: Session): boolean {
  const at = fields.skip();
  const shared = version === 5 && isShared(fields.bytes, at, fields.at);
  if (shared) checkSharedFilter(fields.bytes, at, fields.at, limits.topicLevelsMax);
  else checkTopicFilter(fields.bytes, at, fields.at, limits.topicLevelsMax);
  return shared;
}
