/**
 * The admin socket: a Unix socket in the data directory that only its owner can open, through which the CLI talks to the
 * running process: the API of app.ts, so that `curl --unix-socket` serves as well.
 */
import { createHash } from 'node:crypto';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { errorText, SluiceError } from '../errors.ts';
import type { App } from './app.ts';

/** What sun_path holds on Linux less its end; macOS has 104. */
const SOCKET_PATH_MAX_BYTES = 100;
const ANSWER_MAX_BYTES = 64 * 1024 * 1024;

/** `<data directory>/admin.sock`, or a private place in the temporary directory where that path is too long for a socket. */
export function adminSocketPath(dataDirectory: string): string {
  const path = resolve(dataDirectory, 'admin.sock');
  if (Buffer.byteLength(path) <= SOCKET_PATH_MAX_BYTES) return path;
  const name = createHash('sha256').update(path).digest('hex').slice(0, 16);
  return join(tmpdir(), `sluice-${userInfo().uid}`, `${name}.sock`);
}

export class AdminSocket {
  readonly path: string;
  readonly #server: Server;

  private constructor(path: string, server: Server) {
    this.path = path;
    this.#server = server;
  }

  /**
   * `app` is made when somebody asks.
   * @throws SluiceError STORE_LOCKED when a running sluice answers there already
   */
  static async open(dataDirectory: string, app: () => Promise<App>): Promise<AdminSocket> {
    const path = adminSocketPath(dataDirectory);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    if (await answers(path)) {
      throw new SluiceError('STORE_LOCKED', `another sluice is running in ${dataDirectory}`);
    }
    await rm(path, { force: true });
    const server = createServer((asked, response) => {
      app().then(
        (ready) => ready.answer(asked, response, true),
        (error: unknown) => response.writeHead(500).end(errorText(error)),
      );
    });
    const mask = process.umask(0o177);
    try {
      await new Promise<void>((done, failed) => {
        server.once('error', failed);
        server.listen(path, done);
      });
    } catch (error) {
      throw new SluiceError('LISTENER_FAILED', `the admin socket ${path} cannot be opened: ${errorText(error)}`, {
        cause: error,
      });
    } finally {
      process.umask(mask);
    }
    await chmod(path, 0o600);
    server.unref();
    return new AdminSocket(path, server);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((done) => this.#server.close(() => done()));
  }
}

export interface AdminRequest {
  readonly method?: 'GET' | 'POST';
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly timeoutMs?: number;
}

/**
 * Asks the sluice that runs in a data directory. Gives what it answers: an object, or a text that is no JSON.
 * @throws SluiceError ADMIN_UNREACHABLE
 */
export async function askAdmin(dataDirectory: string, path: string, options: AdminRequest = {}): Promise<unknown> {
  const socketPath = adminSocketPath(dataDirectory);
  const { method = 'GET', timeoutMs = 5_000, body: asked } = options;
  const headers = asked === undefined ? {} : { 'content-type': 'application/json' };
  try {
    return await new Promise<unknown>((done, failed) => {
      const asking = request({ socketPath, method, path, headers, timeout: timeoutMs }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          body += part;
          if (body.length > ANSWER_MAX_BYTES) asking.destroy(new Error('the answer is too long'));
        });
        const json = response.headers['content-type']?.startsWith('application/json') === true;
        response.on('end', () => {
          if (response.statusCode === 200) done(json ? JSON.parse(body) : body);
          else failed(new Error(body));
        });
      });
      asking.on('timeout', () => asking.destroy(new Error(`no answer within ${timeoutMs} ms`)));
      asking.on('error', failed);
      asking.end(asked === undefined ? undefined : JSON.stringify(asked));
    });
  } catch (error) {
    throw new SluiceError('ADMIN_UNREACHABLE', `no sluice answers on ${socketPath}: ${errorText(error)}`, {
      cause: error,
    });
  }
}

async function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });
}
