/** What a name in braces stands for, and what it is in a message. */
import type { MessageProperties } from '../message.ts';
import { parsePayloadPath, textOf, valueAt, type PayloadPath } from './payload-path.ts';
import { isProblem, problem, type TextProblem } from './problem.ts';

/** What templates and conditions may speak of. A Message is one. */
export interface TemplateMessage {
  readonly clientId: string;
  readonly topic: string;
  /** '' where the client is anonymous. */
  readonly user: string;
  readonly qos?: number;
  readonly retain?: boolean;
  /** Milliseconds since the epoch. */
  readonly receivedAt?: number;
  readonly properties?: MessageProperties | undefined;
}

const timeParts = ['year', 'month', 'day', 'hour', 'minute', 'date', 'iso', 'ms'] as const;
type TimePart = (typeof timeParts)[number];

const plainNames = ['clientId', 'topic', 'user', 'contentType', 'responseTopic', 'qos', 'retain'] as const;
type PlainName = (typeof plainNames)[number];

export type Source =
  | { readonly kind: PlainName }
  /** An index into the values of the named levels. */
  | { readonly kind: 'level'; readonly index: number }
  /** From 0, or from the end: -1. */
  | { readonly kind: 'topicLevel'; readonly index: number }
  | { readonly kind: 'payload'; readonly path: PayloadPath }
  | { readonly kind: 'userProperty'; readonly name: string }
  | { readonly kind: 'time'; readonly part: TimePart };

/** For messages: what can be written besides the names that are listed one by one. */
export const FURTHER_NAMES =
  '{topic[0]}, {payload.field}, {userProperty.name}, {contentType}, {responseTopic}, {qos}, {retain}, {time.date}';

/** Names of sources in full, for "did you mean". */
export const knownNames: readonly string[] = [...plainNames, ...timeParts.map((part) => `time.${part}`)];

/** undefined: not a name of this language. */
export function parseSource(name: string, levelNames: readonly string[]): Source | TextProblem | undefined {
  const index = levelNames.indexOf(name);
  if (index >= 0) return { kind: 'level', index };
  const plain = plainNames.find((each) => each === name);
  if (plain !== undefined) return { kind: plain };
  const level = /^topic\[(-?\d{1,3})\]$/.exec(name);
  if (level !== null) return { kind: 'topicLevel', index: Number(level[1]) };
  const part = timeParts.find((each) => name === `time.${each}`);
  if (part !== undefined) return { kind: 'time', part };
  if (name.startsWith('userProperty.') && name.length > 13) return { kind: 'userProperty', name: name.slice(13) };
  if (name === 'payload') {
    return problem('{payload} is all of the payload, not one value', 'name a field of it: {payload.field}');
  }
  const path = /^payload(?:\.(.+)|([[/].*))$/s.exec(name);
  if (path === null) return undefined;
  const parsed = parsePayloadPath(path[1] ?? path[2] ?? '');
  return isProblem(parsed) ? parsed : { kind: 'payload', path: parsed };
}

/** undefined: the message has no such thing. `payload` is the parsed one. */
export function sourceValue(
  source: Source,
  message: TemplateMessage,
  levels: readonly string[],
  payload: unknown,
): string | undefined {
  switch (source.kind) {
    case 'clientId':
      return message.clientId;
    case 'topic':
      return message.topic;
    case 'user':
      return message.user;
    case 'level':
      return levels[source.index] ?? '';
    case 'topicLevel':
      return message.topic.split('/').at(source.index) ?? '';
    case 'qos':
      return String(message.qos ?? 0);
    case 'retain':
      return String(message.retain ?? false);
    case 'contentType':
      return message.properties?.contentType;
    case 'responseTopic':
      return message.properties?.responseTopic;
    case 'userProperty':
      return message.properties?.userProperties?.find(([name]) => name === source.name)?.[1];
    case 'payload':
      return textOf(valueAt(payload, source.path));
    case 'time':
      return timeText(source.part, message.receivedAt ?? 0);
  }
}

/** UTC: the same text in every process, and in every repeat. */
function timeText(part: TimePart, at: number): string {
  if (part === 'ms') return String(at);
  const iso = new Date(at).toISOString();
  switch (part) {
    case 'iso':
      return iso;
    case 'date':
      return iso.slice(0, 10);
    case 'year':
      return iso.slice(0, 4);
    case 'month':
      return iso.slice(5, 7);
    case 'day':
      return iso.slice(8, 10);
    case 'hour':
      return iso.slice(11, 13);
    case 'minute':
      return iso.slice(14, 16);
  }
}
