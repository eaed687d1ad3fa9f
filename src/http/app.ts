/** Everything that is asked over HTTP, on the listener and on the admin socket alike. */
import { fastify, type FastifyInstance } from 'fastify';
import type { IncomingMessage, Server } from 'node:http';
import { guardAccess } from './access.ts';
import { answerFaults } from './answers.ts';
import { apiRoutes } from './api.ts';
import { healthRoutes } from './health.ts';
import { describeRoutes } from './openapi.ts';
import type { ApiPort } from './port.ts';
import type { Tokens } from './tokens.ts';

export interface AppOptions {
  readonly port: ApiPort;
  readonly tokens: Tokens;
  readonly version: string;
  /** A fault of ours, while a request was answered. */
  readonly fault: (error: unknown) => void;
}

/** A request, its head and body together, takes no longer; nor does a connection without one stay longer. */
const REQUEST_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
/** Of requests that say nothing else. */
const BODY_MAX_BYTES = 64 * 1024;
/** As long as an MQTT topic or client id can be, every byte of it escaped. */
const PATH_PART_MAX_CHARS = 3 * 65_535;

export class App {
  readonly #fastify: FastifyInstance;
  readonly #adminRequests = new WeakSet<IncomingMessage>();

  private constructor({ port, tokens, version, fault }: AppOptions) {
    const app = fastify({
      logger: false,
      bodyLimit: BODY_MAX_BYTES,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      // A client that is slow to read holds nothing up at a stop.
      forceCloseConnections: true,
      routerOptions: { maxParamLength: PATH_PART_MAX_CHARS },
      exposeHeadRoutes: false,
    });
    describeRoutes(app, version);
    guardAccess(app, tokens, (request) => this.#adminRequests.has(request));
    answerFaults(app, fault);
    healthRoutes(app, port);
    apiRoutes(app, port);
    this.#fastify = app;
  }

  static async create(options: AppOptions): Promise<App> {
    const app = new App(options);
    await app.#fastify.ready();
    return app;
  }

  /** Answers the requests of a server. `admin`: whoever reaches it is its operator. */
  serve(server: Server, admin: boolean): void {
    server.requestTimeout = REQUEST_TIMEOUT_MS;
    server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
    server.on('request', (request, response) => {
      if (admin) this.#adminRequests.add(request);
      this.#fastify.routing(request, response);
    });
  }

  async close(): Promise<void> {
    await this.#fastify.close();
  }
}
