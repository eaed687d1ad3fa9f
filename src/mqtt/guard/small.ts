/** The packets without much in them: acknowledgements, DISCONNECT, AUTH. */
import type { Fields } from './fields.ts';
import { In, Property, type Properties } from './properties.ts';
import { broken, rules, type Rule } from './rules.ts';
import type { Session } from './session.ts';

const RECEIVED = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const RELEASED = [0x00, 0x92];
/** Those of table 3-10 that a client sends. */
const DISCONNECTED = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
const Continue = 0x18;
const ReAuthenticate = 0x19;

interface Acknowledgement {
  readonly codes: readonly number[];
  readonly rule: Rule;
}

export const acknowledgements: Readonly<Record<'puback' | 'pubrec' | 'pubrel' | 'pubcomp', Acknowledgement>> = {
  puback: { codes: RECEIVED, rule: rules.reasonPuback },
  pubrec: { codes: RECEIVED, rule: rules.reasonPubrec },
  pubrel: { codes: RELEASED, rule: rules.reasonPubrel },
  pubcomp: { codes: RELEASED, rule: rules.reasonPubcomp },
};

/** PUBACK, PUBREC, PUBREL, PUBCOMP (§3.4 to §3.7): in MQTT 5 reason code and properties may be left out. */
export function checkAcknowledgement(
  { codes, rule }: Acknowledgement,
  fields: Fields,
  properties: Properties,
  session: Session,
): void {
  if (fields.twoBytes() === 0) broken(rules.acknowledgedId);
  if (session.version === 5 && !fields.done) {
    if (!codes.includes(fields.byte())) broken(rule);
    if (!fields.done) properties.read(fields, In.acknowledgement);
  }
  if (!fields.done) broken(rules.trailing);
}

export function checkDisconnect(fields: Fields, properties: Properties, session: Session): void {
  if (session.version === 5 && !fields.done) {
    if (!DISCONNECTED.includes(fields.byte())) broken(rules.reasonDisconnect);
    if (!fields.done) {
      properties.read(fields, In.disconnect);
      // §3.14.2.2.2
      if (
        session.sessionExpiryInterval === 0 &&
        properties.has(Property.sessionExpiryInterval) &&
        properties.number(Property.sessionExpiryInterval) !== 0
      )
        broken(rules.sessionExpiryRevived);
    }
  }
  if (!fields.done) broken(rules.trailing);
}

export function checkAuth(fields: Fields, properties: Properties, session: Session): void {
  // An AUTH without a reason code means success, which only a server says (§3.15.2.1).
  const reasonCode = fields.done ? 0 : fields.byte();
  if (reasonCode !== Continue && reasonCode !== ReAuthenticate) broken(rules.reasonAuth);
  // [MQTT-4.12.0-7]
  if (!session.authenticationMethod) broken(rules.authNotAgreed);
  properties.read(fields, In.auth);
  if (!properties.has(Property.authenticationMethod)) broken(rules.authMethodMissing);
  if (!fields.done) broken(rules.trailing);
}
