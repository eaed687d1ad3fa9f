/**
 * The template of an MQTT topic, made from a record: text with `{key}`, `{topic}`, `{partition}`, `{offset}`, `{header.NAME}`,
 * `{value}` and `{value.PATH}`. `{{` and `}}` are literal braces.
 *
 * A name stands for one level: what it puts in holds no `/`, so that a record cannot choose a topic that the template does not
 * mean. Where the template is one name and nothing else, the record is meant to choose, and it may.
 */
import type { SourceRecord } from '../kafka/record-source.ts';
import { parsePayloadPath, textOf, valueAt, type PayloadPath } from '../routes/payload-path.ts';
import { closest, isProblem, problem, quoted, type TextProblem } from '../routes/problem.ts';

type Source =
  | { readonly kind: 'key' | 'topic' | 'partition' | 'offset' | 'value' }
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'field'; readonly path: PayloadPath };

type Part = string | { readonly name: string; readonly source: Source };

const PLAIN = ['key', 'topic', 'partition', 'offset', 'value'] as const;
const KNOWN = '{key}, {topic}, {partition}, {offset}, {header.NAME}, {value}, {value.PATH}';
const TOPIC_MAX_BYTES = 65_535;

/** What a record lacks, or has and may not have. */
export interface TopicFault {
  readonly kind: 'fault';
  readonly reason: string;
}

export class TopicTemplate {
  readonly kind = 'template';
  readonly #parts: readonly Part[];

  constructor(parts: readonly Part[]) {
    this.#parts = parts;
  }

  /** It needs the value parsed. */
  get usesFields(): boolean {
    return this.#parts.some((part) => typeof part === 'object' && part.source.kind === 'field');
  }

  /** The topic without what records put in, for checks. */
  get literal(): string {
    return this.#parts.map((part) => (typeof part === 'string' ? part : 'x')).join('');
  }

  render(record: SourceRecord, value: unknown): string | TopicFault {
    const whole = this.#parts.length === 1;
    let topic = '';
    for (const part of this.#parts) {
      if (typeof part === 'string') {
        topic += part;
        continue;
      }
      const text = textFor(part.source, record, value);
      if (text === undefined || text === '') return fault(`the record has nothing for {${part.name}}`);
      // What is no UTF-8 has become this.
      if (text.includes('\ufffd')) return fault(`{${part.name}} is not a text`);
      const forbidden = whole ? /[+#\0]/.exec(text) : /[+#\0/]/.exec(text);
      if (forbidden !== null)
        return fault(`{${part.name}} holds ${quoted(forbidden[0])}, which may not be in a topic here: ${quoted(text)}`);
      topic += text;
    }
    if (topic.startsWith('$')) return fault(`topics that begin with $ are not for downlinks: ${quoted(topic)}`);
    return Buffer.byteLength(topic) > TOPIC_MAX_BYTES ? fault('the topic is longer than 65535 bytes') : topic;
  }
}

function fault(reason: string): TopicFault {
  return { kind: 'fault', reason };
}

function textFor(source: Source, record: SourceRecord, value: unknown): string | undefined {
  switch (source.kind) {
    case 'key':
      return record.key?.toString();
    case 'value':
      return record.value?.toString();
    case 'topic':
      return record.topic;
    case 'partition':
    case 'offset':
      return String(record[source.kind]);
    case 'header':
      // The last of a name counts, as it does for the Java client.
      return record.headers.findLast(([name]) => name === source.name)?.[1].toString();
    case 'field':
      return textOf(valueAt(value, source.path));
  }
}

export function parseTopicTemplate(text: string): TopicTemplate | TextProblem {
  const parts: Part[] = [];
  let literal = '';
  for (const token of text.split(/(\{\{|\}\}|\{[^{}]*\})/)) {
    if (token === '{{' || token === '}}') literal += token[0];
    else if (token.length > 1 && token.startsWith('{') && token.endsWith('}')) {
      const name = token.slice(1, -1);
      const source = parseSource(name);
      if (source.kind === 'problem') return source;
      if (literal !== '') parts.push(literal);
      literal = '';
      parts.push({ name, source });
    } else if (/[{}]/.test(token)) {
      return problem(`a brace without its other half in ${quoted(text)}`, 'write {name}, or {{ for a literal brace');
    } else literal += token;
  }
  if (literal !== '' || parts.length === 0) parts.push(literal);
  return new TopicTemplate(parts);
}

function parseSource(name: string): Source | TextProblem {
  for (const kind of PLAIN) if (name === kind) return { kind };
  if (name.startsWith('header.') && name.length > 'header.'.length)
    return { kind: 'header', name: name.slice('header.'.length) };
  if (name.startsWith('value.') || name.startsWith('value[')) {
    const path = parsePayloadPath(name.slice(name.startsWith('value.') ? 'value.'.length : 'value'.length));
    return isProblem(path) ? path : { kind: 'field', path };
  }
  const near = closest(name.trim(), PLAIN);
  return problem(
    `unknown name {${quoted(name).slice(1, -1)}}`,
    near === undefined ? `known here: ${KNOWN}` : `did you mean {${near}}? Known here: ${KNOWN}`,
  );
}
