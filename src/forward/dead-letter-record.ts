/**
 * The dead letter of a message: its payload, its headers, and why it is one (record-headers.ts). The key is the client id,
 * so that a client's dead letters stay in order.
 *
 * With `maxBytes` it is cut to that size, for the case that Kafka refuses the whole one as too large as well. Anything in a
 * message may be the cause, so anything may be cut. First the headers that a client or a route can make long: each has its
 * turn, in order, while it fits half of the bound; those that do not are left out and counted in sluice-headers-dropped.
 * Then the payload, to what is left; sluice-payload-truncated has its length before. What names the message and the fault
 * is always there: below MIN_BYTES there is no promise.
 */
import { keyHash } from '../kafka/partitioner.ts';
import { varintSize, type RecordWriter } from '../kafka/record.ts';
import { Origin, type Message } from '../message.ts';
import type { TopicMatch } from '../routes/index.ts';
import type { MappedRecord } from './mapping.ts';
import { noRules, propertyHeaders, type HeaderValue } from './property-headers.ts';
import { H } from './record-headers.ts';
import { nameOf } from './sluice-id.ts';

export interface DeadLetter {
  /** Kafka topic of the dead letters. */
  readonly topic: string;
  /** Name of the route that made the record; undefined: there is none. */
  readonly route: string | undefined;
  /** Place in the batch of what was refused; undefined: it is the message as a whole. */
  readonly index?: number | undefined;
  /** A code of MappingFault, or Kafka's name of the error. */
  readonly code: string;
  readonly reason: string;
  /** Sends of the record so far. */
  readonly attempt?: number | undefined;
  readonly originalTopic?: string | undefined;
  readonly originalPartition?: number | undefined;
  /** Cut the record, from key to headers, to this many bytes. At least MIN_BYTES. */
  readonly maxBytes?: number | undefined;
}

/** What a cut dead letter may need for what is always there. */
export const MIN_BYTES = 8 * 1024;
/** A reason may quote what a client sent. */
const REASON_MAX_BYTES = 1024;
const NAME_MAX_BYTES = 512;

/** One in three: its size is what a client or a route makes it. */
type Header = readonly [name: string, value: HeaderValue, droppable?: boolean];

export function writeDeadLetter(
  writer: RecordWriter,
  message: Message,
  at: { readonly logId: string; readonly shard: number; readonly offset: number },
  letter: DeadLetter,
  match: TopicMatch | undefined,
): MappedRecord {
  const all = headersOf(message, nameOf(message, at), letter, match);
  const clientId = Buffer.from(message.clientId);
  const { key, payload, headers } =
    letter.maxBytes === undefined
      ? { key: clientId, payload: message.payload, headers: all }
      : cut(clientId, message.payload, all, letter.maxBytes);
  writer.begin();
  writer.key(key);
  writer.value(payload);
  for (const [name, value] of headers) writer.header(name, value);
  const slice = writer.end(message.receivedAt);
  return {
    slice,
    topic: letter.topic,
    keyHash: key === null ? -1 : keyHash(key),
    route: letter.route ?? '',
    index: letter.index,
    letter: {
      code: letter.code,
      reason: letter.reason,
      route: letter.route,
      topic: letter.originalTopic,
      truncated: letter.maxBytes !== undefined,
    },
  };
}

function headersOf(message: Message, id: string, letter: DeadLetter, match: TopicMatch | undefined): readonly Header[] {
  const headers: Header[] = [
    [H.topic, message.topic, true],
    [H.clientId, message.clientId, true],
    [H.qos, String(message.qos)],
    [H.retain, String(message.retain)],
  ];
  const properties = propertyHeaders(message, match?.route ?? noRules);
  for (const [name, value] of properties) headers.push([name, value, true]);
  if (match !== undefined) {
    for (const header of match.route.headers) {
      const text = match.headerFor(header, message);
      if (text !== undefined) headers.push([header.name, text, true]);
    }
  }
  headers.push([H.id, id]);
  if (letter.index !== undefined) headers.push([H.index, String(letter.index)]);
  if (match !== undefined) headers.push([H.route, bounded(match.route.name, NAME_MAX_BYTES)]);
  if (message.dup) headers.push([H.dup, 'true']);
  if (message.origin === Origin.will) headers.push([H.will, 'true']);
  // What putting it in again needs, and the headers above do not tell.
  if (message.user !== '') headers.push([H.user, message.user, true]);
  if (properties.length > 0) headers.push([H.properties, String(properties.length)]);
  headers.push([H.errorCode, bounded(letter.code, NAME_MAX_BYTES)]);
  headers.push([H.errorReason, bounded(letter.reason, REASON_MAX_BYTES)]);
  if (letter.route !== undefined) headers.push([H.errorRoute, bounded(letter.route, NAME_MAX_BYTES)]);
  if (letter.originalTopic !== undefined) {
    headers.push([H.originalTopic, bounded(letter.originalTopic, NAME_MAX_BYTES)]);
  }
  if (letter.originalPartition !== undefined) headers.push([H.originalPartition, String(letter.originalPartition)]);
  if (letter.attempt !== undefined) headers.push([H.errorAttempt, String(letter.attempt)]);
  return headers;
}

/** As much of a text as fits, without half a character. */
function bounded(text: string, maxBytes: number): string {
  if (3 * text.length <= maxBytes) return text;
  const bytes = Buffer.from(text.slice(0, maxBytes));
  if (bytes.length <= maxBytes) return bytes.toString();
  let end = maxBytes;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

interface Cut {
  readonly key: Buffer | null;
  readonly payload: Buffer;
  readonly headers: readonly Header[];
}

function cut(clientId: Buffer, payload: Buffer, all: readonly Header[], maxBytes: number): Cut {
  // The two headers that tell of the cut, at their longest, and the count of the headers.
  const note: Header[] = [
    [H.payloadTruncated, String(payload.length)],
    [H.headersDropped, String(all.length)],
  ];
  const fixed = all.filter(([, , droppable]) => droppable !== true);
  let used = varintSize(all.length + note.length);
  for (const header of [...fixed, ...note]) used += headerBytes(header);
  const half = used + Math.max(0, maxBytes - used) / 2;
  // A client id is at most 65,535 bytes: where the key does not fit, the order of its dead letters is given up.
  const keyFits = used + fieldBytes(clientId.length) <= half;
  const key = keyFits ? clientId : null;
  used += keyFits ? fieldBytes(clientId.length) : 1;

  const headers: Header[] = [];
  let dropped = 0;
  for (const header of all) {
    if (header[2] === true) {
      const bytes = headerBytes(header);
      if (used + bytes > half) {
        dropped++;
        continue;
      }
      used += bytes;
    }
    headers.push(header);
  }
  const room = Math.max(0, maxBytes - used - varintSize(payload.length));
  const kept = payload.subarray(0, Math.min(payload.length, room));
  if (kept.length < payload.length) headers.push([H.payloadTruncated, String(payload.length)]);
  if (dropped > 0) headers.push([H.headersDropped, String(dropped)]);
  return { key, payload: kept, headers };
}

function headerBytes([name, value]: Header): number {
  return fieldBytes(Buffer.byteLength(name)) + fieldBytes(Buffer.byteLength(value));
}

function fieldBytes(length: number): number {
  return varintSize(length) + length;
}
