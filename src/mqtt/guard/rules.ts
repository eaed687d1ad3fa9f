/**
 * The rules of MQTT that a client can break in the bytes it sends: what is wrong, the clause that says so, and the reason code
 * that MQTT 5 has for it. Clauses are numbered [MQTT-x.y.z-n] in both specifications, not alike; where a rule has no number of
 * its own, it is the one that makes every protocol violation the end of the connection ([MQTT-4.8.0-1], [MQTT-4.13.1-1]).
 * MQTT 3.1 has no numbers: its clients are told those of 3.1.1.
 */

/** Reason codes of MQTT 5 (§2.4) that the guard answers with. */
const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;
const UNSUPPORTED_VERSION = 0x84;
const CLIENT_ID_INVALID = 0x85;
const TOPIC_FILTER_INVALID = 0x8f;
const TOPIC_NAME_INVALID = 0x90;
const TOPIC_ALIAS_INVALID = 0x94;
const PACKET_TOO_LARGE = 0x95;

export interface Rule {
  /** What is wrong, to be read after the name of the packet. */
  readonly text: string;
  /** Clause of MQTT 3.1.1, and of MQTT 5. */
  readonly clauses: readonly [v3: string, v5: string];
  readonly reasonCode: number;
  /** CONNACK return code of MQTT 3.1.1, where the specification has one for it. */
  readonly returnCode?: number;
}

function rule(text: string, v3: string, v5: string, reasonCode: number): Rule {
  return { text, clauses: [`MQTT-${v3}`, `MQTT-${v5}`], reasonCode };
}

const ANY_V3 = '4.8.0-1';
const ANY_V5 = '4.13.1-1';
const malformed = (text: string, v3 = ANY_V3, v5 = ANY_V5): Rule => rule(text, v3, v5, MALFORMED);
const protocolError = (text: string, v3 = ANY_V3, v5 = ANY_V5): Rule => rule(text, v3, v5, PROTOCOL_ERROR);
const reservedFlags = (v3: string, v5 = v3): Rule => malformed('its reserved flags are wrong', v3, v5);
const reasonUnknown = (v5: string): Rule => protocolError('a client has no such reason code', ANY_V3, v5);
const noId = (v3: string, v5: string): Rule => protocolError('the packet identifier is 0', v3, v5);

export const rules = {
  // Fixed header
  typeReserved: malformed('its type is reserved'),
  serverSends: protocolError('only a server sends it'),
  flags: reservedFlags('2.2.2-2', '2.1.3-1'),
  flagsPubrel: reservedFlags('3.6.1-1'),
  flagsSubscribe: reservedFlags('3.8.1-1'),
  flagsUnsubscribe: reservedFlags('3.10.1-1'),
  flagsDisconnect: reservedFlags('3.14.1-1'),
  flagsAuth: reservedFlags('3.15.1-1'),
  lengthTooLong: malformed('its length takes more than four bytes'),
  lengthNotMinimal: malformed('its length takes more bytes than it needs', ANY_V3, '1.5.5-1'),
  tooLarge: rule('it is larger than the server accepts', '4.8.0-2', '3.2.2-15', PACKET_TOO_LARGE),
  short: malformed('a field reaches beyond its end'),
  trailing: malformed('bytes follow its last field'),

  // Order
  notConnect: protocolError('the first packet must be CONNECT', '3.1.0-1', '3.1.0-1'),
  secondConnect: protocolError('it may come only once', '3.1.0-2', '3.1.0-2'),
  authNotAgreed: protocolError('no authentication method was agreed in CONNECT', ANY_V3, '4.12.0-7'),

  // CONNECT
  connectFormat: malformed('its fields do not fit its length', '3.1.4-1', '3.1.4-1'),
  protocolName: malformed('the protocol is not MQTT', '3.1.2-1', '3.1.2-1'),
  protocolLevel: {
    ...rule('the server does not speak this version', '3.1.2-2', '3.1.2-2', UNSUPPORTED_VERSION),
    returnCode: 1,
  },
  connectReserved: malformed('the reserved flag is set', '3.1.2-3', '3.1.2-3'),
  willQosWithoutWill: malformed('there is a will QoS and no will', '3.1.2-13', '3.1.2-11'),
  willQos: malformed('the QoS of the will is 3', '3.1.2-14', '3.1.2-12'),
  willRetainWithoutWill: malformed('there is a will retain flag and no will', '3.1.2-15', '3.1.2-13'),
  willTopicWildcard: malformed('the topic of the will holds a wildcard', '4.7.1-1', '4.7.0-1'),
  willTopicEmpty: malformed('the topic of the will is empty', '4.7.3-1', '4.7.3-1'),
  passwordWithoutUser: malformed('there is a password and no user name', '3.1.2-22', '3.1.2-18'),
  clientIdEmpty: {
    ...rule('an empty client identifier needs a clean session', '3.1.3-8', '3.1.3-8', CLIENT_ID_INVALID),
    returnCode: 2,
  },
  clientIdMissing: {
    ...rule('the client identifier is empty, which MQTT 3.1 does not have', '3.1.3-9', '3.1.3-8', CLIENT_ID_INVALID),
    returnCode: 2,
  },
  authDataWithoutMethod: protocolError('there is authentication data and no authentication method'),

  // Strings
  utf8: malformed('a string is not well-formed UTF-8', '1.5.3-1', '1.5.4-1'),
  nul: malformed('a string holds U+0000', '1.5.3-2', '1.5.4-2'),

  // Topics
  topicNul: malformed('the topic holds U+0000', '4.7.3-2', '4.7.3-2'),
  topicWildcard: malformed('the topic name holds a wildcard', '3.3.2-2', '3.3.2-2'),
  topicEmpty: protocolError('the topic name is empty', '4.7.3-1', '4.7.3-1'),
  topicLevels: rule('the topic name has too many levels', '4.8.0-2', '4.13.2-1', TOPIC_NAME_INVALID),
  filterEmpty: malformed('a topic filter is empty', '4.7.3-1', '4.7.3-1'),
  filterHash: malformed('# is not the last level of the topic filter', '4.7.1-2', '4.7.1-1'),
  filterPlus: malformed('+ shares a level of the topic filter', '4.7.1-3', '4.7.1-2'),
  filterLevels: rule('a topic filter has too many levels', '4.8.0-2', '4.13.2-1', TOPIC_FILTER_INVALID),
  shareNameEmpty: malformed('the name of the share is empty', ANY_V3, '4.8.2-1'),
  shareForm: malformed('it is no $share/{name}/{filter}', ANY_V3, '4.8.2-2'),

  // PUBLISH
  qos: malformed('its QoS is 3', '3.3.1-4', '3.3.1-4'),
  dupWithoutQos: malformed('DUP is set and its QoS is 0', '3.3.1-2', '3.3.1-2'),
  packetId: noId('2.3.1-1', '2.2.1-3'),
  aliasZero: rule('the topic alias is 0', ANY_V3, '3.3.2-8', TOPIC_ALIAS_INVALID),
  aliasTooLarge: rule('the topic alias is above the maximum', ANY_V3, '3.3.2-9', TOPIC_ALIAS_INVALID),
  aliasUnknown: protocolError('the topic alias was never set'),
  responseTopic: protocolError('the response topic holds a wildcard', ANY_V3, '3.3.2-14'),
  subscriptionIdInPublish: protocolError('a client sends no subscription identifier', ANY_V3, '3.3.4-6'),

  // Acknowledgements
  acknowledgedId: noId('2.3.1-6', '2.2.1-5'),
  reasonPuback: reasonUnknown('3.4.2-1'),
  reasonPubrec: reasonUnknown('3.5.2-1'),
  reasonPubrel: reasonUnknown('3.6.2-1'),
  reasonPubcomp: reasonUnknown('3.7.2-1'),

  // SUBSCRIBE and UNSUBSCRIBE
  subscribeNothing: protocolError('it names no topic filter', '3.8.3-3', '3.8.3-2'),
  unsubscribeNothing: protocolError('it names no topic filter', '3.10.3-2', '3.10.3-2'),
  optionsReserved: {
    ...malformed('reserved subscription options are set', '3.8.3-4', '3.8.3-5'),
    // Its number is written so in the standard.
    clauses: ['MQTT-3-8.3-4', 'MQTT-3.8.3-5'],
  },
  optionsQos: {
    ...protocolError('the requested QoS is 3'),
    clauses: ['MQTT-3-8.3-4', `MQTT-${ANY_V5}`],
  },
  optionsRetainHandling: protocolError('the retain handling is 3'),
  sharedNoLocal: protocolError('a shared subscription cannot be no local', ANY_V3, '3.8.3-4'),

  // DISCONNECT and AUTH
  reasonDisconnect: reasonUnknown('3.14.2-1'),
  reasonAuth: reasonUnknown('3.15.2-1'),
  sessionExpiryRevived: protocolError('the session expiry interval was 0 in CONNECT and cannot be set now'),
  authMethodMissing: protocolError('there is no authentication method', ANY_V3, '4.12.0-5'),

  // Properties
  propertyUnknown: malformed('it has a property that does not belong there'),
  propertyLength: malformed('its properties do not fit their length'),
  propertyTwice: protocolError('a property is given twice'),
  propertyValue: protocolError('a property has a value out of its range'),
  propertyOfServer: protocolError('only a server sends this property'),
} as const satisfies Record<string, Rule>;

/** What the parts of the guard throw; the guard makes a Violation of it. */
export class RuleBroken extends Error {
  readonly rule: Rule;

  constructor(broken: Rule) {
    super(broken.text);
    this.rule = broken;
  }
}

export function broken(which: Rule): never {
  throw new RuleBroken(which);
}
