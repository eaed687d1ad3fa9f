import type { ConnectAttempt } from '../../src/auth/identity.ts';
import type { AuthEvents } from '../../src/auth/method.ts';

/** A CONNECT over TCP from 192.0.2.1, as client d1, without credentials. */
export function attempt(
  more: Partial<Omit<ConnectAttempt, 'password'>> & { password?: string | Buffer } = {},
): ConnectAttempt {
  const { password, ...rest } = more;
  return {
    clientId: 'd1',
    clientIdAssigned: false,
    username: undefined,
    protocolVersion: 4,
    listener: 'mqtt',
    remoteAddress: '192.0.2.1',
    certificate: undefined,
    ...rest,
    password: password === undefined ? undefined : Buffer.from(password),
  };
}

/** Writes down what is told. */
export function heard(): AuthEvents & { readonly faults: string[]; readonly changes: string[] } {
  const faults: string[] = [];
  const changes: string[] = [];
  return {
    faults,
    changes,
    fault: (where, error) => faults.push(`${where}: ${error instanceof Error ? error.message : String(error)}`),
    changed: (what) => changes.push(what),
  };
}
