/**
 * What stays the same from message to message, encoded once: per MQTT topic what its records have in common, and for all
 * topics the blocks of headers that hold no data.
 */
import { keyHash } from '../kafka/partitioner.ts';
import { encodeHeader } from '../kafka/record.ts';
import { Origin, type Message } from '../message.ts';
import type { TopicMatch } from '../routes/index.ts';
import { H } from './record-headers.ts';

/** Encoded headers, one behind the other. */
export interface HeaderBlock {
  readonly bytes: Buffer;
  readonly count: number;
}

const noHeaders: HeaderBlock = { bytes: Buffer.alloc(0), count: 0 };

export function headerBlock(headers: readonly (readonly [name: string, value: string])[]): HeaderBlock {
  if (headers.length === 0) return noHeaders;
  return { bytes: Buffer.concat(headers.map(([name, value]) => encodeHeader(name, value))), count: headers.length };
}

/** What is the same for all records that one route makes of messages on one topic. */
export interface RecordPlan {
  readonly match: TopicMatch;
  /** null: no key. undefined: it depends on the message. */
  readonly key: Buffer | null | undefined;
  /** -1: no key. Only where `key` is given. */
  readonly keyHash: number;
  /** The route's own. undefined: they depend on the message. */
  readonly headers: HeaderBlock | undefined;
}

/** What is the same for all messages on one topic. */
export interface TopicPlan {
  /** mqtt-topic, encoded. */
  readonly topicHeader: Buffer;
  readonly records: readonly RecordPlan[];
}

// Estimates, on the high side: objects, Buffers and map entries around the bytes.
const TOPIC_BYTES = 500;
const RECORD_BYTES = 500;

/** An upper bound of what the plan takes in memory, before it is made. */
export function planBytes(topic: string, matches: readonly TopicMatch[], message: Message): number {
  let bytes = TOPIC_BYTES + 5 * topic.length;
  for (const match of matches) {
    bytes += RECORD_BYTES + 3 * (match.key?.length ?? 0);
    if (!match.route.headersTopicOnly) continue;
    for (const header of match.route.headers) {
      bytes += 10 + 3 * (header.name.length + (match.headerFor(header, message)?.length ?? 0));
    }
  }
  return bytes;
}

export function planTopic(message: Message, matches: readonly TopicMatch[]): TopicPlan {
  return { topicHeader: encodeHeader(H.topic, message.topic), records: matches.map((match) => plan(message, match)) };
}

function plan(message: Message, match: TopicMatch): RecordPlan {
  const { route } = match;
  const key = typeof match.key === 'string' ? Buffer.from(match.key) : match.key;
  const headers = route.headersTopicOnly
    ? headerBlock(route.headers.map((header) => [header.name, match.headerFor(header, message) ?? ''] as const))
    : undefined;
  return { match, key, keyHash: key === null || key === undefined ? -1 : keyHash(key), headers };
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

export function tailBlocks(route: string): TailBlocks {
  return [0, 1, 2, 3].map((index) => {
    const headers: [string, string][] = [[H.route, route]];
    if ((index & 1) !== 0) headers.push([H.dup, 'true']);
    if ((index & 2) !== 0) headers.push([H.will, 'true']);
    return headerBlock(headers);
  });
}

export function tailBlock(blocks: TailBlocks, message: Message): HeaderBlock {
  return blocks[(message.dup ? 1 : 0) | (message.origin === Origin.will ? 2 : 0)] ?? noHeaders;
}
