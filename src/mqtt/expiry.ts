/** A connection ends when what its client has proven does not hold any longer. */
import type { Connection } from './connection.ts';
import { ReasonCode } from './wire.ts';

/** setTimeout() knows no longer time. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** From CONNACK on, and again with a new proof. The client is told that its time is over, and may come back. */
export function endAtExpiry(connection: Connection): void {
  const { client, expiryTimer, identity } = connection;
  const { expiresAt } = identity;
  clearTimeout(expiryTimer);
  if (expiresAt === undefined || client.closed) return;
  const leftMs = expiresAt - Date.now();
  if (leftMs <= 0) {
    connection.end(ReasonCode.maximumConnectTime);
    return;
  }
  if (expiryTimer === undefined) client.conn.once('close', () => clearTimeout(connection.expiryTimer));
  connection.expiryTimer = setTimeout(() => endAtExpiry(connection), Math.min(leftMs, TIMER_MAX_MS));
  connection.expiryTimer.unref();
}
