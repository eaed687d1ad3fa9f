/**
 * Errors of aedes 2.0.0-beta.1 that nobody would hear. An 'error' of the broker without a listener ends the process
 * (enqueueOffline emits one when the session store fails). A client whose CONNECT cannot be served is destroyed without a
 * word; here it learns that the server is not available, and tries again later.
 */
import type { Connection } from '../connection.ts';
import { SessionStoreError } from '../sessions/guarded.ts';
import { connackUnavailable } from '../wire.ts';
import type { AedesBroker } from './internals.ts';

export function hearBroker(aedes: AedesBroker, fault: (where: string, error: unknown) => void): void {
  aedes.on('error', (error) => fault('broker', error));
}

/** Before the client's first byte is read. */
export function hearClient(connection: Connection): void {
  const { client } = connection;
  // Before aedes' own listener, which destroys the connection and with it what is not written yet.
  client.prependListener('error', (error: unknown) => {
    connection.flush();
    if (client.version === null || client.connackSent || !client.conn.writable) return;
    if (error instanceof SessionStoreError) client.conn.write(connackUnavailable(client.version));
  });
}
