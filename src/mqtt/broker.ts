/** The MQTT broker: aedes with admission in front of every publish, and sessions that outlive the process. */
import './patches/quiet-debug.ts';
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { Aedes, type AedesOptions } from 'aedes';
import { anonymous, type Authenticator, type Identity } from '../auth/identity.ts';
import type { Message } from '../message.ts';
import { judgeAnew, noFilterLimits, type FilterLimits } from './access.ts';
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
import { Fanout } from './delivery/fanout.ts';
import { Lanes } from './delivery/lane.ts';
import { publicationOf, type EmittedPacket } from './delivery/emitted-packet.ts';
import { Receipt, type Taken } from './delivery/receipt.ts';
import { revoke } from './delivery/subscribing.ts';
import { Handshake } from './handshake.ts';
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
} from './patches/internals.ts';
import { keepAliveWhileRead } from './patches/keep-alive.ts';
import { bareBrokerMaps, bareClientMaps } from './patches/maps.ts';
import { interceptPackets } from './patches/packets.ts';
import { readInOrder } from './patches/reading.ts';
import { keepSuccessors } from './patches/takeover.ts';
import { orderUserProperties } from './patches/user-properties.ts';
import { Wills } from './patches/wills.ts';
import { PublishAdmission } from './publish-admission.ts';
import type { Sessions } from './sessions.ts';
import { AedesPersistence } from './sessions/aedes-persistence.ts';
import { SessionKeeper } from './sessions/keeper.ts';
import { NEVER_EXPIRES } from './sessions/store.ts';
import { UserConnections } from './user-connections.ts';
import { disconnect, ReasonCode } from './wire.ts';

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
    /** Connections of one user with different client ids. Default: any number. */
    readonly connectionsPerUser?: number;
    /**
     * What may wait for a subscriber that reads too slowly. Beyond it QoS 0 messages pass it by; those of QoS 1 and 2 wait in its
     * session, and where that is not kept, it is disconnected. Default 8 MiB.
     */
    readonly subscriberBufferBytes?: number;
    /** A client whose socket takes nothing for this long is disconnected. Default 5 s. */
    readonly drainTimeoutMs?: number;
    /** QoS 1 and 2 messages that a client may have under way to us; more end the connection with 0x93. Default 1,000. */
    readonly receiveMaximum?: number;
    /** QoS 1 and 2 messages that are under way to one client, where it does not ask for less. Default 1,000. */
    readonly inFlightMax?: number;
    /** Longest keep alive; clients of MQTT 5 are told it. Default 0: any. */
    readonly keepAliveMaxSeconds?: number;
    /** Sessions end after this time without a connection, whatever longer one is asked for; MQTT 5 clients are told. Default: as asked for. */
    readonly sessionExpiryMaxSeconds?: number;
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
  /**
   * As publish(), for who answers for the message: resolves once it is settled what has become of it, within `answerMs` of its being
   * sent. Those of one topic that are given one after another arrive in this order.
   */
  entrust(message: OutboundMessage, answerMs: number): Promise<Taken>;
  /** A subscriber is connected here, or a session is stored, that a message on this topic would go to. */
  hasSubscriber(topic: string): boolean;
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
  /** Certainly nobody is to be told of a message on this topic, here or in another process. */
  silent(topic: string, qos: number): boolean;
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
  readonly #keeper: SessionKeeper;
  readonly #handshake: Handshake;
  readonly #connections = new Set<Connection>();
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
    expired: 0,
    willsSent: 0,
    faults: 0,
  };

  constructor(options: MqttBrokerOptions) {
    this.#options = options;
    const { limits, sessions } = options;
    const willSweepMs = options.willSweepMs ?? 24_000;
    this.#filterLimits = limits.filters ?? noFilterLimits;
    const { store, emitter } = sessions;
    const id = brokerId();
    let queueKeys = 0;
    const fanout = new Fanout(
      store,
      // Keys sort in the order in which they were made.
      () => `${id}-${(++queueKeys).toString().padStart(16, '0')}`,
      (clientId) => fanout.ended(clientId),
    );
    const persistence = new AedesPersistence(store, fanout);
    const aedesOptions: AedesOptions = {
      id,
      mq: emitter,
      persistence,
      heartbeatInterval: willSweepMs / 4,
      connectTimeout: limits.connectTimeoutMs,
      drainTimeout: limits.drainTimeoutMs ?? 5_000,
      maximumPacketSize: limits.maxPacketSizeBytes,
      topicAliasMaximum: TOPIC_ALIASES,
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
      silent: (topic, qos) => this.silent(topic, qos),
      limits: () => this.#filterLimits,
      users: new UserConnections(limits.connectionsPerUser ?? 0),
      authenticator: options.authenticator,
      accessOf: options.access ?? (() => undefined),
      store,
      fanout,
      // Members that are connected to another process, and have no session in the store, are not known here.
      sharedSubscriptions: sessions.announce === undefined,
      receiveMaximum: limits.receiveMaximum ?? 1_000,
      announce: (change) => sessions.announce?.(change),
      left: ({ client, owner }) => this.#keeper.left(client.id, client.sessionExpiryInterval, owner),
      lanes: new Lanes(),
      deliveries: 0,
    };
    emitter.subscribers = fanout;
    sessions.onChange?.(({ clientId, subscribed = [], unsubscribed = [], ended }) => {
      for (const subscription of subscribed) fanout.stored(clientId, subscription);
      for (const filter of unsubscribed) fanout.notStored(clientId, filter);
      if (ended === true) fanout.ended(clientId);
    });
    hearBroker(this.#aedes, this.#core.events.fault);
    this.#deaf = hearStrays(this.#strayed);
    this.#wills = new Wills(this.#core, sessions.wills, {
      graceMs: options.willGraceMs ?? 30_000,
      sweepMs: willSweepMs,
    });
    this.#keeper = new SessionKeeper(store, (clientId) => this.#aedes.clients[clientId] !== undefined, {
      ended: (clientId) => {
        fanout.ended(clientId);
        this.#core.announce({ clientId, ended: true });
      },
      expiring: (clientId) => fanout.passOn(clientId),
      fault: this.#core.events.fault,
    });
    this.#handshake = new Handshake(
      {
        receiveMaximum: this.#core.receiveMaximum,
        topicAliasMaximum: TOPIC_ALIASES,
        maxPacketSizeBytes: limits.maxPacketSizeBytes,
        keepAliveMaxSeconds: limits.keepAliveMaxSeconds ?? 0,
        sessionExpiryMaxSeconds: limits.sessionExpiryMaxSeconds ?? NEVER_EXPIRES,
        inFlightMax: limits.inFlightMax ?? 1_000,
        subscriberBufferBytes: limits.subscriberBufferBytes ?? 8 * 2 ** 20,
        responseInformation: undefined,
        sharedSubscriptions: this.#core.sharedSubscriptions,
      },
      this.#keeper,
      this.#wills,
    );
    Object.assign(this.#aedes, {
      authenticate: askWho,
      authorizePublish: this.#authorizePublish,
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
    const { fanout } = this.#core;
    await this.#keeper.start(({ clientId, subscriptions }) => {
      for (const subscription of subscriptions) fanout.stored(clientId, subscription);
    });
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
    orderUserProperties(client);
    interceptPackets(connection, (connecting, packet) => this.#handshake.connect(connecting, packet));
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

  async entrust(message: OutboundMessage, answerMs: number): Promise<Taken> {
    const { store, fanout } = this.#core;
    const { topic, payload, qos, retain } = message;
    const receipt = new Receipt();
    const packet: EmittedPacket = { cmd: 'publish', topic, payload, qos, retain, dup: false, receipt };
    if (message.properties !== undefined) packet.properties = packetProperties(message.properties);
    const lifeSeconds = message.properties?.messageExpiryInterval;
    if (lifeSeconds !== undefined) packet.messageExpiry = Date.now() + lifeSeconds * 1000;
    if (retain) {
      if (!(await store.tryRetain(publicationOf(packet), true))) return 'unavailable';
      receipt.retained = true;
    }
    if (qos > 0) await fanout.queueFor(packet);
    if (receipt.failed) return 'unavailable';
    this.#options.sessions.emitter.emit(packet);
    return receipt.outcome(answerMs);
  }

  hasSubscriber(topic: string): boolean {
    const { fanout } = this.#core;
    return fanout.listens(topic) || fanout.queues(topic);
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
      if (lost.length > 0) revoke(connection, lost);
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
    await withinTime(this.#keeper.stop(), CLOSE_TIMEOUT_MS);
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
    let count = 0;
    for (const clientId of this.#core.fanout.storedClients()) if (this.#aedes.clients[clientId] === undefined) count++;
    return count;
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

  silent(topic: string, qos: number): boolean {
    const { sessions } = this.#options;
    if (!sessions.alone() || !sessions.emitter.silent(topic)) return false;
    return qos === 0 || !this.#core.fanout.queues(topic);
  }

  get pendingWills(): number {
    return this.#wills.pending;
  }

  /** Called for each PUBLISH of a client, before aedes acknowledges or publishes it. Never for a will: see patches/wills.ts. */
  readonly #authorizePublish = (client: AedesClient, packet: PublishPacket, done: Done): void => {
    const connection = connectionOf(client);
    const { publisher } = connection;
    if (publisher === undefined || connection.ending) return;
    if (!connection.take(packet)) {
      connection.reject(disconnect(ReasonCode.receiveMaximumExceeded));
      return;
    }
    const lifeSeconds = packet.properties?.['messageExpiryInterval'];
    // From now on, however long it waits for the buffer.
    if (typeof lifeSeconds === 'number') packet.messageExpiry = Date.now() + lifeSeconds * 1000;
    this.counters.published[packet.qos]++;
    this.#core.ingest.admit(new PublishAdmission(connection, publisher, packet, done));
  };

  readonly #clientRegistered = (client: AedesClient): void => {
    const connection = connectionOf(client);
    connection.publisher = this.#options.ingest.publisher(client.id, connection.identity.user, client._cleanStart);
    connection.publisher.identity = connection.identity;
    connection.admitted = true;
    connection.publisher.access = connection.access;
    this.#options.ingest.arrived(connection.publisher);
    connection.enterLane();
    connection.keepAliveMs = Math.max(0, client._keepaliveInterval);
    keepAliveWhileRead(connection);
    connection.registered?.();
    endAtExpiry(connection);
    if (this.#stopping) connection.end(ReasonCode.serverShuttingDown);
  };

  /** Something of ours has broken off: who still waits for it after a while would wait for ever, and is to come again. */
  readonly #strayed = (error: unknown): void => {
    this.#core.events.fault('broker', error);
    const suspects = [...this.#connections].filter(({ client }) => client._parsingBatch > 0);
    const giveUpLost = this.#core.lanes.suspect();
    setTimeout(() => {
      for (const connection of suspects) {
        if (connection.client._parsingBatch > 0 && !connection.waitsForStore) connection.end(ReasonCode.serverBusy);
      }
      giveUpLost();
    }, ANSWER_MAX_MS).unref();
  };

  #closed(connection: Connection): void {
    this.#connections.delete(connection);
    const { client, publisher } = connection;
    connection.gone();
    if (publisher === undefined) return;
    this.#wills.closed(client);
    for (const { message } of this.#options.ingest.departed(publisher)) {
      if (message.qos === 0) this.counters.refusedQos0++;
    }
    // The session ends with the connection, and with it what its QoS 2 packet ids meant [MQTT-3.1.2-23].
    if (client.clean && publisher.qos2.size > 0) this.#options.ingest.forgetQos2(publisher, ignore);
  }
}

/** aedes' hook: it asks once per CONNECT, with the read loop of the client at rest. */
function askWho(
  client: AedesClient,
  username: string | undefined,
  password: Buffer | undefined,
  done: (error: null, accepted: true) => void,
): void {
  const connection = connectionOf(client);
  const accept = (): void => done(null, true);
  const { enhanced, core } = connection;
  if (core.authenticator === undefined && enhanced === undefined) identified(connection, anonymous, accept);
  else void authenticate(connection, { username, password, enhanced }, accept);
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
