/**
 * Asks who a client is, before aedes looks for its session or ends another connection of its id.
 *
 *     CONNECT -> aedes -> authenticate -> accepted, and its will allowed: aedes goes on (session, take-over, CONNACK)
 *                                     ├─> refused: CONNACK with the reason, closed
 *                                     └─> nobody can tell now: closed without CONNACK, see below
 *
 * "Server unavailable" in a CONNACK would be the politer answer to an outage, but mqtt.js takes any error there as final and does
 * not connect again, so an outage of seconds would strand a fleet (see patches/barrier.ts).
 */
import type { ConnectAttempt, EnhancedAuthentication, Identity, Refusal, Verdict } from '../auth/identity.ts';
import { deny, willFault } from './access.ts';
import type { Connection } from './connection.ts';
import { connackRefused, connackRefusedV3, ReasonCode } from './wire.ts';

/** Reason code of MQTT 5 (§3.2.2.2), return code of MQTT 3 ([MQTT-3.2.2-4]). */
const codes: Readonly<Record<Exclude<Refusal, 'unavailable'>, readonly [v5: number, v3: number]>> = {
  credentials: [0x86, 4],
  'not-authorized': [0x87, 5],
  blocked: [0x8a, 5],
  'client-id': [0x85, 2],
  // Only MQTT 5 can ask for one.
  method: [ReasonCode.badAuthenticationMethod, 5],
};

export interface Credentials {
  readonly username: string | undefined;
  readonly password: Buffer | undefined;
  readonly enhanced: EnhancedAuthentication | undefined;
}

/** `accept` lets aedes go on; a client that is refused is answered and closed here. */
export async function authenticate(
  connection: Connection,
  credentials: Credentials,
  accept: () => void,
): Promise<void> {
  const { client, core } = connection;
  const attempt = attemptOf(connection, credentials);
  const verdict = await judge(connection, attempt);
  // A secret is kept no longer than it is looked at.
  connection.enhanced = undefined;
  if (client.closed || connection.ending) return;
  if ('identity' in verdict) {
    connection.enhancedMethod = credentials.enhanced?.method;
    identified(connection, verdict.identity, accept);
    return;
  }
  const { refused, reason } = verdict;
  core.counters.refusedLogins++;
  const { clientId, listener, remoteAddress } = attempt;
  core.events.loginRefused({ clientId, listener, remoteAddress, refused, reason });
  connection.reject(refused === 'unavailable' ? undefined : refusal(attempt.protocolVersion, codes[refused]));
}

/** Who it is, is known: what remains is whether there is room for one more of this user, and whether its will may be published. */
export function identified(connection: Connection, identity: Identity, accept: () => void): void {
  const { client, core, info } = connection;
  connection.identity = identity;
  connection.access = core.accessOf(client.id, identity);
  if (identity.user !== '' && !core.users.enter(identity.user, client.id, client.conn)) {
    const reason = `${identity.user} has limits.connectionsPerUser connections already`;
    core.counters.refusedLogins++;
    const { listener, remoteAddress } = info;
    core.events.loginRefused({ clientId: client.id, listener, remoteAddress, refused: 'not-authorized', reason });
    // MQTT 5.0 §3.2.2.2: Quota exceeded. MQTT 3 has no such code.
    connection.reject(refusal(client.version ?? 4, [ReasonCode.quotaExceeded, 5]));
    return;
  }
  const will = client._will;
  const rule = will === null ? undefined : willFault(connection, will);
  if (will === null || rule === undefined) {
    connection.admitted = true;
    accept();
    return;
  }
  deny(connection, 'will', will.topic, rule);
  connection.reject(refusal(client.version ?? 4, codes['not-authorized']));
}

/** Never rejects. */
export async function judge({ core }: Connection, attempt: ConnectAttempt): Promise<Verdict> {
  if (core.authenticator === undefined) return { refused: 'method', reason: 'there is no way to prove anything' };
  try {
    return await core.authenticator.authenticate(attempt);
  } catch (error) {
    core.events.fault('authentication', error);
    return { refused: 'unavailable', reason: 'a fault of the authentication' };
  }
}

export function attemptOf({ client, info }: Connection, credentials: Credentials): ConnectAttempt {
  return {
    ...credentials,
    clientId: client.id,
    clientIdAssigned: client._assignedClientId !== undefined,
    protocolVersion: client.version === 5 ? 5 : client.version === 3 ? 3 : 4,
    listener: info.listener,
    remoteAddress: info.remoteAddress,
    certificate: info.certificate,
  };
}

function refusal(version: number, [v5, v3]: readonly [number, number]): Buffer {
  return version === 5 ? connackRefused(v5) : connackRefusedV3(v3);
}
