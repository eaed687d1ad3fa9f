/** The rules that are in effect. They are replaced as a whole; who has asked before asks again. */
import type { Access } from './access.ts';
import { AccessRules, type AccessRule } from './rules.ts';
import type { Identity } from '../identity.ts';

export class AccessControl {
  #rules: AccessRules;

  /** @throws SluiceError CONFIG_INVALID */
  constructor(rules: readonly AccessRule[]) {
    this.#rules = new AccessRules(rules);
  }

  /** @throws SluiceError CONFIG_INVALID */
  compile(rules: readonly AccessRule[]): AccessRules {
    return new AccessRules(rules);
  }

  replace(rules: AccessRules): void {
    this.#rules = rules;
  }

  /** undefined: there are no rules, and everything is allowed. */
  of(clientId: string, identity: Identity): Access | undefined {
    if (this.#rules.empty) return undefined;
    return this.#rules.for({ clientId, user: identity.user, attributes: identity.attributes });
  }
}
