/**
 * /healthz: the process is alive. /readyz: it does its work, part by part, by the result of real work: the last append, what the
 * store answers now, the last request to Kafka.
 *
 * Kafka is no condition: sluice takes and acknowledges messages while it is away, and devices that could not connect then would
 * only keep their messages themselves. `/readyz?all=true` makes every part one.
 */
import type { FastifyInstance } from 'fastify';
import type { SluiceStatus } from '../status.ts';
import type { ApiPort } from './port.ts';

export interface Part {
  readonly name: string;
  readonly ok: boolean;
  /** Without it no message is acknowledged. */
  readonly required: boolean;
  readonly reason: string;
}

export function partsOf({ state, listeners, buffer, kafka }: SluiceStatus): Part[] {
  const unowned = buffer.shards.filter(({ owner }) => owner === undefined).map(({ shard }) => shard);
  return [
    { name: 'sluice', ok: state === 'running', required: true, reason: state },
    ...listeners.map(({ name, url, accepting }) => ({
      name: `listener ${name}`,
      ok: accepting,
      required: true,
      reason: accepting ? `accepts connections on ${url}` : `${url} is closed`,
    })),
    { name: 'store', ok: buffer.error === undefined, required: true, reason: buffer.error ?? 'takes messages' },
    { name: 'kafka', ok: kafka.error === undefined, required: false, reason: kafka.error ?? 'takes records' },
    {
      name: 'lease',
      ok: unowned.length === 0,
      required: false,
      reason: unowned.length === 0 ? 'every shard is forwarded' : `nobody forwards shards ${unowned.join(', ')}`,
    },
  ];
}

export function healthRoutes(app: FastifyInstance, port: ApiPort): void {
  app.get(
    '/healthz',
    {
      config: { role: 'none' },
      schema: { tags: ['health'], summary: 'The process is alive', response: { 200: anObject } },
    },
    () => ({ status: 'alive' }),
  );
  app.get<{ Querystring: { all: boolean } }>(
    '/readyz',
    {
      config: { role: 'none' },
      schema: {
        tags: ['health'],
        summary: 'It takes messages and acknowledges them; 503 where it does not',
        querystring: {
          type: 'object',
          properties: {
            all: { type: 'boolean', default: false, description: 'Kafka and leases are a condition, too' },
          },
        },
        response: { 200: anObject, 503: anObject },
      },
    },
    async (request, reply) => {
      const parts = partsOf(await port.status());
      const ready = parts.every(({ ok, required }) => ok || !(required || request.query.all));
      // Reasons name addresses: for those who may see the status.
      const shown =
        request.caller === undefined ? parts.map(({ name, ok, required }) => ({ name, ok, required })) : parts;
      return reply.code(ready ? 200 : 503).send({ ready, parts: shown });
    },
  );
}

const anObject = { type: 'object', additionalProperties: true, description: 'See docs/http.md' };
