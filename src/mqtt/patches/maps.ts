/**
 * Maps that clients name the keys of, without a prototype. In aedes 2.0.0-beta.1 they are plain objects: a client id or a
 * filter `__proto__` finds Object.prototype in them, and the process ends in `assert(notify)` of mqemitter or in a call of
 * undefined (1.2.0 has maps without prototype; the MQTT 5 branch lost them).
 */
import type { AedesBroker, AedesClient, Subscription } from './internals.ts';

/** Before listen(). */
export function bareBrokerMaps(aedes: AedesBroker): void {
  aedes.clients = Object.create(null) as AedesBroker['clients'];
  aedes.brokers = Object.create(null) as AedesBroker['brokers'];
}

/** Before the client's first byte is read. */
export function bareClientMaps(client: AedesClient): void {
  client.subscriptions = Object.create(null) as AedesClient['subscriptions'];
  client.duplicates = Object.create(null) as AedesClient['duplicates'];
}

/**
 * For subscriptions that a session is resumed with: handlers/subscribe.js takes repeated filters out by way of a plain object,
 * where `__proto__` replaces the prototype, and what is found in that afterwards ends the process. The first look at the
 * filter, which is that one, sees a name that is no filter.
 */
export function hiddenFromDedupe(subscriptions: Subscription[]): Subscription[] {
  const index = subscriptions.findIndex(({ topic }) => topic === '__proto__');
  if (index < 0 || subscriptions.length === 1) return subscriptions;
  const hidden = { ...(subscriptions[index] as Subscription) };
  let looks = 0;
  Object.defineProperty(hidden, 'topic', { enumerable: true, get: () => (looks++ === 0 ? '\0' : '__proto__') });
  return subscriptions.with(index, hidden);
}
