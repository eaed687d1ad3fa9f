/** Faults as HTTP answers: `{ error: { code, message, hint } }`, with a status that says whether to try again. */
import type { FastifyInstance } from 'fastify';
import { isSluiceError, type ErrorCode, type SluiceError } from '../errors.ts';

/** Seconds to wait before the next attempt: what is down is found well again within about this, a full buffer is not. */
const RETRY_AFTER_S = 2;
const RETRY_AFTER_FULL_S = 10;

export interface Answer {
  readonly status: number;
  readonly retryAfterS?: number;
}

const answers: Partial<Record<ErrorCode, Answer>> = {
  PUBLISH_REFUSED: { status: 403 },
  STORE_FULL: { status: 503, retryAfterS: RETRY_AFTER_FULL_S },
  RATE_EXCEEDED: { status: 429, retryAfterS: RETRY_AFTER_S },
  TOO_MANY_REQUESTS: { status: 429, retryAfterS: RETRY_AFTER_FULL_S },
};

/** Everything else that the way in says is the store's or the process's state: nothing of it is final. */
export function answerOf(error: SluiceError): Answer {
  return answers[error.code] ?? { status: 503, retryAfterS: RETRY_AFTER_S };
}

export function errorBody({ code, message, hint }: SluiceError): { error: Record<string, string> } {
  return { error: { code, message, hint } };
}

export function answerFaults(app: FastifyInstance, fault: (error: unknown) => void): void {
  app.setNotFoundHandler((request, reply) => {
    reply.code(404).send({ error: { code: 'NOT_FOUND', message: `there is no ${request.method} ${request.url}` } });
  });
  app.setErrorHandler((error: Error & { statusCode?: number; code?: string }, _request, reply) => {
    if (isSluiceError(error)) {
      const { status, retryAfterS } = answerOf(error);
      if (retryAfterS !== undefined) reply.header('retry-after', retryAfterS);
      return reply.code(status).send(errorBody(error));
    }
    const { statusCode = 500, code = 'INTERNAL', message } = error;
    if (statusCode < 500) return reply.code(statusCode).send({ error: { code, message } });
    // What went wrong is for the log; the caller learns that it did.
    fault(error);
    return reply.code(500).send({ error: { code: 'INTERNAL', message: 'internal fault; the log says more' } });
  });
}
