/**
 * Templates of routes: text with `{name}`; source.ts says what a name may be. `{name:-text}` is the text where the message
 * has no such thing, or an empty one. `{{` and `}}` are literal braces.
 */
import { MESSAGE_NAMES } from './filter.ts';
import { closest, isProblem, problem, quoted, type TextProblem } from './problem.ts';
import { FURTHER_NAMES, knownNames, parseSource, sourceValue, type Source, type TemplateMessage } from './source.ts';

export type { TemplateMessage } from './source.ts';

type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'name'; readonly name: string; readonly source: Source; readonly fallback: string | undefined };

type NamePart = Extract<Part, { kind: 'name' }>;

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
  /** It needs the payload parsed. */
  readonly usesPayload: boolean;
  /** Every message has what it names. */
  readonly total: boolean;
  readonly #parts: readonly Part[];

  constructor(text: string, names: readonly string[], parts: readonly Part[]) {
    this.text = text;
    this.names = names;
    this.#parts = parts;
    const named = parts.filter((part): part is NamePart => part.kind === 'name');
    const kinds = named.map(({ source }) => source.kind);
    const ofTopic = (kind: Source['kind']): boolean => kind === 'topic' || kind === 'level' || kind === 'topicLevel';
    this.constant =
      named.length === 0 ? parts.map((part) => (part.kind === 'text' ? part.text : '')).join('') : undefined;
    this.topicOnly = kinds.every(ofTopic);
    this.usesTopic = kinds.some(ofTopic);
    this.usesPayload = kinds.includes('payload');
    this.total = named.every(({ source, fallback }) => fallback !== undefined || isTotal(source));
  }

  /** Text between the names, unescaped. */
  get literals(): readonly string[] {
    return this.#parts.flatMap((part) => (part.kind === 'text' ? [part.text] : []));
  }

  /**
   * `levels` are the values of the filter's named levels, in their order; `payload` is the parsed payload, where the template
   * uses it. undefined: the message has not what the template names, see missing().
   */
  render(message: TemplateMessage, levels: readonly string[], payload?: unknown): string | undefined {
    if (this.constant !== undefined) return this.constant;
    let text = '';
    for (const part of this.#parts) {
      if (part.kind === 'text') {
        text += part.text;
        continue;
      }
      const value = valueOf(part, message, levels, payload);
      if (value === undefined) return undefined;
      text += value;
    }
    return text;
  }

  /** The first name that the message has nothing for. */
  missing(message: TemplateMessage, levels: readonly string[], payload?: unknown): string | undefined {
    const isMissing = (part: Part): part is NamePart =>
      part.kind === 'name' && valueOf(part, message, levels, payload) === undefined;
    return this.#parts.find(isMissing)?.name;
  }
}

function valueOf(
  { source, fallback }: NamePart,
  message: TemplateMessage,
  levels: readonly string[],
  payload: unknown,
): string | undefined {
  const value = sourceValue(source, message, levels, payload);
  return fallback !== undefined && (value === undefined || value === '') ? fallback : value;
}

/** Every message has it, be it empty. */
function isTotal({ kind }: Source): boolean {
  return ['clientId', 'topic', 'user', 'level', 'topicLevel', 'qos', 'retain', 'time'].includes(kind);
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
    const part = namedPart(text.slice(brace + 1, close), levelNames);
    if (isProblem(part)) return part;
    if (literal !== '') parts.push({ kind: 'text', text: literal });
    literal = '';
    parts.push(part);
    if (!names.includes(part.name)) names.push(part.name);
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

function namedPart(text: string, levelNames: readonly string[]): NamePart | TextProblem {
  const cut = text.indexOf(':-');
  const name = cut < 0 ? text : text.slice(0, cut);
  const known = [...MESSAGE_NAMES, ...levelNames];
  const listed = known.map((each) => `{${each}}`).join(', ');
  if (name === '') return problem('an empty name: {}', `write one of ${listed}, or {{}} for literal braces`);
  const source = parseSource(name, levelNames);
  if (source !== undefined && source.kind === 'problem') return source;
  if (source !== undefined) {
    return { kind: 'name', name, source, fallback: cut < 0 ? undefined : text.slice(cut + 2) };
  }
  const near = closest(name.trim(), [...known, ...knownNames]);
  return problem(
    `unknown name {${quoted(name).slice(1, -1)}}`,
    near === undefined
      ? `known here: ${listed}, and ${FURTHER_NAMES}; a level of 'from' gets a name by writing it there`
      : `did you mean {${near}}? Known here: ${listed}, and ${FURTHER_NAMES}`,
  );
}
