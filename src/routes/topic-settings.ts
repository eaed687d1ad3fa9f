/** What routes ask of their Kafka topics: how they are created, and how their batches are compressed. */
import { problem } from './problem.ts';
import type { RouteProblem } from './route.ts';
import { parseTemplate } from './template.ts';

export interface TopicSettings {
  readonly compression?: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd' | undefined;
  readonly createTopic?:
    | {
        readonly partitions?: number | undefined;
        readonly replicationFactor?: number | undefined;
        readonly config?: Readonly<Record<string, string | number | boolean>> | undefined;
      }
    | undefined;
}

export interface TopicSettingsDefinition extends TopicSettings {
  readonly to: string;
}

export type FindTopicSettings = (topic: string) => TopicSettings | undefined;

/** By the name of the topic, for batches are of a topic and not of a route. The first route counts whose `to` can make it. */
export function topicSettings(definitions: readonly TopicSettingsDefinition[]): FindTopicSettings {
  const constant = new Map<string, TopicSettings>();
  const made: { readonly literals: readonly string[]; readonly settings: TopicSettings }[] = [];
  for (const settings of definitions) {
    if (settings.compression === undefined && settings.createTopic === undefined) continue;
    // What the names in it are is of no matter here: between its texts may be anything.
    const literals = settings.to.replaceAll(/\{\{|\}\}/g, '').split(/\{[^{}]*\}/);
    if (literals.length > 1) made.push({ literals, settings });
    else if (!constant.has(settings.to)) constant.set(settings.to, settings);
  }
  return (topic) => constant.get(topic) ?? made.find(({ literals }) => fits(topic, literals))?.settings;
}

/** The texts stand in the name in this order, the first at its start and the last at its end. */
function fits(topic: string, literals: readonly string[]): boolean {
  const [first = '', ...rest] = literals;
  const last = rest.pop() ?? '';
  if (!topic.startsWith(first)) return false;
  let at = first.length;
  for (const literal of rest) {
    const found = topic.indexOf(literal, at);
    if (found < 0) return false;
    at = found + literal.length;
  }
  return topic.endsWith(last) && topic.length - last.length >= at;
}

/** Two routes that share a topic and ask for different things. */
export function topicSettingsProblems(definitions: readonly TopicSettingsDefinition[]): RouteProblem[] {
  const problems: RouteProblem[] = [];
  for (const field of ['compression', 'createTopic'] as const) {
    const asked = new Map<string, { readonly index: number; readonly text: string }>();
    for (const [index, definition] of definitions.entries()) {
      const wanted = definition[field];
      const target = parseTemplate(definition.to);
      const topic = target.kind === 'template' ? (target.constant ?? definition.to) : definition.to;
      if (wanted === undefined) continue;
      const text = JSON.stringify(wanted);
      const other = asked.get(topic);
      if (other === undefined) asked.set(topic, { index, text });
      else if (other.text !== text) {
        const { message, wayOut } = problem(
          `routes[${other.index}] asks for something else for the same topic`,
          'say the same in both, or in one: it is a matter of the topic',
        );
        problems.push({ path: [index, field], value: text, message, wayOut });
      }
    }
  }
  return problems;
}
