/**
 * Reading from the socket, in place of aedes' `nextBatch`: the one point where the bytes of a connection pass. All of them pass
 * the guard; only what it finds valid reaches aedes. What came before a packet that it does not is handled and answered, and then
 * the connection ends.
 *
 * aedes 2.0.0-beta.1 means to read on once everything it has read is done, but counts every 'readable' event, and every end of
 * a pause, as something done. What it reads then depends on how the bytes arrive: at times nothing for as long as an append
 * hangs, so that not even PINGREQ is answered; at times without a bound. Here a client is read while what it has unfinished
 * stays below a bound in bytes: several publishes are under way at once, and a ping is answered while they wait.
 *
 * It is also the last barrier: what aedes throws while it handles a packet becomes a closed connection and a fault event
 * instead of the end of the process. And it keeps mqtt-packet from being entered while it is at work: with aedes' own loop a
 * packet that is done at once makes it parse in the middle of a parse, and hand the same packet out twice.
 */
import { errorText } from '../../errors.ts';
import type { Connection } from '../connection.ts';
import { Guard, type Violation } from '../guard/guard.ts';

/** Read and not finished, per connection. One read of the socket may go beyond it. */
const UNFINISHED_MAX_BYTES = 128 * 1024;
/** How long a client that broke a rule may wait for the answers to what it sent before. All of them have time limits of their own. */
const FINISH_MAX_MS = 60_000;

/** Before the client's first byte is read. */
export function readInOrder(connection: Connection): void {
  const { client, core, info } = connection;
  const { conn } = client;
  let parsing = false;
  let unfinishedBytes = 0;
  const guard = new Guard(core.guardLimits);
  let violation: Violation | undefined;
  const onward = (valid: Buffer): void => client._parser.parse(valid);

  const read = (): void => {
    if (parsing) return;
    parsing = true;
    try {
      for (;;) {
        if (client.closed || connection.ending) return;
        if (violation !== undefined) {
          if (client._parsingBatch === 0) connection.reject(violation.answer);
          return;
        }
        if (client._paused === true) return;
        connection.unread =
          unfinishedBytes >= UNFINISHED_MAX_BYTES || connection.publisher?.throttle?.throttled === true;
        if (connection.unread) return;
        const bytes = conn.read() as Buffer | null;
        if (bytes === null) return;
        unfinishedBytes += bytes.length;
        violation = guard.take(bytes, onward);
        if (violation !== undefined) violated(violation);
        if (client._parsingBatch === 0) unfinishedBytes = 0;
      }
    } catch (thrown) {
      core.events.fault('client', thrown);
      client.emit('error', thrown instanceof Error ? thrown : new Error(errorText(thrown)));
    } finally {
      parsing = false;
    }
  };

  const violated = (what: Violation): void => {
    core.events.connectionFailed(client.id ?? '', info.remoteAddress, what);
    const timer = setTimeout(() => connection.reject(what.answer), FINISH_MAX_MS);
    conn.once('close', () => clearTimeout(timer));
  };

  const own = client._nextBatch;
  client._nextBatch = (error?: unknown): void => {
    if (error) {
      client.emit('error', error);
      return;
    }
    const unfinished = client._parsingBatch;
    client._parsingBatch = Math.max(0, unfinished - 1);
    unfinishedBytes = unfinished > 1 ? unfinishedBytes - unfinishedBytes / unfinished : 0;
    read();
  };
  client.resume = (): void => {
    client._paused = false;
    read();
  };
  client._parsingBatch = 0;
  conn.removeListener('readable', own);
  conn.on('readable', read);
}
