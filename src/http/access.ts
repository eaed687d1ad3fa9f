/**
 * Who may ask what, decided before anything of a request but its head is read.
 *
 *     admin socket ─> operator: only the owner of the data directory can open it
 *     token given  ─> the role it has, or 401
 *     no tokens    ─> operator, on loopback, and never for another site's web page
 *     MQTT over WebSocket ─> as above, with the token among the subprotocols; then MQTT asks who it is
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { IncomingMessage } from 'node:http';
import type { Role } from './port.ts';
import { mayAct, type Caller, type Tokens } from './tokens.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** undefined: nobody in particular, where only the health is asked for. */
    caller: Caller | undefined;
  }
  interface FastifyContextConfig {
    /** 'none': answered to everybody who reaches the listener. */
    role?: Role | 'none';
  }
}

const socketOwner: Caller = { name: 'admin-socket', role: 'operator' };
const thisMachine: Caller = { name: '', role: 'operator' };

export function guardAccess(
  app: FastifyInstance,
  tokens: Tokens,
  isAdminSocket: (request: IncomingMessage) => boolean,
): void {
  app.decorateRequest('caller', undefined);
  app.addHook('onRequest', async (request, reply) => {
    const admin = isAdminSocket(request.raw);
    if (!admin && !sameSite(request, tokens.open))
      return refuse(reply, 403, 'FORBIDDEN', 'requests of web pages of other sites are refused');
    request.caller = admin ? socketOwner : callerOf(request, tokens);
    const role = request.routeOptions.config.role ?? 'operator';
    if (role === 'none') return undefined;
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

function refuse(reply: FastifyReply, status: number, code: string, message: string): FastifyReply {
  // A body may follow that nobody will read.
  reply.header('connection', 'close');
  return reply.code(status).send({ error: { code, message } });
}
