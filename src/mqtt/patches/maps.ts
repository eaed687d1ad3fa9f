/**
 * Maps that clients name the keys of, without a prototype. In aedes 2.0.0-beta.1 they are plain objects: a client id or a
 * filter `__proto__` finds Object.prototype in them, and the process ends in `assert(notify)` of mqemitter or in a call of
 * undefined (1.2.0 has maps without prototype; the MQTT 5 branch lost them).
 */
import type { AedesBroker, AedesClient } from './internals.ts';

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
