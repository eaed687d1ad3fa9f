/** From an MQTT packet to the message that flows, and its properties back. */
import type { Message, MessageProperties, Origin } from '../message.ts';
import type { PacketProperties } from './patches/internals.ts';

/** What a PUBLISH and a will have in common. */
interface Publication {
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup?: boolean;
  readonly properties?: PacketProperties | undefined;
}

export function inboundMessage(packet: Publication, clientId: string, user: string, origin: Origin): Message {
  return {
    clientId,
    user,
    topic: packet.topic,
    payload: typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload,
    qos: packet.qos,
    retain: packet.retain,
    dup: packet.dup === true,
    origin,
    receivedAt: arrival(),
    properties: packet.properties === undefined ? undefined : messageProperties(packet.properties),
  };
}

/**
 * Those of MQTT 5.0 §3.3.2.3 that travel with a message. mqtt-packet groups user properties by name: the order of the
 * values of one name is kept, the order among different names is lost.
 */
function messageProperties(from: PacketProperties): MessageProperties | undefined {
  const to: MessageProperties = {};
  if (typeof from['payloadFormatIndicator'] === 'boolean') to.payloadFormatIndicator = from['payloadFormatIndicator'];
  if (typeof from['messageExpiryInterval'] === 'number') to.messageExpiryInterval = from['messageExpiryInterval'];
  if (typeof from['contentType'] === 'string') to.contentType = from['contentType'];
  if (typeof from['responseTopic'] === 'string') to.responseTopic = from['responseTopic'];
  if (Buffer.isBuffer(from['correlationData'])) to.correlationData = from['correlationData'];
  const pairs = userProperties(from['userProperties']);
  if (pairs !== undefined) to.userProperties = pairs;
  for (const _ in to) return to;
  return undefined;
}

function userProperties(from: unknown): [string, string][] | undefined {
  if (typeof from !== 'object' || from === null) return undefined;
  const pairs: [string, string][] = [];
  for (const [name, value] of Object.entries(from as Record<string, unknown>)) {
    for (const one of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (typeof one === 'string') pairs.push([name, one]);
    }
  }
  return pairs.length > 0 ? pairs : undefined;
}

/** Properties of a message as mqtt-packet writes them. */
export function packetProperties(from: MessageProperties): PacketProperties {
  const { userProperties: pairs, ...to } = from;
  if (pairs === undefined) return to;
  // Without a prototype: names come from clients.
  const byName = Object.create(null) as Record<string, string[]>;
  for (const [name, value] of pairs) (byName[name] ??= []).push(value);
  return { ...to, userProperties: byName };
}

let turn = 0;

/** The time, asked once in a turn of the event loop: all that one turn reads has arrived together. */
function arrival(): number {
  if (turn === 0) {
    turn = Date.now();
    setImmediate(turnEnded);
  }
  return turn;
}

function turnEnded(): void {
  turn = 0;
}
