/**
 * Who may ask what, decided before anything of a request but its head is read.
 *
 *     admin socket ─> operator: only the owner of the data directory can open it
 *     token given  ─> the role it has, or 401
 *     no tokens    ─> operator, on loopback, and never for another site's web page
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
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

function callerOf(request: FastifyRequest, tokens: Tokens): Caller | undefined {
  if (tokens.open) return thisMachine;
  const match = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '');
  return match === null ? undefined : tokens.callerOf(match[1] as string);
}

/**
 * A browser sends Origin with every request that changes something, so a page of another site is known by it. Without tokens
 * the Host must be this machine's, too: a name of an attacker may lead here (DNS rebinding), and its page is of the same origin.
 */
function sameSite(request: FastifyRequest, open: boolean): boolean {
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
