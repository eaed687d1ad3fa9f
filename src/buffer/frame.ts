/**
 * The frame: one append's messages, packed. This is what the stores keep, what travels to the forward side, and what a
 * later version must still read, so every change of it is a new version number.
 *
 * Version 1, little-endian:
 *
 *     0  u16  magic 0x4653 ('SF')
 *     2  u8   version
 *     3  u8   flags, 0
 *     4  u32  CRC-32C of bytes 8 .. length
 *     8  u32  length of the whole frame
 *    12  u32  count of messages
 *    16  f64  base time, ms since the epoch
 *    24  8 B  log id under which the messages were appended: with shard and offset it makes their `sluice-id`
 *    32       messages:
 *             u8      qos (bits 0-1) retain (2) dup (3) origin (4-5) has user (6) has properties (7)
 *             string  client id
 *             string  user, if any
 *             string  topic
 *             zigzag  arrival - base time, ms
 *             [u8 property bits, then the properties in the order of the bits]
 *             varint  payload length, payload
 *
 * `string` is a varint: 0 and a literal (varint length, UTF-8) that enters the frame's string table, or n: the n-th entry.
 * Client ids and topics repeat within a frame, so most cost one byte, and decoding gives the same string object again.
 */
import { crc32c } from '@node-rs/crc32';
import { SluiceError } from '../errors.ts';
import type { Message, MessageProperties, Origin } from '../message.ts';

export const FRAME_VERSION = 1;
const MAGIC = 0x4653;
const HEADER_BYTES = 32;
const LOG_ID_AT = 24;
/** Random bytes of a log id; it is written in base64url, 11 characters. */
export const LOG_ID_BYTES = 8;
const MIN_CAPACITY_BYTES = 4 * 1024;
const MAX_COUNT = 0xffffffff;

const RETAIN = 1 << 2;
const DUP = 1 << 3;
const ORIGIN_SHIFT = 4;
const HAS_USER = 1 << 6;
const HAS_PROPERTIES = 1 << 7;

const P_FORMAT = 1 << 0;
const P_FORMAT_UTF8 = 1 << 1;
const P_EXPIRY = 1 << 2;
const P_CONTENT_TYPE = 1 << 3;
const P_RESPONSE_TOPIC = 1 << 4;
const P_CORRELATION = 1 << 5;
const P_USER = 1 << 6;
const P_REPLAY = 1 << 7;

/** Packs messages into a frame as they come: the payload is copied once, here, and pins no socket chunk afterwards. */
export class FrameWriter {
  #buffer: Buffer = Buffer.alloc(0);
  #position = HEADER_BYTES;
  #count = 0;
  #baseTime = 0;
  #strings = new Map<string, number>();
  #capacityHint = MIN_CAPACITY_BYTES;

  get count(): number {
    return this.#count;
  }

  /** Bytes of the frame if it were finished now. */
  get bytes(): number {
    return this.#position;
  }

  add(message: Message): void {
    // Upper bound of everything but the variable parts: 3 string refs, varints, flags.
    this.#reserve(64 + message.payload.length);
    if (this.#count === 0) this.#baseTime = message.receivedAt;
    const properties = message.properties;
    let buffer = this.#buffer;
    buffer[this.#position++] =
      message.qos |
      (message.retain ? RETAIN : 0) |
      (message.dup ? DUP : 0) |
      (message.origin << ORIGIN_SHIFT) |
      (message.user === '' ? 0 : HAS_USER) |
      (properties === undefined ? 0 : HAS_PROPERTIES);
    this.#sharedString(message.clientId);
    if (message.user !== '') this.#sharedString(message.user);
    this.#sharedString(message.topic);
    this.#zigzag(message.receivedAt - this.#baseTime);
    if (properties !== undefined) this.#properties(properties);
    const payload = message.payload;
    this.#reserve(10 + payload.length);
    this.#varint(payload.length);
    buffer = this.#buffer;
    buffer.set(payload, this.#position);
    this.#position += payload.length;
    if (this.#count === MAX_COUNT) throw new RangeError('a frame holds at most 2^32 - 1 messages');
    this.#count++;
  }

  /** The finished frame, to be stamped with its log id before it is stored; the writer starts a new one. */
  finish(): Buffer {
    const frame = this.#takeBytes();
    frame.writeUInt16LE(MAGIC, 0);
    frame[2] = FRAME_VERSION;
    frame[3] = 0;
    frame.writeUInt32LE(this.#position, 8);
    frame.writeUInt32LE(this.#count, 12);
    frame.writeDoubleLE(this.#baseTime, 16);
    frame.fill(0, LOG_ID_AT, HEADER_BYTES);
    // The next frame will be about as large as the last ones: sized once, rarely grown, never twice too big for long.
    this.#capacityHint = Math.max(MIN_CAPACITY_BYTES, Math.ceil((this.#capacityHint + this.#position * 1.25) / 2));
    this.#position = HEADER_BYTES;
    this.#count = 0;
    this.#strings.clear();
    return frame;
  }

  /** A small frame is copied out: it may be kept for long, and would keep all of the memory that it was packed in. */
  #takeBytes(): Buffer {
    const packed = this.#buffer.subarray(0, this.#position);
    if (this.#position * 2 > this.#buffer.length) {
      this.#buffer = Buffer.alloc(0);
      return packed;
    }
    const frame = Buffer.allocUnsafeSlow(this.#position);
    frame.set(packed);
    return frame;
  }

  #properties(properties: MessageProperties): void {
    const user = properties.userProperties;
    this.#reserve(1);
    const at = this.#position++;
    let bits = 0;
    if (properties.payloadFormatIndicator !== undefined) {
      bits |= P_FORMAT | (properties.payloadFormatIndicator ? P_FORMAT_UTF8 : 0);
    }
    if (properties.messageExpiryInterval !== undefined) {
      bits |= P_EXPIRY;
      this.#varint(properties.messageExpiryInterval);
    }
    if (properties.contentType !== undefined) {
      bits |= P_CONTENT_TYPE;
      this.#sharedString(properties.contentType);
    }
    if (properties.responseTopic !== undefined) {
      bits |= P_RESPONSE_TOPIC;
      this.#sharedString(properties.responseTopic);
    }
    if (properties.correlationData !== undefined) {
      bits |= P_CORRELATION;
      this.#bytes(properties.correlationData);
    }
    if (user !== undefined && user.length > 0) {
      bits |= P_USER;
      this.#varint(user.length);
      for (const [name, value] of user) {
        this.#sharedString(name);
        this.#literal(value);
      }
    }
    if (properties.replayOf !== undefined) {
      bits |= P_REPLAY;
      this.#literal(properties.replayOf);
    }
    this.#buffer[at] = bits;
  }

  #sharedString(text: string): void {
    const known = this.#strings.get(text);
    this.#reserve(10);
    if (known !== undefined) {
      this.#varint(known);
      return;
    }
    this.#strings.set(text, this.#strings.size + 1);
    this.#buffer[this.#position++] = 0;
    this.#literal(text);
  }

  #literal(text: string): void {
    const length = Buffer.byteLength(text);
    this.#reserve(10 + length);
    this.#varint(length);
    this.#position += this.#buffer.write(text, this.#position, length, 'utf8');
  }

  #bytes(bytes: Buffer): void {
    this.#reserve(10 + bytes.length);
    this.#varint(bytes.length);
    this.#buffer.set(bytes, this.#position);
    this.#position += bytes.length;
  }

  #varint(value: number): void {
    this.#reserve(10);
    const buffer = this.#buffer;
    let rest = value;
    while (rest > 0x7fffffff) {
      buffer[this.#position++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      buffer[this.#position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    buffer[this.#position++] = rest;
  }

  #zigzag(value: number): void {
    this.#varint(value < 0 ? -2 * value - 1 : 2 * value);
  }

  #reserve(bytes: number): void {
    const needed = this.#position + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2, this.#capacityHint));
    if (this.#buffer.length > 0) grown.set(this.#buffer.subarray(0, this.#position));
    this.#buffer = grown;
  }
}

/** Writes the log id and the checksum into a finished frame: again, where it is appended again under another log id. */
export function stampFrame(frame: Buffer, logId: string): void {
  if (frame.write(logId, LOG_ID_AT, LOG_ID_BYTES, 'base64url') !== LOG_ID_BYTES) {
    throw new RangeError(`a log id is ${LOG_ID_BYTES} bytes in base64url, not '${logId}'`);
  }
  frame.writeUInt32LE(crc32c(frame.subarray(8)), 4);
}

export interface DecodedFrame {
  readonly logId: string;
  readonly messages: Message[];
}

/**
 * The messages of a frame, in order. Payloads are views into `frame`.
 * @throws SluiceError FRAME_CORRUPT (checksum, cut short, no frame at all), STORE_FORMAT (a newer version)
 */
export function decodeFrame(frame: Buffer): DecodedFrame {
  const count = checkFrame(frame);
  try {
    const messages = new FrameReader(frame, count).messages();
    return { logId: frame.toString('base64url', LOG_ID_AT, HEADER_BYTES), messages };
  } catch (error) {
    // The checksum was right and yet the body does not parse: written wrong, not damaged on the way. Same treatment.
    throw corrupt('the body does not parse', error);
  }
}

/** Checks header and checksum and gives the number of messages. @throws as decodeFrame */
export function checkFrame(frame: Buffer): number {
  if (frame.length < HEADER_BYTES) throw corrupt(`${frame.length} bytes are fewer than a header`);
  if (frame.readUInt16LE(0) !== MAGIC) throw corrupt('it does not start like a frame');
  const version = frame[2];
  const length = frame.readUInt32LE(8);
  if (length !== frame.length) throw corrupt(`it says ${length} bytes and has ${frame.length}`);
  if (crc32c(frame.subarray(8)) !== frame.readUInt32LE(4)) throw corrupt('its checksum does not match');
  if (version !== FRAME_VERSION) {
    throw new SluiceError(
      'STORE_FORMAT',
      `a buffered frame has format version ${version}; this sluice reads ${FRAME_VERSION}`,
    );
  }
  return frame.readUInt32LE(12);
}

function corrupt(what: string, cause?: unknown): SluiceError {
  return new SluiceError('FRAME_CORRUPT', `corrupt frame: ${what}`, { cause });
}

class FrameReader {
  readonly #frame: Buffer;
  readonly #count: number;
  readonly #baseTime: number;
  readonly #strings: string[] = [];
  #position = HEADER_BYTES;

  constructor(frame: Buffer, count: number) {
    this.#frame = frame;
    this.#count = count;
    this.#baseTime = frame.readDoubleLE(16);
  }

  messages(): Message[] {
    const messages: Message[] = [];
    for (let i = 0; i < this.#count; i++) messages.push(this.#message());
    if (this.#position !== this.#frame.length) throw new RangeError('bytes are left over');
    return messages;
  }

  #message(): Message {
    const flags = this.#u8();
    const clientId = this.#sharedString();
    const user = (flags & HAS_USER) === 0 ? '' : this.#sharedString();
    const topic = this.#sharedString();
    const receivedAt = this.#baseTime + this.#zigzag();
    const properties = (flags & HAS_PROPERTIES) === 0 ? undefined : this.#properties();
    const payload = this.#bytes();
    return {
      clientId,
      user,
      topic,
      payload,
      qos: (flags & 3) as 0 | 1 | 2,
      retain: (flags & RETAIN) !== 0,
      dup: (flags & DUP) !== 0,
      origin: ((flags >> ORIGIN_SHIFT) & 3) as Origin,
      receivedAt,
      properties,
    };
  }

  #properties(): MessageProperties {
    const bits = this.#u8();
    const properties: MessageProperties = {};
    if ((bits & P_FORMAT) !== 0) properties.payloadFormatIndicator = (bits & P_FORMAT_UTF8) !== 0;
    if ((bits & P_EXPIRY) !== 0) properties.messageExpiryInterval = this.#varint();
    if ((bits & P_CONTENT_TYPE) !== 0) properties.contentType = this.#sharedString();
    if ((bits & P_RESPONSE_TOPIC) !== 0) properties.responseTopic = this.#sharedString();
    if ((bits & P_CORRELATION) !== 0) properties.correlationData = this.#bytes();
    if ((bits & P_USER) !== 0) {
      const count = this.#varint();
      const pairs: [string, string][] = [];
      for (let i = 0; i < count; i++) pairs.push([this.#sharedString(), this.#literal()]);
      properties.userProperties = pairs;
    }
    if ((bits & P_REPLAY) !== 0) properties.replayOf = this.#literal();
    return properties;
  }

  #sharedString(): string {
    const reference = this.#varint();
    if (reference === 0) {
      const text = this.#literal();
      this.#strings.push(text);
      return text;
    }
    const text = this.#strings[reference - 1];
    if (text === undefined) throw new RangeError(`string ${reference} is not in the table`);
    return text;
  }

  #literal(): string {
    const end = this.#span();
    const text = this.#frame.toString('utf8', this.#position, end);
    this.#position = end;
    return text;
  }

  #bytes(): Buffer {
    const end = this.#span();
    const bytes = this.#frame.subarray(this.#position, end);
    this.#position = end;
    return bytes;
  }

  /** Reads a length and gives the end of what follows. */
  #span(): number {
    const length = this.#varint();
    const end = this.#position + length;
    if (end > this.#frame.length) throw new RangeError('a length points past the end');
    return end;
  }

  #u8(): number {
    const byte = this.#frame[this.#position++];
    if (byte === undefined) throw new RangeError('the frame ends too soon');
    return byte;
  }

  #varint(): number {
    let byte = this.#u8();
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    let factor = 128;
    do {
      byte = this.#u8();
      value += (byte & 0x7f) * factor;
      factor *= 128;
    } while (byte >= 0x80);
    return value;
  }

  #zigzag(): number {
    const value = this.#varint();
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
  }
}
