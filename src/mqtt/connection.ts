/**
 * One MQTT connection: who publishes over it, what it is answered, and how it ends. Acknowledgements are written here and
 * not by aedes, which writes a PUBREC only after delivery to subscribers: then a slow subscriber would delay it, and it would
 * come behind later ones.
 *
 *     PUBLISH -> aedes -> authorizePublish -> ingest.admit -> committed -> acknowledge, then deliver to subscribers, in turn
 *                                                 └─> refused -> no acknowledgement, ever; the connection ends
 */
import type { Ingest } from '../ingest/ingest.ts';
import {
  anonymous,
  type Authenticator,
  type ClientCertificate,
  type EnhancedAuthentication,
  type Identity,
} from '../auth/identity.ts';
import type { Access, Publisher } from '../ingest/admission.ts';
import { errorText, type SluiceError } from '../errors.ts';
import type { FilterLimits } from './access.ts';
import type { MqttEvents } from './events.ts';
import type { Fanout } from './delivery/fanout.ts';
import type { Lane, Lanes } from './delivery/lane.ts';
import type { Outbound } from './delivery/outbound.ts';
import type { Receipt } from './delivery/receipt.ts';
import type { GuardLimits } from './guard/guard.ts';
import type { AedesBroker, AedesClient, Done, PublishPacket, Subscription } from './patches/internals.ts';
import type { GuardedStore } from './sessions/guarded.ts';
import type { Delivery, Publication } from './sessions/store.ts';
import type { UserConnections } from './user-connections.ts';
import { disconnect, publishRefused, PUBACK, PUBREC, ReasonCode } from './wire.ts';

/** Where a connection comes from. */
export interface ConnectionInfo {
  readonly listener: 'mqtt' | 'mqtts' | 'ws' | 'wss';
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Of a client certificate that an authority of the listener has signed. */
  readonly certificate?: ClientCertificate;
}

/** What the broker counts. */
export interface MqttCounters {
  /** Packets that came, by type. */
  readonly packets: Record<string, number>;
  /** PUBLISH packets that came, by QoS. */
  readonly published: [number, number, number];
  /** PUBACK and PUBREC that went. */
  acknowledged: number;
  /** Connections that were closed because the buffer did not take what they brought. */
  refusedConnections: number;
  /** CONNECTs of clients that did not prove who they are, or that nobody could judge. */
  refusedLogins: number;
  /** QoS 0 messages that were refused; MQTT subscribers had them. Those that were dropped for want of room the commit counts. */
  refusedQos0: number;
  /** Messages written to subscribers. */
  forwarded: number;
  /** Messages not forwarded: to a subscriber that does not read, or that takes no packet so large. */
  undelivered: number;
  /** What access rules and limits refused: publishes, wills, subscriptions. */
  denied: number;
  /** Messages that access rules kept from a subscriber. */
  withheld: number;
  /** Messages whose expiry was over before they could be forwarded. */
  expired: number;
  willsSent: number;
  /** Faults of session store, emitter and broker that were kept from the clients. */
  faults: number;
}

/** What the connections of a broker share. */
export interface BrokerCore {
  readonly aedes: AedesBroker;
  readonly ingest: Pick<
    Ingest,
    'publisher' | 'admit' | 'releaseQos2' | 'forgetQos2' | 'fault' | 'arrived' | 'departed'
  >;
  readonly counters: MqttCounters;
  readonly events: MqttEvents;
  readonly guardLimits: GuardLimits;
  readonly silent: (topic: string, qos: number) => boolean;
  readonly limits: () => FilterLimits;
  readonly users: UserConnections;
  /** undefined: everybody may connect. */
  readonly authenticator: Authenticator | undefined;
  /** What a client may do; undefined: everything. */
  readonly accessOf: (clientId: string, identity: Identity) => Access | undefined;
  readonly store: GuardedStore;
  readonly fanout: Fanout;
  readonly sharedSubscriptions: boolean;
  /** QoS 1 and 2 messages that a client may have under way to us. */
  readonly receiveMaximum: number;
  /** Other processes are to know of a change of stored sessions. */
  readonly announce: (change: SessionChange) => void;
  /** A connection with a session in the store is gone. */
  readonly left: (connection: Connection) => void;
  readonly lanes: Lanes;
  /** Messages that are acknowledged and not yet handed to the subscribers and sessions. */
  deliveries: number;
}

/** What other processes are told of a session in the store. */
export interface SessionChange {
  readonly clientId: string;
  readonly subscribed?: readonly Subscription[];
  readonly unsubscribed?: readonly string[];
  readonly ended?: true;
}

/** Who waits for the commit that forgets a QoS 2 packet id. */
export type ReleaseWaiter = Parameters<Ingest['releaseQos2']>[2];

/** Acknowledgements that wait for the end of the turn; the socket says when a client does not read them. */
const ACKNOWLEDGEMENTS_MAX = 1_024;
/** How long a closed client may take to read why. */
const LINGER_MS = 1_000;

export class Connection {
  readonly client: AedesClient;
  readonly core: BrokerCore;
  readonly info: ConnectionInfo;
  /** Who it is; decided before the broker takes the client in. */
  identity: Identity = anonymous;
  /** What its CONNECT wants to prove, until that is judged. */
  enhanced: EnhancedAuthentication | undefined;
  /** The method of enhanced authentication by which it was let in. */
  enhancedMethod: string | undefined;
  /** A new proof is being looked at. */
  renewing = false;
  expiryTimer: NodeJS.Timeout | undefined;
  /** It may connect; its session is being looked up, or it is connected. */
  admitted = false;
  /** What it may do; undefined: everything. */
  access: Access | undefined;
  /** From the moment the broker took the client in: nothing it publishes comes earlier. */
  publisher: Publisher | undefined;
  /** Names it in the store: what an older connection of the client does late is not taken for its doing. */
  readonly owner = `${Date.now().toString(36)}-${++connectionCount}-${process.pid}`;
  /** By filter. */
  readonly subscriptions = new Map<string, Subscription>();
  /** From CONNACK on. */
  outbound: Outbound | undefined;
  /** Its session is in the store. */
  stored = false;
  /** Its session began with it. */
  newSession = true;
  /** Told the client in place of its own (MQTT 5.0 §3.2.2.3.14). */
  serverKeepAlive: number | undefined;
  /** The broker has taken the client in. */
  registered: (() => void) | undefined;
  #left = false;
  #turn: Promise<void> = Promise.resolve();
  /** QoS 1 publishes that are not acknowledged. */
  #unacknowledged = 0;
  /** PUBRELs that wait for their commit. */
  releases = 0;
  /** It has brought so much that is not finished that we do not read it. */
  unread = false;
  /** We end it; nothing is read or answered any more. */
  ending = false;
  /** It ends for our reasons: the client is well as far as we know, and its will is held (see patches/wills.ts). */
  endedByUs = false;
  willToken: string | undefined;
  /** 1.5 times what the client promised, 0 without keep alive. */
  keepAliveMs = 0;
  /** Milliseconds since the epoch. */
  readonly connectedAt = Date.now();
  /** A new connection starts its session anew: the will is not to wait for the end of its delay. */
  sessionReplaced = false;
  /** The will is not sent yet: its delay or its grace runs. */
  willHeld = false;
  #corked = false;
  /** Not written yet: packet type and flags in bits 16 to 23, packet id below. */
  readonly #acknowledgements: number[] = [];
  /** Of its client id, from the moment the broker took the client in until nothing more comes of this connection. */
  #lane: Lane | undefined;

  constructor(core: BrokerCore, client: AedesClient, info: ConnectionInfo) {
    this.core = core;
    this.client = client;
    this.info = info;
  }

  /** Something of this client waits for the buffer. */
  get waitsForStore(): boolean {
    return this.releases > 0 || (this.publisher !== undefined && this.publisher.pending > 0);
  }

  /** What has come was a packet, and needs no more than this. */
  heard(): void {
    const { client } = this;
    if (client._keepaliveInterval > 0) client._keepaliveTimer?.refresh();
  }

  /** One after the other; what fails closes the client. `done` when it is over. */
  inTurn(change: () => Promise<void>, done: () => void): void {
    this.#turn = this.#turn.then(async () => {
      try {
        if (!this.client.closed && !this.ending) await change();
        done();
      } catch (error) {
        this.client.emit('error', error);
      }
    });
  }

  /** A message for its client; `key` is its name in the queue of the session. */
  receive(publication: Publication, delivery: Delivery, key: string | undefined, receipt?: Receipt): void {
    this.outbound?.send(publication, delivery, this.stored ? key : undefined, receipt);
  }

  /** Before anything of it is admitted. */
  enterLane(): void {
    this.#lane = this.core.lanes.enter(this.client.id);
  }

  /** Once it is closed and all that it brought is answered: until then its messages go before those of its successor. */
  #leaveLane(): void {
    const lane = this.#lane;
    if (lane === undefined || (this.publisher !== undefined && this.publisher.pending > 0)) return;
    this.#lane = undefined;
    this.core.lanes.leave(this.client.id, lane);
  }

  /** Nothing is delivered any more. May be called again. */
  gone(): void {
    const { core, client } = this;
    this.#leaveLane();
    core.fanout.disconnected(this, !this.stored || client.sessionExpiryInterval === 0);
    if (!this.stored || this.#left) return;
    this.#left = true;
    core.left(this);
  }

  /** A PUBLISH came. false: it is more than the client may have under way [MQTT-3.3.4-7]. */
  take(packet: PublishPacket): boolean {
    const { publisher, core, client } = this;
    if (packet.qos === 0 || publisher === undefined) return true;
    const repeated = packet.qos === 2 && publisher.qos2.has(packet.messageId ?? 0);
    const underWay = this.#unacknowledged + publisher.qos2.size;
    if (client.version === 5 && !repeated && underWay >= core.receiveMaximum) return false;
    if (packet.qos === 1) this.#unacknowledged++;
    return true;
  }

  /** A QoS 1 publish has its PUBACK, of whatever kind. */
  answered(packet: PublishPacket): void {
    if (packet.qos === 1) this.#unacknowledged--;
  }

  /** The publish is durable, or on no route: acknowledges it and hands it to the subscribers. */
  accepted(packet: PublishPacket, duplicate: boolean, done: Done): void {
    if (packet.qos > 0) {
      this.#acknowledge(packet.qos === 1 ? PUBACK : PUBREC, packet.messageId ?? 0);
      this.core.counters.acknowledged++;
      this.answered(packet);
    }
    this.pass(packet, duplicate, done);
  }

  /** To the subscribers, without an acknowledgement. `duplicate`: not even there. */
  pass(packet: PublishPacket, duplicate: boolean, done: Done): void {
    // aedes is neither to acknowledge nor to publish it: handlers/publish.js does neither to what was not authorized.
    packet._notAuthorized = true;
    // DUP is a matter between the publisher and us [MQTT-3.3.1-3].
    packet.dup = false;
    const lane = this.#lane;
    if (duplicate || lane === undefined || (!lane.busy && this.#nobodyListens(packet))) {
      this.#readOn(done);
    } else {
      this.core.deliveries++;
      lane.deliver(this, packet, done);
    }
    if (this.client.closed) this.#leaveLane();
  }

  /**
   * It will never be accepted. MQTT 5 has an answer for that; a client of an earlier version is closed [MQTT-3.3.5-2], since a
   * PUBACK would say that it was taken. A QoS 0 publish is dropped.
   */
  forbid(packet: PublishPacket, reasonCode: number, reason: string, done: Done): void {
    packet._notAuthorized = true;
    if (packet.qos > 0 && this.client.version !== 5) {
      this.reject(undefined);
      return;
    }
    if (packet.qos > 0) {
      const type = packet.qos === 1 ? PUBACK : PUBREC;
      // [MQTT-3.1.2-29], [MQTT-3.4.2-2]
      const full = publishRefused(type, packet.messageId ?? 0, reasonCode, reason);
      const { _requestProblemInformation: wanted, maximumPacketSize = Infinity } = this.client;
      const terse = wanted === false || full.length > maximumPacketSize;
      this.write(terse ? publishRefused(type, packet.messageId ?? 0, reasonCode, '') : full);
    }
    this.#readOn(done);
  }

  /** Not stored, or not certainly: the client is to send it again, over a new connection. */
  refuse(error: SluiceError): void {
    if (this.endedByUs || this.client.closed) return;
    this.core.counters.refusedConnections++;
    this.core.events.connectionRefused(this.client.id, error);
    this.end(this.#reasonFor(error));
  }

  #reasonFor({ code }: SluiceError): number {
    if (code === 'STORE_FULL') return ReasonCode.quotaExceeded;
    if (code !== 'RATE_EXCEEDED') return ReasonCode.serverBusy;
    return this.publisher?.throttle?.exceeded === 'bytes' ? ReasonCode.quotaExceeded : ReasonCode.messageRateTooHigh;
  }

  /** Ends the connection for our reasons; a client of MQTT 5 is told which. */
  end(reasonCode: number): void {
    if (this.ending || this.client.closed) return;
    this.endedByUs = true;
    this.#end(this.client.version === 5 && this.client.connected ? disconnect(reasonCode) : undefined);
  }

  /** Ends the connection because of what the client did; `farewell` goes out first. */
  reject(farewell: Buffer | undefined): void {
    if (this.ending || this.client.closed) return;
    this.#end(farewell);
  }

  /** Answers, which are small and their number bounded, and messages, which Outbound bounds. */
  write(bytes: Buffer): void {
    const { conn, closed } = this.client;
    if (closed || this.ending || conn.destroyed || !conn.writable) return;
    this.#cork();
    this.writeAcknowledgements();
    conn.write(bytes);
  }

  /** PUBACK (QoS 1) or PUBREC (QoS 2), success ([MQTT-4.3.2-4], [MQTT-4.3.3-8]). Those of one turn go out as one. */
  #acknowledge(type: number, packetId: number): void {
    this.#acknowledgements.push((type << 16) | packetId);
    if (this.#acknowledgements.length >= ACKNOWLEDGEMENTS_MAX) this.flush();
    else this.#cork();
  }

  /** What was acknowledged goes out before what somebody else writes to the socket now. */
  writeAcknowledgements(): void {
    const count = this.#acknowledgements.length;
    if (count === 0) return;
    const { conn, closed } = this.client;
    if (!closed && !this.ending && !conn.destroyed && conn.writable) {
      const bytes = Buffer.allocUnsafe(4 * count);
      for (let index = 0; index < count; index++) {
        const acknowledgement = this.#acknowledgements[index] ?? 0;
        bytes.writeUInt16BE(((acknowledgement >> 16) << 8) | 2, 4 * index);
        bytes.writeUInt16BE(acknowledgement & 0xffff, 4 * index + 2);
      }
      conn.write(bytes);
    }
    this.#acknowledgements.length = 0;
  }

  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.client.conn.cork();
    process.nextTick(flush, this);
  }

  /** Counts a packet in that sluice answers instead of aedes; the function returned counts it out. */
  begin(): () => void {
    const { client } = this;
    client._parsingBatch++;
    if (client._keepaliveInterval > 0) client._keepaliveTimer?.refresh();
    return () => this.#readOn(client._nextBatch);
  }

  #end(farewell: Buffer | undefined): void {
    const { client } = this;
    const { conn } = client;
    this.flush();
    this.ending = true;
    client.pause();
    const close = (): void => client.close();
    const timer = setTimeout(close, LINGER_MS);
    conn.once('close', () => clearTimeout(timer));
    // Reading goes on, into nothing: a socket closed with unread bytes in it is reset, and the farewell lost with it.
    conn.removeAllListeners('readable');
    conn.resume();
    if (farewell === undefined) conn.end();
    else conn.end(farewell);
  }

  /** Hands what was written to the socket now: what is destroyed with the socket was never sent. */
  flush(): void {
    if (!this.#corked) return;
    this.#corked = false;
    this.writeAcknowledgements();
    this.client.conn.uncork();
  }

  /** Lets aedes read on, once the client has read enough of its acknowledgements. */
  #readOn(done: Done): void {
    if (!this.client.closed && this.client.conn.writableNeedDrain) this.client.waitForDrain(() => done());
    else done();
  }

  /** A shorter way past aedes, where nobody listens and nothing is kept: most of what goes to Kafka. */
  #nobodyListens(packet: PublishPacket): boolean {
    const { silent } = this.core;
    return !packet.retain && silent(packet.topic, packet.qos);
  }

  /** Its turn in the lane has come. */
  publish(packet: PublishPacket, done: (error?: Error | null) => void): void {
    if (this.#nobodyListens(packet)) {
      done();
      return;
    }
    // Known before the message is queued: a subscription may not want what its own client publishes.
    packet.clientId = this.client.id;
    try {
      this.core.aedes.publish(packet, this.client, done);
    } catch (error) {
      done(error instanceof Error ? error : new Error(errorText(error)));
    }
  }

  /** It is acknowledged and on its way to Kafka: what subscribers miss is no reason to close the publisher. */
  passed(done: Done, error: Error | null | undefined): void {
    const { core } = this;
    if (error) core.events.fault('delivery', error);
    core.deliveries--;
    this.#readOn(done);
  }
}

function flush(connection: Connection): void {
  connection.flush();
}

let connectionCount = 0;

const connections = new WeakMap<AedesClient, Connection>();

export function attach(connection: Connection): void {
  connections.set(connection.client, connection);
}

/** Every client of the broker has one: they are attached before the first byte is read. */
export function connectionOf(client: AedesClient): Connection {
  const connection = connections.get(client);
  if (connection === undefined) throw new Error('a client without a connection');
  return connection;
}
