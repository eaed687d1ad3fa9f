/**
 * An entry of a parking log: messages of one shard whose records for one Kafka topic wait, apart from the log, until that
 * topic can be written again. It is stored, so every change of it is a new version.
 *
 *     0  u8   version
 *     1  3 B  0
 *     4  u32  CRC-32C of bytes 8 ..
 *     8  u32  length of the header
 *    12       header: JSON, one object per message
 *             o  offset
 *             s  outcome of its records that did not wait: 0 none, 2 delivered, 3 dead-lettered
 *             w  other topics in whose parking logs the message waits as well
 *             r  records that wait here: [route] or, for a dead letter, [route, code, reason, topic it was for]; behind these
 *                four, null where there is none, the place in a batch, where the message is one
 *             frame of the same messages (buffer/frame.ts), under the log id that names them
 */
import { crc32c } from '@node-rs/crc32';
import { decodeFrame, FrameWriter, stampFrame } from '../buffer/frame.ts';
import { SluiceError } from '../errors.ts';
import type { Message } from '../message.ts';
import type { HeldRecord, Outcome } from './open-messages.ts';

export const PARKED_VERSION = 1;
const HEADER_AT = 12;

/** One record that waits. `code` and what follows: it is a dead letter. */
export interface WaitingRecord {
  readonly route: string | undefined;
  /** Place in the batch that the message is. */
  readonly index?: number | undefined;
  readonly letter: { readonly code: string; readonly reason: string; readonly topic: string | undefined } | undefined;
}

export interface ParkedMessage {
  readonly offset: number;
  readonly outcome: Outcome | 0;
  readonly alsoIn: readonly string[];
  readonly records: readonly WaitingRecord[];
}

/** What is kept of a record that is kept back. */
export function toWaiting({ route, index, letter }: HeldRecord): WaitingRecord {
  if (letter === undefined) return { route, index, letter: undefined };
  const { code, reason, topic } = letter;
  return { route: letter.route, index, letter: { code, reason, topic } };
}

type Stored = readonly [
  route: string | null,
  code?: string | null,
  reason?: string | null,
  topic?: string | null,
  index?: number,
];

interface StoredMessage {
  readonly o: number;
  readonly s: Outcome | 0;
  readonly w?: readonly string[];
  readonly r: readonly Stored[];
}

/** `messages[i]` is what `parked[i]` tells of. */
export function encodeParked(logId: string, parked: readonly ParkedMessage[], messages: readonly Message[]): Buffer {
  const stored = parked.map(({ offset, outcome, alsoIn, records }): StoredMessage => ({
    o: offset,
    s: outcome,
    ...(alsoIn.length > 0 ? { w: alsoIn } : {}),
    r: records.map(toStored),
  }));
  const header = Buffer.from(JSON.stringify(stored));
  const writer = new FrameWriter();
  for (const message of messages) writer.add(message);
  const frame = writer.finish();
  stampFrame(frame, logId);
  const start = Buffer.alloc(HEADER_AT);
  start[0] = PARKED_VERSION;
  start.writeUInt32LE(header.length, 8);
  const bytes = Buffer.concat([start, header, frame]);
  bytes.writeUInt32LE(crc32c(bytes.subarray(8)), 4);
  return bytes;
}

export interface DecodedParked {
  readonly logId: string;
  readonly parked: readonly ParkedMessage[];
  readonly messages: readonly Message[];
}

/** @throws SluiceError FRAME_CORRUPT, STORE_FORMAT (a newer version) */
export function decodeParked(bytes: Buffer): DecodedParked {
  if (bytes.length < HEADER_AT) throw corrupt(`${bytes.length} bytes are fewer than its start`);
  if (crc32c(bytes.subarray(8)) !== bytes.readUInt32LE(4)) throw corrupt('its checksum does not match');
  if (bytes[0] !== PARKED_VERSION) {
    throw new SluiceError(
      'STORE_FORMAT',
      `a parked entry has format version ${bytes[0]}; this sluice reads ${PARKED_VERSION}`,
    );
  }
  const frameAt = HEADER_AT + bytes.readUInt32LE(8);
  let parked: ParkedMessage[];
  try {
    const stored = JSON.parse(bytes.toString('utf8', HEADER_AT, frameAt)) as StoredMessage[];
    parked = stored.map(({ o, s, w, r }) => ({ offset: o, outcome: s, alsoIn: w ?? [], records: r.map(waitingOf) }));
  } catch (error) {
    throw corrupt('its header does not parse', error);
  }
  const { logId, messages } = decodeFrame(bytes.subarray(frameAt));
  if (messages.length !== parked.length) throw corrupt('header and frame do not have the same messages');
  return { logId, parked, messages };
}

function toStored({ route, index, letter }: WaitingRecord): Stored {
  const name = route ?? null;
  if (index === undefined) {
    return letter === undefined ? [name] : [name, letter.code, letter.reason, letter.topic ?? null];
  }
  return [name, letter?.code ?? null, letter?.reason ?? null, letter?.topic ?? null, index];
}

function waitingOf([route, code, reason, topic, index]: Stored): WaitingRecord {
  return {
    route: route ?? undefined,
    index,
    letter: typeof code === 'string' ? { code, reason: reason ?? '', topic: topic ?? undefined } : undefined,
  };
}

function corrupt(what: string, cause?: unknown): SluiceError {
  return new SluiceError('FRAME_CORRUPT', `corrupt parked entry: ${what}`, { cause });
}
