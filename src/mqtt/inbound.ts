/** From an MQTT packet to the message that flows, and its properties back. */
import type { Message, MessageProperties, Origin } from '../message.ts';
import type { PacketProperties } from './patches/internals.ts';
import type { UserProperties } from './patches/user-properties.ts';

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

/** Those of MQTT 5.0 §3.3.2.3 that travel with a message. */
function messageProperties(from: PacketProperties): MessageProperties | undefined {
  const to: MessageProperties = {};
  if (typeof from['payloadFormatIndicator'] === 'boolean') to.payloadFormatIndicator = from['payloadFormatIndicator'];
  if (typeof from['messageExpiryInterval'] === 'number') to.messageExpiryInterval = from['messageExpiryInterval'];
  if (typeof from['contentType'] === 'string') to.contentType = from['contentType'];
  if (typeof from['responseTopic'] === 'string') to.responseTopic = from['responseTopic'];
  if (Buffer.isBuffer(from['correlationData'])) to.correlationData = from['correlationData'];
  const pairs = from['userProperties'] as UserProperties | undefined;
  if (pairs !== undefined) to.userProperties = pairs;
  for (const _ in to) return to;
  return undefined;
}

/** Properties of a message as packets have them inside the broker: user properties as pairs. */
export function packetProperties(from: MessageProperties): PacketProperties {
  return { ...from };
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
