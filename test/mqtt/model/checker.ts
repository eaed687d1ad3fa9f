/** The specification of publish and subscribe, as far as it can be told from outside, against what a run has recorded. */
import { nameOf, type Delivered, type History, type Published } from './history.ts';
import { matches } from './matches.ts';
import type { Qos } from '../support/peer.ts';

export interface Violation {
  readonly rule:
    | 'lost'
    | 'twice'
    | 'order'
    | 'not published'
    | 'not subscribed'
    | 'wrong QoS'
    | 'no DUP'
    | 'closed'
    | 'session present'
    | 'retained';
  readonly text: string;
}

interface Subscription {
  readonly filter: string;
  readonly qos: Qos;
  /** Positions in the history. What is published between `sure` and `ending` is to come; between `from` and `to` it may. */
  readonly from: number;
  sure: number;
  ending: number;
  to: number;
}

interface Message extends Published {
  readonly at: number;
  acknowledged: boolean;
  abandoned: boolean;
}

interface Reading {
  readonly messages: Map<string, Message>;
  readonly subscriptions: Map<string, Subscription[]>;
  readonly deliveries: Map<string, (Delivered & { readonly at: number })[]>;
}

/** Every breach, in no special order. */
export function check(history: History): Violation[] {
  const reading = read(history);
  return [
    ...sessions(history),
    ...closed(history),
    ...unfounded(reading),
    ...missing(reading).map((text): Violation => ({ rule: 'lost', text })),
    ...repeated(reading),
    ...disordered(reading),
  ];
}

/** Messages that are still to come [MQTT-4.3.2-2] [MQTT-4.3.3-2], as `device: message`. */
export function outstanding(history: History): string[] {
  return missing(read(history));
}

function read(history: History): Reading {
  const reading: Reading = { messages: new Map(), subscriptions: new Map(), deliveries: new Map() };
  const subscriptionsOf = (device: string): Subscription[] => listIn(reading.subscriptions, device);
  const open = (device: string, filter: string): Subscription | undefined =>
    subscriptionsOf(device).findLast((one) => one.filter === filter && one.to === Infinity);
  history.forEach((event, at) => {
    switch (event.kind) {
      case 'subscribing': {
        const { device, filter, qos } = event;
        // A new subscription to the same filter replaces the old one [MQTT-3.8.4-3].
        const old = open(device, filter);
        if (old !== undefined) old.ending = Math.min(old.ending, at);
        subscriptionsOf(device).push({ filter, qos, from: at, sure: Infinity, ending: Infinity, to: Infinity });
        break;
      }
      case 'subscribed': {
        const { device, filter } = event;
        const [newest, ...older] = subscriptionsOf(device)
          .filter((one) => one.filter === filter && one.to === Infinity)
          .reverse();
        if (newest !== undefined) newest.sure = at;
        for (const one of older) one.to = at;
        break;
      }
      case 'unsubscribing':
        for (const one of subscriptionsOf(event.device))
          if (one.filter === event.filter) one.ending = Math.min(one.ending, at);
        break;
      case 'unsubscribed':
        for (const one of subscriptionsOf(event.device)) if (one.filter === event.filter) one.to = Math.min(one.to, at);
        break;
      case 'session ended':
        for (const one of subscriptionsOf(event.device)) {
          one.ending = Math.min(one.ending, at);
          one.to = Math.min(one.to, at);
        }
        break;
      case 'published':
        reading.messages.set(nameOf(event), { ...event, at, acknowledged: false, abandoned: false });
        break;
      case 'acknowledged':
      case 'abandoned': {
        const message = reading.messages.get(nameOf(event));
        if (message !== undefined) message[event.kind] = true;
        break;
      }
      case 'delivered':
        listIn(reading.deliveries, event.device).push({ ...event, at });
        break;
      case 'connected':
      case 'closed':
      case 'restarting':
      case 'restarted':
        break;
    }
  });
  return reading;
}

function sessions(history: History): Violation[] {
  return history.flatMap((event): Violation[] =>
    event.kind === 'connected' && event.expected !== event.sessionPresent
      ? [{ rule: 'session present', text: `${event.device}: ${event.sessionPresent}, not ${event.expected}` }]
      : [],
  );
}

/** A device that keeps to the specification is not closed, but by a broker that stops. */
function closed(history: History): Violation[] {
  const violations: Violation[] = [];
  let stopping = false;
  for (const event of history) {
    if (event.kind === 'restarting') stopping = true;
    else if (event.kind === 'restarted') stopping = false;
    else if (event.kind === 'closed' && !stopping)
      violations.push({ rule: 'closed', text: `${event.device}, reason code ${event.reasonCode ?? 'none'}` });
  }
  return violations;
}

/** Deliveries that have no publish or no subscription behind them, or another QoS than both allow. */
function unfounded({ messages, subscriptions, deliveries }: Reading): Violation[] {
  const violations: Violation[] = [];
  for (const [device, list] of deliveries) {
    for (const delivery of list) {
      const name = nameOf(delivery);
      const text = `${device}: ${name} on ${delivery.topic}`;
      const message = messages.get(name);
      if (message === undefined || message.topic !== delivery.topic || message.at > delivery.at) {
        violations.push({ rule: 'not published', text });
        continue;
      }
      if (delivery.retain && !message.retain) violations.push({ rule: 'retained', text });
      const founding = (subscriptions.get(device) ?? []).filter(
        (one) =>
          matches(one.filter, delivery.topic) && one.from < delivery.at && (delivery.retain || message.at < one.to),
      );
      if (founding.length === 0) violations.push({ rule: 'not subscribed', text });
      else if (!founding.some(({ qos }) => Math.min(qos, message.qos) === delivery.qos))
        violations.push({ rule: 'wrong QoS', text: `${text} at QoS ${delivery.qos}` });
      if (delivery.again && !delivery.dup) violations.push({ rule: 'no DUP', text });
    }
  }
  return violations;
}

function missing({ messages, subscriptions, deliveries }: Reading): string[] {
  const lost: string[] = [];
  for (const [device, list] of subscriptions) {
    const had = new Set((deliveries.get(device) ?? []).filter(({ retain, again }) => !retain && !again).map(nameOf));
    for (const message of messages.values()) {
      if (!message.acknowledged || message.qos === 0 || had.has(nameOf(message))) continue;
      const due = list.some(
        ({ filter, qos, sure, ending }) =>
          qos > 0 && sure < message.at && ending === Infinity && matches(filter, message.topic),
      );
      if (due) lost.push(`${device}: ${nameOf(message)} on ${message.topic}, QoS ${message.qos}`);
    }
  }
  return lost;
}

/** QoS 2 exactly once [MQTT-4.3.3-2], QoS 0 at most once [MQTT-4.3.1-1]. */
function repeated({ messages, deliveries }: Reading): Violation[] {
  const violations: Violation[] = [];
  for (const [device, list] of deliveries) {
    const had = new Set<string>();
    for (const delivery of list) {
      if (delivery.retain || (delivery.again && delivery.qos === 2)) continue;
      const name = nameOf(delivery);
      // A publish of QoS 1 may be a repeat itself, whatever the QoS of the subscription.
      const once = messages.get(name)?.qos !== 1 && delivery.qos !== 1;
      if (once && had.has(name))
        violations.push({ rule: 'twice', text: `${device}: ${name} on ${delivery.topic}, QoS ${delivery.qos}` });
      had.add(name);
    }
  }
  return violations;
}

/** First occurrences of one publisher, topic and QoS come in the order of the publishes [MQTT-4.6.0-6]. */
function disordered({ messages, deliveries }: Reading): Violation[] {
  const violations: Violation[] = [];
  for (const [device, list] of deliveries) {
    const newest = new Map<string, number>();
    const had = new Set<string>();
    for (const delivery of list) {
      const name = nameOf(delivery);
      if (delivery.retain || had.has(name)) continue;
      had.add(name);
      const lane = `${delivery.publisher} ${delivery.topic} QoS ${messages.get(name)?.qos}/${delivery.qos}`;
      const before = newest.get(lane) ?? -1;
      if (delivery.number < before)
        violations.push({ rule: 'order', text: `${device}: ${name} after ${before}, ${lane}` });
      newest.set(lane, Math.max(before, delivery.number));
    }
  }
  return violations;
}

function listIn<T>(map: Map<string, T[]>, key: string): T[] {
  let list = map.get(key);
  if (list === undefined) map.set(key, (list = []));
  return list;
}
