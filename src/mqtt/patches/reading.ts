/**
 * Reading from the socket, in place of aedes' `nextBatch`: the one point where the bytes of a connection pass.
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

/** Read and not finished, per connection. One read of the socket may go beyond it. */
const UNFINISHED_MAX_BYTES = 128 * 1024;

/** Before the client's first byte is read. */
export function readInOrder(connection: Connection): void {
  const { client, core } = connection;
  const { conn } = client;
  let parsing = false;
  let unfinishedBytes = 0;

  const read = (): void => {
    if (parsing) return;
    parsing = true;
    try {
      for (;;) {
        if (client.closed || client._paused === true || client._rejectingPacketTooLarge || connection.ending) return;
        connection.unread = unfinishedBytes >= UNFINISHED_MAX_BYTES;
        if (connection.unread) return;
        const bytes = conn.read() as Buffer | null;
        if (bytes === null) return;
        unfinishedBytes += bytes.length;
        client._parser.parse(bytes);
        if (client._parsingBatch === 0) unfinishedBytes = 0;
        rejectIfTooLarge();
      }
    } catch (thrown) {
      core.events.fault('client', thrown);
      client.emit('error', thrown instanceof Error ? thrown : new Error(errorText(thrown)));
    } finally {
      parsing = false;
    }
  };

  /** The header tells the length before the packet has come [MQTT-3.1.2-24]. */
  const rejectIfTooLarge = (): void => {
    const { packet } = client._parser;
    if (packet === null || packet.length <= 0) return;
    const size = 1 + lengthBytes(packet.length) + packet.length;
    if (size > client.broker.maximumPacketSize) client.rejectPacketTooLarge(size);
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

function lengthBytes(length: number): number {
  if (length < 128) return 1;
  if (length < 16_384) return 2;
  return length < 2_097_152 ? 3 : 4;
}
