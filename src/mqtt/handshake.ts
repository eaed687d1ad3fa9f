/**
 * From CONNECT to CONNACK, in place of aedes' own way (handlers/connect.js of 2.0.0-beta.1), which looks for a session while the
 * connection that it takes over still writes to it, takes a session without subscriptions for none (Session Present), sends
 * CONNACK before the old connection is closed, and says in it what it can do and we can more.
 *
 *     CONNECT ──> checks ──> preConnect, authenticate ──> in turn for the client id: take over ──> session ──> will ──> CONNACK ──> queue
 *                   └─ CONNACK with the reason, closed
 *
 * Where the session store does not answer, the client is closed without CONNACK (see patches/barrier.ts).
 */
import { randomUUID } from 'node:crypto';
import { maySubscribe } from './access.ts';
import { connack, type ConnackProperties } from './connack.ts';
import { connectionOf, type Connection } from './connection.ts';
import { enhancedOf } from './enhanced.ts';
import { Outbound } from './delivery/outbound.ts';
import { revoke } from './delivery/subscribing.ts';
import type { AedesClient, AnyPacket, HookError } from './patches/internals.ts';
import type { SessionKeeper } from './sessions/keeper.ts';
import { NEVER_EXPIRES, type StoredSession } from './sessions/store.ts';
import { ReasonCode } from './wire.ts';

export interface HandshakeOptions {
  /** Advertised, and enforced (see Connection). */
  readonly receiveMaximum: number;
  readonly topicAliasMaximum: number;
  readonly maxPacketSizeBytes: number;
  /** Longest keep alive; clients of MQTT 5 that ask for more, or none, are told this one. 0: no limit. */
  readonly keepAliveMaxSeconds: number;
  /** Sessions end after this time without a connection, whatever the client asks for. */
  readonly sessionExpiryMaxSeconds: number;
  /** QoS 1 and 2 messages in flight to one client. */
  readonly inFlightMax: number;
  readonly subscriberBufferBytes: number;
  /** What clients may build response topics on (MQTT 5.0 §3.2.2.3.15). */
  readonly responseInformation: string | undefined;
  readonly sharedSubscriptions: boolean;
}

/** A CONNECT that is answered with a refusal. */
class Refused extends Error {
  readonly code: number;
  readonly properties: ConnackProperties;

  constructor(code: number, message: string, properties: ConnackProperties = {}) {
    super(message);
    this.code = code;
    this.properties = properties;
  }
}

export class Handshake {
  readonly #options: HandshakeOptions;
  readonly #keeper: SessionKeeper;
  readonly #wills: WillRecorder;

  constructor(options: HandshakeOptions, keeper: SessionKeeper, wills: WillRecorder) {
    this.#options = options;
    this.#keeper = keeper;
    this.#wills = wills;
  }

  connect(connection: Connection, packet: AnyPacket): void {
    const { client } = connection;
    clearTimeout(client._connectTimer ?? undefined);
    client._connectTimer = null;
    client.connecting = true;
    client.pause();
    const done = connection.begin();
    this.#run(connection, packet).then(done, (error: unknown) => {
      if (error instanceof Refused) this.#refuse(connection, packet, error);
      else client.emit('error', error);
    });
  }

  async #run(connection: Connection, packet: AnyPacket): Promise<void> {
    const { client, core } = connection;
    connection.enhanced = enhancedOf(packet);
    await hook(packet, (done) => core.aedes.preConnect(client, packet, done));
    this.#describe(connection, packet);
    await hook(packet, (done) => core.aedes.authenticate(client, packet.username, packet.password, done));
    if (client.closed || connection.ending) return;
    client._authorized = true;
    await this.#keeper.inTurn(client.id, () => this.#enter(connection, packet));
  }

  /** What the CONNECT says of the client. */
  #describe(connection: Connection, packet: AnyPacket): void {
    const { client } = connection;
    const version = packet.protocolVersion ?? 4;
    const { clientId } = packet;
    client.id = clientId === undefined || clientId === '' ? `sluice-${randomUUID()}` : clientId;
    if (client.id !== clientId) client._assignedClientId = client.id;
    client.version = version;
    client._wireVersion = version;
    client._cleanStart = packet.clean === true;
    client._will = packet.will ?? null;
    client._requestProblemInformation = packet.properties?.['requestProblemInformation'] !== false;
    const { maximumPacketSize } = packet.properties ?? {};
    if (typeof maximumPacketSize === 'number') client.maximumPacketSize = maximumPacketSize;
    const wanted = expiryWanted(packet);
    client._connectSessionExpiryInterval = wanted;
    client.sessionExpiryInterval = Math.min(wanted, this.#options.sessionExpiryMaxSeconds);
    client.clean = client.sessionExpiryInterval === 0;
    const { keepAliveMaxSeconds: limit } = this.#options;
    const keepAlive = packet.keepalive ?? 0;
    const ours = version === 5 && limit > 0 && (keepAlive === 0 || keepAlive > limit);
    connection.serverKeepAlive = ours ? limit : undefined;
    startKeepAlive(client, connection.serverKeepAlive ?? keepAlive);
  }

  async #enter(connection: Connection, packet: AnyPacket): Promise<void> {
    const { client, core } = connection;
    if (client.closed || connection.ending) return;
    await this.#takeOver(connection);
    if (client.closed || connection.ending) return;
    const { id } = client;
    const expirySeconds = client.sessionExpiryInterval;
    const session = await this.#keeper.enter(id, {
      cleanStart: client._cleanStart,
      expirySeconds,
      owner: connection.owner,
    });
    connection.stored = session !== undefined || expirySeconds > 0;
    // From now on it is left when the connection is gone.
    if (client.closed) connection.gone();
    const sent = session === undefined ? [] : await core.store.sent(id);
    await this.#wills.forget(client);
    if (packet.will !== undefined) await this.#wills.put(client, packet.will);
    if (client.closed || connection.ending) {
      await this.#wills.forget(client);
      return;
    }
    client.will = packet.will ?? null;
    connection.newSession = session === undefined;
    // Packet ids that the buffer may hold are of a session that has ended.
    if (connection.publisher !== undefined && connection.newSession) connection.publisher.qos2ClearFirst = true;
    connection.outbound = this.#outbound(connection, packet);
    const lost: string[] = [];
    for (const subscription of session?.subscriptions ?? []) {
      const { topic, qos } = subscription;
      // Rules and limits may have changed while it was away.
      if (maySubscribe(connection, topic, qos)) {
        connection.subscriptions.set(topic, subscription);
        core.fanout.subscribe(connection, subscription);
      } else {
        lost.push(topic);
      }
    }
    if (lost.length > 0) revoke(connection, lost);
    this.#welcome(connection, packet, session);
    if (session !== undefined) connection.outbound.resume(sent);
    client.resume();
  }

  /** The id is ours once an older connection of it has been closed [MQTT-3.1.4-3] and has stored what it had to. */
  async #takeOver(connection: Connection): Promise<void> {
    const { client, core } = connection;
    const old = core.aedes.clients[client.id];
    this.#wills.beforeTakeOver(client.id, old === undefined ? undefined : connectionOf(old), client._cleanStart);
    await new Promise<void>((resolve) => {
      connection.registered = resolve;
      client.conn.once('close', () => resolve());
      core.aedes.registerClient(client);
    });
    if (old !== undefined) await connectionOf(old).outbound?.settled();
  }

  #outbound(connection: Connection, packet: AnyPacket): Outbound {
    const { inFlightMax, subscriberBufferBytes } = this.#options;
    const { receiveMaximum, topicAliasMaximum } = packet.properties ?? {};
    return new Outbound(
      connection,
      {
        windowMax: Math.min(typeof receiveMaximum === 'number' ? receiveMaximum : inFlightMax, inFlightMax),
        packetMaxBytes: connection.client.maximumPacketSize ?? Infinity,
        topicAliasMax: typeof topicAliasMaximum === 'number' ? topicAliasMaximum : 0,
        waitingMaxBytes: subscriberBufferBytes,
      },
      connection.core.store,
    );
  }

  #welcome(connection: Connection, packet: AnyPacket, session: StoredSession | undefined): void {
    const { client, core } = connection;
    const options = this.#options;
    const applied = client.sessionExpiryInterval;
    const asked = packet.properties?.['requestResponseInformation'] === true;
    connection.write(
      connack(client.version ?? 4, 0, session !== undefined, {
        sessionExpirySeconds: applied === client._connectSessionExpiryInterval ? undefined : applied,
        receiveMaximum: options.receiveMaximum,
        maximumPacketBytes: options.maxPacketSizeBytes,
        assignedClientId: client._assignedClientId,
        topicAliasMaximum: options.topicAliasMaximum,
        sharedSubscriptionsAvailable: options.sharedSubscriptions,
        serverKeepAliveSeconds: connection.serverKeepAlive,
        responseInformation: asked ? options.responseInformation : undefined,
        authenticationMethod: connection.enhancedMethod,
      }),
    );
    client.connecting = false;
    client.connected = true;
    client.connackSent = true;
    core.aedes.emit('clientReady', client);
    client.emit('connected');
  }

  #refuse(connection: Connection, packet: AnyPacket, refused: Refused): void {
    const { client, core, info } = connection;
    core.events.connectionFailed(client.id ?? '', info.remoteAddress, new Error(`connect: ${refused.message}`));
    const version = packet.protocolVersion === 5 ? 5 : 4;
    connection.reject(connack(version, refused.code, false, refused.properties));
  }
}

export interface WillRecorder {
  /** The CONNECT of this client carried a will. */
  put(client: AedesClient, will: NonNullable<AnyPacket['will']>): Promise<void>;
  /** It connects: what an earlier connection left is void. */
  forget(client: AedesClient): Promise<void>;
  /** A connection of this id begins; `old`: it is still connected. */
  beforeTakeOver(clientId: string, old: Connection | undefined, cleanStart: boolean): void;
}

/** Seconds. MQTT 3 knows sessions that end with the connection, and others that never do. */
function expiryWanted(packet: AnyPacket): number {
  if (packet.protocolVersion !== 5) return packet.clean === true ? 0 : NEVER_EXPIRES;
  const interval = packet.properties?.['sessionExpiryInterval'];
  return typeof interval === 'number' ? interval : 0;
}

/** [MQTT-3.1.2-22]; taken over by patches/keep-alive.ts once the client is registered. */
function startKeepAlive(client: AedesClient, seconds: number): void {
  if (seconds === 0) return;
  client._keepaliveInterval = seconds * 1500 + 1;
  client._keepaliveTimer = setTimeout(() => client.emit('error', new Error('keep alive timeout')), 2 ** 31 - 1);
}

/** Return codes of MQTT 3 (§3.2.2.3), as the hooks of aedes name a refusal, and what MQTT 5 says instead. */
const codesV5: Readonly<Record<number, number>> = {
  2: ReasonCode.clientIdentifierNotValid,
  3: ReasonCode.serverUnavailable,
  4: ReasonCode.badUserNameOrPassword,
  5: ReasonCode.notAuthorized,
};

/** One of aedes' hooks. It may never call back, where it has closed the client itself. @throws Refused */
function hook(
  packet: AnyPacket,
  call: (done: (error: HookError | null, accepted?: boolean) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error, accepted) => {
      if (!error && accepted === true) {
        resolve();
        return;
      }
      const returnCode = error?.returnCode ?? 5;
      const message = error?.message ?? 'not authorized';
      if (packet.protocolVersion !== 5) {
        reject(new Refused(returnCode >= 2 && returnCode <= 5 ? returnCode : 5, message));
        return;
      }
      // MQTT 5.0 §4.11
      const serverReference = error?.serverReference;
      const elsewhere =
        error?.reasonCode === ReasonCode.serverMoved ? ReasonCode.serverMoved : ReasonCode.useAnotherServer;
      const code = serverReference === undefined ? (codesV5[returnCode] ?? ReasonCode.notAuthorized) : elsewhere;
      reject(new Refused(code, message, { serverReference }));
    });
  });
}
