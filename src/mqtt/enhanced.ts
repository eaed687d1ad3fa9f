/**
 * Enhanced authentication (MQTT 5.0 §4.12) in one round trip: the CONNECT names a method and brings the data that prove who it is, and
 * the CONNACK is the answer. While it is connected an AUTH renews it:
 *
 *     CONNECT (method, data) ──> as any CONNECT, see connect-admission.ts ──> CONNACK (method), or refused: 0x8C no such method, 0x86 …
 *     AUTH 0x19 (method, data) ─┬─ the same user ───> rights and expiry anew ──> AUTH 0x00 (method)
 *                               ├─ another, or no proof ──> DISCONNECT 0x87, closed
 *                               └─ nobody can tell now ───> DISCONNECT 0x89, closed; it comes again
 */
import type { EnhancedAuthentication, Verdict } from '../auth/identity.ts';
import { judgeAnew } from './access.ts';
import { attemptOf, judge } from './connect-admission.ts';
import type { Connection } from './connection.ts';
import { revoke } from './delivery/subscribing.ts';
import { endAtExpiry } from './expiry.ts';
import type { AnyPacket } from './patches/internals.ts';
import { authSuccess, disconnect, ReasonCode } from './wire.ts';

const RE_AUTHENTICATE = 0x19;

/** undefined: the packet does not ask for it. */
export function enhancedOf({ properties }: AnyPacket): EnhancedAuthentication | undefined {
  const method = properties?.['authenticationMethod'];
  if (typeof method !== 'string') return undefined;
  const data = properties?.['authenticationData'];
  return { method, data: Buffer.isBuffer(data) ? data : Buffer.alloc(0) };
}

/** An AUTH of a client that is connected. `revoke` takes subscriptions from it that its new rights do not allow. */
export function renew(connection: Connection, packet: AnyPacket): void {
  const asked = enhancedOf(packet);
  const { enhancedMethod } = connection;
  // [MQTT-4.12.1-1]: of the method of the CONNECT. We ask for nothing more, so nothing is to be continued; and one after the other.
  const valid = packet.reasonCode === RE_AUTHENTICATE && asked?.method === enhancedMethod && !connection.renewing;
  if (!valid || asked === undefined) {
    connection.reject(disconnect(ReasonCode.protocolError));
    return;
  }
  connection.renewing = true;
  void judge(connection, attemptOf(connection, { username: undefined, password: undefined, enhanced: asked })).then(
    (verdict) => {
      connection.renewing = false;
      if (!connection.client.closed && !connection.ending) conclude(connection, verdict, asked.method);
    },
  );
}

function conclude(connection: Connection, verdict: Verdict, method: string): void {
  const { client, core, info, identity, publisher } = connection;
  if ('identity' in verdict && verdict.identity.user === identity.user) {
    connection.identity = verdict.identity;
    if (publisher !== undefined) publisher.identity = verdict.identity;
    const lost = judgeAnew(connection);
    if (lost.length > 0) revoke(connection, lost);
    endAtExpiry(connection);
    connection.write(authSuccess(method));
    return;
  }
  const { refused, reason } =
    'identity' in verdict
      ? { refused: 'not-authorized' as const, reason: 'the new token is of another user' }
      : verdict;
  const { listener, remoteAddress } = info;
  core.counters.refusedLogins++;
  core.events.loginRefused({ clientId: client.id, listener, remoteAddress, refused, reason });
  if (refused === 'unavailable') connection.end(ReasonCode.serverBusy);
  else connection.reject(disconnect(ReasonCode.notAuthorized));
}
