/** The packets that sluice writes itself, but for PUBLISH. MQTT 3.1.1 and 5 share their first bytes; reason code 0 needs none. */

export const ReasonCode = {
  noSubscriptionExisted: 0x11,
  protocolError: 0x82,
  clientIdentifierNotValid: 0x85,
  badUserNameOrPassword: 0x86,
  notAuthorized: 0x87,
  serverUnavailable: 0x88,
  /** For an outage of the store. 0x88 (Server unavailable) is of CONNACK alone (MQTT 5.0 §3.14.2.1): mqtt.js takes it for a broken packet. */
  serverBusy: 0x89,
  serverShuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetIdentifierNotFound: 0x92,
  receiveMaximumExceeded: 0x93,
  messageRateTooHigh: 0x96,
  quotaExceeded: 0x97,
  administrativeAction: 0x98,
  useAnotherServer: 0x9c,
  serverMoved: 0x9d,
  sharedSubscriptionsNotSupported: 0x9e,
  maximumConnectTime: 0xa0,
} as const;

/** First bytes of the acknowledgements of a PUBLISH. */
export const PUBACK = 0x40;
export const PUBREC = 0x50;
const PUBREL = 0x62;
const PUBCOMP = 0x70;

/** PUBACK or PUBREC of MQTT 5 with an error; `reason` '' is left out. */
export function publishRefused(type: number, packetId: number, reasonCode: number, reason: string): Buffer {
  const text = Buffer.from(reason);
  const head = [packetId >>> 8, packetId & 0xff, reasonCode];
  if (text.length === 0) return Buffer.from([type, head.length, ...head]);
  const properties = [0x1f, text.length >>> 8, text.length & 0xff];
  const propertiesLength = variableByteInteger(properties.length + text.length);
  const length = head.length + propertiesLength.length + properties.length + text.length;
  return Buffer.concat([
    Buffer.from([type, ...variableByteInteger(length), ...head, ...propertiesLength, ...properties]),
    text,
  ]);
}

/** PUBCOMP; `reasonCode` only to a client of MQTT 5. */
export function pubcomp(packetId: number, reasonCode?: number): Buffer {
  return acknowledgement(PUBCOMP, packetId, reasonCode);
}

/** PUBREL; `reasonCode` only to a client of MQTT 5. */
export function pubrel(packetId: number, reasonCode?: number): Buffer {
  return acknowledgement(PUBREL, packetId, reasonCode);
}

function acknowledgement(type: number, packetId: number, reasonCode?: number): Buffer {
  return reasonCode === undefined
    ? Buffer.of(type, 2, packetId >>> 8, packetId & 0xff)
    : Buffer.of(type, 3, packetId >>> 8, packetId & 0xff, reasonCode);
}

/** DISCONNECT from the server: MQTT 5 alone has it (§3.14). */
export function disconnect(reasonCode: number): Buffer {
  return Buffer.of(0xe0, 2, reasonCode, 0);
}

/** AUTH from the server: the client has proven anew who it is (MQTT 5.0 §3.15). */
export function authSuccess(method: string): Buffer {
  const text = Buffer.from(method);
  const property = Buffer.concat([Buffer.of(0x15, text.length >>> 8, text.length & 0xff), text]);
  const properties = Buffer.concat([Buffer.from(variableByteInteger(property.length)), property]);
  return Buffer.concat([Buffer.from([0xf0, ...variableByteInteger(1 + properties.length), 0]), properties]);
}

/** CONNACK of MQTT 5 with an error. */
export function connackRefused(reasonCode: number): Buffer {
  return Buffer.of(0x20, 3, 0, reasonCode, 0);
}

/** CONNACK of MQTT 3.1 and 3.1.1 with an error. */
export function connackRefusedV3(returnCode: number): Buffer {
  return Buffer.of(0x20, 2, 0, returnCode);
}

/** SUBACK with one code per filter, in the order of the SUBSCRIBE [MQTT-3.8.4-6]. */
export function suback(version: number | null, packetId: number, codes: readonly number[]): Buffer {
  return withCodes(0x90, version, packetId, codes);
}

/** UNSUBACK; the codes only in MQTT 5. */
export function unsuback(version: number | null, packetId: number, codes: readonly number[]): Buffer {
  return withCodes(0xb0, version, packetId, version === 5 ? codes : []);
}

function withCodes(type: number, version: number | null, packetId: number, codes: readonly number[]): Buffer {
  const body = [packetId >>> 8, packetId & 0xff, ...(version === 5 ? [0] : []), ...codes];
  return Buffer.from([type, ...variableByteInteger(body.length), ...body]);
}

/** MQTT 5.0 §1.5.5, also the remaining length. */
export function variableByteInteger(value: number): number[] {
  const bytes = [];
  do {
    const byte = value % 128;
    value = Math.floor(value / 128);
    bytes.push(value > 0 ? byte | 0x80 : byte);
  } while (value > 0);
  return bytes;
}
