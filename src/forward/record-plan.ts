/**
 * What stays the same from message to message, encoded once: per (topic, client id) the record plans, per route and for
 * all messages the blocks of headers that hold no data.
 */
import { encodeHeader } from '../kafka/record.ts';
import { keyHash } from '../kafka/partitioner.ts';
import { Origin, type Message } from '../message.ts';
import type { Route, TopicMatch } from '../routes/index.ts';
import { H } from './record-headers.ts';

/** Encoded headers, one behind the other. */
export interface HeaderBlock {
  readonly bytes: Buffer;
  readonly count: number;
}

export function headerBlock(headers: readonly (readonly [name: string, value: string])[]): HeaderBlock {
  if (headers.length === 0) return noHeaders;
  return { bytes: Buffer.concat(headers.map(([name, value]) => encodeHeader(name, value))), count: headers.length };
}

export const noHeaders: HeaderBlock = { bytes: Buffer.alloc(0), count: 0 };

/** What one route makes of one client's messages on one topic. */
export type RecordPlan =
  | {
      readonly kind: 'record';
      readonly route: Route;
      readonly topic: string;
      readonly key: Buffer | null;
      /** -1: no key. */
      readonly keyHash: number;
      /** The route's own. */
      readonly headers: HeaderBlock;
    }
  | { readonly kind: 'fault'; readonly route: Route; readonly reason: string };

/** What all routes make of one client's messages on one topic. */
export interface MessagePlan {
  /** mqtt-topic, mqtt-client-id */
  readonly source: HeaderBlock;
  readonly records: readonly RecordPlan[];
  /** The user that it was made for, where a route asks for the user. */
  readonly user: string | undefined;
  /** Estimate of the memory it takes. */
  readonly bytes: number;
}

// Estimates, on the high side: objects, Buffers and map entries around the bytes.
const PLAN_BYTES = 600;
const RECORD_BYTES = 400;

export function planMessage(message: Message, matches: readonly TopicMatch[]): MessagePlan {
  const source = headerBlock([
    [H.topic, message.topic],
    [H.clientId, message.clientId],
  ]);
  const records: RecordPlan[] = [];
  let bytes = PLAN_BYTES + 2 * message.topic.length + 2 * message.clientId.length + source.bytes.length;
  let usesUser = false;
  for (const match of matches) {
    const record = planRecord(message, match);
    records.push(record);
    usesUser ||= match.route.usesUser;
    bytes += RECORD_BYTES;
    if (record.kind === 'record') bytes += (record.key?.length ?? 0) + record.headers.bytes.length;
    else bytes += 2 * record.reason.length;
  }
  return { source, records, user: usesUser ? message.user : undefined, bytes };
}

function planRecord(message: Message, match: TopicMatch): RecordPlan {
  const { route } = match;
  const topic = match.topicFor(message);
  if (typeof topic !== 'string') return { kind: 'fault', route, reason: topic.fault };
  const keyText = match.keyFor(message);
  const key = keyText === null ? null : Buffer.from(keyText);
  const headers = headerBlock(match.headers.map(({ name, value }) => [name, value.render(message, [])] as const));
  return { kind: 'record', route, topic, key, keyHash: key === null ? -1 : keyHash(key), headers };
}

/** mqtt-qos and mqtt-retain: six blocks. */
const deliveryBlocks: readonly HeaderBlock[] = [0, 1, 2, 3, 4, 5].map((index) =>
  headerBlock([
    [H.qos, String(index >> 1)],
    [H.retain, String((index & 1) === 1)],
  ]),
);

export function deliveryBlock(message: Message): HeaderBlock {
  return deliveryBlocks[(message.qos << 1) | (message.retain ? 1 : 0)] ?? noHeaders;
}

/** sluice-route, mqtt-dup, mqtt-will of one route: four blocks. */
export type TailBlocks = readonly HeaderBlock[];

export function tailBlocks(route: string | undefined): TailBlocks {
  return [0, 1, 2, 3].map((index) => {
    const headers: [string, string][] = route === undefined ? [] : [[H.route, route]];
    if ((index & 1) !== 0) headers.push([H.dup, 'true']);
    if ((index & 2) !== 0) headers.push([H.will, 'true']);
    return headerBlock(headers);
  });
}

export function tailBlock(blocks: TailBlocks, message: Message): HeaderBlock {
  return blocks[(message.dup ? 1 : 0) | (message.origin === Origin.will ? 2 : 0)] ?? noHeaders;
}
