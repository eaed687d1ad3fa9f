/**
 * What access rules mean, written a second time and in another way: by trying every topic. Shares no code with src/auth/access.
 *
 * A pattern is expanded into the regular expression of the topics that it allows. A filter is contained in a pattern when no
 * topic of a universe, made of the words that occur and of some that do not, is matched by the one and not by the other.
 */
import type { AccessRule } from '../../../src/auth/access/rules.ts';
import type { Subject } from '../../../src/auth/access/pattern.ts';

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Topics that an MQTT filter matches (MQTT 4.7), as a regular expression. */
export function filterExpression(filter: string): RegExp {
  let source = '';
  for (const [index, level] of filter.split('/').entries()) {
    if (level === '#') source += index === 0 ? '.*' : '(?:/.*)?';
    else source += (index === 0 ? '' : '/') + (level === '+' ? '[^/]*' : escape(level));
  }
  // [MQTT-4.7.2-1]
  return new RegExp(`^${/^[+#]/.test(filter) ? '(?![$])' : ''}${source}$`, 's');
}

/** The same for a pattern; undefined: matches nothing. */
function patternExpression(pattern: string, subject: Subject, effect: 'allow' | 'deny'): RegExp | undefined {
  const values: Record<string, unknown> = {
    ...Object.fromEntries(subject.attributes),
    clientId: subject.clientId,
    user: subject.user,
  };
  const levels: string[] = [];
  for (const [index, level] of pattern.split('/').entries()) {
    const filled = level.replace(/\{([^}]+)\}/g, (_, name: string) => {
      const value = values[name];
      return typeof value === 'string' && value !== '' && !/[/+#\0]/.test(value) ? value : '\0';
    });
    const sneaksIn = index === 0 && filled.startsWith('$') && !level.startsWith('$');
    if (!filled.includes('\0') && !sneaksIn) levels.push(filled);
    else if (effect === 'allow') return undefined;
    else levels.push('+');
  }
  return filterExpression(levels.join('/'));
}

function globExpression(glob: string): RegExp {
  return new RegExp(`^${escape(glob).replaceAll('\\*', '.*').replaceAll('\\?', '.')}$`, 's');
}

function isAbout(rule: AccessRule, subject: Subject): boolean {
  const fits = (globs: string | readonly string[] | undefined, value: string | undefined): boolean =>
    globs === undefined || (value !== undefined && [globs].flat().some((glob) => globExpression(glob).test(value)));
  return (
    fits(rule.user, subject.user) &&
    fits(rule.clientId, subject.clientId) &&
    Object.entries(rule.attributes ?? {}).every(([name, globs]) => fits(globs, subject.attributes.get(name)))
  );
}

export interface Question {
  readonly action: 'publish' | 'subscribe' | 'receive';
  /** Topic name, or filter of a subscription. */
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
}

/** `universe`: topics by which it is found out whether a filter is contained in a pattern. */
export function allowed(
  rules: readonly AccessRule[],
  subject: Subject,
  question: Question,
  universe: readonly string[],
): boolean {
  if (rules.length === 0) return true;
  const { action, topic, qos, retain } = question;
  const filter = filterExpression(topic);
  const wanted = action === 'subscribe' ? universe.filter((each) => filter.test(each)) : [topic];
  for (const rule of rules) {
    if (!isAbout(rule, subject)) continue;
    if (rule.qos !== undefined && !rule.qos.includes(qos)) continue;
    if (action === 'publish' && rule.retain !== undefined && rule.retain !== retain) continue;
    for (const pattern of action === 'publish' ? rule.publish : rule.subscribe) {
      const expression = patternExpression(pattern, subject, rule.effect);
      if (expression !== undefined && wanted.every((each) => expression.test(each))) return rule.effect === 'allow';
    }
  }
  return false;
}

/** Every topic of these words, up to so many levels. */
export function universeOf(words: readonly string[], depth: number): string[] {
  let level: string[] = [...words];
  const all = [...level];
  for (let at = 1; at < depth; at++) {
    level = level.flatMap((topic) => words.map((word) => `${topic}/${word}`));
    all.push(...level);
  }
  return all;
}
