/**
 * The one file that reaches into kafkajs 2.2.4 (its last release). Taken from it: connections with TLS and SASL, the
 * exchange of versions, correlation of answers, request timeouts, throttling. Left aside, because each has lost or stopped
 * messages of others:
 * - its producer: batches of an older answer are taken for confirmed after a leader moved (kafkajs#1303), a sequence is
 *   used twice by concurrent sends (kafkajs#1005); its encoder also costs ten times what batch.ts costs;
 * - its metadata: one deleted topic, or one leaderless partition anywhere, fails the whole answer (kafkajs#1622, #1759);
 * - its cluster and retries: a timed-out request keeps its dead connection (kafkajs#919).
 */
import { createRequire } from 'node:module';
import net from 'node:net';
import tls from 'node:tls';
import { errorText } from '../errors.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { KafkaLog, KafkaSettings } from './options.ts';
import type { Api } from './protocol.ts';
import { KafkaFault } from './sink.ts';

export const KAFKAJS_VERSION = '2.2.4';

type ApiName = Pick<Api<never, never>, 'key' | 'name' | 'minVersion' | 'maxVersion'>;

interface RequestEntry {
  apiKey: number;
  apiName: string;
  apiVersion: number;
  correlationId: number;
  resolve: (answer: { payload: Buffer }) => void;
  reject: (error: Error) => void;
}

interface RequestQueue {
  pending: unknown[];
  push(request: {
    entry: RequestEntry;
    expectResponse: boolean;
    requestTimeout: number | null;
    sendRequest: () => void;
  }): void;
  maybeThrottle(throttleMs: number): void;
  scheduleCheckPendingRequests(): void;
  rejectAll(error: Error): void;
  destroy(): void;
}

interface KafkajsConnection {
  requestQueue: RequestQueue;
  socket?: net.Socket;
  isConnected(): boolean;
  nextCorrelationId(): number;
}

interface KafkajsPool {
  pool: KafkajsConnection[];
  isConnected(): boolean;
}

interface KafkajsBroker {
  connectionPool: KafkajsPool;
  versions: Record<number, { minVersion: number; maxVersion: number } | undefined> | null;
  connect(): Promise<void>;
  isConnected(): boolean;
}

interface KafkajsLogEntry {
  namespace: string;
  label: string;
  log: { message: string; timestamp?: string; logger?: string };
}

/** The parts of kafkajs that are used. */
export interface Kafkajs {
  version: string;
  Broker: new (options: Record<string, unknown>) => KafkajsBroker;
  ConnectionPool: new (options: Record<string, unknown>) => KafkajsPool;
  createLogger: (options: { level: number; logCreator: () => (entry: KafkajsLogEntry) => void }) => unknown;
}

const LOG_LEVEL_INFO = 4;

export function loadKafkajs(): Kafkajs {
  // kafkajs warns about its own partitioner, which nobody here uses.
  process.env['KAFKAJS_NO_PARTITIONER_WARNING'] ??= '1';
  const require = createRequire(import.meta.url);
  const part = (path: string): unknown => require(`kafkajs/${path}`);
  return {
    version: (part('package.json') as { version: string }).version,
    Broker: part('src/broker') as Kafkajs['Broker'],
    ConnectionPool: part('src/network/connectionPool') as Kafkajs['ConnectionPool'],
    createLogger: (part('src/loggers') as { createLogger: Kafkajs['createLogger'] }).createLogger,
  };
}

const QUEUE_FUNCTIONS = ['push', 'maybeThrottle', 'scheduleCheckPendingRequests', 'rejectAll', 'destroy'];

/** @throws Error that names each part which is not as this file needs it */
export function verifyKafkajs(kafkajs: Kafkajs): void {
  const differs: string[] = [];
  const functions = (owner: string, object: object, names: readonly string[]): void => {
    for (const name of names) {
      if (typeof (object as Record<string, unknown>)[name] !== 'function') differs.push(`no ${owner}.${name}()`);
    }
  };
  if (kafkajs.version !== KAFKAJS_VERSION) differs.push(`version ${kafkajs.version}`);
  try {
    const logger = kafkajs.createLogger({ level: LOG_LEVEL_INFO, logCreator: () => () => {} });
    const common = { host: 'localhost', port: 9, logger, connectionTimeout: 1, requestTimeout: 1, clientId: 'sluice' };
    const pool = new kafkajs.ConnectionPool({ ...common, socketFactory: () => undefined });
    const broker = new kafkajs.Broker({ connectionPool: pool, logger });
    functions('Broker', broker, ['connect', 'isConnected']);
    functions('ConnectionPool', pool, ['isConnected']);
    if (broker.connectionPool !== pool) differs.push('Broker.connectionPool is not the pool it was given');
    if (broker.versions !== null) differs.push('Broker.versions is not null before it is connected');
    if (broker.isConnected()) differs.push('Broker.isConnected() before it is');
    if (pool.pool.length === 0) differs.push('ConnectionPool.pool is empty');
    for (const connection of pool.pool) {
      functions('Connection', connection, ['isConnected', 'nextCorrelationId']);
      functions('RequestQueue', connection.requestQueue, QUEUE_FUNCTIONS);
      if (!Array.isArray(connection.requestQueue.pending)) differs.push('RequestQueue.pending is no array');
    }
  } catch (error) {
    differs.push(errorText(error));
  }
  if (differs.length === 0) return;
  const found = [...new Set(differs)].join('; ');
  throw new Error(`kafkajs is not the ${KAFKAJS_VERSION} that src/kafka/wire.ts was written for: ${found}`);
}

/** Two timeouts in a row, and the connection is taken for dead. */
const TIMEOUTS_TO_RECONNECT = 2;
/** SASL and the exchange of versions, on top of opening the connection. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

interface Session {
  readonly broker: KafkajsBroker;
  readonly sockets: Set<net.Socket>;
}

/** Makes connections to brokers that share settings and log. Verifies kafkajs first. */
export class Wire {
  readonly settings: KafkaSettings;
  readonly #kafkajs: Kafkajs;
  readonly #logger: unknown;
  readonly #sasl: Record<string, unknown> | undefined;

  constructor(settings: KafkaSettings, log: KafkaLog, kafkajs: Kafkajs = loadKafkajs()) {
    verifyKafkajs(kafkajs);
    this.settings = settings;
    this.#kafkajs = kafkajs;
    this.#sasl = kafkajsSasl(settings.sasl);
    // Whatever kafkajs calls an error comes back as a KafkaFault, and is reported where that is handled.
    const logCreator = () => (entry: KafkajsLogEntry) => {
      const { message, timestamp: _, logger: __, ...detail } = entry.log;
      log('debug', `kafkajs ${entry.namespace} ${entry.label}: ${message}`, detail);
    };
    this.#logger = kafkajs.createLogger({ level: LOG_LEVEL_INFO, logCreator });
  }

  connection(host: string, port: number): BrokerConnection {
    return new BrokerConnection(host, port, this);
  }

  /** @internal */
  session(host: string, port: number): Session {
    const { settings } = this;
    const sockets = new Set<net.Socket>();
    const connectionPool = new this.#kafkajs.ConnectionPool({
      host,
      port,
      logger: this.#logger,
      ssl: settings.tls ?? null,
      sasl: this.#sasl ?? null,
      clientId: settings.clientId,
      connectionTimeout: settings.connectionTimeoutMs,
      requestTimeout: settings.requestTimeoutMs,
      socketFactory: (target: {
        host: string;
        port: number;
        ssl: tls.ConnectionOptions | null;
        onConnect: () => void;
      }) => openSocket(target, sockets),
    });
    for (const { requestQueue } of connectionPool.pool) {
      const schedule = requestQueue.scheduleCheckPendingRequests.bind(requestQueue);
      // With nothing pending, kafkajs would set a timer of 1 ms again and again for ever (kafkajs#1704, #1751).
      requestQueue.scheduleCheckPendingRequests = () => {
        if (requestQueue.pending.length > 0) schedule();
      };
    }
    const authenticationTimeout = HANDSHAKE_TIMEOUT_MS;
    const broker = new this.#kafkajs.Broker({ connectionPool, logger: this.#logger, authenticationTimeout });
    return { broker, sockets };
  }
}

function kafkajsSasl(sasl: KafkaSettings['sasl']): Record<string, unknown> | undefined {
  if (sasl?.mechanism !== 'oauthbearer') return sasl && { ...sasl };
  const { mechanism, token } = sasl;
  return { mechanism, oauthBearerProvider: async () => ({ value: await token() }) };
}

function openSocket(
  target: { host: string; port: number; ssl: tls.ConnectionOptions | null; onConnect: () => void },
  sockets: Set<net.Socket>,
): net.Socket {
  const { host, port, ssl, onConnect } = target;
  const servername = net.isIP(host) ? {} : { servername: host };
  const socket = ssl
    ? tls.connect({ host, port, ...servername, ...ssl }, onConnect)
    : net.connect({ host, port }, onConnect);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 60_000);
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
  return socket;
}

/** A connection to one broker that opens when it is used, and again after it broke. */
export class BrokerConnection {
  readonly host: string;
  readonly port: number;
  readonly #wire: Wire;
  #session: Session | undefined;
  #connecting: Promise<KafkajsBroker> | undefined;
  #timeouts = 0;
  #failed = false;
  #closed = false;

  constructor(host: string, port: number, wire: Wire) {
    this.host = host;
    this.port = port;
    this.#wire = wire;
  }

  get address(): string {
    return `${this.host}:${this.port}`;
  }

  get connected(): boolean {
    return this.#session?.broker.isConnected() ?? false;
  }

  /** Its last request or connect failed: others are asked first. */
  get failed(): boolean {
    return this.#failed;
  }

  /**
   * Sends one request. An answer that tells of errors is an answer.
   * @param deadlineMs where it should be less than the request timeout; what is late then is ignored
   * @throws KafkaFault of scope cluster: no answer; whether the broker acted is unknown
   */
  async request<Args, Answer extends { readonly throttleMs: number }>(
    api: Api<Args, Answer>,
    args: Args,
    deadlineMs?: number,
  ): Promise<Answer> {
    if (deadlineMs === undefined) return this.#request(api, args);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        this.#failed = true;
        reject(this.#fault('REQUEST_TIMEOUT', `${api.name}: no answer within ${deadlineMs} ms`));
      }, deadlineMs);
    });
    try {
      return await Promise.race([this.#request(api, args), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends it for good; what waits for an answer fails. */
  close(): void {
    this.#closed = true;
    if (this.#session !== undefined) this.#end(this.#session, 'closed');
  }

  async #request<Args, Answer extends { readonly throttleMs: number }>(
    api: Api<Args, Answer>,
    args: Args,
  ): Promise<Answer> {
    const ready = this.#session?.broker;
    const broker = ready?.isConnected() ? ready : await this.#connect();
    const version = this.#versionOf(api, broker);
    // kafkajs keeps a second connection for fetching, which is never opened here.
    const connection = broker.connectionPool.pool[0] as KafkajsConnection;
    const payload = await this.#exchange(connection, api, version, api.encode(args, version));
    this.#failed = false;
    this.#timeouts = 0;
    let answer: Answer;
    try {
      answer = api.decode(new ByteReader(payload), version);
    } catch (error) {
      throw this.#fault('UNREADABLE_ANSWER', `${api.name}: ${errorText(error)}`, error);
    }
    if (answer.throttleMs > 0 && version >= api.throttledFrom) connection.requestQueue.maybeThrottle(answer.throttleMs);
    return answer;
  }

  #versionOf(api: ApiName, broker: KafkajsBroker): number {
    const offered = broker.versions?.[api.key];
    const version = Math.min(api.maxVersion, offered?.maxVersion ?? -1);
    if (offered !== undefined && version >= Math.max(api.minVersion, offered.minVersion)) return version;
    const theirs = offered === undefined ? 'none' : `${offered.minVersion} to ${offered.maxVersion}`;
    const ours = `${api.minVersion} to ${api.maxVersion}`;
    throw this.#fault('UNSUPPORTED_VERSION', `it offers ${api.name} in versions ${theirs}; sluice speaks ${ours}`);
  }

  /** One request header (v1), then the parts of the body as they are: they are not copied into one buffer. */
  #exchange(connection: KafkajsConnection, api: ApiName, version: number, parts: Uint8Array[]): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const correlationId = connection.nextCorrelationId();
      const header = new ByteWriter().int16(api.key).int16(version).int32(correlationId);
      const head = header.string(this.#wire.settings.clientId).bytes();
      const size = parts.reduce((sum, part) => sum + part.length, head.length);
      const sendRequest = (): void => {
        const socket = connection.socket as net.Socket;
        socket.cork();
        socket.write(new ByteWriter().int32(size).bytes());
        socket.write(head);
        for (const part of parts) socket.write(part);
        socket.uncork();
      };
      const entry: RequestEntry = {
        apiKey: api.key,
        apiName: api.name,
        apiVersion: version,
        correlationId,
        resolve: ({ payload }) => resolve(payload),
        reject: (error) => reject(this.#requestFailed(error)),
      };
      connection.requestQueue.push({ entry, expectResponse: true, requestTimeout: null, sendRequest });
    });
  }

  #requestFailed(error: Error): KafkaFault {
    this.#failed = true;
    if (error.name !== 'KafkaJSRequestTimeoutError') return this.#fault('CONNECTION_LOST', errorText(error), error);
    this.#timeouts++;
    const session = this.#session;
    if (this.#timeouts >= TIMEOUTS_TO_RECONNECT && session !== undefined) {
      // Not from within kafkajs' walk over the requests that time out.
      setImmediate(() => this.#end(session, `${TIMEOUTS_TO_RECONNECT} requests in a row timed out`));
    }
    return this.#fault('REQUEST_TIMEOUT', errorText(error), error);
  }

  #connect(): Promise<KafkajsBroker> {
    this.#connecting ??= this.#open().finally(() => (this.#connecting = undefined));
    return this.#connecting;
  }

  async #open(): Promise<KafkajsBroker> {
    if (this.#closed) throw this.#fault('CLOSED', 'this sink is closed');
    let session = this.#session;
    // Connected and yet not ready: its SASL session is to be renewed (KIP-368).
    if (session === undefined || !session.broker.connectionPool.isConnected()) {
      if (session !== undefined) this.#end(session, 'connection lost');
      session = this.#wire.session(this.host, this.port);
      this.#session = session;
    }
    const { connectionTimeoutMs, requestTimeoutMs } = this.#wire.settings;
    const withinMs = connectionTimeoutMs + Math.min(requestTimeoutMs, HANDSHAKE_TIMEOUT_MS);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no connection within ${withinMs} ms`)), withinMs);
    });
    try {
      await Promise.race([session.broker.connect(), late]);
      this.#timeouts = 0;
      return session.broker;
    } catch (error) {
      this.#failed = true;
      this.#end(session, errorText(error));
      const authentication = error instanceof Error && error.name === 'KafkaJSSASLAuthenticationError';
      throw this.#fault(authentication ? 'SASL_AUTHENTICATION_FAILED' : 'CONNECTION_FAILED', errorText(error), error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** At once: kafkajs' own disconnect() waits for what is in flight. */
  #end(session: Session, why: string): void {
    if (this.#session === session) this.#session = undefined;
    this.#timeouts = 0;
    const error = new Error(`connection to ${this.address} ended: ${why}`);
    for (const { requestQueue } of session.broker.connectionPool.pool) {
      requestQueue.rejectAll(error);
      requestQueue.destroy();
    }
    for (const socket of session.sockets) socket.destroy(error);
  }

  #fault(reason: string, message: string, cause?: unknown): KafkaFault {
    return new KafkaFault('cluster', reason, `Kafka broker ${this.address}: ${message}`, { cause });
  }
}
