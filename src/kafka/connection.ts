import { errorText } from '../errors.ts';
import { ByteReader } from './bytes.ts';
import type { Api } from './protocol.ts';
import { KafkaFault } from './sink.ts';
import { HANDSHAKE_TIMEOUT_MS, isAuthenticationFailure, isRequestTimeout, type Session, type Wire } from './wire.ts';

/** Two timeouts in a row, and the connection is taken for dead. */
const TIMEOUTS_TO_RECONNECT = 2;

type AnyApi = Pick<Api<never, never>, 'key' | 'name' | 'minVersion' | 'maxVersion'>;

/** The way to one broker: connects when it is used, and again after it broke. */
export class BrokerConnection {
  readonly host: string;
  readonly port: number;
  readonly #wire: Wire;
  #session: Session | undefined;
  #connecting: Promise<Session> | undefined;
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
    return this.#session?.ready ?? false;
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
    const late = (): KafkaFault => {
      this.#failed = true;
      return this.#fault('REQUEST_TIMEOUT', `${api.name}: no answer within ${deadlineMs} ms`);
    };
    return within(this.#request(api, args), deadlineMs, late);
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
    const known = this.#session;
    const session = known?.ready ? known : await this.#connect();
    const apiVersion = this.#versionOf(api, session);
    const body = api.encode(args, apiVersion);
    let payload: Buffer;
    try {
      payload = await session.send({ apiKey: api.key, apiName: api.name, apiVersion, body });
    } catch (error) {
      throw this.#requestFailed(error, session);
    }
    this.#failed = false;
    this.#timeouts = 0;
    let answer: Answer;
    try {
      answer = api.decode(new ByteReader(payload), apiVersion);
    } catch (error) {
      throw this.#fault('UNREADABLE_ANSWER', `${api.name}: ${errorText(error)}`, error);
    }
    if (answer.throttleMs > 0 && apiVersion >= api.throttledFrom) session.throttle(answer.throttleMs);
    return answer;
  }

  #versionOf(api: AnyApi, session: Session): number {
    const offered = session.versions(api.key);
    const version = Math.min(api.maxVersion, offered?.maxVersion ?? -1);
    if (offered !== undefined && version >= Math.max(api.minVersion, offered.minVersion)) return version;
    const theirs = offered === undefined ? 'none' : `${offered.minVersion} to ${offered.maxVersion}`;
    const ours = `${api.minVersion} to ${api.maxVersion}`;
    throw this.#fault('UNSUPPORTED_VERSION', `it offers ${api.name} in versions ${theirs}; sluice speaks ${ours}`);
  }

  #requestFailed(error: unknown, session: Session): KafkaFault {
    this.#failed = true;
    if (!isRequestTimeout(error)) return this.#fault('CONNECTION_LOST', errorText(error), error);
    if (this.#session === session && ++this.#timeouts >= TIMEOUTS_TO_RECONNECT) {
      this.#end(session, `${TIMEOUTS_TO_RECONNECT} requests in a row timed out`);
    }
    return this.#fault('REQUEST_TIMEOUT', errorText(error), error);
  }

  #connect(): Promise<Session> {
    this.#connecting ??= this.#open().finally(() => (this.#connecting = undefined));
    return this.#connecting;
  }

  async #open(): Promise<Session> {
    if (this.#closed) throw this.#fault('CLOSED', 'this sink is closed');
    let session = this.#session;
    if (session === undefined || !session.open) {
      if (session !== undefined) this.#end(session, 'connection lost');
      session = this.#wire.session(this.host, this.port);
      this.#session = session;
    }
    const { connectionTimeoutMs, requestTimeoutMs } = this.#wire.settings;
    const deadlineMs = connectionTimeoutMs + Math.min(requestTimeoutMs, HANDSHAKE_TIMEOUT_MS);
    try {
      await within(session.connect(), deadlineMs, () => new Error(`no connection within ${deadlineMs} ms`));
      this.#timeouts = 0;
      return session;
    } catch (error) {
      this.#failed = true;
      this.#end(session, errorText(error));
      const reason = isAuthenticationFailure(error) ? 'SASL_AUTHENTICATION_FAILED' : 'CONNECTION_FAILED';
      throw this.#fault(reason, errorText(error), error);
    }
  }

  #end(session: Session, why: string): void {
    if (this.#session === session) this.#session = undefined;
    this.#timeouts = 0;
    session.end(new Error(`connection to ${this.address} ended: ${why}`));
  }

  #fault(reason: string, message: string, cause?: unknown): KafkaFault {
    return new KafkaFault('cluster', reason, `Kafka broker ${this.address}: ${message}`, { cause });
  }
}

/** What `promise` gives, or `late()` thrown after that time. */
async function within<T>(promise: Promise<T>, ms: number, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
