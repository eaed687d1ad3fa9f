/**
 * No false death by keep alive. The keep-alive timer of aedes 2.0.0-beta.1 runs on while it does not read a client, closes it
 * though it is well, and sends its will. Here the time that we do not read does not count, nor does the time that something of
 * the client waits for the buffer: only one that is read and silent is dead [MQTT-3.1.2-22].
 */
import type { Connection } from '../connection.ts';
import { disconnect, ReasonCode } from '../wire.ts';

/**
 * How long a client may go unread for other reasons than the buffer (session store, emitter), which have time limits of
 * their own. Beyond it something hangs, and the client is better off with a new connection.
 */
const UNREAD_MAX_MS = 60_000;
/** After a stop of the whole process timers run before sockets are read: what has come meanwhile is looked at first. */
const SECOND_LOOK_MS = 500;

const SILENT = 'keep alive timeout';

/** Once the CONNECT is handled: in place of the timer that aedes has set. */
export function keepAliveWhileRead(connection: Connection): void {
  const { client } = connection;
  if (client._keepaliveTimer === null || client._keepaliveInterval <= 0) return;
  clearTimeout(client._keepaliveTimer);
  let unreadMs = 0;
  let packets = 0;

  /** Not to be held against the client. */
  const excused = (): boolean => {
    const unread = connection.unread || client._paused === true;
    unreadMs = unread && !connection.waitsForStore ? unreadMs + client._keepaliveInterval : 0;
    return connection.waitsForStore || (unread && unreadMs <= UNREAD_MAX_MS);
  };
  const timer = setTimeout(() => {
    if (client.closed || connection.ending) return;
    if (excused()) {
      timer.refresh();
      return;
    }
    const before = packets;
    setTimeout(() => {
      if (client.closed || connection.ending || packets > before) return;
      if (connection.waitsForStore) {
        timer.refresh();
        return;
      }
      if (unreadMs > 0) {
        connection.endedByUs = true;
        client.emit('error', new Error('the client could not be read'));
      } else {
        connection.core.events.connectionFailed(client.id, connection.info.remoteAddress, new Error(SILENT));
        connection.reject(client.version === 5 ? disconnect(ReasonCode.keepAliveTimeout) : undefined);
      }
    }, SECOND_LOOK_MS).unref();
  }, client._keepaliveInterval);
  const refresh = timer.refresh.bind(timer);
  // aedes refreshes it for each packet.
  timer.refresh = () => {
    packets++;
    return refresh();
  };
  client._keepaliveTimer = timer;
}
