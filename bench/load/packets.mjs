/** The few MQTT 3.1.1 packets that a publisher needs, built once. */
import { FILLER, STAMP_BYTES, writeStamp } from '../stamp.mjs';

const KEEP_ALIVE_S = 600;

function remainingLength(length) {
  const bytes = [];
  do {
    const low = length % 128;
    length = Math.floor(length / 128);
    bytes.push(length > 0 ? low | 0x80 : low);
  } while (length > 0);
  return Buffer.from(bytes);
}

function text(value) {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** A clean session of protocol level 4: its acknowledgements are four bytes each. [MQTT-3.1.2-4] */
export function connectPacket(clientId) {
  const body = Buffer.concat([
    text('MQTT'),
    Buffer.from([4, 0x02, KEEP_ALIVE_S >> 8, KEEP_ALIVE_S & 0xff]),
    text(clientId),
  ]);
  return Buffer.concat([Buffer.from([0x10]), remainingLength(body.length), body]);
}

export const PINGREQ = Buffer.from([0xc0, 0]);
export const DISCONNECT = Buffer.from([0xe0, 0]);

/**
 * One PUBLISH per slot of the window, slot i with packet id i + 1, behind one another: a run of slots is one write.
 *
 * @param {{ topic: string, publisher: number, qos: 0 | 1 | 2, sizeBytes: number, slots: number }} options
 * @returns {{ ring: Buffer, packetBytes: number, payloadAt: number }} `payloadAt`: offset of the payload in each packet
 */
export function publishRing({ topic, publisher, qos, sizeBytes, slots }) {
  if (sizeBytes < STAMP_BYTES) throw new RangeError(`a payload needs ${STAMP_BYTES} bytes at least`);
  const name = text(topic);
  const idBytes = qos > 0 ? 2 : 0;
  const header = Buffer.concat([
    Buffer.from([0x30 | (qos << 1)]),
    remainingLength(name.length + idBytes + sizeBytes),
    name,
  ]);
  const payloadAt = header.length + idBytes;
  const packetBytes = payloadAt + sizeBytes;
  const ring = Buffer.alloc(packetBytes * slots, FILLER);
  for (let slot = 0; slot < slots; slot += 1) {
    const at = slot * packetBytes;
    header.copy(ring, at);
    if (qos > 0) ring.writeUInt16BE(slot + 1, at + header.length);
    writeStamp(ring, at + payloadAt, 0, publisher, 0);
  }
  return { ring, packetBytes, payloadAt };
}

/** A PUBREL per slot, in the same order. [MQTT-3.6.1-1] */
export function pubrelRing(slots) {
  const ring = Buffer.alloc(4 * slots);
  for (let slot = 0; slot < slots; slot += 1) {
    ring.writeUInt16BE(0x6202, slot * 4);
    ring.writeUInt16BE(slot + 1, slot * 4 + 2);
  }
  return ring;
}
