/**
 * Access rules: the first that matches decides; none: denied. Without any rule everything is allowed, and costs nothing.
 *
 *     rule list ──compile──> AccessRules ──for(subject)──> the rules that can apply to the subject, its values in them
 */
import { SluiceError } from '../../errors.ts';
import { Access, ANY_QOS } from './access.ts';
import { matchesGlob } from './glob.ts';
import {
  bindPattern,
  isPatternProblem,
  parsePattern,
  type BoundPattern,
  type Pattern,
  type Subject,
} from './pattern.ts';

export type Qos = 0 | 1 | 2;

/** As the configuration has it. */
export interface AccessRule {
  readonly name?: string | undefined;
  readonly effect: 'allow' | 'deny';
  /** Whom it is about: globs, one of which matches. Absent: everyone. */
  readonly user?: string | readonly string[] | undefined;
  readonly clientId?: string | readonly string[] | undefined;
  /** Attributes of the identity, all of which match. */
  readonly attributes?: Readonly<Record<string, string | readonly string[]>> | undefined;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** Of the publish, or asked for by the subscription. Absent: any. */
  readonly qos?: readonly Qos[] | undefined;
  /** Of the publish. Absent: either. */
  readonly retain?: boolean | undefined;
}

export interface RuleProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly wayOut: string;
}

/** A rule as one subject meets it. */
export interface BoundRule {
  readonly label: string;
  readonly allow: boolean;
  readonly publish: readonly BoundPattern[];
  readonly subscribe: readonly BoundPattern[];
  /** Bit per QoS. */
  readonly qos: number;
  readonly retain: boolean | undefined;
}

interface CompiledRule {
  readonly rule: AccessRule;
  readonly order: number;
  readonly label: string;
  readonly patterns: { readonly publish: readonly Pattern[]; readonly subscribe: readonly Pattern[] };
  readonly qos: number;
  /** Where nothing in it depends on the subject. */
  readonly shared: BoundRule | undefined;
}

export class AccessRules {
  /** There are none: everything is allowed. */
  readonly empty: boolean;
  readonly #general: CompiledRule[] = [];
  /** Rules about users that are named without a wildcard: fleets have one each. */
  readonly #byUser = new Map<string, CompiledRule[]>();

  /** @throws SluiceError CONFIG_INVALID: the first problem; checkRules() tells all */
  constructor(rules: readonly AccessRule[]) {
    this.empty = rules.length === 0;
    for (const [order, rule] of rules.entries()) {
      const compiled = compile(rule, order);
      const users = listOf(rule.user);
      if (users === undefined || users.some((user) => /[*?]/.test(user))) {
        this.#general.push(compiled);
        continue;
      }
      for (const user of new Set(users)) {
        const known = this.#byUser.get(user);
        if (known === undefined) this.#byUser.set(user, [compiled]);
        else known.push(compiled);
      }
    }
  }

  for(subject: Subject): Access {
    const own = this.#byUser.get(subject.user) ?? [];
    const candidates = own.length === 0 ? this.#general : [...this.#general, ...own].sort((a, b) => a.order - b.order);
    const rules = candidates.filter(({ rule }) => isAbout(rule, subject)).map((compiled) => bind(compiled, subject));
    return new Access(rules);
  }
}

/** Everything that is wrong with the rules, by path within the list. */
export function checkRules(rules: readonly AccessRule[]): RuleProblem[] {
  return rules.flatMap((rule, index) => {
    const problems = (['publish', 'subscribe'] as const).flatMap((action): RuleProblem[] =>
      rule[action].flatMap((text, at) => {
        const parsed = parsePattern(text);
        return isPatternProblem(parsed) ? [{ path: [index, action, at], ...parsed }] : [];
      }),
    );
    if (rule.publish.length + rule.subscribe.length === 0) {
      const wayOut = 'say which topics it is about, e.g. publish: ["devices/{clientId}/#"]';
      problems.push({ path: [index], message: 'the rule has neither publish nor subscribe', wayOut });
    }
    if (rule.retain !== undefined && rule.subscribe.length > 0) {
      const wayOut = 'make two rules: one with retain and publish, one with subscribe';
      problems.push({
        path: [index, 'retain'],
        message: 'is about publishes, and the rule has subscribe, too',
        wayOut,
      });
    }
    return problems;
  });
}

/** How log lines call a rule: by its name, or its place in the list, counted from 1. */
export function ruleLabel(rule: AccessRule, order: number): string {
  return rule.name ?? `acl rule ${order + 1}`;
}

function compile(rule: AccessRule, order: number): CompiledRule {
  const [problem] = checkRules([rule]);
  if (problem !== undefined) throw new SluiceError('CONFIG_INVALID', problem.message, { hint: problem.wayOut });
  const parse = (texts: readonly string[]): Pattern[] => texts.map((text) => parsePattern(text) as Pattern);
  const patterns = { publish: parse(rule.publish), subscribe: parse(rule.subscribe) };
  const qos = rule.qos === undefined ? ANY_QOS : rule.qos.reduce<number>((mask, each) => mask | (1 << each), 0);
  const compiled: CompiledRule = { rule, order, label: ruleLabel(rule, order), patterns, qos, shared: undefined };
  const personal = [...patterns.publish, ...patterns.subscribe].some((pattern) => pattern.personal);
  return personal ? compiled : { ...compiled, shared: bind(compiled, nobody) };
}

const nobody: Subject = { clientId: '', user: '', attributes: new Map() };

function bind(compiled: CompiledRule, subject: Subject): BoundRule {
  if (compiled.shared !== undefined) return compiled.shared;
  const { rule, label, patterns, qos } = compiled;
  const bound = (list: readonly Pattern[]): BoundPattern[] =>
    list.flatMap((pattern) => bindPattern(pattern, subject, rule.effect) ?? []);
  return {
    label,
    allow: rule.effect === 'allow',
    publish: bound(patterns.publish),
    subscribe: bound(patterns.subscribe),
    qos,
    retain: rule.retain,
  };
}

function isAbout(rule: AccessRule, subject: Subject): boolean {
  return (
    matchesOne(rule.user, subject.user) &&
    matchesOne(rule.clientId, subject.clientId) &&
    Object.entries(rule.attributes ?? {}).every(([name, globs]) => {
      const value = subject.attributes.get(name);
      return value !== undefined && matchesOne(globs, value);
    })
  );
}

function matchesOne(globs: string | readonly string[] | undefined, text: string): boolean {
  return listOf(globs)?.some((glob) => matchesGlob(glob, text)) ?? true;
}

function listOf(value: string | readonly string[] | undefined): readonly string[] | undefined {
  return typeof value === 'string' ? [value] : value;
}
