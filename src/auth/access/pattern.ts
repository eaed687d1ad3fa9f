/**
 * Topic patterns of access rules: MQTT filters (MQTT 4.7) whose levels may hold `{clientId}`, `{user}` and attributes of the
 * identity such as `{cert.cn}`. What a client chose or proved can never widen a pattern: a value stands for itself, inside
 * one level. One that could mean more (`/`, `+`, `#`, U+0000, nothing at all, a `$` where the topic begins) has no level of
 * its own: in an allow rule its pattern matches nothing, in a deny rule the level matches whatever is there.
 */

/** As for routes: no pattern needs more. */
export const PATTERN_MAX_LEVELS = 128;

/** Who asks. Attributes come from how the identity was proved: `cert.cn`, `jwt.tenant`. */
export interface Subject {
  readonly clientId: string;
  /** '' where there is none. */
  readonly user: string;
  readonly attributes: ReadonlyMap<string, string>;
}

type Part = { readonly text: string } | { readonly name: string };

interface Level {
  readonly kind: 'parts' | 'single' | 'rest';
  /** Of 'parts': what its text is made of. */
  readonly parts: readonly Part[];
}

export interface Pattern {
  readonly text: string;
  readonly levels: readonly Level[];
  /** It holds names: bound for each subject. */
  readonly personal: boolean;
}

export interface PatternProblem {
  readonly message: string;
  readonly wayOut: string;
}

/** A pattern with the values of a subject in it: each level its text, or null for any. */
export interface BoundPattern {
  readonly levels: readonly (string | null)[];
  /** It ends with `#`, which is not among the levels. */
  readonly rest: boolean;
  /** Only what is written with a `$` matches topics that begin with one ([MQTT-4.7.2-1], and stricter). */
  readonly dollar: boolean;
}

const attributeName = /^[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)+$/;

export function isPatternProblem(parsed: Pattern | PatternProblem): parsed is PatternProblem {
  return 'message' in parsed;
}

export function parsePattern(text: string): Pattern | PatternProblem {
  if (text === '')
    return { message: 'the pattern is empty', wayOut: 'write a topic filter, such as devices/{clientId}/#' };
  if (text.includes('\0') || /\p{Cs}/u.test(text)) {
    return {
      message: 'the pattern holds characters that no topic may hold',
      wayOut: 'remove U+0000 and lone surrogates',
    };
  }
  if (text === '$share' || text.startsWith('$share/')) {
    return {
      message: `"${text}" is a shared subscription, not a topic filter`,
      wayOut: 'write the filter alone: it decides about shared subscriptions of that filter, too',
    };
  }
  const texts = text.split('/');
  if (texts.length > PATTERN_MAX_LEVELS) {
    return { message: `the pattern has more than ${PATTERN_MAX_LEVELS} levels`, wayOut: 'end it earlier, with #' };
  }
  const levels: Level[] = [];
  for (const [index, level] of texts.entries()) {
    if (level === '#' && index < texts.length - 1) {
      return { message: '# is not the last level', wayOut: 'end the pattern with #, or write + for a single level' };
    }
    const parsed = parseLevel(level);
    if ('message' in parsed) return parsed;
    levels.push(parsed);
  }
  const personal = levels.some(({ parts }) => parts.some((part) => 'name' in part));
  return { text, levels, personal };
}

function parseLevel(text: string): Level | PatternProblem {
  if (text === '#') return { kind: 'rest', parts: [] };
  if (text === '+') return { kind: 'single', parts: [] };
  const parts: Part[] = [];
  for (const piece of text.split(/(\{[^{}]*\})/)) {
    if (piece === '') continue;
    if (!piece.startsWith('{') || !piece.endsWith('}')) {
      if (/[{}]/.test(piece)) {
        return { message: `a brace in "${text}" has no partner`, wayOut: 'write names as {clientId}' };
      }
      if (/[+#]/.test(piece)) {
        return { message: `"${text}" mixes a wildcard with text`, wayOut: '+ and # stand alone between slashes' };
      }
      parts.push({ text: piece });
      continue;
    }
    const name = piece.slice(1, -1);
    if (name !== 'clientId' && name !== 'user' && !attributeName.test(name)) {
      return {
        message: `unknown name {${name}}`,
        wayOut: 'known are {clientId}, {user}, and attributes of the identity such as {cert.cn} or {jwt.tenant}',
      };
    }
    parts.push({ name });
  }
  return { kind: 'parts', parts: parts.length === 0 ? [{ text: '' }] : parts };
}

/** undefined: matches nothing for this subject. */
export function bindPattern(pattern: Pattern, subject: Subject, effect: 'allow' | 'deny'): BoundPattern | undefined {
  const levels: (string | null)[] = [];
  let rest = false;
  let dollar = false;
  for (const [index, level] of pattern.levels.entries()) {
    if (level.kind === 'rest') {
      rest = true;
    } else if (level.kind === 'single') {
      levels.push(null);
    } else {
      const written = startsWithDollar(level);
      if (index === 0) dollar = written;
      const text = levelText(level, subject);
      const unsafe = text === undefined || (index === 0 && !written && text.startsWith('$'));
      if (unsafe && effect === 'allow') return undefined;
      levels.push(unsafe ? null : text);
    }
  }
  return { levels, rest, dollar };
}

function startsWithDollar({ parts }: Level): boolean {
  const [first] = parts;
  return first !== undefined && 'text' in first && first.text.startsWith('$');
}

function levelText({ parts }: Level, subject: Subject): string | undefined {
  let text = '';
  for (const part of parts) {
    if ('text' in part) {
      text += part.text;
      continue;
    }
    const value = valueOf(subject, part.name);
    if (value === undefined || value === '' || /[/+#\0]/.test(value)) return undefined;
    text += value;
  }
  return text;
}

function valueOf(subject: Subject, name: string): string | undefined {
  if (name === 'clientId') return subject.clientId;
  if (name === 'user') return subject.user;
  return subject.attributes.get(name);
}

/** Whether it matches the topic name, given as its levels. */
export function matchesTopic(pattern: BoundPattern, topic: readonly string[]): boolean {
  const { levels, rest, dollar } = pattern;
  if (rest ? topic.length < levels.length : topic.length !== levels.length) return false;
  if (!dollar && topic[0]?.startsWith('$') === true) return false;
  for (const [index, level] of levels.entries()) {
    if (level !== null && level !== topic[index]) return false;
  }
  return true;
}

/** Whether it matches every topic that the filter matches, given as its levels. */
export function containsFilter(pattern: BoundPattern, filter: readonly string[]): boolean {
  const { levels, rest, dollar } = pattern;
  const filterRest = filter.at(-1) === '#';
  const filterLevels = filterRest ? filter.length - 1 : filter.length;
  if (!dollar && filter[0]?.startsWith('$') === true) return false;
  if (filterRest && !rest) return false;
  // A topic has one level at least: `#` means the same as `+/#`.
  if (filterRest && filterLevels === 0) return levels.length === 0 || (levels.length === 1 && levels[0] === null);
  if (rest ? filterLevels < levels.length : filterLevels !== levels.length) return false;
  for (const [index, level] of levels.entries()) {
    // A `+` of the filter equals no text: none is "+", see levelText().
    if (level !== null && level !== filter[index]) return false;
  }
  return true;
}
