/**
 * A connection that ends late must not take the place of its successor along. aedes 2.0.0-beta.1 removes the client *id* when
 * a connection has ended, whoever holds the id by then: the successor can then no longer be taken over, gets no messages of
 * the server, and its MQTT 5 session may be wiped.
 */
import { connectionOf } from '../connection.ts';
import type { AedesBroker } from './internals.ts';

export function keepSuccessors(aedes: AedesBroker): void {
  const unregisterClient = aedes.unregisterClient.bind(aedes);
  aedes.unregisterClient = (client): void => {
    connectionOf(client).gone();
    if (aedes.clients[client.id] === client) {
      unregisterClient(client);
    } else if (connectionOf(client).publisher !== undefined) {
      aedes.connectedClients--;
      aedes.emit('clientDisconnect', client);
    }
  };
  // Sessions are left and ended in turn, in sessions/keeper.ts.
  aedes.scheduleSessionExpiry = (): void => undefined;
}
