import { connect, type Version } from '../bytes.ts';

/** A packet that breaks a rule, and what the client gets for it. */
export interface Row {
  /** Of the specification of its version. */
  readonly clause: string;
  readonly what: string;
  readonly version: Version;
  /** What the connection begins with; empty where the packet itself is its first. */
  readonly before: Buffer;
  readonly packet: Buffer;
  /** All that the server sends because of the packet. */
  readonly answer: Buffer;
  /** The broker ends the connection before this packet for a reason of its own. */
  readonly guardOnly?: boolean;
}

const NOTHING: Buffer = Buffer.alloc(0);
export const connackV5 = (reasonCode: number): Buffer => Buffer.of(0x20, 3, 0, reasonCode, 0);
export const connackV3 = (returnCode: number): Buffer => Buffer.of(0x20, 2, 0, returnCode);
const disconnect = (reasonCode: number): Buffer => Buffer.of(0xe0, 2, reasonCode, 0);

/** A packet of a connected client: DISCONNECT with a reason code in MQTT 5, a closed connection before it. */
export function connected(
  version: Version,
  clause: string,
  what: string,
  packet: Buffer,
  reasonCode: number,
  before = connect(version),
): Row {
  const answer = version === 5 ? disconnect(reasonCode) : NOTHING;
  return { clause: `MQTT-${clause}`, what, version, before, packet, answer };
}

/** The first packet of a connection: CONNACK with a reason code in MQTT 5, and what is said in MQTT 3. */
export function first(
  version: Version,
  clause: string,
  what: string,
  packet: Buffer,
  reasonCode: number | undefined,
  returnCode?: number,
): Row {
  let answer = NOTHING;
  if (version === 5) answer = reasonCode === undefined ? NOTHING : connackV5(reasonCode);
  else if (returnCode !== undefined) answer = connackV3(returnCode);
  return { clause: `MQTT-${clause}`, what, version, before: NOTHING, packet, answer };
}

/** Clauses of MQTT 3.1.1 and MQTT 5. */
export type Clauses = readonly [v3: string, v5: string];
export const of = (clauses: Clauses, version: Version): string => clauses[version === 5 ? 1 : 0];
/** Where no numbered clause says it. */
export const UNNUMBERED: Clauses = ['4.8.0-1', '4.13.1-1'];
