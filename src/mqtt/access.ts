/**
 * What access rules and limits say of a connection's will, of its subscriptions and of what is sent to it; what it publishes is
 * asked in ingest.
 *
 *     CONNECT with a will ──> publishFault ─> the whole connection is refused
 *     SUBSCRIBE ────────────> filterFault per filter ─> its reason code
 *     a resumed session ────> filterFault per filter ─> dropped from the session
 *     a message on its way > mayReceive ─> left out, also where it is a retained or queued one
 *     new rules ────────────> all of it anew, for everyone who is connected
 */
import type { Access, Forbidden } from '../ingest/admission.ts';
import type { Publication } from '../ingest/permission.ts';
import type { WillPacket } from './patches/internals.ts';
import type { Connection } from './connection.ts';
import { topicMatches } from './filter-trie.ts';
import { ReasonCode } from './wire.ts';

/** Who is denied what, for the log. */
export interface Denial {
  readonly clientId: string;
  readonly user: string;
  readonly remoteAddress: string;
  readonly action: 'publish' | 'will' | 'subscribe' | 'receive';
  readonly topic: string;
  /** The rule or the limit that says so. */
  readonly rule: string;
}

export interface FilterLimits {
  readonly topicLevels: number;
  readonly topicMaxBytes: number;
  readonly subscriptionsPerClient: number;
}

export const noFilterLimits: FilterLimits = {
  topicLevels: Infinity,
  topicMaxBytes: Infinity,
  subscriptionsPerClient: Infinity,
};

export interface FilterFault {
  /** MQTT 5; earlier versions know only 0x80. */
  readonly reasonCode: number;
  readonly rule: string;
}

/** What the rules speak about: of a shared subscription, the filter behind the group [MQTT-4.8.2-1]. */
export function plainFilter(filter: string): string {
  if (!filter.startsWith('$share/')) return filter;
  const end = filter.indexOf('/', '$share/'.length);
  return end < 0 ? filter : filter.slice(end + 1);
}

/** undefined: it is granted. */
export function filterFault(connection: Connection, filter: string, qos: number): FilterFault | undefined {
  const { access, core, subscriptions } = connection;
  const limits = core.limits();
  if (Buffer.byteLength(filter) > limits.topicMaxBytes)
    return { reasonCode: ReasonCode.topicFilterInvalid, rule: 'limits.topicMaxBytes' };
  if (filter.split('/').length > limits.topicLevels)
    return { reasonCode: ReasonCode.topicFilterInvalid, rule: 'limits.topicLevels' };
  const plain = plainFilter(filter);
  if (access !== undefined && !access.maySubscribe(plain, asQos(qos)))
    return { reasonCode: ReasonCode.notAuthorized, rule: access.subscribeRule(plain, asQos(qos)) };
  if (!subscriptions.has(filter) && subscriptions.size >= limits.subscriptionsPerClient)
    return { reasonCode: ReasonCode.quotaExceeded, rule: 'limits.subscriptionsPerClient' };
  return undefined;
}

/** What it may not have is reported. */
export function maySubscribe(connection: Connection, filter: string, qos: number): boolean {
  const fault = filterFault(connection, filter, qos);
  if (fault !== undefined) deny(connection, 'subscribe', filter, fault.rule);
  return fault === undefined;
}

/** Rules or limits have changed. Returns the filters that are taken from it. */
export function judgeAnew(connection: Connection): string[] {
  const { client, core, publisher, subscriptions } = connection;
  connection.access = core.accessOf(client.id, connection.identity);
  if (publisher !== undefined) publisher.access = connection.access;
  return [...subscriptions.values()].flatMap(({ topic, qos }) => (maySubscribe(connection, topic, qos) ? [] : [topic]));
}

/** Whether a message of this topic may be sent to the client now. */
export function mayReceive(connection: Connection, topic: string): boolean {
  const { access } = connection;
  if (access === undefined) return true;
  return access.mayReceive(topic, access.needsQos ? matchingQos(connection, topic) : 1);
}

/** Bit per QoS of the subscriptions that match. */
function matchingQos(connection: Connection, topic: string): number {
  let mask = 0;
  for (const [filter, subscription] of connection.subscriptions) {
    const bit = 1 << asQos(subscription.qos);
    if ((mask & bit) === 0 && topicMatches(plainFilter(filter), topic)) mask |= bit;
  }
  return mask;
}

/** The rule or the limit that forbids the will; undefined: none does. */
export function willFault(connection: Connection, will: WillPacket): string | undefined {
  const { access, core } = connection;
  const reason = core.ingest.fault(will, access);
  return reason === undefined ? undefined : ruleOf(reason, will, access);
}

/** What the log names as the rule. */
export function ruleOf(reason: Forbidden, publication: Publication, access: Access | undefined): string {
  switch (reason) {
    case 'reserved-topic':
      return '$SYS/ is reserved';
    case 'topic-levels':
      return 'limits.topicLevels';
    case 'topic-length':
      return 'limits.topicMaxBytes';
    case 'payload-size':
      return 'limits.maxPayloadSize';
    case 'invalid-payload':
      return 'a route with onInvalid: reject';
    case 'access':
      return access?.publishRule(publication.topic, publication.qos, publication.retain) ?? '';
  }
}

export function deny(connection: Connection, action: Denial['action'], topic: string, rule: string): void {
  const { client, core, identity, info } = connection;
  core.counters.denied++;
  const { remoteAddress } = info;
  core.events.denied({ clientId: client.id, user: identity.user, remoteAddress, action, topic, rule });
}

function asQos(qos: number): 0 | 1 | 2 {
  return qos === 0 ? 0 : qos === 1 ? 1 : 2;
}
