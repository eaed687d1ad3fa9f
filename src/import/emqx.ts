/**
 * EMQX 5: rules with the Kafka producer actions that they feed, from its configuration file (cluster.hocon), or the same as JSON.
 * https://docs.emqx.com/en/emqx/latest/data-integration/data-bridge-kafka.html
 */
import { Draft, literal, type Imported, type RouteDraft } from './draft.ts';
import { importFault } from './fault.ts';
import { isObject, parseHocon, type HoconObject } from './hocon.ts';

const WHAT = 'EMQX';
const compressions: Readonly<Record<string, string>> = { no_compression: 'none', gzip: 'gzip', snappy: 'snappy' };

/** @throws SluiceError */
export function importEmqx(text: string): Imported {
  let file: HoconObject;
  try {
    file = parseHocon(text);
  } catch (error) {
    throw importFault(WHAT, (error as Error).message);
  }
  const actions = inside(file, 'actions', 'kafka_producer');
  if (Object.keys(actions).length === 0) throw importFault(WHAT, 'there is no actions.kafka_producer in it');
  const draft = new Draft(WHAT);
  const fed = new Set<string>();
  for (const [id, rule] of Object.entries(inside(file, 'rule_engine', 'rules'))) {
    if (isObject(rule)) addRule(draft, id, rule, actions, fed);
  }
  for (const name of Object.keys(actions)) {
    if (!fed.has(name)) draft.note(`action kafka_producer:${name}: no rule feeds it`);
  }
  addBrokers(draft, file, actions);
  return draft.finish();
}

function addBrokers(draft: Draft, file: HoconObject, actions: HoconObject): void {
  const connectors = inside(file, 'connectors', 'kafka_producer');
  const used = new Set(Object.values(actions).flatMap((each) => (isObject(each) ? [text(each['connector'])] : [])));
  const hosts = new Set(
    [...used].map((name) => text(inside(connectors, name)['bootstrap_hosts'])).filter((each) => each !== ''),
  );
  const [first, ...others] = hosts;
  if (first !== undefined) draft.section('kafka', { brokers: first.split(',').map((each) => each.trim()) });
  for (const other of others) draft.note(`a second cluster, ${other}: one sluice writes to one cluster`);
  for (const name of used) {
    const { authentication, ssl } = inside(connectors, name);
    if (isObject(authentication)) draft.note(`connector ${name}: authentication: see kafka.sasl`);
    if (isObject(ssl) && ssl['enable'] === true) draft.note(`connector ${name}: ssl: see kafka.tls`);
  }
}

function addRule(draft: Draft, id: string, rule: HoconObject, actions: HoconObject, fed: Set<string>): void {
  const outputs = Array.isArray(rule['actions']) ? (rule['actions'] as unknown[]) : [];
  const sql =
    /^\s*SELECT\s+(.*?)\s+FROM\s+((?:"[^"]*"|'[^']*')(?:\s*,\s*(?:"[^"]*"|'[^']*'))*)\s*(?:WHERE\s+(.*?))?\s*;?\s*$/is.exec(
      text(rule['sql']),
    );
  for (const output of outputs) {
    const name = /^kafka_producer:(.+)$/.exec(text(output))?.[1];
    const action = name === undefined ? undefined : actions[name];
    if (name === undefined || !isObject(action)) {
      draft.note(`rule ${id}: its action ${typeof output === 'string' ? output : JSON.stringify(output)}`);
      continue;
    }
    fed.add(name);
    if (sql === null) {
      draft.note(`rule ${id}: its SQL is not of the form SELECT … FROM "topic" …: ${text(rule['sql'])}`);
      continue;
    }
    const [, select = '', from = '', where] = sql;
    for (const [, topic = ''] of from.matchAll(/["']([^"']*)["']/g)) {
      const { route, notes, off } = readAction(action);
      const stops = [
        ...(select.trim() === '*' ? [] : [`SELECT ${select}: see fields: and value:`]),
        ...(where === undefined ? [] : [`WHERE ${where}: write it as when:, in CEL`]),
        ...(topic.startsWith('$') ? [`${topic} is an event or a bridge of EMQX, not a topic of a device`] : []),
        ...(rule['enable'] === false ? ['the rule is not enabled'] : []),
      ];
      const filter = topic.replace(/[{}]/g, (brace) => brace + brace);
      const label = `${id}.${name}`;
      draft.route(
        { name: `${label}:${topic}`.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 250), from: filter, ...route },
        [...notes, ...stops],
        off || stops.length > 0,
      );
    }
  }
}

interface ReadAction {
  readonly route: Omit<RouteDraft, 'from' | 'regex'>;
  readonly notes: readonly string[];
  readonly off: boolean;
}

function readAction(action: HoconObject): ReadAction {
  const parameters = isObject(action['parameters']) ? action['parameters'] : inside(action, 'kafka');
  const { message: given, compression, kafka_headers, kafka_ext_headers, partition_strategy } = parameters;
  const message = isObject(given) ? given : {};
  const notes: string[] = [];
  let off = action['enable'] === false;
  if (off) notes.push('the action is not enabled');
  const convert = (what: string, template: string): string => {
    const { converted, unknown } = templateOf(template);
    if (unknown.length === 0) return converted;
    notes.push(`${what}: ${unknown.join(', ')} has no name in sluice`);
    off = true;
    return literal(template);
  };
  const key = text(message['key'] ?? '${.clientid}');
  const route: Record<string, unknown> = { to: convert('topic', text(parameters['topic'])) };
  route['key'] = key === '' ? null : convert('key', key);
  if (partition_strategy === 'random' && key !== '')
    notes.push('partition_strategy random: with a key, the key decides');
  const value = text(message['value'] ?? '${.}');
  if (/^\$\{\.?payload\}$/.test(value)) route['value'] = 'raw';
  else if (value === '${.}' || value === '') {
    route['value'] = 'envelope';
    notes.push('value ${.}: the envelope has other names than the JSON of EMQX (docs/routes.md)');
  } else {
    notes.push(`value ${value}: see value: and fields:`);
    off = true;
  }
  if (typeof compression === 'string') {
    const known = compressions[compression];
    if (known === undefined) notes.push(`compression ${compression}`);
    else if (known !== 'none') route['compression'] = known;
  }
  if (typeof kafka_headers === 'string' && kafka_headers !== '')
    notes.push(`kafka_headers ${kafka_headers}: see headers:`);
  const headers: Record<string, string> = {};
  for (const each of Array.isArray(kafka_ext_headers) ? kafka_ext_headers : []) {
    if (isObject(each))
      headers[text(each['kafka_ext_header_key'])] = convert('header', text(each['kafka_ext_header_value']));
  }
  if (Object.keys(headers).length > 0) route['headers'] = headers;
  if (message['timestamp'] !== undefined && !/^\$\{\.?timestamp\}$/.test(text(message['timestamp'])))
    notes.push(`timestamp ${text(message['timestamp'])}: see timestamp:`);
  return { route, notes, off };
}

const names: Readonly<Record<string, string>> = {
  clientid: 'clientId',
  username: 'user',
  topic: 'topic',
  qos: 'qos',
  timestamp: 'time.ms',
  'flags.retain': 'retain',
};

/** `${clientid}` and `${.clientid}`, `${payload.a.b}`: in sluice's words. */
function templateOf(template: string): { converted: string; unknown: string[] } {
  const unknown: string[] = [];
  const converted = template.replaceAll(/\$\{\.?([^{}]*)\}|([{}])/g, (all, name: string | undefined, brace: string) => {
    if (name === undefined) return brace + brace;
    const known = Object.hasOwn(names, name) ? names[name] : undefined;
    if (known !== undefined) return `{${known}}`;
    if (/^payload(?:\.[\w-]+)+$/.test(name)) return `{${name}}`;
    const property = /^(?:pub_props\.)?['"]?User-Property['"]?\.([\w-]+)$/.exec(name)?.[1];
    if (property !== undefined) return `{userProperty.${property}}`;
    unknown.push(all);
    return '';
  });
  return { converted, unknown };
}

function inside(object: HoconObject, ...path: readonly string[]): HoconObject {
  let at: unknown = object;
  for (const key of path) at = isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined;
  return isObject(at) ? at : {};
}

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}
