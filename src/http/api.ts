/** /api/v1: what the command line and the dashboard show, and the few things they change. */
import type { FastifyInstance } from 'fastify';
import type { DeadLetterFilter } from '../status.ts';
import type { ApiPort, PageRequest } from './port.ts';

const PAGE_MAX = 1_000;
const SEARCH_MAX = 256;

const paging = {
  type: 'object',
  properties: {
    search: { type: 'string', maxLength: SEARCH_MAX, default: '', description: 'Part of what is looked for' },
    offset: { type: 'integer', minimum: 0, default: 0 },
    limit: { type: 'integer', minimum: 1, maximum: PAGE_MAX, default: 100 },
  },
};

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
const replayRequest = {
  type: 'object',
  additionalProperties: false,
  properties: {
    code: text,
    route: text,
    clientId: text,
    topic: { ...text, description: 'MQTT topic, whole' },
    sluiceId: text,
    from: { ...time, description: `${time.description}, inclusive` },
    to: { ...time, description: `${time.description}, exclusive` },
    dryRun: { type: 'boolean', default: false },
  },
};

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
