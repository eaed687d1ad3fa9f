/** Makes the chain that the configuration describes, and makes it anew when the configuration changes. */
import { AuthChain, authCounters, type AuthCounters } from './chain.ts';
import { ClientCertificateMethod, type CertificateIdentity } from './client-certificate.ts';
import { ClientIdRule } from './client-id-rule.ts';
import { FailureTable } from './failures.ts';
import { HttpMethod, type HttpOptions } from './http-callback.ts';
import type { Authenticator, AuthMethodName, ConnectAttempt, Identity, Verdict } from './identity.ts';
import { JwtMethod, type JwtOptions } from './jwt.ts';
import type { AuthEvents, AuthMethod } from './method.ts';
import { UsersMethod } from './users.ts';

/** As in the configuration. */
export interface AuthOptions {
  readonly order: readonly AuthMethodName[];
  readonly users?: string | undefined;
  readonly clientCertificate?: { readonly identity: CertificateIdentity } | undefined;
  readonly jwt?: JwtOptions | undefined;
  readonly http?: HttpOptions | undefined;
  readonly clientId?: string | undefined;
  readonly failures: { readonly perAddress: number; readonly windowMs: number };
  readonly allowAnonymous: boolean;
}

export interface AuthSurroundings {
  readonly events: AuthEvents;
  /** For the whole of one CONNECT. */
  readonly timeoutMs: number;
}

interface Chain {
  readonly methods: readonly AuthMethod[];
  readonly chain: AuthChain;
}

export class Authentication implements Authenticator {
  readonly #surroundings: AuthSurroundings;
  readonly #counters: AuthCounters;
  #current: Chain;

  /** @throws SluiceError AUTH_FILE */
  static async open(options: AuthOptions, surroundings: AuthSurroundings): Promise<Authentication> {
    const counters = authCounters();
    return new Authentication(await openChain(options, surroundings, counters), surroundings, counters);
  }

  private constructor(current: Chain, surroundings: AuthSurroundings, counters: AuthCounters) {
    this.#current = current;
    this.#surroundings = surroundings;
    this.#counters = counters;
  }

  /** CONNECTs by how they ended. */
  get counters(): Readonly<AuthCounters> {
    return this.#counters;
  }

  authenticate(attempt: ConnectAttempt): Promise<Verdict> {
    return this.#current.chain.authenticate(attempt);
  }

  mayStay(identity: Identity, clientId: string): boolean {
    return this.#current.chain.mayStay(identity, clientId);
  }

  /** Looks at the files now, instead of at the next poll. One that is bad is reported, and the old content stays. */
  async look(): Promise<void> {
    for (const method of this.#current.methods) await method.look?.();
  }

  /** @throws SluiceError AUTH_FILE; the old chain goes on in any case until apply() */
  async prepare(options: AuthOptions): Promise<{ apply(): void; discard(): void }> {
    const next = await openChain(options, this.#surroundings, this.#counters);
    return {
      apply: () => {
        const before = this.#current;
        this.#current = next;
        close(before);
      },
      discard: () => close(next),
    };
  }

  close(): void {
    close(this.#current);
  }
}

function close({ methods }: Chain): void {
  for (const method of methods) method.close();
}

async function openChain(
  options: AuthOptions,
  { events, timeoutMs }: AuthSurroundings,
  counters: AuthCounters,
): Promise<Chain> {
  const { order, users, clientCertificate, jwt, http, clientId, failures, allowAnonymous } = options;
  const openers: Record<AuthMethodName, () => Promise<AuthMethod> | AuthMethod | undefined> = {
    // A listener that asks for certificates takes them, also where nothing more is said about it.
    clientCertificate: () => new ClientCertificateMethod(clientCertificate?.identity ?? 'cn'),
    jwt: () => jwt && JwtMethod.open(jwt, events),
    users: () => (users === undefined ? undefined : UsersMethod.open({ file: users }, events)),
    http: () => http && HttpMethod.open(http, events),
  };
  const methods: AuthMethod[] = [];
  try {
    for (const name of order) {
      const method = await openers[name]();
      if (method !== undefined) methods.push(method);
    }
  } catch (error) {
    for (const method of methods) method.close();
    throw error;
  }
  const anyWay = [users, clientCertificate, jwt, http].some((way) => way !== undefined);
  const chain = new AuthChain({
    methods,
    // Without any way to prove who one is, the listeners decide: they are on this machine only, or ask for certificates.
    allowAnonymous: allowAnonymous || !anyWay,
    ignoreCredentials: !anyWay,
    clientId: clientId === undefined ? undefined : new ClientIdRule(clientId),
    failures: new FailureTable(failures),
    timeoutMs,
    counters,
  });
  return { methods, chain };
}
