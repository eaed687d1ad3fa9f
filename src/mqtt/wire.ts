/** The few packets that sluice writes itself. MQTT 3.1.1 and 5 share their first bytes; reason code 0 needs none. */

export const ReasonCode = {
  notAuthorized: 0x87,
  /** For an outage of the store. 0x88 (Server unavailable) is of CONNACK alone (MQTT 5.0 §3.14.2.1): mqtt.js takes it for a broken packet. */
  serverBusy: 0x89,
  serverShuttingDown: 0x8b,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetIdentifierNotFound: 0x92,
  messageRateTooHigh: 0x96,
  quotaExceeded: 0x97,
  administrativeAction: 0x98,
  maximumConnectTime: 0xa0,
} as const;

/** First bytes of the acknowledgements of a PUBLISH. */
export const PUBACK = 0x40;
export const PUBREC = 0x50;

/** PUBACK or PUBREC of MQTT 5 with an error; `reason` '' is left out. */
export function publishRefused(type: number, packetId: number, reasonCode: number, reason: string): Buffer {
  const text = Buffer.from(reason);
  const head = [packetId >>> 8, packetId & 0xff, reasonCode];
  if (text.length === 0) return Buffer.from([type, head.length, ...head]);
  const properties = [0x1f, text.length >>> 8, text.length & 0xff];
  const propertiesLength = remainingLength(properties.length + text.length);
  const length = head.length + propertiesLength.length + properties.length + text.length;
  return Buffer.concat([
    Buffer.from([type, ...remainingLength(length), ...head, ...propertiesLength, ...properties]),
    text,
  ]);
}

/** PUBCOMP; `reasonCode` only to a client of MQTT 5. */
export function pubcomp(packetId: number, reasonCode?: number): Buffer {
  return reasonCode === undefined
    ? Buffer.of(0x70, 2, packetId >>> 8, packetId & 0xff)
    : Buffer.of(0x70, 3, packetId >>> 8, packetId & 0xff, reasonCode);
}

/** DISCONNECT from the server: MQTT 5 alone has it (§3.14). */
export function disconnect(reasonCode: number): Buffer {
  return Buffer.of(0xe0, 2, reasonCode, 0);
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
  const body = [packetId >>> 8, packetId & 0xff, ...(version === 5 ? [0] : []), ...codes];
  return Buffer.from([0x90, ...remainingLength(body.length), ...body]);
}

function remainingLength(length: number): number[] {
  const bytes = [];
  do {
    const byte = length % 128;
    length = Math.floor(length / 128);
    bytes.push(length > 0 ? byte | 0x80 : byte);
  } while (length > 0);
  return bytes;
}
