/**
 * Kafka topics made of data: which names are allowed, and how many different ones. Without a bound one device that counts in
 * its topic makes topics until the cluster has had enough. The count is of this process and this set of routes.
 */
import { isProblem, quoted, type TextProblem } from './problem.ts';
import { parseNamePattern } from './topic-regex.ts';

export const DISTINCT_TOPICS_MAX = 1_000;

export class TopicRules {
  readonly problems: readonly (TextProblem & { readonly value: string })[];
  readonly #allow: readonly ((name: string) => boolean)[];
  readonly #patterns: readonly string[];
  readonly #max: number;
  readonly #seen = new Set<string>();

  constructor(
    rules: { readonly allow?: readonly string[] | undefined; readonly max?: number | undefined } | undefined,
  ) {
    this.#patterns = rules?.allow ?? [];
    const parsed = this.#patterns.map((text) => ({ text, found: parseNamePattern(text) }));
    this.problems = parsed.flatMap(({ text, found }) =>
      typeof found !== 'function' && isProblem(found) ? [{ ...found, value: text }] : [],
    );
    this.#allow = parsed.flatMap(({ found }) => (typeof found === 'function' ? [found] : []));
    this.#max = rules?.max ?? DISTINCT_TOPICS_MAX;
  }

  /** Why a legal name is refused; undefined: it is not, and counts from now on. */
  refusal(name: string): string | undefined {
    if (this.#seen.has(name)) return undefined;
    if (this.#allow.length > 0 && !this.#allow.some((allows) => allows(name))) {
      return `topics.allow of the route does not allow it: ${this.#patterns.map(quoted).join(', ')}`;
    }
    if (this.#seen.size >= this.#max) {
      return `the route has made ${this.#max} different topics already: topics.max`;
    }
    this.#seen.add(name);
    return undefined;
  }
}
