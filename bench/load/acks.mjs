/**
 * Reads what a broker sends to a publisher of MQTT 3.1.1: packets of two bytes (PINGRESP) and of four (CONNACK, PUBACK,
 * PUBREC, PUBCOMP), which reads of the socket may cut anywhere.
 */
export const CONNACK = 0x20;
export const PUBACK = 0x40;
export const PUBREC = 0x50;
export const PUBCOMP = 0x70;
export const PINGRESP = 0xd0;

export class AckReader {
  #rest = Buffer.alloc(3);
  #restBytes = 0;
  #onPacket;

  /** @param {(type: number, id: number) => void} onPacket for CONNACK, `id` holds its flags and return code */
  constructor(onPacket) {
    this.#onPacket = onPacket;
  }

  /** @param {Buffer} chunk */
  read(chunk) {
    let bytes = chunk;
    if (this.#restBytes > 0) {
      bytes = Buffer.concat([this.#rest.subarray(0, this.#restBytes), chunk]);
      this.#restBytes = 0;
    }
    const end = bytes.length;
    let at = 0;
    while (at < end) {
      const type = bytes[at];
      const length = packetBytes(type);
      if (end - at < length) break;
      if (bytes[at + 1] !== length - 2) throw new Error(`packet type ${type} with a length of ${bytes[at + 1]}`);
      this.#onPacket(type, length === 4 ? (bytes[at + 2] << 8) | bytes[at + 3] : 0);
      at += length;
    }
    if (at < end) {
      this.#restBytes = end - at;
      bytes.copy(this.#rest, 0, at, end);
    }
  }
}

function packetBytes(type) {
  switch (type) {
    case PUBACK:
    case PUBREC:
    case PUBCOMP:
    case CONNACK:
      return 4;
    case PINGRESP:
      return 2;
    default:
      throw new Error(`a publisher does not expect a packet that begins with 0x${type.toString(16)}`);
  }
}
