/** One route, checked and compiled. */
import { parseCondition, type Condition } from './condition.ts';
import { parseFilter, type Filter } from './filter.ts';
import { CLOUD_EVENT_HEADERS, CONTENT_TYPE, foldHeaderName, isReservedHeaderName } from './header-names.ts';
import { illegalCharacterOf, kafkaTopicFault } from './kafka-topic.ts';
import { isProblem, problem, quoted, type TextProblem } from './problem.ts';
import { parseTemplate, type Template } from './template.ts';
import type { TimestampUnit } from './timestamp.ts';
import { TopicRules } from './topic-rules.ts';
import { parseTopicRegex, type TopicRegex } from './topic-regex.ts';

/** A route as it is configured. */
export interface RouteDefinition {
  /** Unique: it tells the records of one message apart. */
  readonly name: string;
  /** MQTT topic filter, with named levels. Where `regex` is given it is not looked at. */
  readonly from?: string | undefined;
  /** A regular expression for the whole topic; its named groups are named levels. */
  readonly regex?: string | undefined;
  /** Kafka topic, a template. */
  readonly to: string;
  /** Record key, a template. Default `{clientId}`; null: records without a key, in no order. */
  readonly key?: string | null | undefined;
  /** Name to template. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Number of the partition, modulo how many there are: a number, or a template that makes one. */
  readonly partition?: string | number | undefined;
  /** A template that makes a time; `timestampUnit` says how to read it. Default: arrival. */
  readonly timestamp?: string | undefined;
  readonly timestampUnit?: TimestampUnit | undefined;
  /** A condition in CEL. */
  readonly when?: string | undefined;
  readonly qos?: readonly number[] | undefined;
  readonly onlyRetained?: boolean | undefined;
  /** Part of the messages that make a record, 0 to 1. */
  readonly sample?: number | undefined;
  /** Higher ones come first; 0 by default. Equal ones are in the order of the configuration. */
  readonly priority?: number | undefined;
  /** Where it applies, no route behind it does. */
  readonly stop?: boolean | undefined;
  /** Messages older than this make no record. */
  readonly expireMs?: number | undefined;
  /** Messages whose MQTT 5 expiry has passed make no record. */
  readonly honorMessageExpiry?: boolean | undefined;
  /** What topics may be made of data. */
  readonly topics?: { readonly allow?: readonly string[] | undefined; readonly max?: number | undefined } | undefined;
  /** What src/payload does with it; only what it adds to the headers matters here. */
  readonly value?: 'raw' | 'json' | 'envelope' | 'cloudevents' | 'avro' | 'protobuf' | 'jsonSchema' | undefined;
  readonly onInvalid?: OnInvalid | undefined;
}

/** What becomes of a message that a route cannot use. */
export type OnInvalid = 'deadLetter' | 'reject' | 'drop';

export interface RouteHeader {
  readonly name: string;
  readonly value: Template;
}

export interface Route {
  /** Place among the routes, from 0. */
  readonly index: number;
  readonly name: string;
  /** One of the two is given. */
  readonly filter: Filter | undefined;
  readonly regex: TopicRegex | undefined;
  readonly to: Template;
  readonly key: Template | null;
  readonly headers: readonly RouteHeader[];
  /** Folded names of `headers`, and of those that the value brings: not for user properties. */
  readonly headerNames: ReadonlySet<string>;
  /** The headers' values depend on nothing but the MQTT topic. */
  readonly headersTopicOnly: boolean;
  /** The route sets content-type itself. */
  readonly setsContentType: boolean;
  /** Something may depend on the MQTT topic. */
  readonly usesTopic: boolean;
  readonly partition: Template | undefined;
  readonly timestamp: Template | undefined;
  readonly timestampUnit: TimestampUnit;
  readonly when: Condition | undefined;
  /** undefined: every QoS. */
  readonly qos: ReadonlySet<number> | undefined;
  readonly onlyRetained: boolean;
  readonly sample: number;
  readonly priority: number;
  readonly stop: boolean;
  readonly expireMs: number;
  readonly honorMessageExpiry: boolean;
  readonly topics: TopicRules;
  readonly onInvalid: OnInvalid;
  /** Its record cannot be made without the parsed payload. */
  readonly needsPayload: boolean;
  /** It has a use for the parsed payload. */
  readonly readsPayload: boolean;
  /** Every message on its topics makes one record, for which its payload need not be looked at. What its value is, is not known here. */
  readonly plain: boolean;
}

export interface RouteProblem {
  /** Below `routes`, e.g. [3, 'to'] or [3, 'headers', 'device']. */
  readonly path: readonly (string | number)[];
  readonly value: string;
  readonly message: string;
  readonly wayOut: string;
}

export const DEFAULT_KEY = '{clientId}';

type Report = (field: readonly string[], value: string, problem: TextProblem) => undefined;

/** Texts of one route into what they mean; what is wrong goes to the report. */
class Reader {
  readonly names: readonly string[];
  readonly #report: Report;

  constructor(names: readonly string[], report: Report) {
    this.names = names;
    this.#report = report;
  }

  template(field: readonly string[], text: string): Template | undefined {
    return this.take(field, text, parseTemplate(text, this.names));
  }

  /** undefined where there is no text. */
  optional(field: string, text: string | undefined): Template | undefined {
    return text === undefined ? undefined : this.template([field], text);
  }

  condition(text: string | undefined): Condition | undefined {
    return text === undefined ? undefined : this.take(['when'], text, parseCondition(text, this.names));
  }

  take<Parsed extends { readonly kind: string }>(
    field: readonly string[],
    text: string,
    parsed: Parsed | TextProblem,
  ): Parsed | undefined {
    return isProblem(parsed) ? this.#report(field, text, parsed) : parsed;
  }

  headers(definitions: Readonly<Record<string, string>>): RouteHeader[] {
    return Object.entries(definitions).flatMap(([name, text]) => {
      const field = ['headers', name];
      const nameFault = headerNameProblem(name);
      if (nameFault !== undefined) this.#report(field, text, nameFault);
      const value = this.template(field, text);
      return value === undefined ? [] : [{ name, value }];
    });
  }
}

/** The compiled route, or undefined after adding to `problems` all that is wrong with it. */
export function compileRoute(definition: RouteDefinition, index: number, problems: RouteProblem[]): Route | undefined {
  const before = problems.length;
  const report: Report = (field, value, { message, wayOut }) => {
    problems.push({ path: [index, ...field], value, message, wayOut });
  };
  const { name, to } = definition;
  if (name === '')
    report(['name'], name, problem('the name of a route is empty', 'give it a name, or leave `name` out'));
  const source = sourceOf(definition, report);
  // What the templates may name is not known then: half a filter would make false problems.
  if (source === undefined) return undefined;
  const filter = source.kind === 'filter' ? source : undefined;
  const reader = new Reader(source.names, report);

  const toTemplate = reader.template(['to'], to);
  if (toTemplate !== undefined) {
    const fault = targetProblem(toTemplate, filter);
    if (fault !== undefined) report(['to'], to, fault);
  }
  const keyText = definition.key === undefined ? DEFAULT_KEY : definition.key;
  const key = keyText === null ? null : reader.template(['key'], keyText);
  if (keyText === '') {
    report(['key'], '', problem('the key is empty', 'write null for records without a key, or a template: {clientId}'));
  }
  const headers = reader.headers(definition.headers ?? {});
  const partition = reader.optional('partition', definition.partition?.toString());
  const timestamp = reader.optional('timestamp', definition.timestamp);
  const when = reader.condition(definition.when);
  const topics = new TopicRules(definition.topics);
  for (const fault of topics.problems) report(['topics', 'allow'], fault.value, fault);
  if (problems.length > before || toTemplate === undefined || key === undefined) return undefined;

  const templates = [toTemplate, key, partition, timestamp, ...headers.map((header) => header.value)].filter(
    (each) => each !== undefined && each !== null,
  );
  const headerNames = new Set(headers.map((header) => foldHeaderName(header.name)));
  const setsContentType = headerNames.has(CONTENT_TYPE) || definition.value === 'cloudevents';
  if (definition.value === 'cloudevents') for (const each of CLOUD_EVENT_HEADERS) headerNames.add(each);
  const conditions = {
    qos: definition.qos === undefined ? undefined : new Set(definition.qos),
    onlyRetained: definition.onlyRetained ?? false,
    sample: definition.sample ?? 1,
    expireMs: definition.expireMs ?? Infinity,
    honorMessageExpiry: definition.honorMessageExpiry ?? false,
  };
  const unconditional =
    when === undefined &&
    conditions.qos === undefined &&
    !conditions.onlyRetained &&
    conditions.sample >= 1 &&
    conditions.expireMs === Infinity &&
    !conditions.honorMessageExpiry;
  return {
    index,
    name,
    filter,
    regex: source.kind === 'regex' ? source : undefined,
    to: toTemplate,
    key,
    headers,
    headerNames,
    headersTopicOnly: headers.every((header) => header.value.topicOnly),
    setsContentType,
    usesTopic: source.names.length > 0 || templates.some((each) => each.usesTopic),
    partition,
    timestamp,
    timestampUnit: definition.timestampUnit ?? 'ms',
    when,
    ...conditions,
    priority: definition.priority ?? 0,
    stop: definition.stop ?? false,
    topics,
    onInvalid: definition.onInvalid ?? 'deadLetter',
    needsPayload: [toTemplate, key, partition, timestamp].some((each) => each?.usesPayload === true),
    readsPayload: templates.some((each) => each.usesPayload),
    plain:
      unconditional &&
      partition === undefined &&
      timestamp === undefined &&
      templates.every((each) => each.total && !each.usesPayload),
  };
}

function sourceOf({ from, regex }: RouteDefinition, report: Report): Filter | TopicRegex | undefined {
  const [field, text, parsed] =
    regex === undefined
      ? (['from', from ?? '', parseFilter(from ?? '')] as const)
      : (['regex', regex, parseTopicRegex(regex)] as const);
  return isProblem(parsed) ? report([field], text, parsed) : parsed;
}

/** What can be said of a Kafka topic before there is a message. `filter`: where the route has one. */
function targetProblem(to: Template, filter: Filter | undefined): TextProblem | undefined {
  if (to.constant !== undefined) {
    const fault = kafkaTopicFault(to.constant);
    return fault === undefined
      ? undefined
      : problem(`${quoted(to.constant)} is no Kafka topic: ${fault}`, 'name a topic that Kafka allows');
  }
  for (const literal of to.literals) {
    const illegal = illegalCharacterOf(literal);
    if (illegal !== undefined) {
      return problem(
        `no Kafka topic can be made of it: it holds ${illegal}`,
        'Kafka allows a-z A-Z 0-9 . _ - in topics',
      );
    }
  }
  if (kafkaTopicFault(`${to.literals.join('')}x`) !== undefined) {
    return problem('no Kafka topic can be made of it: its text alone is too long', 'Kafka allows 249 characters');
  }
  // A topic of two levels and more holds slashes. `a/#` also matches `a`.
  const levels = filter?.levels ?? [];
  const fewestLevels = levels.length - (levels.at(-1)?.kind === 'rest' ? 1 : 0);
  if (to.names.includes('topic') && fewestLevels > 1) {
    return problem(
      'no Kafka topic can be made of it: {topic} holds slashes with this filter',
      'name the levels of `from` and use their names: {deviceId}',
    );
  }
  return undefined;
}

function headerNameProblem(name: string): TextProblem | undefined {
  if (name === '') return problem('the name of a header is empty', 'give it a name');
  if (!isReservedHeaderName(name)) return undefined;
  return problem(
    `the header name ${quoted(name)} is taken`,
    'names that begin with sluice- or mqtt- are written by sluice',
  );
}
