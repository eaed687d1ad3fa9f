/**
 * Errors of aedes 2.0.0-beta.1 that nobody would hear. An 'error' of the broker without a listener ends the process
 * (enqueueOffline emits one when the session store fails).
 *
 * A client whose CONNECT the session store cannot serve is closed without CONNACK, as aedes does it. "Server unavailable" would be
 * the politer answer, but mqtt.js takes any error in a CONNACK as final and does not connect again (reconnectOnConnackError
 * is off by default), so an outage of seconds would strand a fleet.
 */
import type { Connection } from '../connection.ts';
import type { AedesBroker } from './internals.ts';

export function hearBroker(aedes: AedesBroker, fault: (where: string, error: unknown) => void): void {
  aedes.on('error', (error) => fault('broker', error));
}

/** Before the client's first byte is read: what is acknowledged goes out before aedes destroys the connection. */
export function hearClient(connection: Connection): void {
  connection.client.prependListener('error', () => connection.flush());
}
