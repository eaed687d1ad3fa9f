/**
 * A JSON Web Token (RFC 7519) as the password, or as the data of the enhanced authentication `JWT` (MQTT 5.0 §4.12). The user name of
 * the CONNECT says nothing then.
 */
import { errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import { isSluiceError } from '../errors.ts';
import type { ConnectAttempt, Identity } from './identity.ts';
import { blockedAnswer, notMine, refuse, type Answer, type AuthEvents, type AuthMethod } from './method.ts';
import { backend } from './bounded-request.ts';
import { parseKeyFile, RemoteKeys, type LocalKeys } from './token-keys.ts';
import { readBounded, WatchedFile } from './watched-file.ts';

export interface JwtOptions {
  /** One of the three. For HS256, HS384, HS512. */
  readonly secret?: string | undefined;
  /** A JWKS, or public keys and certificates in PEM. */
  readonly keyFile?: string | undefined;
  readonly jwks?: string | undefined;
  /** PEM of the authorities that the JWKS URL is trusted by. */
  readonly ca?: string | undefined;
  readonly jwksMaxAgeMs: number;
  readonly jwksCooldownMs: number;
  readonly timeoutMs: number;
  /** Narrower than what the keys allow. */
  readonly algorithms?: readonly string[] | undefined;
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
  readonly clockToleranceMs: number;
  /** The claim that names the user. */
  readonly user: string;
}

const symmetric = ['HS256', 'HS384', 'HS512'] as const;
const asymmetric = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

const TOKEN_MAX_BYTES = 16 * 1_024;
const KEYS_MAX_BYTES = 2 ** 20;
const FETCHES_MAX = 2;
const CLAIMS_MAX = 64;
const CLAIM_MAX_LENGTH = 1_024;

/** Three parts in base64url, the first a JSON object: nothing else begins so. */
const shape = /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/;

interface Keys {
  readonly find: JWTVerifyGetKey | Uint8Array;
  readonly look?: () => Promise<void>;
  readonly close: () => void;
}

export class JwtMethod implements AuthMethod {
  readonly name = 'jwt';
  readonly enhanced = 'JWT';
  readonly #keys: Keys;
  readonly #options: JwtOptions;
  readonly #algorithms: string[];
  readonly #stamp: string;

  /** @throws SluiceError AUTH_FILE */
  static async open(options: JwtOptions, events: AuthEvents): Promise<JwtMethod> {
    return new JwtMethod(options, await openKeys(options, events));
  }

  private constructor(options: JwtOptions, keys: Keys) {
    this.#options = options;
    this.#keys = keys;
    // A public key must never be taken for the secret of an HMAC: what may be used follows from where the keys come from.
    const possible: readonly string[] = options.secret === undefined ? asymmetric : symmetric;
    this.#algorithms = possible.filter((name) => options.algorithms?.includes(name) ?? true);
    const { keyFile, jwks, issuer, audience, user } = options;
    this.#stamp = JSON.stringify([keyFile, jwks, issuer, audience, user]);
  }

  async authenticate({ password, enhanced }: ConnectAttempt, blocked: boolean): Promise<Answer> {
    const proof = enhanced === undefined ? password : enhanced.data;
    if (proof === undefined || proof.length === 0)
      return enhanced === undefined ? notMine : refuse('credentials', 'there is no token in the authentication data');
    const token = proof.toString('latin1');
    if (!shape.test(token))
      return enhanced === undefined ? notMine : refuse('credentials', 'the authentication data is no token');
    if (blocked) return blockedAnswer;
    if (token.length > TOKEN_MAX_BYTES)
      return refuse('credentials', `the token is longer than ${TOKEN_MAX_BYTES} bytes`);
    try {
      return this.#accepted(await this.#verified(token));
    } catch (error) {
      return refusalOf(error);
    }
  }

  holds({ stamp, expiresAt }: Identity): boolean {
    return stamp === this.#stamp && (expiresAt ?? Infinity) > Date.now();
  }

  async look(): Promise<void> {
    await this.#keys.look?.();
  }

  close(): void {
    this.#keys.close();
  }

  async #verified(token: string): Promise<JWTPayload> {
    const { issuer, audience, clockToleranceMs, user } = this.#options;
    const options = {
      algorithms: this.#algorithms,
      clockTolerance: clockToleranceMs / 1_000,
      requiredClaims: ['exp', user],
      ...(issuer === undefined ? {} : { issuer }),
      ...(audience === undefined ? {} : { audience }),
    };
    const { find } = this.#keys;
    if (typeof find !== 'function') return (await jwtVerify(token, find, options)).payload;
    try {
      return (await jwtVerify(token, find, options)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      // A token that names no key, and several that it may be signed with.
      for await (const key of error) {
        try {
          return (await jwtVerify(token, key, options)).payload;
        } catch (failure) {
          if (!(failure instanceof errors.JWSSignatureVerificationFailed)) throw failure;
        }
      }
      throw new errors.JWSSignatureVerificationFailed();
    }
  }

  #accepted(claims: JWTPayload): Answer {
    const { user: claim, clockToleranceMs } = this.#options;
    const user = textOf(claims[claim]);
    if (user === undefined) return refuse('not-authorized', `the claim ${claim} of the token is no text`);
    const attributes = new Map<string, string>();
    for (const [name, value] of Object.entries(claims).slice(0, CLAIMS_MAX)) {
      const text = textOf(value);
      if (text !== undefined && text.length <= CLAIM_MAX_LENGTH) attributes.set(`jwt.${name}`, text);
    }
    const expiresAt = (claims.exp ?? 0) * 1_000 + clockToleranceMs;
    return { kind: 'accept', identity: { user, method: 'jwt', attributes, expiresAt, stamp: this.#stamp } };
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string'
    ? value
    : typeof value === 'number' || typeof value === 'boolean'
      ? String(value)
      : undefined;
}

/** In words of ours: what jose says could quote the token. */
function refusalOf(error: unknown): Answer {
  if (isSluiceError(error)) return refuse('unavailable', error.message);
  if (error instanceof errors.JWTExpired) return refuse('credentials', 'the token has expired');
  if (error instanceof errors.JWTClaimValidationFailed)
    return refuse(
      'credentials',
      `the claim ${error.claim} of the token is ${error.reason === 'missing' ? 'missing' : 'not as required'}`,
    );
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return refuse('credentials', 'the signature of the token does not match');
  if (error instanceof errors.JWKSNoMatchingKey) return refuse('credentials', 'no key is known for this token');
  if (error instanceof errors.JOSEAlgNotAllowed)
    return refuse('credentials', 'the token is signed with an algorithm that is not allowed');
  return refuse('credentials', 'not a valid token');
}

async function openKeys(options: JwtOptions, events: AuthEvents): Promise<Keys> {
  const { secret, keyFile, jwks, ca, jwksMaxAgeMs, jwksCooldownMs, timeoutMs } = options;
  if (secret !== undefined) return { find: new TextEncoder().encode(secret), close: () => undefined };
  if (keyFile !== undefined) {
    const file = await WatchedFile.open<LocalKeys>({
      file: keyFile,
      maxBytes: KEYS_MAX_BYTES,
      parse: parseKeyFile,
      changed: () => events.changed(keyFile),
      fault: (error) => events.fault('the key file of auth.jwt; the old keys stay', error),
    });
    return {
      find: (header, token) => file.content(header, token),
      look: () => file.look(),
      close: () => file.close(),
    };
  }
  const source = backend({
    url: jwks ?? '',
    timeoutMs,
    answerMaxBytes: KEYS_MAX_BYTES,
    concurrency: FETCHES_MAX,
    ca: ca === undefined ? undefined : await readBounded(ca, KEYS_MAX_BYTES),
  });
  const remote = new RemoteKeys(
    { url: jwks ?? '', maxAgeMs: jwksMaxAgeMs, cooldownMs: jwksCooldownMs },
    source,
    (error) => events.fault('auth.jwt.jwks; the old keys stay', error),
  );
  return { find: remote.find, close: () => remote.close() };
}
