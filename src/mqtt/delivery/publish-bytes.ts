/** PUBLISH to a subscriber, as bytes (MQTT 5.0 §3.3, MQTT 3.1.1 §3.3). */
import type { PacketProperties } from '../patches/internals.ts';
import type { Publication } from '../sessions/store.ts';

export interface PublishOptions {
  readonly version: number;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup: boolean;
  /** 0 for QoS 0. */
  readonly packetId: number;
  readonly identifiers: readonly number[] | undefined;
  /** Seconds that are left to a message with an expiry [MQTT-3.3.2-6]. */
  readonly expiresInSeconds: number | undefined;
  /** 0: none. */
  readonly topicAlias: number;
  /** The alias stands for the topic name already: that is left out [MQTT-3.3.2-8]. */
  readonly topicOmitted: boolean;
}

/** Everything of a packet before its payload. */
class Scratch {
  bytes = Buffer.allocUnsafe(8 * 1024);
  length = 0;

  u8(value: number): void {
    this.#reserve(1);
    this.length = this.bytes.writeUInt8(value, this.length);
  }

  u16(value: number): void {
    this.#reserve(2);
    this.length = this.bytes.writeUInt16BE(value, this.length);
  }

  u32(value: number): void {
    this.#reserve(4);
    this.length = this.bytes.writeUInt32BE(value, this.length);
  }

  /** Variable Byte Integer (§1.5.5). */
  varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.u8((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.u8(rest);
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.u16(length);
    this.#reserve(length);
    this.length += this.bytes.write(value, this.length);
  }

  binary(value: Buffer): void {
    this.u16(value.length);
    this.#reserve(value.length);
    this.length += value.copy(this.bytes, this.length);
  }

  append(other: Scratch): void {
    this.#reserve(other.length);
    this.length += other.bytes.copy(this.bytes, this.length, 0, other.length);
  }

  #reserve(bytes: number): void {
    if (this.length + bytes <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.length + bytes, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}

const header = new Scratch();
const properties = new Scratch();
/** Kept between packets; what a rare large one needed is given back. */
const SCRATCH_MAX_BYTES = 256 * 1024;

export function publishBytes(publication: Publication, options: PublishOptions): Buffer {
  const { payload } = publication;
  header.length = 0;
  header.text(options.topicOmitted ? '' : publication.topic);
  if (options.qos > 0) header.u16(options.packetId);
  if (options.version === 5) writeProperties(publication.properties, options);
  const remaining = header.length + payload.length;
  const packet = Buffer.allocUnsafe(1 + varintBytes(remaining) + remaining);
  packet[0] = 0x30 | (options.dup ? 8 : 0) | (options.qos << 1) | (options.retain ? 1 : 0);
  let at = 1;
  let rest = remaining;
  for (; rest >= 0x80; rest >>>= 7) packet[at++] = (rest & 0x7f) | 0x80;
  packet[at++] = rest;
  at += header.bytes.copy(packet, at, 0, header.length);
  payload.copy(packet, at);
  if (header.bytes.length > SCRATCH_MAX_BYTES) header.bytes = Buffer.allocUnsafe(8 * 1024);
  if (properties.bytes.length > SCRATCH_MAX_BYTES) properties.bytes = Buffer.allocUnsafe(8 * 1024);
  return packet;
}

function writeProperties(of: PacketProperties | undefined, options: PublishOptions): void {
  properties.length = 0;
  if (options.expiresInSeconds !== undefined) {
    properties.u8(0x02);
    properties.u32(options.expiresInSeconds);
  }
  if (options.topicAlias > 0) {
    properties.u8(0x23);
    properties.u16(options.topicAlias);
  }
  for (const identifier of options.identifiers ?? []) {
    properties.u8(0x0b);
    properties.varint(identifier);
  }
  if (of !== undefined) writeMessageProperties(of);
  header.varint(properties.length);
  header.append(properties);
}

/** Those that travel with a message, unaltered [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-20]. */
function writeMessageProperties(of: PacketProperties): void {
  if (typeof of['payloadFormatIndicator'] === 'boolean') {
    properties.u8(0x01);
    properties.u8(of['payloadFormatIndicator'] ? 1 : 0);
  }
  if (typeof of['contentType'] === 'string') {
    properties.u8(0x03);
    properties.text(of['contentType']);
  }
  if (typeof of['responseTopic'] === 'string') {
    properties.u8(0x08);
    properties.text(of['responseTopic']);
  }
  const correlation = of['correlationData'];
  if (correlation instanceof Uint8Array) {
    properties.u8(0x09);
    properties.binary(Buffer.from(correlation.buffer, correlation.byteOffset, correlation.length));
  }
  // In their order [MQTT-3.3.2-18].
  for (const [name, value] of (of['userProperties'] as readonly [string, string][] | undefined) ?? []) {
    properties.u8(0x26);
    properties.text(name);
    properties.text(value);
  }
}

function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  return value < 0x20_0000 ? 3 : 4;
}
