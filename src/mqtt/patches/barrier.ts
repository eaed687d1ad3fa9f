/**
 * The last barrier: what aedes throws while it handles a client's packet becomes a closed connection and a fault event. In
 * aedes 2.0.0-beta.1 such an exception, as any 'error' that nobody listens to (enqueueOffline), ends the process.
 *
 * It also keeps mqtt-packet from being entered while it is at work: a packet that is done at once makes aedes read and parse
 * again in the middle of the parse, which hands the same packet out twice.
 */
import { errorText } from '../../errors.ts';
import { SessionStoreError } from '../sessions/guarded.ts';
import type { Connection } from '../connection.ts';
import { connackUnavailable } from '../wire.ts';
import type { AedesBroker } from './internals.ts';

export function guardBroker(aedes: AedesBroker, fault: (where: string, error: unknown) => void): void {
  aedes.on('error', (error) => fault('broker', error));
}

/** Before the client's first byte is read. */
export function guardClient(connection: Connection): void {
  const { client, core } = connection;
  const handle = client._nextBatch;
  let running = false;
  let done = 0;
  const guarded = (error?: unknown): void => {
    if (running && !error) {
      done++;
      return;
    }
    const outermost = !running;
    running = true;
    try {
      handle(error);
      while (outermost && done > 0) {
        done--;
        handle();
      }
    } catch (thrown) {
      core.events.fault('client', thrown);
      client.emit('error', thrown instanceof Error ? thrown : new Error(errorText(thrown)));
    } finally {
      if (outermost) running = false;
    }
  };
  client._nextBatch = guarded;
  client.conn.removeListener('readable', handle);
  client.conn.on('readable', () => guarded());
  // Before aedes' own listener, which destroys the connection.
  client.prependListener('error', (error: unknown) => {
    connection.flush();
    const unanswered = client.connecting && !client.connackSent && client.version !== null;
    if (unanswered && error instanceof SessionStoreError && client.conn.writable) {
      client.conn.write(connackUnavailable(client.version ?? 4));
    }
  });
}
