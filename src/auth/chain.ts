/**
 * Who may connect: the ways of authentication in the order of the configuration.
 *
 *     CONNECT ─> clientCertificate ─> jwt ─> users ─> http ─> anonymous, where allowed
 *                    │ accept: client id allowed? still valid? ─> in
 *                    │ refuse: out, nobody else is asked
 *                    └ not mine: the next
 *
 * A CONNECT that asks for enhanced authentication is shown only to who offers it, and never judged by anything else.
 */
import type { ClientIdRule } from './client-id-rule.ts';
import type { FailureTable } from './failures.ts';
import { anonymous, type Authenticator, type ConnectAttempt, type Identity, type Verdict } from './identity.ts';
import type { AuthMethod } from './method.ts';
import { userNameFault } from './user-name.ts';

/** CONNECTs by how they ended. */
export interface AuthCounters {
  accepted: number;
  anonymous: number;
  refused: number;
  blocked: number;
  unavailable: number;
}

export function authCounters(): AuthCounters {
  return { accepted: 0, anonymous: 0, refused: 0, blocked: 0, unavailable: 0 };
}

export interface ChainOptions {
  readonly methods: readonly AuthMethod[];
  readonly allowAnonymous: boolean;
  /** Clients that name a user or give a password count as anonymous too: nothing is there that could judge them. */
  readonly ignoreCredentials: boolean;
  readonly clientId: ClientIdRule | undefined;
  readonly failures: FailureTable;
  /** For the whole of one CONNECT. */
  readonly timeoutMs: number;
  readonly counters: AuthCounters;
}

export class AuthChain implements Authenticator {
  readonly #options: ChainOptions;
  constructor(options: ChainOptions) {
    this.#options = options;
  }

  async authenticate(attempt: ConnectAttempt): Promise<Verdict> {
    const { timeoutMs, failures, counters } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Verdict>((resolve) => {
      timer = setTimeout(
        () => resolve({ refused: 'unavailable', reason: `not decided within ${timeoutMs} ms` }),
        timeoutMs,
      );
    });
    const verdict = await Promise.race([this.#ask(attempt), late]);
    clearTimeout(timer);
    if ('identity' in verdict) {
      counters[verdict.identity.method === 'none' ? 'anonymous' : 'accepted']++;
    } else if (verdict.refused === 'unavailable' || verdict.refused === 'blocked') {
      counters[verdict.refused]++;
    } else {
      counters.refused++;
      failures.failed(attempt.remoteAddress);
    }
    return verdict;
  }

  /** After users, keys or rules have changed: a client that is connected may stay. */
  mayStay(identity: Identity, clientId: string): boolean {
    const { methods, allowAnonymous } = this.#options;
    const holds =
      identity.method === 'none'
        ? allowAnonymous
        : methods.find(({ name }) => name === identity.method)?.holds(identity) === true;
    return holds && this.#allowsClientId(identity, clientId);
  }

  async #ask(attempt: ConnectAttempt): Promise<Verdict> {
    const { failures } = this.#options;
    const { enhanced } = attempt;
    const blocked = failures.blocked(attempt.remoteAddress);
    const methods = this.#options.methods.filter((each) => enhanced === undefined || each.enhanced === enhanced.method);
    for (const method of methods) {
      const answer = await method.authenticate(attempt, blocked);
      if (answer.kind === 'refuse') return answer;
      if (answer.kind === 'accept') return this.#accepted(answer.identity, attempt, method);
    }
    if (enhanced !== undefined)
      return { refused: 'method', reason: 'the enhanced authentication that it asks for is not offered' };
    return this.#anonymous(attempt);
  }

  #accepted(identity: Identity, attempt: ConnectAttempt, method: AuthMethod): Verdict {
    const fault = userNameFault(identity.user);
    if (fault !== undefined) return { refused: 'not-authorized', reason: `the user name of ${method.name} ${fault}` };
    if (!this.#allowsClientId(identity, attempt.clientId))
      return { refused: 'client-id', reason: `not a client id of user ${identity.user}` };
    // Users and keys may have changed while it was looked at.
    if (!method.holds(identity)) return { refused: 'unavailable', reason: 'users or keys have just changed' };
    return { identity };
  }

  #anonymous(attempt: ConnectAttempt): Verdict {
    const { allowAnonymous, ignoreCredentials } = this.#options;
    const { username, password, clientId } = attempt;
    const hasCredentials = username !== undefined || password !== undefined;
    if (hasCredentials && !ignoreCredentials)
      return { refused: 'credentials', reason: 'nobody knows this user name or password' };
    if (!allowAnonymous) return { refused: 'not-authorized', reason: 'anonymous clients may not connect' };
    if (!this.#allowsClientId(anonymous, clientId))
      return { refused: 'client-id', reason: 'not a client id of anonymous clients' };
    return { identity: anonymous };
  }

  #allowsClientId(identity: Identity, clientId: string): boolean {
    const { clientId: rule } = this.#options;
    return rule === undefined || rule.allows(identity, clientId);
  }
}
