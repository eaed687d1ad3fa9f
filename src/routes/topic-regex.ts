/**
 * Routes by regular expression. All of them are one automaton (RE2: linear in the length of the topic, without backtracking,
 * look-around and back references), so that a topic is read once, however many there are. Named groups are named levels.
 */
import { RE2JS, RE2Set } from 're2js';
import { errorText } from '../errors.ts';
import { levelNameProblem } from './filter.ts';
import { isProblem, problem, quoted, type TextProblem } from './problem.ts';

/** Longer topics match no regular expression: it bounds what one message may cost. */
export const REGEX_TOPIC_MAX_CHARACTERS = 1_024;
export const REGEX_MAX_CHARACTERS = 500;
/** Instructions of the compiled form, which `{n,m}` can make many. */
const PROGRAM_MAX = 2_000;
export const REGEX_ROUTES_MAX = 1_000;

export interface TopicRegex {
  readonly kind: 'regex';
  readonly text: string;
  /** Names of the named groups, in their order. */
  readonly names: readonly string[];
  /** Values of the named groups, parallel to `names`; undefined: no match. */
  match(topic: string): readonly string[] | undefined;
}

export function parseTopicRegex(text: string): TopicRegex | TextProblem {
  if (text.length > REGEX_MAX_CHARACTERS) {
    return problem(`the expression has ${text.length} characters`, `${REGEX_MAX_CHARACTERS} are allowed: shorten it`);
  }
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(text);
  } catch (error) {
    return problem(
      `${quoted(text)} is no regular expression: ${errorText(error)}`,
      'the syntax is that of RE2, which has no look-around and no back references',
    );
  }
  if (compiled.programSize() > PROGRAM_MAX) {
    return problem(`${quoted(text)} is too large once its repetitions are counted`, 'repeat less: {n,m}');
  }
  const names = Object.keys(compiled.namedGroups());
  for (const name of names) {
    const wrong = levelNameProblem(name);
    if (wrong !== undefined) return wrong;
  }
  return {
    kind: 'regex',
    text,
    names,
    match(topic) {
      if (!mayMatch(text, topic)) return undefined;
      const matcher = compiled.matcher(topic);
      return matcher.matches() ? names.map((name) => matcher.group(name) ?? '') : undefined;
    },
  };
}

/** As with filters [MQTT-4.7.2-1]: topics that begin with $ are only for expressions that begin with one. */
function mayMatch(text: string, topic: string): boolean {
  return topic.length <= REGEX_TOPIC_MAX_CHARACTERS && (!topic.startsWith('$') || /^\^?\\\$/.test(text));
}

/** All expressions at once. */
export class RegexSet<Item extends { readonly regex: TopicRegex }> {
  readonly #items: readonly Item[];
  readonly #set: RE2Set | undefined;

  constructor(items: readonly Item[]) {
    this.#items = items;
    if (items.length === 0) return;
    this.#set = new RE2Set(RE2Set.ANCHOR_BOTH);
    for (const { regex } of items) this.#set.add(regex.text);
    this.#set.compile();
  }

  match(topic: string, found: (item: Item, values: readonly string[]) => void): void {
    if (this.#set === undefined || topic.length > REGEX_TOPIC_MAX_CHARACTERS) return;
    for (const index of this.#set.match(topic)) {
      const item = this.#items[index];
      const values = item?.regex.match(topic);
      if (item !== undefined && values !== undefined) found(item, values);
    }
  }
}

/** A pattern for texts of ours, such as names of Kafka topics: found anywhere in the text, unless it is anchored. */
export function parseNamePattern(text: string): ((name: string) => boolean) | TextProblem {
  const parsed = parseTopicRegex(text);
  if (isProblem(parsed)) return parsed;
  const compiled = RE2JS.compile(text);
  return (name) => compiled.test(name);
}
