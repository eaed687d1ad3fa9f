/**
 * MQTT topic filters (MQTT 4.7) with named levels: `devices/{deviceId}/telemetry` matches what `devices/+/telemetry`
 * matches, and hands the level to templates under its name. Levels may be empty, also a named one (4.7.1.3).
 */
import { SluiceError } from '../errors.ts';
import { isProblem, problem, problemText, quoted, type TextProblem } from './problem.ts';

/** [MQTT-4.7.3-3] */
export const TOPIC_MAX_BYTES = 65_535;
/** A bound of our own: no filter needs more, and it bounds the depth of the router's trie. */
export const FILTER_MAX_LEVELS = 128;
/** Names that templates have anyway: a level of the same name would be ambiguous. */
export const MESSAGE_NAMES = ['clientId', 'topic', 'user'] as const;

const namePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;

export type FilterLevel =
  | { readonly kind: 'literal'; readonly text: string }
  /** `+` (name undefined) or `{name}`. */
  | { readonly kind: 'single'; readonly name: string | undefined }
  /** `#`, last: this level and all below, and the parent ([MQTT-4.7.1-2]). */
  | { readonly kind: 'rest' };

export interface Filter {
  readonly kind: 'filter';
  readonly text: string;
  readonly levels: readonly FilterLevel[];
  /** Names of the named levels, in order of appearance. */
  readonly names: readonly string[];
  /** Which level each name stands for; parallel to `names`. */
  readonly nameLevels: readonly number[];
}

/** What is wrong with a filter and the way out; undefined: nothing. */
export function validateFilter(filter: string): string | undefined {
  const parsed = parseFilter(filter);
  return isProblem(parsed) ? problemText(parsed) : undefined;
}

export function parseFilter(text: string): Filter | TextProblem {
  const characters = characterProblem(text, 'a topic filter');
  if (characters !== undefined) return characters;
  if (text === '$share' || text.startsWith('$share/')) {
    return problem(
      `${quoted(text)} is a shared subscription, not a topic filter`,
      'write the filter alone, without $share/GROUP/: each message is routed once, however many instances run',
    );
  }
  const parts = text.split('/', FILTER_MAX_LEVELS + 1);
  if (parts.length > FILTER_MAX_LEVELS) {
    return problem(`the filter has more than ${FILTER_MAX_LEVELS} levels`, 'end it earlier, with #');
  }
  const levels: FilterLevel[] = [];
  const names: string[] = [];
  const nameLevels: number[] = [];
  for (const [index, part] of parts.entries()) {
    const level = parseLevel(part, index === parts.length - 1);
    if (isProblem(level)) return level;
    levels.push(level);
    if (level.kind !== 'single' || level.name === undefined) continue;
    if (names.includes(level.name)) {
      return problem(
        `the name {${level.name}} stands for two levels`,
        'give each level its own name, or write + for one',
      );
    }
    names.push(level.name);
    nameLevels.push(index);
  }
  return { kind: 'filter', text, levels, names, nameLevels };
}

function parseLevel(part: string, last: boolean): FilterLevel | TextProblem {
  if (part === '+') return { kind: 'single', name: undefined };
  if (part === '#') {
    return last
      ? { kind: 'rest' }
      : problem('# is not the last level', 'end the filter after #, or write + for one level');
  }
  // [MQTT-4.7.1-1], [MQTT-4.7.1-2]: a wildcard occupies a whole level.
  if (part.includes('#')) {
    return problem(
      `# shares the level ${quoted(part)} with other characters`,
      'put a / before #: it stands for whole levels',
    );
  }
  if (part.includes('+')) {
    return problem(
      `+ shares the level ${quoted(part)} with other characters`,
      'write + alone: it stands for a whole level',
    );
  }
  if (!/[{}]/.test(part)) return { kind: 'literal', text: part };
  if (!part.startsWith('{') || !part.endsWith('}') || /[{}]/.test(part.slice(1, -1))) {
    return problem(
      `the level ${quoted(part)} holds a brace that is not part of one {name}`,
      'write {name} alone, for a whole level; to match levels that hold braces, write + or {name}',
    );
  }
  const name = part.slice(1, -1);
  return levelNameProblem(name) ?? { kind: 'single', name };
}

/** Why a level, or a group of a regular expression, cannot have this name. */
export function levelNameProblem(name: string): TextProblem | undefined {
  if (!namePattern.test(name)) {
    return problem(
      name === '' ? 'a level has an empty name: {}' : `${quoted(name)} is not a name for a level`,
      'a name is letters, digits and _, and does not start with a digit: {deviceId}; + needs no name',
    );
  }
  if ((MESSAGE_NAMES as readonly string[]).includes(name)) {
    return problem(
      `{${name}} is a name that every message has, not a name for a level`,
      name === 'clientId'
        ? 'name the level otherwise, e.g. {deviceId}'
        : `name the level otherwise, e.g. {${name}Level}`,
    );
  }
  return undefined;
}

/** What is wrong with a topic name that is published to, and the way out; undefined: nothing. */
export function validateTopicName(topic: string): string | undefined {
  const characters = characterProblem(topic, 'a topic name');
  if (characters !== undefined) return problemText(characters);
  // [MQTT-3.3.2-2], [MQTT-4.7.1-1]
  if (/[+#]/.test(topic)) {
    return problemText(
      problem(`the topic name ${quoted(topic)} holds a wildcard`, 'publish to a topic name without + and #'),
    );
  }
  return undefined;
}

function characterProblem(text: string, what: string): TextProblem | undefined {
  // [MQTT-4.7.3-1]
  if (text === '') return problem(`${what} is empty`, 'it has at least one character');
  // [MQTT-4.7.3-2]
  if (text.includes('\0')) return problem(`${what} holds U+0000: ${quoted(text)}`, 'take the character out');
  // [MQTT-1.5.4-1]: such text has no UTF-8 form.
  if (/\p{Cs}/u.test(text)) return problem(`${what} holds half a surrogate pair: ${quoted(text)}`, 'take it out');
  const bytes = Buffer.byteLength(text);
  if (bytes > TOPIC_MAX_BYTES) {
    return problem(`${what} has ${bytes} bytes in UTF-8`, `MQTT allows ${TOPIC_MAX_BYTES}: shorten it`);
  }
  return undefined;
}

/** One filter, compiled, for what asks about a filter alone. The router has all routes in one trie. */
export class FilterMatcher {
  readonly filter: Filter;

  constructor(filter: Filter) {
    this.filter = filter;
  }

  matches(topic: string): boolean {
    return this.#matches(topic.split('/', FILTER_MAX_LEVELS + 1));
  }

  /** The values of the named levels, parallel to `filter.names`; undefined: the topic does not match. */
  match(topic: string): readonly string[] | undefined {
    const parts = topic.split('/', FILTER_MAX_LEVELS + 1);
    return this.#matches(parts) ? this.filter.nameLevels.map((index) => parts[index] ?? '') : undefined;
  }

  #matches(parts: readonly string[]): boolean {
    const { levels } = this.filter;
    // [MQTT-4.7.2-1]: a wildcard at the first level does not match topics that begin with $.
    if (parts[0]?.startsWith('$') === true && levels[0]?.kind !== 'literal') return false;
    for (const [index, level] of levels.entries()) {
      if (level.kind === 'rest') return true;
      if (index >= parts.length) return false;
      if (level.kind === 'literal' && level.text !== parts[index]) return false;
      // `sport/#` also matches `sport` (4.7.1.2).
      if (index === parts.length - 1 && levels[index + 1]?.kind === 'rest') return true;
    }
    return parts.length === levels.length;
  }
}

/** @throws SluiceError CONFIG_INVALID when the filter is not valid */
export function compileFilter(text: string): FilterMatcher {
  const parsed = parseFilter(text);
  if (isProblem(parsed)) throw new SluiceError('CONFIG_INVALID', parsed.message, { hint: parsed.wayOut });
  return new FilterMatcher(parsed);
}
