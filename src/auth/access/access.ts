/** What one connection may do: the rules about its identity, and what they said of the topics that it used last. */
import { containsFilter, matchesTopic, type BoundPattern } from './pattern.ts';
import type { BoundRule, Qos } from './rules.ts';

/** Bit per QoS. */
export const ANY_QOS = 0b111;

/** Topics that are remembered per connection, and how long one may be: what a client can make us keep is bounded. */
const PUBLISH_CACHE_MAX = 32;
const RECEIVE_CACHE_MAX = 256;
const CACHED_TOPIC_MAX_CHARACTERS = 256;

/** What is named where no rule matched. */
export const DEFAULT_RULE = 'default (no rule matched)';

/** A verdict that is not known yet takes the place of 0: two bits per case, 1 allowed, 2 denied. */
const ALLOWED = 1;
const DENIED = 2;

export class Access {
  readonly #rules: readonly BoundRule[];
  readonly #published = new Map<string, number>();
  readonly #received = new Map<string, number>();

  /** Whether a subscriber may get a message depends on the QoS of its subscriptions, too. */
  readonly needsQos: boolean;

  constructor(rules: readonly BoundRule[]) {
    this.#rules = rules;
    this.needsQos = rules.some(({ qos, subscribe }) => qos !== ANY_QOS && subscribe.length > 0);
  }

  /** A topic name without wildcards. */
  mayPublish(topic: string, qos: Qos, retain: boolean): boolean {
    const shift = 2 * (qos + (retain ? 3 : 0));
    const known = this.#published.get(topic) ?? 0;
    const verdict = (known >> shift) & 0b11;
    if (verdict !== 0) return verdict === ALLOWED;
    const allowed = this.#publishRule(topic, qos, retain)?.allow === true;
    remember(this.#published, PUBLISH_CACHE_MAX, topic, known | ((allowed ? ALLOWED : DENIED) << shift));
    return allowed;
  }

  /** A topic filter, without what makes a subscription a shared one. The whole of it must be allowed by one rule. */
  maySubscribe(filter: string, qos: Qos): boolean {
    return this.#subscribeRule(filter, qos)?.allow === true;
  }

  /**
   * A message on its way to the subscriber. `qosMask`: the QoS of its subscriptions that match, a bit each; where rules do not
   * ask for the QoS (needsQos), any bit will do.
   */
  mayReceive(topic: string, qosMask: number): boolean {
    const shift = 2 * qosMask;
    const known = this.#received.get(topic) ?? 0;
    const verdict = (known >> shift) & 0b11;
    if (verdict !== 0) return verdict === ALLOWED;
    const allowed = this.#receives(topic, qosMask);
    remember(this.#received, RECEIVE_CACHE_MAX, topic, known | ((allowed ? ALLOWED : DENIED) << shift));
    return allowed;
  }

  /** Topics that it remembers. */
  get remembered(): number {
    return this.#published.size + this.#received.size;
  }

  /** The rule that a refusal names. */
  publishRule(topic: string, qos: Qos, retain: boolean): string {
    return this.#publishRule(topic, qos, retain)?.label ?? DEFAULT_RULE;
  }

  subscribeRule(filter: string, qos: Qos): string {
    return this.#subscribeRule(filter, qos)?.label ?? DEFAULT_RULE;
  }

  #publishRule(topic: string, qos: Qos, retain: boolean): BoundRule | undefined {
    const levels = topic.split('/');
    return this.#rules.find(
      (rule) =>
        (rule.retain === undefined || rule.retain === retain) &&
        applies(rule, rule.publish, qos, (pattern) => matchesTopic(pattern, levels)),
    );
  }

  #subscribeRule(filter: string, qos: Qos): BoundRule | undefined {
    const levels = filter.split('/');
    return this.#rules.find((rule) => applies(rule, rule.subscribe, qos, (pattern) => containsFilter(pattern, levels)));
  }

  #receives(topic: string, qosMask: number): boolean {
    const levels = topic.split('/');
    return ([0, 1, 2] as const).some(
      (qos) =>
        (qosMask & (1 << qos)) !== 0 &&
        this.#rules.find((rule) => applies(rule, rule.subscribe, qos, (pattern) => matchesTopic(pattern, levels)))
          ?.allow === true,
    );
  }
}

function applies(
  rule: BoundRule,
  patterns: readonly BoundPattern[],
  qos: Qos,
  matches: (pattern: BoundPattern) => boolean,
): boolean {
  return (rule.qos & (1 << qos)) !== 0 && patterns.some(matches);
}

function remember(cache: Map<string, number>, max: number, topic: string, verdicts: number): void {
  if (topic.length > CACHED_TOPIC_MAX_CHARACTERS) return;
  if (cache.size >= max && !cache.has(topic)) cache.clear();
  cache.set(topic, verdicts);
}
