/** listeners.http: the API over TCP, with or without TLS. */
import { readFile } from 'node:fs/promises';
import { createServer as createPlain, STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTls } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { errorText, SluiceError } from '../errors.ts';
import type { App } from './app.ts';
import type { Role } from './port.ts';
import type { Token } from './tokens.ts';

export interface HttpListenerOptions {
  readonly host: string;
  readonly port: number;
  /** PEM files. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
}

export interface TokenOptions {
  readonly name: string;
  readonly role: Role;
  readonly token?: string | undefined;
  /** Holds the token, and nothing else but white space around it. */
  readonly file?: string | undefined;
}

/** Takes a request for MQTT over WebSocket over, with its socket. */
export type MqttUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** Sockets at a time; further ones are closed at once. */
const CONNECTIONS_MAX = 10_000;
/** A request, its head and body together, takes no longer; nor does a connection without one stay longer. */
const REQUEST_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
const TOKEN_MIN_LENGTH = 16;

/** @throws SluiceError LISTENER_FAILED: a file cannot be read, or holds no token */
export async function readTokens(tokens: readonly TokenOptions[]): Promise<Token[]> {
  return Promise.all(
    tokens.map(async ({ name, role, token, file }) => ({
      name,
      role,
      token: token ?? (await readToken(name, file ?? '')),
    })),
  );
}

async function readToken(name: string, file: string): Promise<string> {
  const text = (await readText(file, `the token of ${name}`)).trim();
  if (text.length >= TOKEN_MIN_LENGTH && !/\s/.test(text)) return text;
  throw new SluiceError(
    'LISTENER_FAILED',
    `${file}: no token of at least ${TOKEN_MIN_LENGTH} characters without spaces`,
  );
}

async function readText(file: string, what: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    throw new SluiceError('LISTENER_FAILED', `${what} cannot be read: ${errorText(error)}`, { cause: error });
  });
}

export class HttpListener {
  readonly name: 'http' | 'https';
  readonly host: string;
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server, name: 'http' | 'https') {
    const address = server.address() as AddressInfo;
    this.#server = server;
    this.name = name;
    this.host = address.address;
    this.port = address.port;
  }

  /** @throws SluiceError LISTENER_FAILED */
  static async open(app: App, { host, port, tls }: HttpListenerOptions, mqtt: MqttUpgrade): Promise<HttpListener> {
    const server = tls === undefined ? createPlain() : await tlsServer(tls);
    server.maxConnections = CONNECTIONS_MAX;
    server.requestTimeout = REQUEST_TIMEOUT_MS;
    server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
    server.on('request', (request, response) => app.answer(request, response, false));
    server.on('upgrade', (request, socket, head) => {
      const refusal = app.judgeUpgrade(request);
      if (refusal === undefined) mqtt(request, socket, head);
      else refuse(socket, refusal.status, refusal.message);
    });
    await new Promise<void>((done, failed) => {
      server.once('error', failed);
      server.listen({ host, port }, () => {
        server.removeListener('error', failed);
        done();
      });
    }).catch((error: unknown) => {
      const inUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      throw new SluiceError(
        'LISTENER_FAILED',
        `listener http cannot listen on ${host} port ${port}: ${inUse ? 'another process uses it' : errorText(error)}`,
        { cause: error },
      );
    });
    return new HttpListener(server, tls === undefined ? 'http' : 'https');
  }

  get accepting(): boolean {
    return this.#server.listening;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((done) => this.#server.close(() => done()));
  }
}

function refuse(socket: Duplex, status: number, message: string): void {
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: text/plain\r\n`;
  socket.end(`${head}Content-Length: ${Buffer.byteLength(message)}\r\n\r\n${message}`);
}

async function tlsServer({ cert, key }: { cert: string; key: string }): Promise<Server> {
  try {
    return createTls({
      cert: await readText(cert, 'the certificate of listeners.http'),
      key: await readText(key, 'the key of listeners.http'),
    });
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError('LISTENER_FAILED', `the certificate of listeners.http does not load: ${errorText(error)}`, {
      cause: error,
    });
  }
}
