/** CONNACK (MQTT 5.0 §3.2). What is not available is declared here; what is and defaults to it needs no word. */
import { variableByteInteger } from './wire.ts';

export interface ConnackProperties {
  readonly sessionExpirySeconds?: number | undefined;
  readonly receiveMaximum?: number | undefined;
  readonly maximumPacketBytes?: number | undefined;
  readonly assignedClientId?: string | undefined;
  readonly topicAliasMaximum?: number | undefined;
  readonly reasonString?: string | undefined;
  readonly sharedSubscriptionsAvailable?: boolean | undefined;
  readonly serverKeepAliveSeconds?: number | undefined;
  readonly responseInformation?: string | undefined;
  readonly serverReference?: string | undefined;
  /** That of the CONNECT [MQTT-4.12.0-5]. */
  readonly authenticationMethod?: string | undefined;
}

/** `code`: a return code of MQTT 3, a reason code of MQTT 5. */
export function connack(version: number, code: number, sessionPresent: boolean, with_: ConnackProperties = {}): Buffer {
  const start = [sessionPresent ? 1 : 0, code];
  if (version !== 5) return Buffer.from([0x20, 2, ...start]);
  const properties = Buffer.concat([
    u32(0x11, with_.sessionExpirySeconds),
    u16(0x21, with_.receiveMaximum),
    u32(0x27, with_.maximumPacketBytes),
    text(0x12, with_.assignedClientId),
    u16(0x22, with_.topicAliasMaximum),
    text(0x1f, with_.reasonString),
    with_.sharedSubscriptionsAvailable === false ? Buffer.of(0x2a, 0) : NONE,
    u16(0x13, with_.serverKeepAliveSeconds),
    text(0x1a, with_.responseInformation),
    text(0x1c, with_.serverReference),
    text(0x15, with_.authenticationMethod),
  ]);
  const body = [...start, ...variableByteInteger(properties.length)];
  return Buffer.concat([
    Buffer.from([0x20, ...variableByteInteger(body.length + properties.length), ...body]),
    properties,
  ]);
}

const NONE = Buffer.alloc(0);

function u16(id: number, value: number | undefined): Buffer {
  return value === undefined ? NONE : Buffer.of(id, value >>> 8, value & 0xff);
}

function u32(id: number, value: number | undefined): Buffer {
  if (value === undefined) return NONE;
  const bytes = Buffer.alloc(5);
  bytes[0] = id;
  bytes.writeUInt32BE(value, 1);
  return bytes;
}

function text(id: number, value: string | undefined): Buffer {
  if (value === undefined) return NONE;
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.of(id, bytes.length >>> 8, bytes.length & 0xff), bytes]);
}
