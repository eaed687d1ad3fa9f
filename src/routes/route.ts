/** One route, checked and compiled. */
import { parseFilter, type Filter } from './filter.ts';
import { CONTENT_TYPE, foldHeaderName, isReservedHeaderName } from './header-names.ts';
import { illegalCharacterOf, kafkaTopicFault } from './kafka-topic.ts';
import { isProblem, problem, quoted, type TextProblem } from './problem.ts';
import { parseTemplate, type Template } from './template.ts';

/** A route as it is configured. */
export interface RouteDefinition {
  /** Unique: it tells the records of one message apart. */
  readonly name: string;
  /** MQTT topic filter, with named levels. */
  readonly from: string;
  /** Kafka topic, a template. */
  readonly to: string;
  /** Record key, a template. Default `{clientId}`; null: records without a key, in no order. */
  readonly key?: string | null | undefined;
  /** Name to template. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export interface RouteHeader {
  readonly name: string;
  readonly value: Template;
}

export interface Route {
  /** Place among the routes, from 0. */
  readonly index: number;
  readonly name: string;
  readonly filter: Filter;
  readonly to: Template;
  readonly key: Template | null;
  readonly headers: readonly RouteHeader[];
  /** Folded names of `headers`: not for user properties. */
  readonly headerNames: ReadonlySet<string>;
  /** The headers' values depend on nothing but the MQTT topic. */
  readonly headersTopicOnly: boolean;
  /** The route sets content-type itself. */
  readonly setsContentType: boolean;
  /** Some template depends on the MQTT topic. */
  readonly usesTopic: boolean;
}

export interface RouteProblem {
  /** Below `routes`, e.g. [3, 'to'] or [3, 'headers', 'device']. */
  readonly path: readonly (string | number)[];
  readonly value: string;
  readonly message: string;
  readonly wayOut: string;
}

export const DEFAULT_KEY = '{clientId}';

/** The compiled route, or undefined after adding to `problems` all that is wrong with it. */
export function compileRoute(definition: RouteDefinition, index: number, problems: RouteProblem[]): Route | undefined {
  const before = problems.length;
  const report = (field: readonly string[], value: string, { message, wayOut }: TextProblem): undefined => {
    problems.push({ path: [index, ...field], value, message, wayOut });
  };
  const template = (field: readonly string[], text: string, levelNames: readonly string[]): Template | undefined => {
    const parsed = parseTemplate(text, levelNames);
    return isProblem(parsed) ? report(field, text, parsed) : parsed;
  };

  const { name, from, to } = definition;
  if (name === '')
    report(['name'], name, problem('the name of a route is empty', 'give it a name, or leave `name` out'));
  const filter = parseFilter(from);
  if (isProblem(filter)) {
    report(['from'], from, filter);
    // What the templates may name is not known now: half a filter would make false problems.
    return undefined;
  }
  const toTemplate = template(['to'], to, filter.names);
  if (toTemplate !== undefined) {
    const fault = targetProblem(toTemplate, filter);
    if (fault !== undefined) report(['to'], to, fault);
  }
  const keyText = definition.key === undefined ? DEFAULT_KEY : definition.key;
  const key = keyText === null ? null : template(['key'], keyText, filter.names);
  if (keyText === '') {
    report(['key'], '', problem('the key is empty', 'write null for records without a key, or a template: {clientId}'));
  }
  const headers: RouteHeader[] = [];
  for (const [headerName, text] of Object.entries(definition.headers ?? {})) {
    const field = ['headers', headerName];
    const nameFault = headerNameProblem(headerName);
    if (nameFault !== undefined) report(field, text, nameFault);
    const value = template(field, text, filter.names);
    if (value !== undefined) headers.push({ name: headerName, value });
  }
  if (problems.length > before || toTemplate === undefined || key === undefined) return undefined;
  const templates = [toTemplate, ...(key === null ? [] : [key]), ...headers.map((header) => header.value)];
  const headerNames = new Set(headers.map((header) => foldHeaderName(header.name)));
  return {
    index,
    name,
    filter,
    to: toTemplate,
    key,
    headers,
    headerNames,
    headersTopicOnly: headers.every((header) => header.value.topicOnly),
    setsContentType: headerNames.has(CONTENT_TYPE),
    usesTopic: templates.some((each) => each.usesTopic),
  };
}

/** What can be said of a Kafka topic before there is a message. */
function targetProblem(to: Template, { levels }: Filter): TextProblem | undefined {
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
