/**
 * What the processes of one namespace tell each other, as bytes:
 *
 *     u8 kind | u8 length, sender | kind message: one or more of
 *         u8 qos and retain | u16 length, topic | u32 length, payload | u32 length, rest (v8 serialization; 0: none)
 *
     kind change: v8 serialization of what has changed in the store
 *
 * The rest is what few packets have. Processes of one namespace run the same version; another kind is ignored.
 */
import { deserialize, serialize } from 'node:v8';
import type { EmittedPacket } from '../delivery/emitted-packet.ts';

export const BusKind = { message: 1, hello: 2, welcome: 3, change: 4 } as const;
export type BusKind = (typeof BusKind)[keyof typeof BusKind];

export type BusPacket = EmittedPacket;

const RETAIN = 0x04;
const FIRST_BYTES = 64 * 1024;

export function signal(kind: BusKind, sender: string): Buffer {
  const name = Buffer.from(sender);
  return Buffer.concat([Buffer.of(kind, name.length), name]);
}

/** Gathers packets for one message on the bus. */
export class BusWriter {
  readonly #header: Buffer;
  #buffer = Buffer.allocUnsafe(FIRST_BYTES);
  #length = 0;

  constructor(sender: string) {
    this.#header = signal(BusKind.message, sender);
  }

  get bytes(): number {
    return this.#length;
  }

  add(packet: BusPacket): void {
    const { topic, payload, qos, retain } = packet;
    const { brokerId, brokerCounter, clientId, properties, messageExpiry, cmd, queueKey, chosen } = packet;
    const rest = serialize({ brokerId, brokerCounter, clientId, properties, messageExpiry, cmd, queueKey, chosen });
    const topicBytes = Buffer.byteLength(topic);
    const payloadBytes = Buffer.byteLength(payload);
    this.#reserve(1 + 2 + topicBytes + 4 + payloadBytes + 4 + rest.length);
    if (this.#length === 0) this.#length = this.#header.copy(this.#buffer);
    const to = this.#buffer;
    let at = to.writeUInt8(qos | (retain ? RETAIN : 0), this.#length);
    at = to.writeUInt16BE(topicBytes, at);
    at += to.write(topic, at);
    at = to.writeUInt32BE(payloadBytes, at);
    at += typeof payload === 'string' ? to.write(payload, at) : payload.copy(to, at);
    at = to.writeUInt32BE(rest.length, at);
    this.#length = at + rest.copy(to, at);
  }

  finish(): Buffer {
    const frame = this.#buffer.subarray(0, this.#length);
    this.#buffer = Buffer.allocUnsafe(FIRST_BYTES);
    this.#length = 0;
    return frame;
  }

  #reserve(bytes: number): void {
    const needed = this.#header.length + this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

export interface BusFrame {
  readonly kind: number;
  readonly sender: string;
  readonly change: unknown;
  /** Packets on topics that `wanted` says yes to. */
  readonly packets: BusPacket[];
}

/** @throws RangeError when it is cut short */
export function readBusFrame(frame: Buffer, wanted: (topic: string) => boolean): BusFrame {
  const kind = frame.readUInt8(0);
  let at = 2 + frame.readUInt8(1);
  const sender = frame.toString('utf8', 2, at);
  const packets: BusPacket[] = [];
  while (kind === BusKind.message && at < frame.length) {
    const flags = frame.readUInt8(at);
    const topicEnd = at + 3 + frame.readUInt16BE(at + 1);
    const payloadEnd = topicEnd + 4 + frame.readUInt32BE(topicEnd);
    const end = payloadEnd + 4 + frame.readUInt32BE(payloadEnd);
    if (end > frame.length) throw new RangeError('a bus frame is cut short');
    const topic = frame.toString('utf8', at + 3, topicEnd);
    if (wanted(topic)) {
      packets.push({
        ...(deserialize(frame.subarray(payloadEnd + 4, end)) as Pick<BusPacket, 'cmd'>),
        topic,
        payload: frame.subarray(topicEnd + 4, payloadEnd),
        qos: (flags & 0x03) as 0 | 1 | 2,
        retain: (flags & RETAIN) !== 0,
        dup: false,
      });
    }
    at = end;
  }
  const change: unknown = kind === BusKind.change ? deserialize(frame.subarray(at)) : undefined;
  return { kind, sender, packets, change };
}
