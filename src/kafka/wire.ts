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
import { ByteWriter } from './bytes.ts';
import type { KafkaLog, KafkaSettings } from './options.ts';

export const KAFKAJS_VERSION = '2.2.4';

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

/** SASL and the exchange of versions, on top of opening the connection. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 60_000;

interface SocketTarget {
  readonly host: string;
  readonly port: number;
  readonly ssl: tls.ConnectionOptions | null;
  readonly onConnect: () => void;
}

/** Makes sessions with brokers that share settings and log. Verifies kafkajs first. */
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

  session(host: string, port: number): Session {
    const { clientId, tls: ssl, connectionTimeoutMs, requestTimeoutMs } = this.settings;
    const sockets = new Set<net.Socket>();
    const connectionPool = new this.#kafkajs.ConnectionPool({
      host,
      port,
      logger: this.#logger,
      ssl: ssl ?? null,
      sasl: this.#sasl ?? null,
      clientId,
      connectionTimeout: connectionTimeoutMs,
      requestTimeout: requestTimeoutMs,
      socketFactory: (target: SocketTarget) => openSocket(target, sockets),
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
    return new Session(broker, sockets, clientId);
  }
}

function kafkajsSasl(sasl: KafkaSettings['sasl']): Record<string, unknown> | undefined {
  if (sasl?.mechanism !== 'oauthbearer') return sasl && { ...sasl };
  const { mechanism, token } = sasl;
  return { mechanism, oauthBearerProvider: async () => ({ value: await token() }) };
}

function openSocket({ host, port, ssl, onConnect }: SocketTarget, sockets: Set<net.Socket>): net.Socket {
  const servername = net.isIP(host) ? {} : { servername: host };
  const socket = ssl
    ? tls.connect({ host, port, ...servername, ...ssl }, onConnect)
    : net.connect({ host, port }, onConnect);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
  return socket;
}

/** One request as the wire sees it. */
export interface WireRequest {
  readonly apiKey: number;
  readonly apiName: string;
  readonly apiVersion: number;
  readonly body: readonly Uint8Array[];
}

/** One connection to a broker, from connect() to end(). Its errors are kafkajs'. */
export class Session {
  readonly #broker: KafkajsBroker;
  readonly #sockets: Set<net.Socket>;
  readonly #clientId: string;

  constructor(broker: KafkajsBroker, sockets: Set<net.Socket>, clientId: string) {
    this.#broker = broker;
    this.#sockets = sockets;
    this.#clientId = clientId;
  }

  /** The socket is connected. */
  get open(): boolean {
    return this.#broker.connectionPool.isConnected();
  }

  /** Requests can be sent. Not so while it is open and its SASL session has to be renewed (KIP-368): connect() does that. */
  get ready(): boolean {
    return this.#broker.isConnected();
  }

  /** One call at a time makes a connection; the others wait for it. */
  connect(): Promise<void> {
    return this.#broker.connect();
  }

  /** What the broker offers of an API. */
  versions(apiKey: number): { minVersion: number; maxVersion: number } | undefined {
    return this.#broker.versions?.[apiKey];
  }

  /** Sends a request header (v1) and the parts of the body as they are: they are not copied into one buffer. */
  send({ apiKey, apiName, apiVersion, body }: WireRequest): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const connection = this.#connection;
      const correlationId = connection.nextCorrelationId();
      const header = new ByteWriter().int16(apiKey).int16(apiVersion).int32(correlationId);
      const head = header.string(this.#clientId).bytes();
      const size = body.reduce((sum, part) => sum + part.length, head.length);
      const sendRequest = (): void => {
        const socket = connection.socket as net.Socket;
        socket.cork();
        socket.write(new ByteWriter().int32(size).bytes());
        socket.write(head);
        for (const part of body) socket.write(part);
        socket.uncork();
      };
      const answered = ({ payload }: { payload: Buffer }): void => resolve(payload);
      const entry = { apiKey, apiName, apiVersion, correlationId, resolve: answered, reject };
      connection.requestQueue.push({ entry, expectResponse: true, requestTimeout: null, sendRequest });
    });
  }

  /** Nothing is sent for so long: the broker asks for it (KIP-219). */
  throttle(ms: number): void {
    this.#connection.requestQueue.maybeThrottle(ms);
  }

  /** At once: kafkajs' own disconnect() waits for what is in flight. Requests without an answer fail with `error`. */
  end(error: Error): void {
    for (const { requestQueue } of this.#broker.connectionPool.pool) {
      requestQueue.rejectAll(error);
      requestQueue.destroy();
    }
    for (const socket of this.#sockets) socket.destroy(error);
  }

  /** kafkajs keeps a second connection for fetching, which is never opened here. */
  get #connection(): KafkajsConnection {
    return this.#broker.connectionPool.pool[0] as KafkajsConnection;
  }
}

export function isRequestTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'KafkaJSRequestTimeoutError';
}

export function isAuthenticationFailure(error: unknown): boolean {
  return error instanceof Error && error.name === 'KafkaJSSASLAuthenticationError';
}
