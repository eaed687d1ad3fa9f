/** Where the keys come from that tokens are signed with: a secret, a file, or a JWKS URL. */
import { createPublicKey, X509Certificate } from 'node:crypto';
import { createLocalJWKSet, errors, type JWK, type JWTVerifyGetKey } from 'jose';
import { SluiceError, errorText } from '../errors.ts';
import { parseAnswer, type Backend } from './bounded-request.ts';

/** Keys that are known now. */
export type LocalKeys = ReturnType<typeof createLocalJWKSet>;

const KEYS_MAX = 100;

/** The content of a key file: a JWKS, or public keys and certificates in PEM. @throws SluiceError AUTH_FILE */
export function parseKeyFile(bytes: Buffer, file: string): LocalKeys {
  try {
    const text = bytes.toString('utf8');
    if (text.trimStart().startsWith('{')) return localKeys(JSON.parse(text));
    const blocks = text.match(/-----BEGIN (PUBLIC KEY|CERTIFICATE)-----[^-]*-----END \1-----/g) ?? [];
    if (blocks.length === 0) throw new Error('neither a JWKS nor a public key or certificate in PEM');
    const keys = blocks.map((pem) => {
      const key = pem.includes('CERTIFICATE') ? new X509Certificate(pem).publicKey : createPublicKey(pem);
      return key.export({ format: 'jwk' });
    });
    return localKeys({ keys });
  } catch (error) {
    // The text of a JSON error quotes the file.
    const what = error instanceof SyntaxError ? 'no valid JSON' : errorText(error);
    throw new SluiceError('AUTH_FILE', `${file} holds no keys for tokens: ${what}`);
  }
}

/** @throws Error where it is none. Keys that are secret are not taken: whoever publishes one has given it away. */
function localKeys(value: unknown): LocalKeys {
  const keys = typeof value === 'object' && value !== null && 'keys' in value ? value.keys : undefined;
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > KEYS_MAX)
    throw new Error(`not a JWKS with 1 to ${KEYS_MAX} keys`);
  const usable = keys.filter(isPublicKey);
  if (usable.length === 0) throw new Error('no public key in the JWKS');
  return createLocalJWKSet({ keys: usable });
}

function isPublicKey(key: unknown): key is JWK {
  return typeof key === 'object' && key !== null && 'kty' in key && key.kty !== 'oct' && !('d' in key);
}

export interface RemoteKeysOptions {
  readonly url: string;
  /** Keys are asked for again after this time. */
  readonly maxAgeMs: number;
  /** And at once for a key that is not known, but no more often than this. */
  readonly cooldownMs: number;
}

/** Keys that could not be renewed are believed for so many times their age: an outage of the issuer stops no fleet at once. */
const STALE_FACTOR = 12;

/** A JWKS URL: cached, asked again as keys rotate, never more often than the cooldown allows, and once for all who wait. */
export class RemoteKeys {
  readonly #options: RemoteKeysOptions;
  readonly #backend: Backend;
  readonly #fault: (error: unknown) => void;
  readonly #now: () => number;
  #keys: LocalKeys | undefined;
  #fetchedAt = -Infinity;
  #triedAt = -Infinity;
  #fetching: Promise<void> | undefined;
  /** Requests made. */
  fetches = 0;

  constructor(
    options: RemoteKeysOptions,
    source: Backend,
    fault: (error: unknown) => void,
    now: () => number = () => performance.now(),
  ) {
    this.#options = options;
    this.#backend = source;
    this.#fault = fault;
    this.#now = now;
  }

  /** For jose. @throws SluiceError AUTH_BACKEND where nobody can tell whether there is such a key */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    if (this.#age() > this.#options.maxAgeMs) await this.#renew();
    const keys = this.#usable();
    try {
      return await keys(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      // A key that is newer than the keys we have. In the cooldown nobody can tell, so this is no final refusal.
      if (!(await this.#renew()))
        throw new SluiceError('AUTH_BACKEND', `no key for this token, and ${this.#where} was asked a moment ago`);
      return this.#usable()(header, token);
    }
  };

  close(): void {
    this.#backend.close();
  }

  get #where(): string {
    const { protocol, host, pathname } = new URL(this.#options.url);
    return `${protocol}//${host}${pathname}`;
  }

  #age(): number {
    return this.#now() - this.#fetchedAt;
  }

  #usable(): LocalKeys {
    if (this.#keys === undefined || this.#age() > this.#options.maxAgeMs * STALE_FACTOR)
      throw new SluiceError('AUTH_BACKEND', `no keys from ${this.#where}`);
    return this.#keys;
  }

  /** false: it is too early to ask again. A failure is reported; what was known stays. */
  async #renew(): Promise<boolean> {
    if (this.#fetching === undefined) {
      if (this.#now() - this.#triedAt < this.#options.cooldownMs) return false;
      this.#triedAt = this.#now();
      this.#fetching = this.#fetch().finally(() => (this.#fetching = undefined));
    }
    await this.#fetching;
    return true;
  }

  async #fetch(): Promise<void> {
    try {
      this.fetches++;
      const answer = await this.#backend.ask();
      if (answer.status !== 200)
        throw new SluiceError('AUTH_BACKEND', `${this.#where} answers with status ${answer.status}`);
      const value = parseAnswer(answer, this.#where);
      try {
        this.#keys = localKeys(value);
      } catch (error) {
        throw new SluiceError('AUTH_BACKEND', `${this.#where}: ${errorText(error)}`);
      }
      this.#fetchedAt = this.#now();
    } catch (error) {
      this.#fault(error);
    }
  }
}
