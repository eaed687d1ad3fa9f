/**
 * The one point that every parsed packet passes on its way into aedes 2.0.0-beta.1. What aedes would end on, answer wrongly or not
 * do at all never gets there:
 * - CONNECT (see handshake.ts), SUBSCRIBE and UNSUBSCRIBE (delivery/subscribing.ts), PUBACK, PUBREC and PUBCOMP
 *   (delivery/outbound.ts);
 * - PUBREL: aedes awaits the session store without a catch, and does not wait for the buffer, which holds the packet ids;
 * - packets that arrive before CONNACK, which aedes hands on past this point.
 */
import type { SluiceError } from '../../errors.ts';
import type { Connection, ReleaseWaiter } from '../connection.ts';
import { subscribe, unsubscribe } from '../delivery/subscribing.ts';
import { renew } from '../enhanced.ts';
import { pubcomp, ReasonCode } from '../wire.ts';
import type { AnyPacket } from './internals.ts';

/** Packets that a client may send before it has its CONNACK [MQTT-3.1.4-5]. */
const EARLY_MAX = 42;
/**
 * Answers to what we have sent, so they come behind the CONNACK. aedes calls a client connected only once it has written all
 * that was queued for its session: a client that answers meanwhile must neither wait nor be taken for one that talks too early.
 */
const ANSWERS: ReadonlySet<string> = new Set(['puback', 'pubrec', 'pubcomp']);

/** Before the client's first byte is read. */
export function interceptPackets(
  connection: Connection,
  connect: (connection: Connection, packet: AnyPacket) => void,
): void {
  const { client } = connection;
  const parser = client._parser;
  const [intoAedes] = parser.listeners('packet') as ((this: unknown, packet: AnyPacket) => void)[];
  if (intoAedes === undefined) throw new Error('aedes does not listen to its parser');
  let early: AnyPacket[] | undefined;
  let connectCame = false;

  const pass = (packet: AnyPacket): void => {
    if (connection.ending) return;
    if (packet.cmd === 'connect' && !client.connecting && !client.connected) {
      connect(connection, packet);
    } else if (!client.connected || !handled(connection, packet)) {
      intoAedes.call(parser, packet);
    }
  };

  const { packets } = connection.core.counters;

  const onPacket = (packet: AnyPacket): void => {
    packets[packet.cmd] = (packets[packet.cmd] ?? 0) + 1;
    if (!connectCame) {
      connectCame = true;
      if (packet.cmd === 'connect') early = [];
      pass(packet);
    } else if (early === undefined || ANSWERS.has(packet.cmd)) {
      pass(packet);
    } else if (early.length < EARLY_MAX) {
      // Counted as aedes counts what it works on: nothing more is read until it is.
      client._parsingBatch++;
      early.push(packet);
    } else {
      client.emit('error', new Error('too many packets before CONNACK'));
    }
  };
  parser.removeListener('packet', intoAedes);
  parser.on('packet', onPacket);
  client.once('connected', () => {
    const waiting = early ?? [];
    early = undefined;
    client._parsingBatch -= waiting.length;
    for (const packet of waiting) {
      if (!client.closed) pass(packet);
    }
  });
}

/** By us, with an answer of ours; false: aedes is to have it. */
function handled(connection: Connection, packet: AnyPacket): boolean {
  const { outbound } = connection;
  const packetId = packet.messageId ?? 0;
  switch (packet.cmd) {
    case 'pubrel':
      release(connection, packetId);
      return true;
    case 'puback':
      outbound?.puback(packetId);
      break;
    case 'pubrec':
      outbound?.pubrec(packetId, packet.reasonCode ?? 0);
      break;
    case 'pubcomp':
      outbound?.pubcomp(packetId);
      break;
    case 'subscribe':
      subscribe(connection, packet);
      return true;
    case 'unsubscribe':
      unsubscribe(connection, packet);
      return true;
    case 'auth':
      renew(connection, packet);
      return true;
    default:
      return false;
  }
  connection.heard();
  return true;
}

/** PUBCOMP follows the commit that forgets the packet id [MQTT-4.3.3-2]; without it the client sends PUBREL again. */
class Release implements ReleaseWaiter {
  readonly #connection: Connection;
  readonly #packetId: number;
  readonly #reasonCode: number | undefined;
  readonly #done: () => void;

  constructor(connection: Connection, packetId: number, reasonCode: number | undefined, done: () => void) {
    this.#connection = connection;
    this.#packetId = packetId;
    this.#reasonCode = reasonCode;
    this.#done = done;
  }

  committed(): void {
    this.#connection.releases--;
    this.#connection.write(pubcomp(this.#packetId, this.#reasonCode));
    this.#done();
  }

  refused(error: SluiceError): void {
    this.#connection.releases--;
    this.#connection.refuse(error);
  }

  dropped(): void {
    throw new Error('a PUBREL cannot be dropped');
  }
}

function release(connection: Connection, packetId: number): void {
  const { client, publisher } = connection;
  if (publisher === undefined) return;
  // Certainly unknown only where the session began with this connection; ids of earlier ones are in the buffer.
  const unknown = connection.newSession && !publisher.qos2.has(packetId);
  const waiter = new Release(
    connection,
    packetId,
    unknown && client.version === 5 ? ReasonCode.packetIdentifierNotFound : undefined,
    connection.begin(),
  );
  connection.releases++;
  if (unknown) waiter.committed();
  else connection.core.ingest.releaseQos2(publisher, packetId, waiter);
}
