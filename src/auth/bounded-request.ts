/** One HTTP(S) question to a back end, bounded in time and size. Redirects are not followed: what answers is what was configured. */
import http from 'node:http';
import https from 'node:https';
import { errorText, SluiceError } from '../errors.ts';

export interface BackendOptions {
  readonly url: string;
  /** For the whole of it: name resolution, connection, answer. */
  readonly timeoutMs: number;
  readonly answerMaxBytes: number;
  /** Connections at the same time. */
  readonly concurrency: number;
  /** PEM, instead of the authorities of the system. */
  readonly ca?: Buffer | undefined;
}

export interface BackendAnswer {
  readonly status: number;
  readonly body: Buffer;
}

export interface Backend {
  /** @throws SluiceError AUTH_BACKEND */
  ask(request?: { headers: Record<string, string>; body: string }): Promise<BackendAnswer>;
  close(): void;
}

export function backend(options: BackendOptions): Backend {
  const { url: text, timeoutMs, answerMaxBytes, concurrency, ca } = options;
  const url = new URL(text);
  const settings = { keepAlive: true, maxSockets: concurrency, ...(ca === undefined ? {} : { ca }) };
  const secure = url.protocol === 'https:';
  const agent = secure ? new https.Agent(settings) : new http.Agent(settings);
  // Credentials in the URL are sent, and named in no message.
  const where = `${url.protocol}//${url.host}${url.pathname}`;
  const failure = (what: string, cause?: unknown): SluiceError =>
    new SluiceError('AUTH_BACKEND', `${where} ${what}`, cause === undefined ? {} : { cause });

  const ask: Backend['ask'] = (request) =>
    new Promise((resolve, reject) => {
      const outgoing = (secure ? https : http).request(url, {
        agent,
        method: request === undefined ? 'GET' : 'POST',
        headers: { accept: 'application/json', ...request?.headers },
      });
      const timer = setTimeout(() => outgoing.destroy(failure(`does not answer within ${timeoutMs} ms`)), timeoutMs);
      const failed = (error: unknown): void => {
        clearTimeout(timer);
        reject(error instanceof SluiceError ? error : failure(`fails: ${errorText(error)}`, error));
      };
      outgoing.on('error', failed);
      outgoing.on('response', (response) => {
        const parts: Buffer[] = [];
        let bytes = 0;
        response.on('data', (part: Buffer) => {
          bytes += part.length;
          if (bytes > answerMaxBytes) outgoing.destroy(failure(`answers with more than ${answerMaxBytes} bytes`));
          else parts.push(part);
        });
        response.on('error', failed);
        response.on('end', () => {
          clearTimeout(timer);
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts) });
        });
      });
      outgoing.end(request?.body);
    });
  return { ask, close: () => agent.destroy() };
}

/** @throws SluiceError AUTH_BACKEND; never with what is in it */
export function parseAnswer({ body }: BackendAnswer, where: string): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new SluiceError('AUTH_BACKEND', `${where} answers with something that is no JSON`);
  }
}
