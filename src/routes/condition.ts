/**
 * `when:` of a route: an expression in CEL (Common Expression Language, github.com/google/cel-spec), interpreted, never
 * evaluated as JavaScript. Its cost is bounded by its own size times that of the message: there are no loops in it (the
 * macros all, exists, exists_one, map, filter and bind are refused), and matches() takes a constant expression for RE2.
 */
import { Environment, type ASTNode, type ParseResult } from '@marcbachmann/cel-js';
import { RE2JS } from 're2js';
import { errorText } from '../errors.ts';
import { isProblem, problem, quoted, type TextProblem } from './problem.ts';
import type { TemplateMessage } from './source.ts';
import { parseTopicRegex } from './topic-regex.ts';

const CONDITION_MAX_CHARACTERS = 2_000;
const LIMITS = { maxAstNodes: 200, maxDepth: 32, maxListElements: 200, maxMapEntries: 50, maxCallArguments: 8 };

const variables = {
  clientId: 'string',
  user: 'string',
  topic: 'string',
  levels: 'list<string>',
  qos: 'int',
  retain: 'bool',
  payload: 'dyn',
  contentType: 'string',
  userProperty: 'map<string, string>',
  /** Milliseconds since the epoch. */
  receivedAt: 'int',
} as const;

const loops: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter', 'bind']);

const environment = new Environment({ limits: LIMITS });

/**
 * The interpreter's own matches() backtracks, and a function of its own cannot be replaced: conditions are parsed with this
 * name of the same length in its place.
 */
const MATCHES = 're2find';
environment.registerFunction(`string.${MATCHES}(string): bool`, (text: string, pattern: string) => {
  const regex = activePatterns.get(pattern);
  if (regex === undefined) throw new TypeError('an expression that is not constant');
  return regex.test(text);
});

/** A checked expression over named values. */
export interface Expression {
  readonly kind: 'expression';
  /** The names it uses. */
  readonly used: ReadonlySet<string>;
  /** @throws Error where it has no value, or none that is true or false */
  holds(context: Readonly<Record<string, unknown>>): boolean;
}

export interface Condition {
  readonly kind: 'condition';
  readonly text: string;
  readonly usesPayload: boolean;
  /** @throws Error where the message has not what it asks for: a field that is not there, a text where a number was meant */
  holds(message: TemplateMessage, levels: readonly string[], payload: unknown): boolean;
}

/** `known` are names and their types in CEL, `example` is what one may write. */
export function parseExpression(
  text: string,
  known: Readonly<Record<string, string>>,
  example: string,
): Expression | TextProblem {
  if (text.length > CONDITION_MAX_CHARACTERS) {
    return problem(
      `the condition has ${text.length} characters`,
      `${CONDITION_MAX_CHARACTERS} are allowed: shorten it`,
    );
  }
  // A copy: names and constant expressions are of this condition alone.
  const own = environment.clone();
  let program: ParseResult;
  let patterns: ReadonlyMap<string, RE2JS>;
  try {
    for (const [name, type] of Object.entries(known)) own.registerVariable(name, type);
    const written = own.parse(text);
    const found = inspect(written.ast);
    if (isProblem(found)) return found;
    patterns = found.patterns;
    program = own.parse(withLinearMatches(text, written.ast));
    const { valid, type, error } = program.check();
    if (!valid) return unusable(text, error, example);
    if (type !== 'bool' && type !== 'dyn') {
      return problem(`${quoted(text)} gives ${type ?? 'nothing'}, not true or false`, 'compare it: payload.t > 20.0');
    }
  } catch (error) {
    return unusable(text, error, example);
  }
  const used = identifiers(program.ast);
  return {
    kind: 'expression',
    used,
    holds(context) {
      activePatterns = patterns;
      const result: unknown = program(context);
      if (typeof result === 'boolean') return result;
      throw new TypeError(`it gives ${result === null ? 'null' : typeof result}, not true or false`);
    },
  };
}

/** `levelNames` are the named levels of the route: each is a variable. */
export function parseCondition(text: string, levelNames: readonly string[]): Condition | TextProblem {
  const levelTypes = Object.fromEntries(levelNames.map((name) => [name, 'string']));
  const parsed = parseExpression(
    text,
    { ...levelTypes, ...variables },
    `payload.t > 20.0 && levels[1] == "d1"; known: ${Object.keys(variables).join(', ')}, and the named levels`,
  );
  if (isProblem(parsed)) return parsed;
  const { used } = parsed;
  return {
    kind: 'condition',
    text,
    usesPayload: used.has('payload'),
    holds(message, levels, payload) {
      const context = contextOf(message, used, payload);
      for (const [index, name] of levelNames.entries()) if (used.has(name)) context[name] = levels[index] ?? '';
      return parsed.holds(context);
    },
  };
}

/** Those of the condition that is being evaluated, which is synchronous. */
let activePatterns: ReadonlyMap<string, RE2JS> = new Map();

function unusable(text: string, error: unknown, example: string): TextProblem {
  const summary = error instanceof Error && 'summary' in error ? String(error.summary) : errorText(error);
  return problem(`${quoted(text)} is no condition: ${summary}`, `it is written in CEL: ${example}`);
}

function inspect(ast: ASTNode): { kind: 'patterns'; patterns: Map<string, RE2JS> } | TextProblem {
  const patterns = new Map<string, RE2JS>();
  for (const node of nodes(ast)) {
    if (node.op !== 'call' && node.op !== 'rcall') continue;
    const [name] = node.args;
    if (loops.has(name)) {
      return problem(
        `${name}() is a loop, which conditions may not have`,
        'compare single values: payload.list[0] > 1.0',
      );
    }
    if (name !== 'matches' && name !== MATCHES) continue;
    const pattern = node.op === 'rcall' ? node.args[2][0] : node.args[1][1];
    if (pattern?.op !== 'value' || typeof pattern.args !== 'string') {
      return problem(
        'matches() has an expression that is not constant',
        'write the expression as a text: topic.matches("^a/")',
      );
    }
    const regex = parseTopicRegex(pattern.args);
    if (isProblem(regex)) return regex;
    patterns.set(pattern.args, RE2JS.compile(pattern.args));
  }
  return { kind: 'patterns', patterns };
}

function withLinearMatches(text: string, ast: ASTNode): string {
  let written = text;
  for (const node of nodes(ast)) {
    if (node.op !== 'rcall' || node.args[0] !== 'matches') continue;
    const at = written.indexOf('matches', node.args[1].range.end);
    written = written.slice(0, at) + MATCHES + written.slice(at + MATCHES.length);
  }
  return written;
}

function identifiers(ast: ASTNode): ReadonlySet<string> {
  const names = new Set<string>();
  for (const node of nodes(ast)) if (node.op === 'id') names.add(node.args);
  return names;
}

function* nodes(value: unknown): Generator<ASTNode> {
  if (Array.isArray(value)) for (const item of value) yield* nodes(item);
  else if (isNode(value)) {
    yield value;
    yield* nodes(value.args);
  }
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value;
}

function contextOf(message: TemplateMessage, used: ReadonlySet<string>, payload: unknown): Record<string, unknown> {
  const context = Object.create(null) as Record<string, unknown>;
  context['clientId'] = message.clientId;
  context['user'] = message.user;
  context['topic'] = message.topic;
  context['contentType'] = message.properties?.contentType ?? '';
  context['retain'] = message.retain ?? false;
  if (used.has('levels')) context['levels'] = message.topic.split('/');
  if (used.has('qos')) context['qos'] = BigInt(message.qos ?? 0);
  if (used.has('receivedAt')) context['receivedAt'] = BigInt(message.receivedAt ?? 0);
  if (used.has('payload')) context['payload'] = plain(payload);
  // The first of a name, as in templates.
  if (used.has('userProperty'))
    context['userProperty'] = new Map([...(message.properties?.userProperties ?? [])].reverse());
  return context;
}

/** The interpreter takes the type of an object from its `constructor`, which a payload may hold as a field: then it gets a Map. */
export function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  const entries = Object.entries(value).map(([name, entry]) => [name, plain(entry)] as const);
  return new Map(entries);
}
