// @ts-check
/**
 * The MQTT packets of a test device, 3.1.1 (level 4) and 5, written and read here so that the device decides every byte:
 * which packet id it resends, with DUP, in which order, in how many packets at once.
 */

/** MQTT control packet types ([MQTT-2.1.2] table 2-1). */
export const Type = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
};

const NO_PROPERTIES = Buffer.from([0]);

/** @param {string} value */
function text(value) {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** @param {number} value */
function uint16(value) {
  return Buffer.from([value >> 8, value & 0xff]);
}

/** @param {number} value */
function uint32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** @param {number} first the fixed header's first byte @param {Buffer[]} parts */
function packet(first, ...parts) {
  let length = parts.reduce((sum, part) => sum + part.length, 0);
  const header = [first];
  // Variable byte integer ([MQTT-1.5.5-1]).
  do {
    const digit = length % 128;
    length = Math.floor(length / 128);
    header.push(length > 0 ? digit | 0x80 : digit);
  } while (length > 0);
  return Buffer.concat([Buffer.from(header), ...parts]);
}

/**
 * A persistent session: Clean Session/Start 0, in MQTT 5 with an expiry of an hour.
 * @param {{ clientId: string, version: 4 | 5, keepAliveS: number }} options
 */
export function connect({ clientId, version, keepAliveS }) {
  const properties = version === 5 ? Buffer.concat([Buffer.from([5, 0x11]), uint32(3600)]) : Buffer.alloc(0);
  const head = Buffer.concat([text('MQTT'), Buffer.from([version, 0]), uint16(keepAliveS), properties]);
  return packet(Type.connect << 4, head, text(clientId));
}

/** @param {{ topic: string, packetId: number, qos: 1 | 2, dup: boolean, version: 4 | 5, payload: string }} options */
export function publish({ topic, packetId, qos, dup, version, payload }) {
  const first = (Type.publish << 4) | (dup ? 8 : 0) | (qos << 1);
  const properties = version === 5 ? NO_PROPERTIES : Buffer.alloc(0);
  return packet(first, text(topic), uint16(packetId), properties, Buffer.from(payload));
}

/** @param {number} packetId */
export function pubrel(packetId) {
  return packet((Type.pubrel << 4) | 2, uint16(packetId));
}

/** QoS 1, one filter. @param {{ filter: string, packetId: number, version: 4 | 5 }} options */
export function subscribe({ filter, packetId, version }) {
  const properties = version === 5 ? NO_PROPERTIES : Buffer.alloc(0);
  return packet((Type.subscribe << 4) | 2, uint16(packetId), properties, text(filter), Buffer.from([1]));
}

export const pingreq = packet(Type.pingreq << 4);

/**
 * @typedef {object} Received
 * @property {number} type
 * @property {Buffer} body all that follows the fixed header
 */

/** Cuts a stream into packets. */
export class PacketReader {
  #rest = Buffer.alloc(0);

  /** @param {Buffer} chunk @returns {Received[]} @throws where no packet can begin so */
  read(chunk) {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    /** @type {Received[]} */
    const packets = [];
    for (;;) {
      const head = headerOf(bytes);
      if (head === undefined || bytes.length < head.length + head.remaining) break;
      const end = head.length + head.remaining;
      packets.push({ type: (bytes[0] ?? 0) >> 4, body: bytes.subarray(head.length, end) });
      bytes = bytes.subarray(end);
    }
    this.#rest = Buffer.from(bytes);
    return packets;
  }
}

/** @param {Buffer} bytes */
function headerOf(bytes) {
  let remaining = 0;
  for (let index = 1; index <= 4; index++) {
    const digit = bytes[index];
    if (digit === undefined) return undefined;
    remaining += (digit & 0x7f) * 128 ** (index - 1);
    if ((digit & 0x80) === 0) return { length: index + 1, remaining };
  }
  throw new Error('a remaining length of more than four bytes');
}

/** Packet id and reason code (0 where there is none) of an acknowledgement. @param {Buffer} body */
export function readAck(body) {
  return { packetId: body.readUInt16BE(0), reason: body[2] ?? 0 };
}

/**
 * @param {Buffer} body @param {4 | 5} version
 * @returns {{ sessionPresent: boolean, code: number, receiveMaximum: number }}
 */
export function readConnack(body, version) {
  const sessionPresent = ((body[0] ?? 0) & 1) === 1;
  return { sessionPresent, code: body[1] ?? 0, receiveMaximum: version === 5 ? receiveMaximumOf(body) : 65_535 };
}

/** Lengths of the values of the CONNACK properties (MQTT 5.0 §3.2.2.3) that do not carry their length. */
const FIXED_VALUE_BYTES = new Map([
  [0x11, 4],
  [0x13, 2],
  [0x21, 2],
  [0x22, 2],
  [0x24, 1],
  [0x25, 1],
  [0x27, 4],
  [0x28, 1],
  [0x29, 1],
  [0x2a, 1],
]);

/** @param {Buffer} body */
function receiveMaximumOf(body) {
  const head = headerOf(body.subarray(1));
  if (head === undefined) return 65_535;
  let at = head.length + 1;
  const end = at + head.remaining;
  while (at < end) {
    const id = body[at++] ?? 0;
    if (id === 0x21) return body.readUInt16BE(at);
    const fixed = FIXED_VALUE_BYTES.get(id);
    if (fixed !== undefined) at += fixed;
    else {
      // A text or binary value; a user property (0x26) is two texts.
      for (let texts = id === 0x26 ? 2 : 1; texts > 0; texts--) at += 2 + body.readUInt16BE(at);
    }
  }
  return 65_535;
}
