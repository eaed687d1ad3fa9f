/** Bearer tokens and the roles they give. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Role } from './port.ts';

export interface Token {
  /** Who holds it: in the log, and the user of what is published with it. */
  readonly name: string;
  readonly role: Role;
  readonly token: string;
}

export interface Caller {
  /** '' where no token is asked for. */
  readonly name: string;
  readonly role: Role;
}

const ranks: Readonly<Record<Role, number>> = { viewer: 0, operator: 1 };

export function mayAct(caller: Caller, role: Role): boolean {
  return ranks[caller.role] >= ranks[role];
}

export class Tokens {
  readonly #known: readonly { readonly caller: Caller; readonly digest: Buffer }[];

  constructor(tokens: readonly Token[]) {
    this.#known = tokens.map(({ name, role, token }) => ({ caller: { name, role }, digest: digestOf(token) }));
  }

  /** Whoever reaches the listener may do everything: it is on loopback then. */
  get open(): boolean {
    return this.#known.length === 0;
  }

  /** Takes the same time whether and where a token differs: digests of one length, and all of them are compared. */
  callerOf(token: string): Caller | undefined {
    const given = digestOf(token);
    let found: Caller | undefined;
    for (const { caller, digest } of this.#known) if (timingSafeEqual(digest, given)) found = caller;
    return found;
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
