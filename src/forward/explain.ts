/** What routes make of one message, in words and records. Not on any path of a message. */
import { readRecord } from '../kafka/record-reader.ts';
import type { Message } from '../message.ts';
import { PayloadView, type RouteSet } from '../payload/index.ts';
import type { Route } from '../routes/index.ts';
import { Mapper } from './mapper.ts';
import { isRuled, type MappedRecord, type NoRecord } from './mapping.ts';

export interface ExplainedRoute {
  readonly name: string;
  /** Its filter or expression. */
  readonly from: string;
  /** It makes at least one record. */
  readonly records: boolean;
  /** Why it makes none, or not all. */
  readonly why: string | undefined;
}

export interface ExplainedRecord {
  readonly route: string;
  readonly topic: string;
  /** undefined: the number of partitions is not known; for a record without a key it is not known in any case. */
  readonly partition: number | undefined;
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly headers: readonly (readonly [name: string, value: Buffer | null])[];
  readonly value: Buffer | null;
}

export interface Explanation {
  /** By priority, then in the order of the configuration. */
  readonly routes: readonly ExplainedRoute[];
  readonly records: readonly ExplainedRecord[];
  /** What becomes of the message where there is no record. */
  readonly outcome:
    | 'records'
    | 'waits for a schema'
    | 'ordinary MQTT'
    | 'dead letter'
    | 'expired'
    | `discarded: ${string}`
    | 'rejected';
}

/** `sluice-id` is `explain:0:1`: the message is in no log. */
export function explainMessage(
  routes: RouteSet,
  message: Message,
  { partitions, now }: { readonly partitions?: number; readonly now?: number },
): Explanation {
  const { router } = routes;
  const out: MappedRecord[] = [];
  const matches = router.match(message.topic);
  const without =
    matches.length === 0 ? [] : new Mapper(routes, {}, () => now ?? Date.now()).map(message, 1, 'explain', 0, out);
  const view = new PayloadView(message.payload);
  let stoppedBy: string | undefined;
  const told = new Map<Route, ExplainedRoute>();
  for (const match of matches) {
    const { route } = match;
    const made = out.some((record) => record.route === route.name && record.awaits === undefined);
    const none = without.find((each) => each.route === route.name);
    const awaited = out.find((record) => record.route === route.name)?.awaits;
    const why =
      stoppedBy === undefined
        ? (reasonOf(none) ?? (awaited && `the value needs ${awaited.what}, which is not asked here`))
        : `route ${stoppedBy} stands before it and says stop`;
    told.set(route, { name: route.name, from: textOf(route), records: made && stoppedBy === undefined, why });
    const applies = routes.values[route.index]?.applies(message, match, view) ?? true;
    if (route.stop && applies !== false) stoppedBy ??= route.name;
  }
  const others = router.routes.filter((route) => !told.has(route));
  const rejected = without.some(
    (each) =>
      !isRuled(each) && router.routes.some(({ name, onInvalid }) => name === each.route && onInvalid === 'reject'),
  );
  return {
    routes: [
      ...told.values(),
      ...others.map((route) => ({
        name: route.name,
        from: textOf(route),
        records: false,
        why: mismatch(route, message.topic),
      })),
    ],
    records: rejected
      ? []
      : out.filter(({ awaits }) => awaits === undefined).map((record) => explained(record, partitions)),
    outcome: rejected ? 'rejected' : outcomeOf(matches.length, out, without),
  };
}

function outcomeOf(
  matches: number,
  out: readonly MappedRecord[],
  without: readonly NoRecord[],
): Explanation['outcome'] {
  if (matches === 0) return 'ordinary MQTT';
  if (without.some((each) => !isRuled(each))) return 'dead letter';
  if (out.length > 0) return out.some(({ awaits }) => awaits === undefined) ? 'records' : 'waits for a schema';
  const rules = without.flatMap((each) => (isRuled(each) ? [each.rule] : []));
  return rules.includes('expired') ? 'expired' : `discarded: ${rules.at(-1) ?? 'unrouted'}`;
}

function reasonOf(none: NoRecord | undefined): string | undefined {
  if (none === undefined) return undefined;
  return isRuled(none) ? ruleWords[none.rule] : `${none.code}: ${none.reason}`;
}

const ruleWords = {
  filtered: 'its conditions (when, qos, onlyRetained) do not hold',
  sampled: 'sample leaves this one out; which ones depends on the offset in the log',
  empty: 'there is nothing to split',
  invalid: 'the message is not valid for it, and onInvalid is drop',
  expired: 'the message is too old',
} as const;

function textOf({ filter, regex }: Route): string {
  return filter?.text ?? regex?.text ?? '';
}

/** Why a topic does not match, at the first level that tells. */
function mismatch({ filter }: Route, topic: string): string {
  if (filter === undefined) return 'its expression does not match the whole topic';
  const parts = topic.split('/');
  if (topic.startsWith('$') && filter.levels[0]?.kind !== 'literal') {
    return 'a wildcard does not match topics that begin with $';
  }
  for (const [index, level] of filter.levels.entries()) {
    const part = parts[index];
    if (level.kind === 'literal' && part !== undefined && part !== level.text) {
      return `level ${index} is '${part}', not '${level.text}'`;
    }
  }
  return `the topic has ${parts.length} levels, the filter ${filter.levels.length}`;
}

function explained({ slice, topic, keyHash, route }: MappedRecord, partitions: number | undefined): ExplainedRecord {
  const partition = partitions === undefined || keyHash < 0 ? undefined : keyHash % partitions;
  return { route, topic, partition, timestamp: slice.timestamp, ...readRecord(slice) };
}
