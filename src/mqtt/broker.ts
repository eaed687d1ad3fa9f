/** The MQTT broker: aedes with admission in front of every publish, and sessions that outlive the process. */
import './patches/quiet-debug.ts';
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { Aedes, type AedesOptions } from 'aedes';
import { anonymous, type Authenticator, type Identity } from '../auth/identity.ts';
import type { Message } from '../message.ts';
import { deny, filterFault, judgeAnew, mayReceive, noFilterLimits, type FilterLimits } from './access.ts';
import {
  attach,
  Connection,
  connectionOf,
  type BrokerCore,
  type ConnectionInfo,
  type MqttCounters,
} from './connection.ts';
import {
  listClients,
  listSubscriptions,
  type List,
  type ListedClient,
  type ListedSubscription,
  type ListRequest,
} from './client-list.ts';
import { authenticate, identified } from './connect-admission.ts';
import { endAtExpiry } from './expiry.ts';
import { packetProperties } from './inbound.ts';
import { hearStrays } from './last-barrier.ts';
import type { MqttEvents } from './events.ts';
import { hearBroker, hearClient } from './patches/barrier.ts';
import {
  assertInternals,
  type AedesBroker,
  type AedesClient,
  type Done,
  type PublishPacket,
  type Subscription,
} from './patches/internals.ts';
import { keepAliveWhileRead } from './patches/keep-alive.ts';
import { bareBrokerMaps, bareClientMaps } from './patches/maps.ts';
import { interceptPackets } from './patches/packets.ts';
import { readInOrder } from './patches/reading.ts';
import { keepSuccessors } from './patches/takeover.ts';
import { Wills } from './patches/wills.ts';
import { PublishAdmission } from './publish-admission.ts';
import type { Sessions } from './sessions.ts';
import { UserConnections } from './user-connections.ts';
import { ReasonCode } from './wire.ts';

export interface MqttBrokerOptions {
  readonly ingest: BrokerCore['ingest'];
  /** Without one everybody may connect. */
  readonly authenticator?: Authenticator;
  /** What a client may do. Without it, or where it gives undefined: everything. */
  readonly access?: BrokerCore['accessOf'];
  readonly sessions: Sessions;
  readonly limits: {
    readonly maxPacketSizeBytes: number;
    readonly connectTimeoutMs: number;
    /** Default: none. */
    readonly filters?: FilterLimits;
    /** Longest life of a session without a connection, in seconds; MQTT 5 clients are told. 0, the default: as they ask for. */
    readonly sessionExpirySeconds?: number;
    /** Connections of one user with different client ids. Default: any number. */
    readonly connectionsPerUser?: number;
    /**
     * What may wait in the socket of a subscriber that reads too slowly. Beyond it QoS 0 messages pass it by; for a message
     * of QoS 1 or 2 it is disconnected, and its session keeps what follows. Default 8 MiB.
     */
    readonly subscriberBufferBytes?: number;
    /** A client whose socket takes nothing for this long is disconnected. Default 5 s. */
    readonly drainTimeoutMs?: number;
  };
  readonly events: MqttEvents;
  /** Least time that a client which was closed for an outage has to come back before its will is sent. Default 30 s. */
  readonly willGraceMs?: number;
  /** Wills of a process that died are sent by the next one after this time, unless their clients come back. Default 24 s. */
  readonly willSweepMs?: number;
}

/** What the server itself publishes. */
export type OutboundMessage = Pick<Message, 'topic' | 'payload' | 'qos' | 'retain'> &
  Partial<Pick<Message, 'properties'>>;

export interface MqttBroker {
  /** Takes a connection from a listener; what is read from the stream is MQTT from the first byte. */
  handle(stream: Duplex, info: ConnectionInfo): void;
  /** To MQTT subscribers, retained where asked. The caller has admitted the message: this does not put it into the buffer. */
  publish(message: OutboundMessage): Promise<void>;
  /** Stops reading: nothing more is admitted, what is admitted can still be acknowledged. */
  stopReading(): void;
  /** Ends the connections of clients who may not be here any more, after users or rules have changed. Gives their number. */
  endUnless(mayStay: (identity: Identity, clientId: string, info: ConnectionInfo) => boolean): number;
  /** After access rules or limits have changed: what clients have subscribed to and may no longer is taken from them. */
  judgeAnew(): void;
  /** New limits. Whoever is connected stays; subscriptions beyond them are taken. */
  limit(filters: FilterLimits, connectionsPerUser: number): void;
  /** Ends every connection for our reasons: wills are held, and clients of MQTT 5 told why. */
  disconnectAll(reasonCode: number): Promise<void>;
  /** After stopReading() and the commits it left: tells clients of MQTT 5 (0x8B), ends the connections, closes the sessions. */
  close(): Promise<void>;
  readonly counters: MqttCounters;
  /** Clients now connected, by protocol version. */
  clients(): { readonly total: number; readonly v31: number; readonly v311: number; readonly v5: number };
  listClients(request: ListRequest): List<ListedClient>;
  listSubscriptions(request: ListRequest): List<ListedSubscription>;
  /** Sessions whose clients are away. Rejects where the session store does not answer. */
  offlineSessions(): Promise<number>;
  /** An operator ends the connection of a client, which may come back; a client of MQTT 5 is told. false: it has none. */
  disconnect(clientId: string): boolean;
  /** Connections of any state, those included that have not sent CONNECT. */
  readonly connections: number;
  /** Wills that wait for the buffer. */
  readonly pendingWills: number;
}

/** Aliases that a client of MQTT 5 may set for its topics. */
const TOPIC_ALIASES = 32;
/** A CONNECT may hold a will and a token. It is what a client that nobody knows yet can make us hold. */
const CONNECT_MAX_BYTES = 64 * 1024;
const CLOSE_TIMEOUT_MS = 2_000;
/** After a fault that nobody caught: how long the packets under way may still take. Stores have time limits of their own. */
const ANSWER_MAX_MS = 5_000;

/** Takes the sessions over: they are closed with the broker, also where it does not come up. */
export async function createBroker(options: MqttBrokerOptions): Promise<MqttBroker> {
  const broker = new Broker(options);
  try {
    await broker.listen();
  } catch (error) {
    await options.sessions.close().catch(() => undefined);
    throw error;
  }
  return broker;
}

class Broker implements MqttBroker {
  readonly #options: MqttBrokerOptions;
  readonly #aedes: AedesBroker;
  readonly #core: BrokerCore;
  readonly #wills: Wills;
  readonly #connections = new Set<Connection>();
  readonly #subscriberBufferBytes: number;
  readonly #deaf: () => void;
  #filterLimits: FilterLimits;
  #stopping = false;
  #closing: Promise<void> | undefined;
  readonly counters: MqttCounters = {
    packets: {},
    published: [0, 0, 0],
    acknowledged: 0,
    refusedConnections: 0,
    refusedLogins: 0,
    refusedQos0: 0,
    forwarded: 0,
    undelivered: 0,
    denied: 0,
    withheld: 0,
    willsSent: 0,
    faults: 0,
  };

  constructor(options: MqttBrokerOptions) {
    this.#options = options;
    const { limits, sessions } = options;
    const willSweepMs = options.willSweepMs ?? 24_000;
    this.#filterLimits = limits.filters ?? noFilterLimits;
    this.#subscriberBufferBytes = limits.subscriberBufferBytes ?? 8 * 2 ** 20;
    const aedesOptions: AedesOptions = {
      id: brokerId(),
      mq: sessions.emitter,
      persistence: sessions.persistence,
      heartbeatInterval: willSweepMs / 4,
      connectTimeout: limits.connectTimeoutMs,
      drainTimeout: limits.drainTimeoutMs ?? 5_000,
      maximumPacketSize: limits.maxPacketSizeBytes,
      topicAliasMaximum: TOPIC_ALIASES,
      sessionExpiryIntervalLimit: limits.sessionExpirySeconds ?? 0,
      // [MQTT-3.1.3-5] names the least that a server must allow; ids of MQTT 3.1 are no reason to be stricter.
      maxClientsIdLength: 65_535,
    };
    this.#aedes = new Aedes(aedesOptions) as unknown as AedesBroker;
    assertInternals(this.#aedes);
    bareBrokerMaps(this.#aedes);
    keepSuccessors(this.#aedes);
    this.#core = {
      aedes: this.#aedes,
      ingest: options.ingest,
      counters: this.counters,
      events: {
        ...options.events,
        fault: (where, error) => {
          this.counters.faults++;
          options.events.fault(where, error);
        },
      },
      guardLimits: {
        connectMaxBytes: Math.min(CONNECT_MAX_BYTES, limits.maxPacketSizeBytes),
        packetMaxBytes: limits.maxPacketSizeBytes,
        topicAliasMaximum: TOPIC_ALIASES,
        topicLevelsMax: this.#aedes.maxTopicLevels,
      },
      silent: sessions.silent,
      limits: () => this.#filterLimits,
      users: new UserConnections(limits.connectionsPerUser ?? 0),
      accessOf: options.access ?? (() => undefined),
      deliveries: 0,
    };
    hearBroker(this.#aedes, this.#core.events.fault);
    this.#deaf = hearStrays(this.#strayed);
    this.#wills = new Wills(this.#core, sessions.wills, {
      graceMs: options.willGraceMs ?? 30_000,
      sweepMs: willSweepMs,
    });
    sessions.persistence.wills = this.#wills;
    Object.assign(this.#aedes, {
      authenticate: authenticateWith(options.authenticator),
      authorizeSubscribe: this.#authorizeSubscribe,
      authorizePublish: this.#authorizePublish,
      authorizeForward: this.#authorizeForward,
    });
    this.#aedes.on('client', this.#clientRegistered);
    const failed = (client: AedesClient, error: Error): void => {
      const { info } = connectionOf(client);
      this.#core.events.connectionFailed(client.id ?? '', info.remoteAddress, error);
    };
    this.#aedes.on('clientError', failed);
    this.#aedes.on('connectionError', failed);
  }

  async listen(): Promise<void> {
    await this.#aedes.listen();
    this.#wills.install();
  }

  handle(stream: Duplex, info: ConnectionInfo): void {
    if (this.#stopping) {
      stream.destroy();
      return;
    }
    const client = this.#aedes.handle(stream);
    const connection = new Connection(this.#core, client, info);
    attach(connection);
    this.#connections.add(connection);
    bareClientMaps(client);
    hearClient(connection);
    readInOrder(connection);
    interceptPackets(connection);
    stream.once('close', () => this.#closed(connection));
  }

  publish(message: OutboundMessage): Promise<void> {
    const { topic, payload, qos, retain } = message;
    const properties = message.properties === undefined ? {} : { properties: packetProperties(message.properties) };
    return new Promise((resolve, reject) => {
      const done: Done = (error) => (error ? reject(error) : resolve());
      this.#aedes.publish({ cmd: 'publish', topic, payload, qos, retain, dup: false, ...properties }, null, done);
    });
  }

  stopReading(): void {
    this.#stopping = true;
    for (const { client } of this.#connections) client.pause();
  }

  limit(filters: FilterLimits, connectionsPerUser: number): void {
    this.#filterLimits = filters;
    this.#core.users.max = connectionsPerUser;
    this.judgeAnew();
  }

  judgeAnew(): void {
    for (const connection of this.#connections) {
      const { client } = connection;
      // Before CONNECT it has no id.
      if (!client.id || client.closed) continue;
      const lost = judgeAnew(connection);
      if (lost.length === 0) continue;
      client.unsubscribe({ unsubscriptions: lost }, () => undefined);
      if (!client.clean) this.#forgetFilters(client, lost);
    }
  }

  endUnless(mayStay: (identity: Identity, clientId: string, info: ConnectionInfo) => boolean): number {
    let ended = 0;
    for (const connection of [...this.#connections]) {
      const { admitted, identity, client, info } = connection;
      if (!admitted || connection.ending || client.closed || mayStay(identity, client.id, info)) continue;
      connection.end(ReasonCode.notAuthorized);
      ended++;
    }
    return ended;
  }

  async disconnectAll(reasonCode: number): Promise<void> {
    const closed = [...this.#connections].map(
      (connection) => new Promise<void>((resolve) => connection.client.conn.once('close', () => resolve())),
    );
    for (const connection of this.#connections) connection.end(reasonCode);
    await withinTime(Promise.all(closed), CLOSE_TIMEOUT_MS);
    for (const { client } of this.#connections) client.conn.destroy();
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.stopReading();
    this.#wills.stop();
    // What is acknowledged still goes to the queues of sessions, which outlive us.
    const late = performance.now() + CLOSE_TIMEOUT_MS;
    while (this.#core.deliveries > 0 && performance.now() < late)
      await new Promise((resolve) => setTimeout(resolve, 5));
    await this.disconnectAll(ReasonCode.serverShuttingDown);
    await withinTime(new Promise<void>((resolve) => this.#aedes.close(() => resolve())), CLOSE_TIMEOUT_MS);
    await this.#options.sessions.close();
    this.#deaf();
  }

  clients(): { total: number; v31: number; v311: number; v5: number } {
    const count = { total: 0, v31: 0, v311: 0, v5: 0 };
    for (const { client, publisher } of this.#connections) {
      if (publisher === undefined || client.closed) continue;
      count.total++;
      if (client.version === 5) count.v5++;
      else if (client.version === 4) count.v311++;
      else count.v31++;
    }
    return count;
  }

  listClients(request: ListRequest): List<ListedClient> {
    return listClients(this.#connections, request);
  }

  listSubscriptions(request: ListRequest): List<ListedSubscription> {
    return listSubscriptions(this.#connections, request);
  }

  async offlineSessions(): Promise<number> {
    return (await this.#options.sessions.persistence.countOffline()).clientsCount;
  }

  disconnect(clientId: string): boolean {
    let found = false;
    for (const connection of [...this.#connections]) {
      const { client, publisher, ending } = connection;
      if (client.id !== clientId || publisher === undefined || ending || client.closed) continue;
      connection.end(ReasonCode.administrativeAction);
      found = true;
    }
    return found;
  }

  get connections(): number {
    return this.#connections.size;
  }

  get pendingWills(): number {
    return this.#wills.pending;
  }

  /** Called for each PUBLISH of a client, before aedes acknowledges or publishes it. Never for a will: see patches/wills.ts. */
  readonly #authorizePublish = (client: AedesClient, packet: PublishPacket, done: Done): void => {
    const connection = connectionOf(client);
    const { publisher } = connection;
    if (publisher === undefined || connection.ending) return;
    this.counters.published[packet.qos]++;
    this.#core.ingest.admit(new PublishAdmission(connection, publisher, packet, done));
  };

  /** Called for each filter: of a SUBSCRIBE, which patches/packets.ts has judged, and of a session that is resumed. */
  readonly #authorizeSubscribe = (client: AedesClient, subscription: Subscription, done: Granted): void => {
    if (client.connected) {
      done(null, subscription);
      return;
    }
    const connection = connectionOf(client);
    const fault = filterFault(connection, subscription.topic, subscription.qos);
    if (fault === undefined) {
      done(null, subscription);
      return;
    }
    deny(connection, 'subscribe', subscription.topic, fault.rule);
    this.#forgetFilters(client, [subscription.topic]);
    done(null, null);
  };

  #forgetFilters(client: AedesClient, filters: string[]): void {
    this.#options.sessions.persistence.removeSubscriptions(client, filters).catch(() => {
      // Reported by the store. What is queued for them is withheld when it is to be sent.
    });
  }

  /** Called before a message is written to a subscriber, and for each queued one of a session that resumes. */
  readonly #authorizeForward = (
    client: AedesClient,
    packet: PublishPacket & { brokerId: string | null },
  ): PublishPacket | null => {
    const connection = connectionOf(client);
    if (!mayReceive(connection, packet.topic)) {
      this.counters.withheld++;
      return null;
    }
    // A queued or retained message: aedes reads those no faster than they are taken, and would delete what is refused here.
    const readNoFaster = packet.messageId !== undefined || packet.brokerId === null;
    if (readNoFaster || (!connection.ending && client.conn.writableLength <= this.#subscriberBufferBytes)) {
      this.counters.forwarded++;
      return packet;
    }
    this.counters.undelivered++;
    if (packet.qos > 0 && !connection.ending) {
      connection.endedByUs = true;
      client.emit('error', new Error('the subscriber does not read fast enough'));
    }
    return null;
  };

  readonly #clientRegistered = (client: AedesClient): void => {
    const connection = connectionOf(client);
    connection.publisher = this.#options.ingest.publisher(client.id, connection.identity.user, client._cleanStart);
    connection.publisher.identity = connection.identity;
    connection.admitted = true;
    connection.publisher.access = connection.access;
    this.#options.ingest.arrived(connection.publisher);
    connection.keepAliveMs = Math.max(0, client._keepaliveInterval);
    keepAliveWhileRead(connection);
    endAtExpiry(connection);
    if (this.#stopping) connection.end(ReasonCode.serverShuttingDown);
  };

  /** Something of ours has broken off: who still waits for it after a while would wait for ever, and is to come again. */
  readonly #strayed = (error: unknown): void => {
    this.#core.events.fault('broker', error);
    const suspects = [...this.#connections].filter(({ client }) => client._parsingBatch > 0);
    setTimeout(() => {
      for (const connection of suspects) {
        if (connection.client._parsingBatch > 0 && !connection.waitsForStore) connection.end(ReasonCode.serverBusy);
      }
    }, ANSWER_MAX_MS).unref();
  };

  #closed(connection: Connection): void {
    this.#connections.delete(connection);
    const { client, publisher } = connection;
    if (publisher === undefined) return;
    this.#wills.closed(client);
    for (const { message } of this.#options.ingest.departed(publisher)) {
      if (message.qos === 0) this.counters.refusedQos0++;
    }
    // The session ends with the connection, and with it what its QoS 2 packet ids meant [MQTT-3.1.2-23].
    if (client.clean && publisher.qos2.size > 0) this.#options.ingest.forgetQos2(publisher, ignore);
  }
}

type Granted = (error: null, subscription: Subscription | null) => void;

/** aedes' hook: it asks once per CONNECT, with the read loop of the client at rest. */
function authenticateWith(authenticator: Authenticator | undefined) {
  return (
    client: AedesClient,
    username: string | undefined,
    password: Buffer | undefined,
    done: (error: null, accepted: true) => void,
  ): void => {
    const connection = connectionOf(client);
    const accept = (): void => done(null, true);
    if (authenticator === undefined) identified(connection, anonymous, accept);
    else void authenticate(connection, authenticator, { username, password }, accept);
  };
}

const ignore = { committed() {}, refused() {}, dropped() {} };

/** Ids of later processes sort behind: LevelDB keeps the queue of a session in the order of broker id and counter. */
function brokerId(): string {
  return `${Date.now().toString(36).padStart(9, '0')}-${randomBytes(8).toString('hex')}`;
}

async function withinTime(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)));
  await Promise.race([promise, late]);
  clearTimeout(timer);
}
