/**
 * Who may ask what, decided before anything of a request but its head is read.
 *
 *     admin socket ─> operator: only the owner of the data directory can open it
 *     token given  ─> the role it has, or 401
 *     no tokens    ─> operator, on loopback, and never for another site's web page
 *     to publish, a user name and password, or a JSON Web Token ─> who MQTT's authentication says it is, with the rights of that
 *     MQTT over WebSocket ─> as above, with the token among the subprotocols; then MQTT asks who it is
 */
import type { ConnectAttempt, Identity, Refusal, Verdict } from '../auth/identity.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { IncomingMessage } from 'node:http';
import type { Role } from './port.ts';
import { mayAct, type Caller, type Tokens } from './tokens.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** undefined: nobody in particular, where only the health is asked for. */
    caller: Caller | undefined;
    /** Proven as an MQTT client proves it. */
    device: Identity | undefined;
  }
  interface FastifyContextConfig {
    /** 'none': answered to everybody who reaches the listener. */
    role?: Role | 'none';
    /** Devices may ask, too. */
    devices?: true;
  }
}

/** As whom is published where nothing else is said. */
export const DEFAULT_CLIENT_ID = 'http';
const CLIENT_ID_MAX = 256;

const socketOwner: Caller = { name: 'admin-socket', role: 'operator' };
const thisMachine: Caller = { name: '', role: 'operator' };

/** Asks MQTT's authentication; undefined: there is none. */
export type Prove = ((attempt: ConnectAttempt) => Promise<Verdict>) | undefined;

export function guardAccess(
  app: FastifyInstance,
  tokens: Tokens,
  isAdminSocket: (request: IncomingMessage) => boolean,
  prove: () => Prove,
): void {
  app.decorateRequest('caller', undefined);
  app.decorateRequest('device', undefined);
  app.addHook('onRequest', async (request, reply) => {
    const admin = isAdminSocket(request.raw);
    if (!admin && !sameSite(request, tokens.open))
      return refuse(reply, 403, 'FORBIDDEN', 'requests of web pages of other sites are refused');
    request.caller = admin ? socketOwner : callerOf(request, tokens);
    const role = request.routeOptions.config.role ?? 'operator';
    if (role === 'none') return undefined;
    const asks = admin || request.routeOptions.config.devices !== true ? undefined : prove();
    const attempt = asks === undefined ? undefined : attemptOf(request, tokens);
    if (asks !== undefined && attempt !== undefined) {
      const verdict = await asks(attempt);
      if ('identity' in verdict) {
        request.device = verdict.identity;
        return undefined;
      }
      return refuseDevice(reply, verdict.refused);
    }
    if (request.caller === undefined) {
      reply.header('www-authenticate', 'Bearer realm="sluice"');
      return refuse(reply, 401, 'UNAUTHORIZED', 'a token is needed: Authorization: Bearer …');
    }
    if (mayAct(request.caller, role)) return undefined;
    return refuse(reply, 403, 'FORBIDDEN', `this needs the role ${role}`);
  });
}

/** Where MQTT over WebSocket is to be had on the HTTP listener, for the dashboard. */
const MQTT_PATH = '/mqtt';
/** A web page cannot give a WebSocket other headers than its subprotocols: `bearer.<token in base64url>` is one beside `mqtt`. */
const TOKEN_PROTOCOL = 'bearer.';

export interface UpgradeRefusal {
  readonly status: 401 | 403 | 404;
  readonly message: string;
}

/**
 * Whether a request for MQTT over WebSocket may get through to MQTT. `mqttProves`: clients prove there who they are, so that any
 * role may try; else whoever gets through may publish, which is the operator's.
 */
export function judgeUpgrade(
  request: IncomingMessage,
  tokens: Tokens,
  mqttProves: boolean,
): UpgradeRefusal | undefined {
  if (request.url?.split('?', 1)[0] !== MQTT_PATH) return { status: 404, message: `MQTT is at ${MQTT_PATH}` };
  if (!sameSite(request, tokens.open)) return { status: 403, message: 'web pages of other sites are refused' };
  const protocols = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((each) => each.trim());
  const token = protocols.find((each) => each.startsWith(TOKEN_PROTOCOL))?.slice(TOKEN_PROTOCOL.length);
  const caller =
    token === undefined ? callerOf(request, tokens) : tokens.callerOf(Buffer.from(token, 'base64url').toString());
  if (tokens.open) return undefined;
  if (caller === undefined) return { status: 401, message: 'a token is needed' };
  if (mqttProves || mayAct(caller, 'operator')) return undefined;
  return { status: 403, message: 'this needs the role operator, since MQTT clients prove nothing here' };
}

function callerOf(request: Pick<IncomingMessage, 'headers'>, tokens: Tokens): Caller | undefined {
  if (tokens.open) return thisMachine;
  const match = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '');
  return match === null ? undefined : tokens.callerOf(match[1] as string);
}

/**
 * A browser sends Origin with every request that changes something, so a page of another site is known by it. Without tokens
 * the Host must be this machine's, too: a name of an attacker may lead here (DNS rebinding), and its page is of the same origin.
 */
function sameSite(request: Pick<IncomingMessage, 'headers'>, open: boolean): boolean {
  const { origin, host = '' } = request.headers;
  if (open && !/^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i.test(host)) return false;
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}

const refusals: Readonly<Record<Refusal, readonly [status: number, code: string, message: string]>> = {
  credentials: [401, 'UNAUTHORIZED', 'nobody knows this user name and password, or this token'],
  'not-authorized': [403, 'FORBIDDEN', 'this user may not connect'],
  'client-id': [403, 'FORBIDDEN', 'not a client id of this user'],
  method: [401, 'UNAUTHORIZED', 'this way of authentication is not offered'],
  blocked: [429, 'TOO_MANY_REQUESTS', 'too many attempts from this address have failed'],
  unavailable: [503, 'UNAVAILABLE', 'nobody can tell now who this is'],
};
const RETRY_AFTER_S = 10;

function refuseDevice(reply: FastifyReply, refused: Refusal): FastifyReply {
  const [status, code, message] = refusals[refused];
  if (status === 401) reply.header('www-authenticate', 'Basic realm="sluice", charset="UTF-8"');
  if (status === 429 || status === 503) reply.header('retry-after', RETRY_AFTER_S);
  return refuse(reply, status, code, message);
}

/** What a CONNECT with the same credentials would be: Basic, or a token that is none of listeners.http.tokens. */
function attemptOf(request: FastifyRequest, tokens: Tokens): ConnectAttempt | undefined {
  const [, scheme = '', value = ''] = /^(\w+) +(\S+)$/.exec(request.headers.authorization ?? '') ?? [];
  let credentials: Pick<ConnectAttempt, 'username' | 'password'>;
  if (/^basic$/i.test(scheme)) {
    const pair = Buffer.from(value, 'base64');
    const colon = pair.indexOf(':');
    if (colon < 0) return undefined;
    credentials = { username: pair.subarray(0, colon).toString(), password: pair.subarray(colon + 1) };
  } else if (/^bearer$/i.test(scheme) && tokens.callerOf(value) === undefined) {
    credentials = { username: undefined, password: Buffer.from(value) };
  } else return undefined;
  const { clientId } = request.query as { clientId?: unknown };
  return {
    ...credentials,
    clientId: typeof clientId === 'string' && clientId !== '' ? clientId.slice(0, CLIENT_ID_MAX) : DEFAULT_CLIENT_ID,
    clientIdAssigned: false,
    protocolVersion: 5,
    listener: 'http',
    remoteAddress: request.socket.remoteAddress ?? '',
    certificate: undefined,
  };
}

function refuse(reply: FastifyReply, status: number, code: string, message: string): FastifyReply {
  // A body may follow that nobody will read.
  reply.header('connection', 'close');
  return reply.code(status).send({ error: { code, message } });
}
