/** The identity that a client certificate gives. Whether it is valid was decided in the TLS handshake. */
import type { ClientCertificate, ConnectAttempt, Identity } from './identity.ts';
import { notMine, refuse, type Answer, type AuthMethod } from './method.ts';
import { alternativeNames } from './x509-fields.ts';

export type CertificateIdentity = 'cn' | 'dns' | 'uri' | 'email' | 'fingerprint';

export class ClientCertificateMethod implements AuthMethod {
  readonly name = 'clientCertificate';
  readonly #identity: CertificateIdentity;

  constructor(identity: CertificateIdentity) {
    this.#identity = identity;
  }

  authenticate({ certificate }: ConnectAttempt): Answer {
    if (certificate === undefined) return notMine;
    const facts = factsOf(certificate);
    const candidates = facts[this.#identity];
    const [user] = candidates;
    if (user === undefined || candidates.length > 1) {
      const what = user === undefined ? 'no' : 'more than one';
      return refuse('not-authorized', `the client certificate has ${what} ${names[this.#identity]}`);
    }
    const attributes = new Map<string, string>();
    for (const [name, [value]] of Object.entries(facts)) if (value !== undefined) attributes.set(`cert.${name}`, value);
    const identity: Identity = {
      user,
      method: 'clientCertificate',
      attributes,
      expiresAt: undefined,
      stamp: this.#identity,
    };
    return { kind: 'accept', identity };
  }

  holds({ stamp }: Identity): boolean {
    return stamp === this.#identity;
  }

  close(): void {
    // It holds nothing.
  }
}

const names: Readonly<Record<CertificateIdentity, string>> = {
  cn: 'common name',
  dns: 'DNS name',
  uri: 'URI',
  email: 'e-mail address',
  fingerprint: 'fingerprint',
};

/** Everything that may name a client, as lists: a name that is there twice names nobody for certain. */
function factsOf({ subject, fingerprint256, raw }: ClientCertificate): Record<CertificateIdentity, readonly string[]> {
  const { CN: cn = [] } = subject;
  const fingerprint = fingerprint256.replaceAll(':', '').toLowerCase();
  return { cn: typeof cn === 'string' ? [cn] : cn, fingerprint: [fingerprint], ...alternativeNames(raw) };
}
