/** Everything that is asked over HTTP, on the listener and on the admin socket alike. */
import { fastify, type FastifyInstance } from 'fastify';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { guardAccess, judgeUpgrade, type Prove, type UpgradeRefusal } from './access.ts';
import { answerFaults } from './answers.ts';
import { apiRoutes } from './api.ts';
import { healthRoutes } from './health.ts';
import { dashboardRoutes } from './dashboard.ts';
import { describeRoutes } from './openapi.ts';
import type { ApiPort } from './port.ts';
import { publishRoutes } from './publish.ts';
import type { Tokens } from './tokens.ts';

export interface AppOptions {
  readonly port: ApiPort;
  readonly tokens: Tokens;
  readonly version: string;
  /** Of one message's payload. */
  readonly messageMaxBytes: number;
  /** Asks who an MQTT client is; undefined: nobody has to prove it. */
  readonly prove: () => Prove;
  /** A fault of ours, while a request was answered. */
  readonly fault: (error: unknown) => void;
}

/** Of requests that say nothing else. */
const BODY_MAX_BYTES = 64 * 1024;
/** As long as an MQTT topic or client id can be, every byte of it escaped. */
const PATH_PART_MAX_CHARS = 3 * 65_535;

export class App {
  readonly #fastify: FastifyInstance;
  readonly #adminRequests = new WeakSet<IncomingMessage>();

  readonly #judgeUpgrade: (request: IncomingMessage) => UpgradeRefusal | undefined;

  private constructor({ port, tokens, version, messageMaxBytes, prove, fault }: AppOptions) {
    this.#judgeUpgrade = (request) => judgeUpgrade(request, tokens, prove() !== undefined);
    const app = fastify({
      logger: false,
      bodyLimit: BODY_MAX_BYTES,
      routerOptions: { maxParamLength: PATH_PART_MAX_CHARS },
      exposeHeadRoutes: false,
    });
    describeRoutes(app, version);
    guardAccess(app, tokens, (request) => this.#adminRequests.has(request), prove);
    answerFaults(app, fault);
    healthRoutes(app, port);
    apiRoutes(app, port);
    publishRoutes(app, port, messageMaxBytes);
    dashboardRoutes(app);
    this.#fastify = app;
  }

  static async create(options: AppOptions): Promise<App> {
    const app = new App(options);
    await app.#fastify.ready();
    return app;
  }

  /** `admin`: whoever asks is the operator. */
  answer(request: IncomingMessage, response: ServerResponse, admin: boolean): void {
    if (admin) this.#adminRequests.add(request);
    this.#fastify.routing(request, response);
  }

  /** Whether a request for MQTT over WebSocket may go on to MQTT; undefined: it may. */
  judgeUpgrade(request: IncomingMessage): UpgradeRefusal | undefined {
    return this.#judgeUpgrade(request);
  }

  async close(): Promise<void> {
    await this.#fastify.close();
  }
}
