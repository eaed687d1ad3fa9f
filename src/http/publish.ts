/**
 * Publishing over HTTP, for devices without MQTT.
 *
 *     POST /publish/{topic}   one message: the body is its payload, byte for byte
 *     POST /publish           several, one JSON object a line
 *
 * 200 is a PUBACK: the message is durable. 202: it matches no route, so there is nothing to keep; MQTT subscribers have it. Everything
 * else is no acknowledgement, and 429 and 503 say when to try again.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { IncomingHttpHeaders } from 'node:http';
import type { SluiceError } from '../errors.ts';
import type { MessageProperties } from '../message.ts';
import { DEFAULT_CLIENT_ID } from './access.ts';
import { answerOf, errorBody } from './answers.ts';
import { BATCH_MAX_MESSAGES, parseBatch } from './batch.ts';
import type { ApiPort, PublishOutcome, PublishRequest } from './port.ts';

export const BATCH_MAX_BYTES = 4 * 1024 * 1024;
/** Lines of a batch whose error is told one by one. */
const ERRORS_MAX = 100;

const clientId = {
  type: 'string',
  pattern: '^[^\\u0000-\\u001f]{1,256}$',
  default: DEFAULT_CLIENT_ID,
  description: 'As whom: it decides the order, and with the default key the partition',
};
const keyHeader = {
  type: 'object',
  properties: {
    'idempotency-key': {
      type: 'string',
      pattern: '^[\\u0021-\\u007e]{1,256}$',
      description: 'Names the request: within ten minutes at least it is taken once, however often it is sent',
    },
  },
};
const anObject = { type: 'object', additionalProperties: true };
const responses = { 200: anObject, 202: anObject, '4xx': anObject, '5xx': anObject };

interface OneQuery {
  readonly clientId: string;
  readonly qos: 0 | 1;
  readonly retain: boolean;
}

type Headers = { readonly 'idempotency-key'?: string };

export function publishRoutes(app: FastifyInstance, port: ApiPort, messageMaxBytes: number): void {
  // Bodies are taken as they are, whatever they say they are.
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

    scope.post<{ Params: { '*': string }; Querystring: OneQuery; Headers: Headers; Body: Buffer | undefined }>(
      '/publish/*',
      {
        bodyLimit: messageMaxBytes,
        config: { role: 'operator', devices: true },
        schema: {
          tags: ['publish'],
          summary: 'Publish one message: the body is the payload',
          consumes: ['application/octet-stream'],
          params: { type: 'object', properties: { '*': { type: 'string', description: 'MQTT topic name' } } },
          querystring: {
            type: 'object',
            properties: {
              clientId,
              qos: { type: 'integer', enum: [0, 1], default: 1, description: 'For MQTT subscribers' },
              retain: { type: 'boolean', default: false },
            },
          },
          headers: keyHeader,
          response: responses,
        },
      },
      async (request, reply) => {
        const { query, headers, body = Buffer.alloc(0) } = request;
        const message: PublishRequest = {
          ...query,
          topic: request.params['*'],
          payload: body,
          properties: propertiesOf(headers),
          key: headers['idempotency-key'],
        };
        return answer(request, reply, port, [message]);
      },
    );

    scope.post<{ Headers: Headers; Querystring: Pick<OneQuery, 'clientId'>; Body: Buffer | undefined }>(
      '/publish',
      {
        bodyLimit: BATCH_MAX_BYTES,
        config: { role: 'operator', devices: true },
        schema: {
          tags: ['publish'],
          summary: `Publish up to ${BATCH_MAX_MESSAGES} messages in their order, one JSON object a line`,
          consumes: ['application/x-ndjson'],
          querystring: { type: 'object', properties: { clientId } },
          headers: keyHeader,
          response: responses,
        },
      },
      async (request, reply) => {
        const { headers, query, body = Buffer.alloc(0) } = request;
        const batch = parseBatch(body, messageMaxBytes, { clientId: query.clientId, key: headers['idempotency-key'] });
        if ('line' in batch) {
          const { line, message } = batch;
          return reply.code(400).send({ error: { code: 'BATCH_INVALID', message: `line ${line}: ${message}` } });
        }
        return answer(request, reply, port, batch);
      },
    );
  });
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  port: ApiPort,
  messages: readonly PublishRequest[],
): Promise<FastifyReply> {
  const outcomes = await port.publish(
    { user: request.device?.user ?? request.caller?.name ?? '', device: request.device },
    messages,
  );
  const accepted = outcomes.filter((outcome) => outcome.error === undefined);
  const counts = {
    accepted: accepted.length,
    duplicates: accepted.filter(({ duplicate }) => duplicate).length,
    unrouted: accepted.filter(({ routed }) => !routed).length,
  };
  const failures = outcomes.flatMap(failureOf);
  const [worst] = failures;
  if (worst === undefined) return reply.code(counts.unrouted === counts.accepted ? 202 : 200).send(counts);
  const { status, retryAfterS } = answerOf(worst.error);
  if (retryAfterS !== undefined) reply.header('retry-after', retryAfterS);
  const errors = failures
    .slice(0, ERRORS_MAX)
    .map(({ line, error }) => ({ line, code: error.code, message: error.message }));
  return reply.code(status).send({ ...errorBody(worst.error), ...counts, refused: failures.length, errors });
}

function failureOf({ error }: PublishOutcome, index: number): { line: number; error: SluiceError }[] {
  return error === undefined ? [] : [{ line: index + 1, error }];
}

/** W3C Trace Context, and the type of the payload where one is meant. */
function propertiesOf(headers: IncomingHttpHeaders): MessageProperties | undefined {
  const properties: MessageProperties = {};
  const type = headers['content-type'];
  // What curl says when nobody has said anything.
  if (type !== undefined && type !== 'application/x-www-form-urlencoded') properties.contentType = type;
  const trace = ['traceparent', 'tracestate'].flatMap((name): [string, string][] => {
    const value = headers[name];
    return typeof value === 'string' && /^[\x20-\x7e]{1,512}$/.test(value) ? [[name, value]] : [];
  });
  if (trace.length > 0) properties.userProperties = trace;
  return type === undefined && trace.length === 0 ? undefined : properties;
}
