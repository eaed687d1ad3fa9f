/** /api/v1: what the command line and the dashboard show, and the few things they change. */
import type { FastifyInstance } from 'fastify';
import type { MessageProperties } from '../message.ts';
import type { DeadLetterFilter } from '../status.ts';
import { overviewOf } from './overview.ts';
import type { ApiPort, ExplainRequest, PageRequest } from './port.ts';

const PAGE_MAX = 1_000;
const STORED_DEAD_LETTERS_MAX = 200;
const SEARCH_MAX = 256;

const paging = {
  type: 'object',
  properties: {
    search: { type: 'string', maxLength: SEARCH_MAX, default: '', description: 'Part of what is looked for' },
    offset: { type: 'integer', minimum: 0, default: 0 },
    limit: { type: 'integer', minimum: 1, maximum: PAGE_MAX, default: 100 },
  },
};

const nobody = { name: '', role: 'viewer' } as const;
const anObject = { type: 'object', additionalProperties: true };
const aPage = {
  type: 'object',
  required: ['total', 'items'],
  properties: { total: { type: 'integer' }, items: { type: 'array', items: anObject } },
};
const anError = {
  type: 'object',
  properties: {
    error: {
      type: 'object',
      properties: { code: { type: 'string' }, message: { type: 'string' }, hint: { type: 'string' } },
    },
  },
};

const text = { type: 'string', maxLength: 65_535 };
const time = { type: 'number', description: 'Arrival, milliseconds since the epoch' };
const deadLetterFilter = {
  code: text,
  route: text,
  clientId: text,
  topic: { ...text, description: 'MQTT topic, whole' },
  sluiceId: text,
  from: { ...time, description: `${time.description}, inclusive` },
  to: { ...time, description: `${time.description}, exclusive` },
};
const replayRequest = {
  type: 'object',
  additionalProperties: false,
  properties: { ...deadLetterFilter, dryRun: { type: 'boolean', default: false } },
};
const explainRequest = {
  type: 'object',
  required: ['topic'],
  additionalProperties: false,
  properties: {
    topic: text,
    payload: { type: 'string', default: '' },
    payloadEncoding: { type: 'string', enum: ['utf8', 'base64'], default: 'utf8' },
    clientId: { ...text, default: 'client' },
    user: { ...text, default: '' },
    qos: { type: 'integer', enum: [0, 1, 2], default: 1 },
    retain: { type: 'boolean', default: false },
    contentType: text,
    userProperties: { type: 'object', additionalProperties: text },
  },
};

interface ExplainBody extends Omit<ExplainRequest, 'payload' | 'properties'> {
  readonly payload: string;
  readonly payloadEncoding: 'utf8' | 'base64';
  readonly contentType?: string;
  readonly userProperties?: Readonly<Record<string, string>>;
}

export function apiRoutes(app: FastifyInstance, port: ApiPort): void {
  /** One thing to look at. */
  const view = (path: string, summary: string, read: () => unknown): void => {
    const schema = { tags: ['status'], summary, response: { 200: anObject } };
    app.get(`/api/v1${path}`, { config: { role: 'viewer' }, schema }, async (_request, reply) =>
      reply.send(await read()),
    );
  };
  const list = (path: string, summary: string, read: (request: PageRequest) => unknown): void => {
    const schema = { tags: ['status'], summary, querystring: paging, response: { 200: aPage } };
    app.get<{ Querystring: PageRequest }>(`/api/v1${path}`, { config: { role: 'viewer' }, schema }, (request) =>
      read(request.query),
    );
  };

  view('/status', 'Everything at a glance', () => port.status());
  view('/buffer', 'The buffer, by shard', async () => (await port.status()).buffer);
  view('/lanes', 'Kafka, by partition, with what waits and the last error', async () => (await port.status()).kafka);
  view('/ledger', 'Where every accepted message is', async () => (await port.status()).ledger);
  view('/listeners', 'Where clients connect', async () => ({ items: (await port.status()).listeners }));
  view('/routes', 'Routes, with the records made for each', async () => {
    const { routes, deadLetters } = await port.status();
    return { items: routes, deadLetters };
  });
  view('/dead-letters', 'Records that became dead letters since the start: counts, and the last ones', async () => ({
    counts: (await port.status()).deadLetters,
    recent: port.recentDeadLetters(),
  }));
  app.get<{ Querystring: DeadLetterFilter & { limit: number } }>(
    '/api/v1/dead-letters/records',
    {
      config: { role: 'viewer' },
      schema: {
        tags: ['status'],
        summary: 'The last records of the dead-letter topic, the newest first, with payload and headers',
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: {
            ...deadLetterFilter,
            limit: { type: 'integer', minimum: 1, maximum: STORED_DEAD_LETTERS_MAX, default: 50 },
          },
        },
        response: { 200: anObject },
      },
    },
    async ({ query: { limit, ...filter } }, reply) =>
      reply.send({ items: await port.storedDeadLetters(filter, limit) }),
  );
  app.get(
    '/api/v1/overview',
    {
      config: { role: 'viewer' },
      schema: {
        tags: ['status'],
        summary: 'The status with durations, and what is wrong and what to do about it in words',
        response: { 200: anObject },
      },
    },
    async (request, reply) => reply.send(await overviewOf(port, request.caller ?? nobody)),
  );
  app.post<{ Body: ExplainBody }>(
    '/api/v1/explain',
    {
      config: { role: 'viewer' },
      schema: {
        tags: ['status'],
        summary: 'Which routes would take a message, why the others would not, and the records; nothing is sent',
        body: explainRequest,
        response: { 200: anObject, 403: anError },
      },
    },
    async ({ body }, reply) => {
      const { payload, payloadEncoding, contentType, userProperties, ...message } = body;
      const properties: MessageProperties = {};
      if (contentType !== undefined) properties.contentType = contentType;
      if (userProperties !== undefined) properties.userProperties = Object.entries(userProperties);
      return reply.send(port.explain({ ...message, payload: Buffer.from(payload, payloadEncoding), properties }));
    },
  );
  view('/sessions', 'Sessions of clients, connected and away', () => port.sessions());
  view('/config', 'The configuration in force, without secrets', () => port.configuration());
  list('/clients', 'Clients that are connected', (request) => port.clients(request));
  list('/subscriptions', 'Subscriptions of clients that are connected', (request) => port.subscriptions(request));

  app.post<{ Params: { clientId: string } }>(
    '/api/v1/clients/:clientId/disconnect',
    {
      config: { role: 'operator' },
      schema: {
        tags: ['actions'],
        summary: 'End the connection of a client; it may come back',
        params: { type: 'object', properties: { clientId: { type: 'string' } } },
        response: { 200: anObject, 404: anError },
      },
    },
    (request, reply) => {
      const { clientId } = request.params;
      if (port.disconnect(clientId)) return reply.send({ disconnected: clientId });
      return reply.code(404).send({ error: { code: 'NOT_FOUND', message: `no client ${clientId} is connected` } });
    },
  );

  app.post<{ Body: DeadLetterFilter & { dryRun?: boolean } }>(
    '/api/v1/dead-letters/replay',
    {
      config: { role: 'operator' },
      schema: {
        tags: ['actions'],
        summary: 'Put dead letters in again through the routes of now; run again after a cut, it goes on where it was',
        body: replayRequest,
        response: { 200: anObject },
      },
    },
    async (request, reply) => {
      const { dryRun = false, ...filter } = request.body;
      return reply.send(await port.replayDeadLetters(filter, dryRun));
    },
  );

  app.get(
    '/metrics',
    {
      config: { role: 'viewer' },
      schema: { tags: ['health'], summary: 'For Prometheus', produces: ['text/plain'] },
    },
    async (_request, reply) => reply.type('text/plain; version=0.0.4; charset=utf-8').send(await port.metrics()),
  );
}
