/**
 * What mqtt-packet lets through and nothing behind it may meet. mqtt-packet validates little, and aedes less; this is the
 * least that keeps the process and the messages whole. A strict guard on the raw bytes belongs in front of it.
 */
import type { AnyPacket, PacketProperties, WillPacket } from './patches/internals.ts';

/** What is wrong with a packet; undefined: nothing that is looked at here. */
export function packetFault(packet: AnyPacket): string | undefined {
  // MQTT 5.0 §3.1.2.11 ff.: a Protocol Error. mqtt-packet makes an array of the values.
  if (givenTwice(packet.properties)) return 'a property is given twice';
  switch (packet.cmd) {
    case 'publish':
      // [MQTT-4.7.3-2]
      if (packet.topic?.includes('\0') === true) return 'the topic holds U+0000';
      // [MQTT-2.2.1-3]
      if (packet.qos !== 0 && packet.messageId === 0) return 'the packet identifier is 0';
      return undefined;
    case 'connect':
      return packet.will === undefined ? undefined : willFault(packet.will);
    default:
      return undefined;
  }
}

function willFault(will: WillPacket): string | undefined {
  if (givenTwice(will.properties)) return 'a property of the will is given twice';
  // [MQTT-3.1.2-12]
  if (will.qos > 2) return 'the QoS of the will is 3';
  // [MQTT-4.7.3-1], [MQTT-3.3.2-2]
  if (will.topic === '' || /[+#\0]/.test(will.topic)) return 'the topic of the will is no topic name';
  return undefined;
}

function givenTwice(properties: PacketProperties | undefined): boolean {
  if (properties === undefined) return false;
  for (const name in properties) {
    if (Array.isArray(properties[name])) return true;
  }
  return false;
}
