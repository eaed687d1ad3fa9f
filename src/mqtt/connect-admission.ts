/**
 * Asks who a client is, before aedes looks for its session or ends another connection of its id.
 *
 *     CONNECT -> aedes -> authenticate -> accepted: aedes goes on (session, take-over, CONNACK)
 *                                     ├─> refused: CONNACK with the reason, closed
 *                                     └─> nobody can tell now: closed without CONNACK, see below
 *
 * "Server unavailable" in a CONNACK would be the politer answer to an outage, but mqtt.js takes any error there as final and does
 * not connect again, so an outage of seconds would strand a fleet (see patches/barrier.ts).
 */
import type { Authenticator, ConnectAttempt, Refusal, Verdict } from '../auth/identity.ts';
import type { Connection } from './connection.ts';
import { connackRefused, connackRefusedV3 } from './wire.ts';

/** Reason code of MQTT 5 (§3.2.2.2), return code of MQTT 3 ([MQTT-3.2.2-4]). */
const codes: Readonly<Record<Exclude<Refusal, 'unavailable'>, readonly [v5: number, v3: number]>> = {
  credentials: [0x86, 4],
  'not-authorized': [0x87, 5],
  blocked: [0x8a, 5],
  'client-id': [0x85, 2],
};

export interface Credentials {
  readonly username: string | undefined;
  readonly password: Buffer | undefined;
}

/** `accept` lets aedes go on; a client that is refused is answered and closed here. */
export async function authenticate(
  connection: Connection,
  authenticator: Authenticator,
  credentials: Credentials,
  accept: () => void,
): Promise<void> {
  const { client, core } = connection;
  const attempt = attemptOf(connection, credentials);
  let verdict: Verdict;
  try {
    verdict = await authenticator.authenticate(attempt);
  } catch (error) {
    core.events.fault('authentication', error);
    verdict = { refused: 'unavailable', reason: 'a fault of the authentication' };
  }
  if (client.closed || connection.ending) return;
  if ('identity' in verdict) {
    connection.identity = verdict.identity;
    connection.admitted = true;
    accept();
    return;
  }
  const { refused, reason } = verdict;
  core.counters.refusedLogins++;
  const { clientId, listener, remoteAddress } = attempt;
  core.events.loginRefused({ clientId, listener, remoteAddress, refused, reason });
  connection.reject(refused === 'unavailable' ? undefined : refusal(attempt.protocolVersion, codes[refused]));
}

function attemptOf({ client, info }: Connection, { username, password }: Credentials): ConnectAttempt {
  return {
    clientId: client.id,
    clientIdAssigned: client._assignedClientId !== undefined,
    username,
    password,
    protocolVersion: client.version === 5 ? 5 : client.version === 3 ? 3 : 4,
    listener: info.listener,
    remoteAddress: info.remoteAddress,
    certificate: info.certificate,
  };
}

function refusal(version: number, [v5, v3]: readonly [number, number]): Buffer {
  return version === 5 ? connackRefused(v5) : connackRefusedV3(v3);
}
