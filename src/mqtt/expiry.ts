/** A connection ends when what its client has proven does not hold any longer. */
import type { Connection } from './connection.ts';
import { ReasonCode } from './wire.ts';

/** setTimeout() knows no longer time. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** From CONNACK on. The client is told that its time is over, and may come back with a new proof. */
export function endAtExpiry(connection: Connection): void {
  const { expiresAt } = connection.identity;
  if (expiresAt === undefined) return;
  const leftMs = expiresAt - Date.now();
  if (leftMs <= 0) {
    connection.end(ReasonCode.maximumConnectTime);
    return;
  }
  const timer = setTimeout(() => endAtExpiry(connection), Math.min(leftMs, TIMER_MAX_MS));
  timer.unref();
  connection.client.conn.once('close', () => clearTimeout(timer));
}
