/** Properties of MQTT 5 (§2.2.2): which belong where, of what type, within what range, and none twice. */
import { broken, rules } from './rules.ts';
import type { Fields } from './fields.ts';
import { checkTopicName } from './text.ts';

/** Where properties stand; one bit each. */
export const In = {
  connect: 1,
  will: 2,
  publish: 4,
  acknowledgement: 8,
  subscribe: 16,
  unsubscribe: 32,
  disconnect: 64,
  auth: 128,
} as const;

export const Property = {
  payloadFormatIndicator: 0x01,
  messageExpiryInterval: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlationData: 0x09,
  subscriptionIdentifier: 0x0b,
  sessionExpiryInterval: 0x11,
  authenticationMethod: 0x15,
  authenticationData: 0x16,
  requestProblemInformation: 0x17,
  willDelayInterval: 0x18,
  requestResponseInformation: 0x19,
  serverReference: 0x1c,
  reasonString: 0x1f,
  receiveMaximum: 0x21,
  topicAliasMaximum: 0x22,
  topicAlias: 0x23,
  userProperty: 0x26,
  maximumPacketSize: 0x27,
} as const;

type Kind = 'flag' | 'two' | 'four' | 'variable' | 'text' | 'data' | 'topic' | 'pair';

interface Definition {
  readonly kind: Kind;
  readonly places: number;
  /** 0 is out of its range. */
  readonly notZero: boolean;
}

const MESSAGE = In.publish | In.will;
const EVERYWHERE = 0xff;

const definitions: (Definition | undefined)[] = [];
function define(id: number, kind: Kind, places: number, notZero = false): void {
  definitions[id] = { kind, places, notZero };
}
define(Property.payloadFormatIndicator, 'flag', MESSAGE);
define(Property.messageExpiryInterval, 'four', MESSAGE);
define(Property.contentType, 'text', MESSAGE);
define(Property.responseTopic, 'topic', MESSAGE);
define(Property.correlationData, 'data', MESSAGE);
// In PUBLISH, too, but there only a server sends it.
define(Property.subscriptionIdentifier, 'variable', In.subscribe | In.publish, true);
define(Property.sessionExpiryInterval, 'four', In.connect | In.disconnect);
define(Property.authenticationMethod, 'text', In.connect | In.auth);
define(Property.authenticationData, 'data', In.connect | In.auth);
define(Property.requestProblemInformation, 'flag', In.connect);
define(Property.willDelayInterval, 'four', In.will);
define(Property.requestResponseInformation, 'flag', In.connect);
define(Property.serverReference, 'text', In.disconnect);
define(Property.reasonString, 'text', In.acknowledgement | In.disconnect | In.auth);
define(Property.receiveMaximum, 'two', In.connect, true);
define(Property.topicAliasMaximum, 'two', In.connect);
define(Property.topicAlias, 'two', In.publish);
define(Property.userProperty, 'pair', EVERYWHERE);
define(Property.maximumPacketSize, 'four', In.connect, true);

/** The properties of the packet at hand. */
export class Properties {
  #seenLow = 0;
  #seenHigh = 0;
  readonly #numbers = new Float64Array(0x2b);

  /** Reads the length and all that it spans. */
  read(fields: Fields, place: number): void {
    this.#seenLow = this.#seenHigh = 0;
    const length = fields.variableByteInteger();
    if (length === 0) return;
    const end = fields.at + length;
    const outerEnd = fields.end;
    if (end > outerEnd) broken(rules.propertyLength);
    fields.end = end;
    while (fields.at < end) this.#one(fields, place);
    fields.end = outerEnd;
  }

  has(id: number): boolean {
    return ((id < 32 ? this.#seenLow >>> id : this.#seenHigh >>> (id - 32)) & 1) === 1;
  }

  /** Of a property that has() and that is a number. */
  number(id: number): number {
    return this.#numbers[id]!;
  }

  #one(fields: Fields, place: number): void {
    const id = fields.byte();
    const definition = definitions[id];
    if (definition === undefined || (definition.places & place) === 0) broken(rules.propertyUnknown);
    if (id !== Property.userProperty) this.#once(id);
    const given = value(fields, definition.kind);
    this.#numbers[id] = given;
    if (id === Property.subscriptionIdentifier && place === In.publish) broken(rules.subscriptionIdInPublish);
    if (id === Property.serverReference) broken(rules.propertyOfServer);
    if (definition.notZero && given === 0) broken(rules.propertyValue);
  }

  #once(id: number): void {
    if (this.has(id)) broken(rules.propertyTwice);
    if (id < 32) this.#seenLow |= 1 << id;
    else this.#seenHigh |= 1 << (id - 32);
  }
}

/** Numbers as they are, everything else as 0. */
function value(fields: Fields, kind: Kind): number {
  switch (kind) {
    case 'flag': {
      const flag = fields.byte();
      if (flag > 1) broken(rules.propertyValue);
      return flag;
    }
    case 'two':
      return fields.twoBytes();
    case 'four':
      return fields.fourBytes();
    case 'variable':
      return fields.variableByteInteger();
    case 'text':
      fields.text();
      return 0;
    case 'data':
      fields.skip();
      return 0;
    case 'topic': {
      const start = fields.skip();
      if (start === fields.at) broken(rules.topicEmpty);
      checkTopicName(fields.bytes, start, fields.at, Infinity, rules.responseTopic);
      return 0;
    }
    case 'pair':
      fields.text();
      fields.text();
      return 0;
  }
}
