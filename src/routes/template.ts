/**
 * Templates of routes: text with `{name}`, where a name is clientId, topic, user, or a named level of the route's filter.
 * `{{` and `}}` are literal braces.
 */
import { MESSAGE_NAMES } from './filter.ts';
import { closest, problem, quoted, type TextProblem } from './problem.ts';

/** What a template may speak of. A Message is one, but for the levels. */
export interface TemplateMessage {
  readonly clientId: string;
  readonly topic: string;
  /** '' where the client is anonymous. */
  readonly user: string;
}

type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: (typeof MESSAGE_NAMES)[number] }
  /** An index into the values of the named levels. */
  | { readonly kind: 'level'; readonly index: number };

export class Template {
  readonly kind = 'template';
  readonly text: string;
  /** The names it uses, each once, in order of appearance. */
  readonly names: readonly string[];
  /** What it renders to whatever the message, where it uses no name. */
  readonly constant: string | undefined;
  /** Its value depends on nothing but the MQTT topic. */
  readonly topicOnly: boolean;
  /** Its value depends on the MQTT topic. */
  readonly usesTopic: boolean;
  readonly #parts: readonly Part[];

  constructor(text: string, names: readonly string[], parts: readonly Part[]) {
    this.text = text;
    this.names = names;
    this.#parts = parts;
    this.constant = parts.every((part) => part.kind === 'text') ? parts.map((part) => part.text).join('') : undefined;
    this.topicOnly = !parts.some((part) => part.kind === 'clientId' || part.kind === 'user');
    this.usesTopic = parts.some((part) => part.kind === 'topic' || part.kind === 'level');
  }

  /** Text between the names, unescaped. */
  get literals(): readonly string[] {
    return this.#parts.flatMap((part) => (part.kind === 'text' ? [part.text] : []));
  }

  /** `levels` are the values of the filter's named levels, in their order. */
  render(message: TemplateMessage, levels: readonly string[]): string {
    if (this.constant !== undefined) return this.constant;
    let text = '';
    for (const part of this.#parts) text += partValue(part, message, levels);
    return text;
  }
}

function partValue(part: Part, message: TemplateMessage, levels: readonly string[]): string {
  switch (part.kind) {
    case 'text':
      return part.text;
    case 'clientId':
      return message.clientId;
    case 'topic':
      return message.topic;
    case 'user':
      return message.user;
    case 'level':
      return levels[part.index] ?? '';
  }
}

/** `levelNames` are the named levels of the filter that the template goes with. */
export function parseTemplate(text: string, levelNames: readonly string[] = []): Template | TextProblem {
  const parts: Part[] = [];
  const names: string[] = [];
  let literal = '';
  let at = 0;
  while (at < text.length) {
    const brace = nextBrace(text, at);
    literal += text.slice(at, brace);
    if (brace === text.length) break;
    if (text[brace + 1] === text[brace]) {
      literal += text[brace];
      at = brace + 2;
      continue;
    }
    if (text[brace] === '}') {
      return problem(`} without its { at character ${brace + 1} of ${quoted(text)}`, 'write }} for a literal brace');
    }
    const close = nextBrace(text, brace + 1);
    if (text[close] !== '}') {
      return problem(
        `{ is not closed at character ${brace + 1} of ${quoted(text)}`,
        'write {name}, or {{ for a literal brace',
      );
    }
    const name = text.slice(brace + 1, close);
    const part = namedPart(name, levelNames);
    if (part.kind === 'problem') return part;
    if (literal !== '') parts.push({ kind: 'text', text: literal });
    literal = '';
    parts.push(part);
    if (!names.includes(name)) names.push(name);
    at = close + 1;
  }
  if (literal !== '') parts.push({ kind: 'text', text: literal });
  return new Template(text, names, parts);
}

/** Where the next brace is, or the end of the text. */
function nextBrace(text: string, from: number): number {
  for (let at = from; at < text.length; at++) if (text[at] === '{' || text[at] === '}') return at;
  return text.length;
}

function namedPart(name: string, levelNames: readonly string[]): Part | TextProblem {
  const known = [...MESSAGE_NAMES, ...levelNames];
  const listed = known.map((each) => `{${each}}`).join(', ');
  if (name === '') return problem('an empty name: {}', `write one of ${listed}, or {{}} for literal braces`);
  const index = levelNames.indexOf(name);
  if (index >= 0) return { kind: 'level', index };
  if (name === 'clientId' || name === 'topic' || name === 'user') return { kind: name };
  const near = closest(name.trim(), known);
  return problem(
    `unknown name {${quoted(name).slice(1, -1)}}`,
    near === undefined
      ? `known here: ${listed}; a level of 'from' gets a name by writing it there`
      : `did you mean {${near}}? Known here: ${listed}`,
  );
}
