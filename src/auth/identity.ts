/** Who is connected, and the port through which the broker asks. */

/** A client certificate that an authority of the listener has signed and that was valid during the handshake. */
export interface ClientCertificate {
  /** Subject attributes by their short names; one that occurs several times is a list. */
  readonly subject: Readonly<Record<string, string | readonly string[]>>;
  /** SHA-256, as `AB:CD:…`. */
  readonly fingerprint256: string;
  /** DER. */
  readonly raw: Buffer;
}

export type AuthMethodName = 'clientCertificate' | 'jwt' | 'users' | 'http';

/** What is proven about a client. One that has proven nothing is `anonymous`. */
export interface Identity {
  /** '' for an anonymous client. Never empty otherwise; no control characters. */
  readonly user: string;
  readonly method: AuthMethodName | 'none';
  /**
   * What else is proven, by the name that patterns use: `cert.cn`, `cert.fingerprint`, `cert.dns`, `cert.uri`, `cert.email` (the first
   * of each), `jwt.<claim>` for claims that are a text, a number or a truth value, `http.<name>`. What is not proven is not in it.
   * The values are the client's: they may hold `+`, `#` and `/`.
   */
  readonly attributes: ReadonlyMap<string, string>;
  /** Milliseconds since the epoch: the connection ends then. undefined: it may stay. */
  readonly expiresAt: number | undefined;
  /** What the proof rests on, for the method that gave it: after a reload it says whether it still holds. No secret. */
  readonly stamp?: string;
}

export const anonymous: Identity = { user: '', method: 'none', attributes: new Map(), expiresAt: undefined };

/** Authentication Method and Data of a CONNECT, or of an AUTH that renews it (MQTT 5.0 §4.12). */
export interface EnhancedAuthentication {
  readonly method: string;
  /** Any bytes; empty where the packet has none. */
  readonly data: Buffer;
}

/** What a CONNECT says of who sends it. */
export interface ConnectAttempt {
  /** Never empty: where the client gave none, the one that the server chose. */
  readonly clientId: string;
  /** The server chose it (MQTT 5.0 §3.1.3.1): nobody else can have it. */
  readonly clientIdAssigned: boolean;
  readonly username: string | undefined;
  /** Any bytes [MQTT-3.1.3.6]. */
  readonly password: Buffer | undefined;
  /** Asked for: then nothing else counts. The client would take another way for a downgrade. */
  readonly enhanced?: EnhancedAuthentication | undefined;
  readonly protocolVersion: 3 | 4 | 5;
  readonly listener: string;
  readonly remoteAddress: string;
  readonly certificate: ClientCertificate | undefined;
}

/**
 * Why a client may not connect. `unavailable`: nobody can tell now (a back end is down, too many attempts wait); it is to
 * try again. `method`: it wants an enhanced authentication that is not offered. All but the first are final.
 */
export type Refusal = 'credentials' | 'not-authorized' | 'blocked' | 'client-id' | 'method' | 'unavailable';

export type Verdict =
  | { readonly identity: Identity }
  /** `reason` is for the log: no secret, nothing that the client has not proven. */
  | { readonly refused: Refusal; readonly reason: string };

/** Decides who may connect. */
export interface Authenticator {
  /** Bounded in time. Never throws for what a client sent. */
  authenticate(attempt: ConnectAttempt): Promise<Verdict>;
}
