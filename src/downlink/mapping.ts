/** From a record to an MQTT message: the filter, the topic, the properties. Pure. */
import type { SourceRecord } from '../kafka/record-source.ts';
import type { MessageProperties } from '../message.ts';
import { parseExpression, plain, type Expression } from '../routes/condition.ts';
import { validateTopicName } from '../routes/filter.ts';
import { kafkaTopicFault } from '../routes/kafka-topic.ts';
import { isProblem, type TextProblem } from '../routes/problem.ts';
import { parseNamePattern } from '../routes/topic-regex.ts';
import { errorText } from '../errors.ts';
import type { DownlinkDefinition, DownlinkProblem } from './definition.ts';
import { parseTopicTemplate, type TopicTemplate } from './template.ts';

/** Why a record cannot become a message: in the dead letter's `sluice-error-code`. */
export type MappingCode = 'VALUE' | 'WHERE' | 'TOPIC' | 'PROPERTIES' | 'TOO_LARGE';
/** Why a record is not to become one. */
export type SkipRule = 'filtered' | 'loop' | 'expired';

export interface DownlinkMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly properties?: MessageProperties;
}

export type Mapped =
  | { readonly kind: 'message'; readonly message: DownlinkMessage }
  | { readonly kind: 'skip'; readonly rule: SkipRule }
  | { readonly kind: 'fault'; readonly code: MappingCode; readonly reason: string };

/** In records that a sluice has written, and in its dead letters. */
const WRITTEN_BY_SLUICE = ['sluice-id', 'sluice-downlink'];
const EMPTY = Buffer.alloc(0);
const PROPERTY_MAX_BYTES = 65_535;

const names = {
  key: 'string',
  topic: 'string',
  partition: 'int',
  offset: 'int',
  /** Milliseconds since the epoch. */
  timestamp: 'int',
  header: 'map<string, string>',
  value: 'dyn',
} as const;
const example = `header["kind"] == "reboot" && value.level > 2.0; known: ${Object.keys(names).join(', ')}`;

export class DownlinkMapper {
  readonly #definition: DownlinkDefinition;
  readonly #to: TopicTemplate;
  readonly #where: Expression | undefined;
  readonly #parses: boolean;
  readonly #payloadMaxBytes: number;

  constructor(
    definition: DownlinkDefinition,
    to: TopicTemplate,
    where: Expression | undefined,
    payloadMaxBytes: number,
  ) {
    this.#definition = definition;
    this.#to = to;
    this.#where = where;
    this.#parses = definition.value === 'json' || to.usesFields || where?.used.has('value') === true;
    this.#payloadMaxBytes = payloadMaxBytes;
  }

  map(record: SourceRecord, now: number): Mapped {
    const { fromSluice, qos, retain } = this.#definition;
    if (fromSluice === 'skip' && record.headers.some(([name]) => WRITTEN_BY_SLUICE.includes(name))) return skip('loop');
    let value: unknown;
    if (this.#parses && record.value !== null) {
      try {
        value = JSON.parse(record.value.toString()) as unknown;
      } catch (error) {
        return fault('VALUE', `the value is no JSON: ${errorText(error)}`);
      }
    }
    if (this.#where !== undefined) {
      try {
        if (!this.#where.holds(contextOf(record, this.#where.used, value))) return skip('filtered');
      } catch (error) {
        return fault('WHERE', `the condition cannot be answered: ${errorText(error)}`);
      }
    }
    const topic = this.#to.render(record, value);
    if (typeof topic !== 'string') return fault('TOPIC', topic.reason);
    const payload = record.value ?? EMPTY;
    if (payload.length > this.#payloadMaxBytes)
      return fault(
        'TOO_LARGE',
        `the value has ${payload.length} bytes, limits.maxPacketSize is ${this.#payloadMaxBytes}`,
      );
    const properties = this.#properties(record, now);
    if ('kind' in properties) return properties;
    return {
      kind: 'message',
      message: { topic, payload, qos, retain, ...(Object.keys(properties).length > 0 ? { properties } : {}) },
    };
  }

  #properties(record: SourceRecord, now: number): MessageProperties | Exclude<Mapped, { kind: 'message' }> {
    const { messageExpiryMs, userProperties } = this.#definition;
    const properties: MessageProperties = {};
    if (messageExpiryMs !== undefined) {
      const leftMs = record.timestamp + messageExpiryMs - now;
      if (leftMs <= 0) return skip('expired');
      // A clock that is ahead does not make it live longer.
      properties.messageExpiryInterval = Math.ceil(Math.min(leftMs, messageExpiryMs) / 1000);
    }
    if (userProperties.length > 0) {
      const pairs: [string, string][] = [];
      for (const [name, bytes] of record.headers) {
        if (!userProperties.includes(name)) continue;
        const text = bytes.toString();
        if (bytes.length > PROPERTY_MAX_BYTES || text.includes('\0') || !Buffer.from(text).equals(bytes))
          return fault('PROPERTIES', `header ${name} is no text that a user property can hold`);
        pairs.push([name, text]);
      }
      if (pairs.length > 0) properties.userProperties = pairs;
    }
    return properties;
  }
}

function skip(rule: SkipRule): Extract<Mapped, { kind: 'skip' }> {
  return { kind: 'skip', rule };
}

function fault(code: MappingCode, reason: string): Extract<Mapped, { kind: 'fault' }> {
  return { kind: 'fault', code, reason };
}

function contextOf(record: SourceRecord, used: ReadonlySet<string>, value: unknown): Record<string, unknown> {
  const context = Object.create(null) as Record<string, unknown>;
  context['key'] = record.key?.toString() ?? '';
  context['topic'] = record.topic;
  context['partition'] = BigInt(record.partition);
  context['offset'] = BigInt(record.offset);
  context['timestamp'] = BigInt(record.timestamp);
  // The last of a name counts, as in templates.
  if (used.has('header')) context['header'] = new Map(record.headers.map(([name, bytes]) => [name, bytes.toString()]));
  if (used.has('value')) context['value'] = plain(value ?? null);
  return context;
}

/** @returns what is wrong with it where it does not compile */
export function compileDownlink(
  definition: DownlinkDefinition,
  payloadMaxBytes: number,
): { readonly mapper: DownlinkMapper | undefined; readonly problems: readonly DownlinkProblem[] } {
  const problems: DownlinkProblem[] = [];
  const report = (key: string, { message, wayOut }: Pick<TextProblem, 'message' | 'wayOut'>): undefined => {
    problems.push({ path: [key], message, wayOut });
  };
  const { from, regex, where, to, deadLetters } = definition;
  const topicWayOut = 'name a topic that Kafka allows, such as iot.commands';
  const fromFault = from === undefined ? undefined : kafkaTopicFault(from);
  if (fromFault !== undefined) report('from', { message: `no Kafka topic: ${fromFault}`, wayOut: topicWayOut });
  const lettersFault = kafkaTopicFault(deadLetters);
  if (lettersFault !== undefined)
    report('deadLetters', { message: `no Kafka topic: ${lettersFault}`, wayOut: topicWayOut });
  const pattern = regex === undefined ? undefined : parseNamePattern(regex);
  if (typeof pattern === 'object' && isProblem(pattern)) report('regex', pattern);
  if (from === deadLetters || (typeof pattern === 'function' && pattern(deadLetters)))
    report('deadLetters', {
      message: 'is a topic that this downlink reads',
      wayOut: 'take a topic of its own, such as sluice.downlink.dead-letter',
    });
  const template = parseTopicTemplate(to);
  if (isProblem(template)) report('to', template);
  else {
    const topicFault = template.literal.startsWith('$')
      ? 'topics that begin with $ are not for downlinks'
      : validateTopicName(template.literal);
    if (topicFault !== undefined)
      report('to', { message: topicFault, wayOut: 'write a topic name, such as devices/{key}/commands' });
  }
  const condition = where === undefined ? undefined : parseExpression(where, names, example);
  if (condition !== undefined && isProblem(condition)) report('where', condition);
  if (problems.length > 0 || isProblem(template) || (condition !== undefined && isProblem(condition)))
    return { mapper: undefined, problems };
  return { mapper: new DownlinkMapper(definition, template, condition, payloadMaxBytes), problems };
}

/** Of downlinks together: each by its place in the list. */
export function checkDownlinks(definitions: readonly DownlinkDefinition[]): DownlinkProblem[] {
  const seen = new Set<string>();
  return definitions.flatMap((definition, index) => {
    const problems = [...compileDownlink(definition, Infinity).problems];
    const { name } = definition;
    if (seen.has(name))
      problems.push({ path: ['name'], message: 'is the name of another downlink', wayOut: 'give each its own name' });
    seen.add(name);
    return problems.map((each) => ({ ...each, path: [index, ...each.path] }));
  });
}

/** Which Kafka topics it reads. The definition has been checked. */
export function topicsOf({ from, regex }: DownlinkDefinition): string | ((topic: string) => boolean) {
  if (from !== undefined) return from;
  const pattern = parseNamePattern(regex ?? '');
  if (typeof pattern !== 'function') throw new Error(pattern.message);
  return pattern;
}
