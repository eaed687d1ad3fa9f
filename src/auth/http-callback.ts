/**
 * Asks a service of the operator's: POST with JSON, and 200 with `{ "result": "allow" | "deny" | "ignore" }`. Whatever else it answers,
 * or not in time, lets nobody in.
 */
import { isSluiceError, SluiceError } from '../errors.ts';
import { backend, parseAnswer, type Backend } from './bounded-request.ts';
import type { ConnectAttempt, Identity } from './identity.ts';
import { blockedAnswer, notMine, refuse, type Answer, type AuthEvents, type AuthMethod } from './method.ts';
import { ProvenCache } from './proven.ts';
import { userNameFault } from './user-name.ts';
import { readBounded } from './watched-file.ts';
import { WorkQueue } from './work-queue.ts';

export interface HttpOptions {
  readonly url: string;
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string | undefined;
  /** PEM of the authorities that the URL is trusted by. */
  readonly ca?: string | undefined;
  readonly timeoutMs: number;
  readonly concurrency: number;
  /** How long an `allow` is believed without asking again; 0: not at all. */
  readonly cacheTtlMs: number;
}

const ANSWER_MAX_BYTES = 64 * 1_024;
const CA_MAX_BYTES = 2 ** 20;
const CACHE_MAX = 100_000;
const WAITING_MAX = 2_048;
const WAITING_MAX_PER_ADDRESS = 512;
const ATTRIBUTES_MAX = 32;
const ATTRIBUTE_MAX_LENGTH = 1_024;

export class HttpMethod implements AuthMethod {
  readonly name = 'http';
  readonly #options: HttpOptions;
  readonly #backend: Backend;
  readonly #fault: (error: unknown) => void;
  readonly #queue: WorkQueue;
  readonly #allowed: ProvenCache<Identity>;
  readonly #where: string;

  /** @throws SluiceError AUTH_FILE */
  static async open(options: HttpOptions, events: AuthEvents): Promise<HttpMethod> {
    const ca = options.ca === undefined ? undefined : await readBounded(options.ca, CA_MAX_BYTES);
    return new HttpMethod(options, ca, events);
  }

  private constructor(options: HttpOptions, ca: Buffer | undefined, events: AuthEvents) {
    const { url, timeoutMs, concurrency, cacheTtlMs } = options;
    this.#options = options;
    this.#backend = backend({ url, timeoutMs, answerMaxBytes: ANSWER_MAX_BYTES, concurrency, ca });
    this.#fault = (error) => events.fault('auth.http', error);
    this.#queue = new WorkQueue({
      concurrency,
      waitingMax: WAITING_MAX,
      waitingMaxPerKey: WAITING_MAX_PER_ADDRESS,
      waitMaxMs: timeoutMs,
    });
    this.#allowed = new ProvenCache({ max: CACHE_MAX, lifeMs: cacheTtlMs });
    const { protocol, host, pathname } = new URL(url);
    this.#where = `${protocol}//${host}${pathname}`;
  }

  async authenticate(attempt: ConnectAttempt, blocked: boolean): Promise<Answer> {
    const { clientId, username, password, certificate, remoteAddress } = attempt;
    if (username === undefined && password === undefined && certificate === undefined) return notMine;
    const key = this.#allowed.keyOf(clientId, username, password, certificate?.raw);
    const known = this.#allowed.get(key);
    if (known !== undefined) return { kind: 'accept', identity: known };
    if (blocked) return blockedAnswer;
    if (password !== undefined && !isUtf8(password)) return refuse('credentials', 'the password is no UTF-8');
    try {
      const answer = await this.#queue.run(remoteAddress, () => this.#ask(attempt));
      if (answer === undefined) return refuse('unavailable', 'too many questions to auth.http wait');
      if (answer.kind === 'accept') this.#allowed.add(key, answer.identity);
      return answer;
    } catch (error) {
      if (!isSluiceError(error)) throw error;
      this.#fault(error);
      return refuse('unavailable', error.message);
    }
  }

  holds({ stamp }: Identity): boolean {
    return stamp === this.#where;
  }

  close(): void {
    this.#backend.close();
  }

  /** @throws SluiceError AUTH_BACKEND: it fails, or says what cannot be */
  async #ask(attempt: ConnectAttempt): Promise<Answer> {
    const { token } = this.#options;
    const answer = await this.#backend.ask({
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: questionOf(attempt),
    });
    if (answer.status !== 200) throw this.#lie(`answers with status ${answer.status}`);
    const said = parseAnswer(answer, this.#where);
    if (!isMapping(said)) throw this.#lie('answers with something that is no mapping');
    switch (said['result']) {
      case 'allow':
        return { kind: 'accept', identity: this.#identity(said, attempt) };
      case 'deny':
        return refuse('credentials', 'auth.http denies it');
      case 'ignore':
        return notMine;
      default:
        throw this.#lie('answers without result: allow, deny or ignore');
    }
  }

  #identity(
    { user, attributes: given = {} }: Readonly<Record<string, unknown>>,
    { username }: ConnectAttempt,
  ): Identity {
    const name = user ?? username;
    const fault = typeof name === 'string' ? userNameFault(name) : 'is no text';
    if (fault !== undefined) throw this.#lie(`allows a client whose user name ${fault}`);
    if (!isMapping(given) || Object.keys(given).length > ATTRIBUTES_MAX)
      throw this.#lie(`answers with attributes that are no mapping of up to ${ATTRIBUTES_MAX} texts`);
    const attributes = new Map<string, string>();
    for (const [key, value] of Object.entries(given)) {
      if (typeof value !== 'string' || value.length > ATTRIBUTE_MAX_LENGTH)
        throw this.#lie('answers with an attribute that is no text, or too long');
      attributes.set(`http.${key}`, value);
    }
    return { user: name as string, method: 'http', attributes, expiresAt: undefined, stamp: this.#where };
  }

  #lie(what: string): SluiceError {
    return new SluiceError('AUTH_BACKEND', `${this.#where} ${what}`);
  }
}

function questionOf(attempt: ConnectAttempt): string {
  const { clientId, username, password, certificate, remoteAddress, listener, protocolVersion } = attempt;
  const { subject, fingerprint256, raw } = certificate ?? {};
  return JSON.stringify({
    clientId,
    username,
    password: password?.toString('utf8'),
    certificate:
      certificate === undefined ? undefined : { subject, fingerprint: fingerprint256, der: raw?.toString('base64') },
    remoteAddress,
    listener,
    protocolVersion,
  });
}

function isUtf8(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString('utf8')).equals(bytes);
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
