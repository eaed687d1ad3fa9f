/**
 * Which routes a topic matches, and what they make of it. All filters are in one trie over levels, so a topic costs the
 * nodes that it can reach, whatever the number of routes; what was found is remembered per topic, within a bound.
 * A router does not change: a reload compiles another one.
 */
import { createHash } from 'node:crypto';
import { SluiceError } from '../errors.ts';
import { ClockCache } from './cache.ts';
import type { Filter } from './filter.ts';
import { compileRoute, DEFAULT_KEY, type Route, type RouteDefinition, type RouteProblem } from './route.ts';
import { TopicMatch } from './topic-match.ts';
import { REGEX_ROUTES_MAX, RegexSet, type TopicRegex } from './topic-regex.ts';

const noLevels: readonly string[] = [];

export interface RouterOptions {
  /** Topics whose matches are remembered. */
  readonly cachedTopics?: number;
  /** Estimate of the memory that they may take. */
  readonly cacheMaxBytes?: number;
}

/** What a router has done, for metrics and tests. */
export interface RouterStatistics {
  readonly lookups: number;
  readonly misses: number;
  /** Trie nodes looked at on all misses together. */
  readonly nodesVisited: number;
  readonly cachedTopics: number;
  readonly cachedBytes: number;
}

class Node {
  readonly literals = new Map<string, Node>();
  single: Node | undefined;
  /** Routes whose filter ends here, and those that go on with `#`. */
  readonly ending: Route[] = [];
  readonly rest: Route[] = [];
}

const CACHED_TOPICS = 10_000;
const CACHE_MAX_BYTES = 32 * 1024 * 1024;
// Estimates, on the high side: what a topic and a match cost in memory beyond their texts.
const TOPIC_BYTES = 200;
const MATCH_BYTES = 400;

export class Router {
  readonly routes: readonly Route[];
  /** Names the set of routes by content: the same definitions give the same id, in every process. */
  readonly id: string;
  readonly #root = new Node();
  readonly #cache: ClockCache<string, readonly TopicMatch[]>;
  /** Matches of routes whose templates do not depend on the topic: one for all topics. */
  readonly #shared: readonly (TopicMatch | undefined)[];
  readonly #regexes: RegexSet<{ readonly route: Route; readonly regex: TopicRegex }>;
  #depth = 0;
  #lookups = 0;
  #misses = 0;
  #nodesVisited = 0;

  constructor(routes: readonly Route[], id: string, options: RouterOptions = {}) {
    this.routes = routes;
    this.id = id;
    this.#cache = new ClockCache({
      maxEntries: options.cachedTopics ?? CACHED_TOPICS,
      maxWeight: options.cacheMaxBytes ?? CACHE_MAX_BYTES,
    });
    this.#shared = routes.map((route) => (route.usesTopic ? undefined : new TopicMatch(route, '', noLevels)));
    for (const route of routes) if (route.filter !== undefined) this.#insert(route, route.filter);
    this.#regexes = new RegexSet(
      routes.flatMap((route) => (route.regex === undefined ? [] : [{ route, regex: route.regex }])),
    );
  }

  get statistics(): RouterStatistics {
    return {
      lookups: this.#lookups,
      misses: this.#misses,
      nodesVisited: this.#nodesVisited,
      cachedTopics: this.#cache.size,
      cachedBytes: this.#cache.weight,
    };
  }

  /** The routes that match an MQTT topic name: by priority, then in the order of the configuration. */
  match(topic: string): readonly TopicMatch[] {
    this.#lookups++;
    const cached = this.#cache.get(topic);
    if (cached !== undefined) return cached;
    this.#misses++;
    const matches = this.#find(topic);
    if (this.#cache.admits()) this.#cache.set(topic, matches, weightOf(topic, matches));
    return matches;
  }

  #insert(route: Route, { levels }: Filter): void {
    let node = this.#root;
    this.#depth = Math.max(this.#depth, levels.length);
    for (const level of levels) {
      if (level.kind === 'rest') {
        node.rest.push(route);
        return;
      }
      let next = level.kind === 'single' ? node.single : node.literals.get(level.text);
      if (next === undefined) {
        next = new Node();
        if (level.kind === 'single') node.single = next;
        else node.literals.set(level.text, next);
      }
      node = next;
    }
    node.ending.push(route);
  }

  #find(topic: string): readonly TopicMatch[] {
    // Levels deeper than any filter can only be matched by a #: they need not be told apart.
    const parts = topic.split('/', this.#depth + 1);
    const found: Route[] = [];
    // [MQTT-4.7.2-1]: a wildcard at the first level does not match topics that begin with $.
    if (topic.startsWith('$')) {
      this.#nodesVisited++;
      const first = this.#root.literals.get(parts[0] ?? '');
      if (first !== undefined) this.#walk(first, 1, parts, found);
    } else {
      this.#walk(this.#root, 0, parts, found);
    }
    const matches = found.map((route) => this.#matchOf(route, topic, levelsOf(route, parts)));
    this.#regexes.match(topic, ({ route }, values) => matches.push(this.#matchOf(route, topic, values)));
    if (matches.length > 1) matches.sort(byOrder);
    return matches;
  }

  #matchOf(route: Route, topic: string, levels: readonly string[]): TopicMatch {
    return this.#shared[route.index] ?? new TopicMatch(route, topic, levels);
  }

  /** Visits a node at most once, for it is a tree: the work is bounded by the routes' levels, whatever the topic. */
  #walk(node: Node, depth: number, parts: readonly string[], found: Route[]): void {
    this.#nodesVisited++;
    // `sport/#` also matches `sport` (4.7.1.2): a # is reached with levels left or none.
    for (const route of node.rest) found.push(route);
    const part = parts[depth];
    if (part === undefined) {
      for (const route of node.ending) found.push(route);
      return;
    }
    const literal = node.literals.get(part);
    if (literal !== undefined) this.#walk(literal, depth + 1, parts, found);
    if (node.single !== undefined) this.#walk(node.single, depth + 1, parts, found);
  }
}

function levelsOf({ filter }: Route, parts: readonly string[]): readonly string[] {
  const nameLevels = filter?.nameLevels ?? [];
  return nameLevels.length === 0 ? noLevels : nameLevels.map((index) => parts[index] ?? '');
}

function byOrder({ route: a }: TopicMatch, { route: b }: TopicMatch): number {
  return b.priority - a.priority || a.index - b.index;
}

function weightOf(topic: string, matches: readonly TopicMatch[]): number {
  let weight = TOPIC_BYTES + 2 * topic.length;
  for (const { route, key } of matches) weight += route.usesTopic ? MATCH_BYTES + 2 * (key?.length ?? 0) : 8;
  return weight;
}

/** Everything that is wrong with a set of routes; empty: compileRoutes() takes them. */
export function checkRoutes(definitions: readonly RouteDefinition[]): readonly RouteProblem[] {
  return compileAll(definitions).problems;
}

/** The Kafka topics that routes name in plain text, each once: those that can be looked at before there is a message. */
export function constantTopics(definitions: readonly RouteDefinition[]): readonly string[] {
  const topics = compileAll(definitions).routes.map((route) => route.to.constant);
  return [...new Set(topics.filter((topic) => topic !== undefined))];
}

/** @throws RoutesError, with all problems */
export function compileRoutes(definitions: readonly RouteDefinition[], options: RouterOptions = {}): Router {
  const { routes, problems } = compileAll(definitions);
  if (problems.length > 0) throw new RoutesError(problems);
  return new Router(routes, contentId(definitions), options);
}

/** The same for the same routes, however their defaults are written. */
function contentId(definitions: readonly RouteDefinition[]): string {
  const content = definitions.map((definition) =>
    Object.entries({ key: DEFAULT_KEY, headers: {}, ...given(definition) }).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  return createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 16);
}

function given(definition: RouteDefinition): object {
  return Object.fromEntries(Object.entries(definition).filter(([, value]) => value !== undefined));
}

export class RoutesError extends SluiceError {
  readonly problems: readonly RouteProblem[];

  constructor(problems: readonly RouteProblem[]) {
    const lines = problems.map(({ path, message, wayOut }) => `routes${pathText(path)}: ${message}; ${wayOut}`);
    super('CONFIG_INVALID', lines.join('\n'));
    this.name = 'RoutesError';
    this.problems = problems;
  }
}

function pathText(path: readonly (string | number)[]): string {
  return path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('');
}

function compileAll(definitions: readonly RouteDefinition[]): { routes: readonly Route[]; problems: RouteProblem[] } {
  const problems: RouteProblem[] = [];
  const routes: Route[] = [];
  const named = new Map<string, number>();
  const byRegex = definitions.filter(({ regex }) => regex !== undefined).length;
  if (byRegex > REGEX_ROUTES_MAX) {
    problems.push({
      path: [],
      value: '',
      message: `${byRegex} routes have a regular expression`,
      wayOut: `${REGEX_ROUTES_MAX} may: write topic filters in their place`,
    });
  }
  for (const [index, definition] of definitions.entries()) {
    const route = compileRoute(definition, index, problems);
    if (route !== undefined) routes.push(route);
    const twin = named.get(definition.name);
    if (twin === undefined) {
      named.set(definition.name, index);
    } else {
      problems.push({
        path: [index, 'name'],
        value: definition.name,
        message: `routes[${twin}] has the same name`,
        wayOut: 'give each route a name of its own: sluice-id and sluice-route together name a record',
      });
    }
  }
  return { routes, problems };
}
