/** The OpenAPI description, made of the schemas that the routes are checked with: it cannot say anything else than they do. */
import type { FastifyInstance, RouteOptions } from 'fastify';

declare module 'fastify' {
  interface FastifySchema {
    summary?: string;
    description?: string;
    tags?: readonly string[];
    /** Media types of the answer and of the body. */
    produces?: readonly string[];
    consumes?: readonly string[];
  }
}

interface RouteSchema {
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly produces?: readonly string[];
  readonly consumes?: readonly string[];
  readonly params?: ObjectSchema;
  readonly querystring?: ObjectSchema;
  readonly headers?: ObjectSchema;
  readonly response?: Readonly<Record<string, { readonly description?: string }>>;
}

interface ObjectSchema {
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, { readonly description?: string }>>;
}

/** Before the routes are made. */
export function describeRoutes(app: FastifyInstance, version: string): void {
  const paths: Record<string, Record<string, unknown>> = {};
  app.addHook('onRoute', (route) => {
    for (const method of [route.method].flat()) {
      if (method === 'HEAD' || method === 'OPTIONS') continue;
      (paths[pathOf(route.url)] ??= {})[method.toLowerCase()] = operation(route);
    }
  });
  const document = {
    openapi: '3.1.0',
    info: { title: 'sluice', version, description: 'An MQTT broker that writes to Kafka.' },
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    paths,
  };
  app.get(
    '/api/v1/openapi.json',
    { config: { role: 'viewer' }, schema: { tags: ['status'], summary: 'This description' } },
    (_request, reply) => reply.send(document),
  );
}

/** `/a/:b` and `/a/*` as `/a/{b}` and `/a/{topic}`: what follows the only wildcard there is, is an MQTT topic. */
function pathOf(url: string): string {
  return url.replaceAll(/:(\w+)/g, '{$1}').replace('*', '{topic}');
}

function operation({ schema = {}, config }: RouteOptions): Record<string, unknown> {
  const {
    summary,
    description,
    tags,
    params,
    querystring,
    headers,
    response = {},
    produces,
    consumes,
  } = schema as RouteSchema;
  const role = config?.role ?? 'operator';
  const type = produces?.[0] ?? 'application/json';
  return {
    summary,
    description,
    tags,
    ...(role === 'none' ? {} : { security: [{ token: [] }], 'x-role': role }),
    parameters: [...parameters('path', params), ...parameters('query', querystring), ...parameters('header', headers)],
    ...(consumes === undefined
      ? {}
      : { requestBody: { required: true, content: Object.fromEntries(consumes.map((each) => [each, {}])) } }),
    responses:
      Object.keys(response).length === 0
        ? { 200: { description: 'Done', content: { [type]: {} } } }
        : Object.fromEntries(
            Object.entries(response).map(([status, body]) => [
              status,
              {
                description: body.description ?? (status < '400' ? 'Done' : 'Refused'),
                content: { [type]: { schema: body } },
              },
            ]),
          ),
  };
}

function parameters(place: 'path' | 'query' | 'header', schema: ObjectSchema | undefined): object[] {
  return Object.entries(schema?.properties ?? {}).map(([key, { description, ...rest }]) => ({
    name: key === '*' ? 'topic' : key,
    in: place,
    required: place === 'path' || (schema?.required?.includes(key) ?? false),
    description,
    schema: rest,
  }));
}
