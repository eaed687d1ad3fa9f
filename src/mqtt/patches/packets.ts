/**
 * The one point that every parsed packet passes on its way into aedes 2.0.0-beta.1, and what must not reach it there:
 * - PUBREL: aedes awaits the session store without a catch, and does not wait for the buffer, which holds the packet ids;
 * - SUBSCRIBE with several filters: aedes answers in the order of an object's keys, drops repeated filters from the answer,
 *   ends on the filter `__proto__`, and hangs for ever on aedes-persistence-redis, which waits for all filters under one name;
 * - SUBSCRIBE that access rules or limits refuse: aedes knows one reason code for all refusals;
 * - packets that arrive before CONNACK, which aedes hands on past this point.
 */
import type { SluiceError } from '../../errors.ts';
import { deny, filterFault } from '../access.ts';
import type { Connection, ReleaseWaiter } from '../connection.ts';
import { pubcomp, ReasonCode, suback } from '../wire.ts';
import type { AnyPacket, Subscription } from './internals.ts';

/** [MQTT-3.9.3-2] of MQTT 3.1.1 */
const SUBACK_FAILURE = 0x80;
/** Packets that a client may send before it has its CONNACK [MQTT-3.1.4-5]. */
const EARLY_MAX = 42;
/**
 * Answers to what we have sent, so they come behind the CONNACK. aedes calls a client connected only once it has written all
 * that was queued for its session: a client that answers meanwhile must neither wait nor be taken for one that talks too early.
 */
const ANSWERS: ReadonlySet<string> = new Set(['puback', 'pubrec', 'pubcomp']);

/** Before the client's first byte is read. */
export function interceptPackets(connection: Connection): void {
  const { client } = connection;
  const parser = client._parser;
  const [intoAedes] = parser.listeners('packet') as ((this: unknown, packet: AnyPacket) => void)[];
  if (intoAedes === undefined) throw new Error('aedes does not listen to its parser');
  let early: AnyPacket[] | undefined;
  let connectCame = false;

  const pass = (packet: AnyPacket): void => {
    if (connection.ending) return;
    if (packet.cmd === 'pubrel' && client.connected) {
      release(connection, packet.messageId ?? 0);
    } else if (packet.cmd === 'subscribe' && client.connected) {
      if (packet.subscriptions?.length === 1 && isGranted(connection, packet.subscriptions[0]))
        intoAedes.call(parser, packet);
      else subscribeOneByOne(connection, packet);
    } else {
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
  // Certainly unknown only where the session began with this connection; ids of earlier ones are in the store.
  const unknown = client._cleanStart && !publisher.qos2.has(packetId);
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

function isGranted(connection: Connection, subscription: Subscription | undefined): boolean {
  return subscription === undefined || filterFault(connection, subscription.topic, subscription.qos) === undefined;
}

function subscribeOneByOne(connection: Connection, packet: AnyPacket): void {
  const { client } = connection;
  const subscriptions: Subscription[] = packet.subscriptions ?? [];
  const { properties } = packet;
  const codes: number[] = [];
  const done = connection.begin();
  const next = (): void => {
    const subscription = subscriptions[codes.length];
    if (subscription === undefined) {
      connection.write(suback(client.version, packet.messageId ?? 0, codes));
      done();
      return;
    }
    const fault = filterFault(connection, subscription.topic, subscription.qos);
    if (fault !== undefined) {
      deny(connection, 'subscribe', subscription.topic, fault.rule);
      codes.push(client.version === 5 ? fault.reasonCode : SUBACK_FAILURE);
      next();
      return;
    }
    const one = { subscriptions: [subscription], ...(properties === undefined ? {} : { properties }) };
    client.subscribe(one, (error) => {
      if (error) client._nextBatch(error);
      if (error || client.closed || connection.ending) return;
      // aedes writes the granted code into `qos` after it has called back.
      process.nextTick(() => {
        codes.push(subscription.qos);
        next();
      });
    });
  };
  next();
}
