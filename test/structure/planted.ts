/** Small projects that break one rule of .dependency-cruiser.cjs each, or none (no `rule`). */
export interface Planted {
  what: string;
  rule?: string;
  files: Record<string, string>;
}

const empty = 'export const value = 1;\n';
const uses = (module: string): string => `import { value } from '${module}';\nexport const other = value;\n`;
const usesType = (module: string): string =>
  `import type { value } from '${module}';\nexport type Other = typeof value;\n`;
const usesPackage = (name: string): string => `import * as all from '${name}';\nexport default all;\n`;

/** One file that imports another, by their paths below src. */
function arrow(from: string, to: string, text = uses): Record<string, string> {
  const up = '../'.repeat(from.split('/').length - 1) || './';
  return { [`src/${from}`]: text(`${up}${to}`), [`src/${to}`]: empty };
}

export const planted: Planted[] = [
  { what: 'routes that know ingest', rule: 'routes-knows-only-its-own', files: arrow('routes/a.ts', 'ingest/b.ts') },
  {
    what: 'payload that knows the buffer',
    rule: 'payload-knows-only-its-own',
    files: arrow('payload/a.ts', 'buffer/b.ts'),
  },
  { what: 'observe that knows mqtt', rule: 'observe-knows-only-its-own', files: arrow('observe/a.ts', 'mqtt/b.ts') },
  {
    what: 'config that knows the buffer',
    rule: 'config-knows-only-its-own',
    files: arrow('config/a.ts', 'buffer/b.ts'),
  },
  { what: 'mqtt that knows the buffer', rule: 'mqtt-knows-only-its-own', files: arrow('mqtt/a.ts', 'buffer/store.ts') },
  { what: 'mqtt that runs code of ingest', rule: 'mqtt-knows-only-its-own', files: arrow('mqtt/a.ts', 'ingest/b.ts') },
  {
    what: 'mqtt that takes types of kafka',
    rule: 'mqtt-types-only-from-ingest',
    files: arrow('mqtt/a.ts', 'kafka/b.ts', usesType),
  },
  {
    what: 'mqtt that takes types of auth besides its port',
    rule: 'mqtt-types-only-from-ingest',
    files: arrow('mqtt/a.ts', 'auth/b.ts', usesType),
  },
  { what: 'auth that knows ingest', rule: 'auth-knows-only-its-own', files: arrow('auth/a.ts', 'ingest/b.ts') },
  {
    what: 'ingest that knows a backend',
    rule: 'ingest-knows-only-its-own',
    files: arrow('ingest/a.ts', 'buffer/level/b.ts'),
  },
  { what: 'ingest that knows mqtt', rule: 'ingest-knows-only-its-own', files: arrow('ingest/a.ts', 'mqtt/b.ts') },
  {
    what: 'a buffer that knows forward',
    rule: 'buffer-knows-only-its-own',
    files: arrow('buffer/a.ts', 'forward/b.ts'),
  },
  {
    what: 'a backend that knows kafka',
    rule: 'buffer-knows-only-its-own',
    files: arrow('buffer/redis/a.ts', 'kafka/b.ts'),
  },
  {
    what: 'forward that knows a backend',
    rule: 'forward-knows-only-its-own',
    files: arrow('forward/a.ts', 'buffer/redis/b.ts'),
  },
  {
    what: "forward that knows kafka's adapter",
    rule: 'forward-knows-only-its-own',
    files: arrow('forward/a.ts', 'kafka/adapter.ts'),
  },
  {
    what: 'forward that takes types of mqtt',
    rule: 'forward-knows-only-its-own',
    files: arrow('forward/a.ts', 'mqtt/b.ts', usesType),
  },
  { what: 'kafka that knows forward', rule: 'kafka-knows-only-its-own', files: arrow('kafka/a.ts', 'forward/b.ts') },
  {
    what: 'a downlink that knows mqtt',
    rule: 'downlink-knows-only-its-own',
    files: arrow('downlink/a.ts', 'mqtt/b.ts'),
  },
  {
    what: 'an import that knows routes',
    rule: 'import-knows-only-its-own',
    files: arrow('import/a.ts', 'routes/b.ts'),
  },
  { what: 'http that knows forward', rule: 'http-knows-only-its-own', files: arrow('http/a.ts', 'forward/b.ts') },
  { what: 'a doctor that knows mqtt', rule: 'doctor-knows-only-its-own', files: arrow('doctor/a.ts', 'mqtt/b.ts') },
  {
    what: 'a command that reaches into the buffer',
    rule: 'cli-knows-only-its-own',
    files: arrow('cli/a.ts', 'buffer/b.ts'),
  },
  {
    what: 'a new folder that imports without being listed',
    rule: 'new-folder-names-its-imports',
    files: arrow('bridge/a.ts', 'mqtt/b.ts'),
  },
  { what: 'errors.ts that imports', rule: 'contracts-know-nobody', files: arrow('errors.ts', 'message.ts') },
  {
    what: 'message.ts that imports a builtin',
    rule: 'contracts-know-nobody',
    files: { 'src/message.ts': usesPackage('node:fs') },
  },
  {
    what: 'routes that need a package',
    rule: 'pure-has-no-packages',
    files: { 'src/routes/a.ts': usesPackage('zod') },
  },
  {
    what: 'expressions in ingest',
    rule: 'expressions-only-in-routes',
    files: { 'src/ingest/a.ts': usesPackage('@marcbachmann/cel-js') },
  },
  {
    what: 'another engine of expressions in auth',
    rule: 'regular-expressions-only-in-routes-and-payload',
    files: { 'src/auth/a.ts': usesPackage('re2js') },
  },
  {
    what: 'schemas in forward',
    rule: 'json-schema-only-in-payload',
    files: { 'src/forward/a.ts': usesPackage('ajv') },
  },
  {
    what: 'routes that read files',
    rule: 'pure-has-no-io',
    files: { 'src/routes/a.ts': usesPackage('node:fs/promises') },
  },
  { what: 'payload that opens sockets', rule: 'pure-has-no-io', files: { 'src/payload/a.ts': usesPackage('net') } },
  { what: 'the root that imports a command', rule: 'nobody-imports-cli', files: arrow('sluice.ts', 'cli/b.ts') },
  { what: 'http that imports a command', rule: 'nobody-imports-cli', files: arrow('http/a.ts', 'cli/b.ts') },
  {
    what: 'a second place that puts stations together',
    rule: 'only-the-root-puts-together',
    files: arrow('status.ts', 'mqtt/b.ts'),
  },
  { what: 'aedes in forward', rule: 'aedes-only-in-mqtt', files: { 'src/forward/a.ts': usesPackage('aedes') } },
  {
    what: "aedes' persistence in the buffer",
    rule: 'aedes-only-in-mqtt',
    files: { 'src/buffer/a.ts': usesPackage('aedes-persistence') },
  },
  { what: 'mqemitter in ingest', rule: 'aedes-only-in-mqtt', files: { 'src/ingest/a.ts': usesPackage('mqemitter') } },
  {
    what: 'mqtt-packet in routes',
    rule: 'aedes-only-in-mqtt',
    files: { 'src/routes/a.ts': usesPackage('mqtt-packet') },
  },
  {
    what: 'types of aedes in sluice.ts',
    rule: 'aedes-only-in-mqtt',
    files: { 'src/sluice.ts': "import type Aedes from 'aedes';\nexport type A = Aedes;\n" },
  },
  {
    what: 'prom-client in forward',
    rule: 'prom-client-only-in-observe',
    files: { 'src/forward/a.ts': usesPackage('prom-client') },
  },
  {
    what: 'fastify in the composition root',
    rule: 'fastify-only-in-http',
    files: { 'src/sluice.ts': usesPackage('fastify') },
  },
  { what: 'kafkajs in forward', rule: 'kafkajs-only-in-kafka', files: { 'src/forward/a.ts': usesPackage('kafkajs') } },
  {
    what: 'the inside of kafkajs in a command',
    rule: 'kafkajs-only-in-kafka',
    files: { 'src/cli/a.ts': usesPackage('kafkajs/src/cluster/index.js') },
  },
  {
    what: 'ioredis in a LevelDB store',
    rule: 'ioredis-only-in-redis-stores',
    files: { 'src/buffer/level/a.ts': usesPackage('ioredis') },
  },
  {
    what: 'classic-level in forward',
    rule: 'leveldb-only-in-level-stores',
    files: { 'src/forward/a.ts': usesPackage('classic-level') },
  },
  {
    what: 'commander outside of cli',
    rule: 'commander-only-in-cli',
    files: { 'src/http/a.ts': usesPackage('commander') },
  },
  {
    what: 'src that imports a test',
    rule: 'src-stands-alone',
    files: { 'src/sluice.ts': uses('../test/b.ts'), 'test/b.ts': empty },
  },
  {
    what: 'a package that is not declared',
    rule: 'no-undeclared-packages',
    files: { 'src/sluice.ts': usesPackage('mqtt') },
  },
  { what: 'a module that is not there', rule: 'everything-resolves', files: { 'src/sluice.ts': uses('./gone.ts') } },
  {
    what: 'a circle',
    rule: 'no-circles',
    files: {
      'src/forward/a.ts': `${uses('./b.ts')}export const value = 1;\n`,
      'src/forward/b.ts': `${uses('./a.ts')}export const value = 1;\n`,
    },
  },
  {
    what: 'forward that uses the ports of buffer and kafka',
    files: { ...arrow('forward/a.ts', 'buffer/store.ts'), ...arrow('forward/b.ts', 'kafka/sink.ts') },
  },
  { what: 'mqtt that takes types of ingest', files: arrow('mqtt/a.ts', 'ingest/b.ts', usesType) },
  { what: 'mqtt that answers what ingest admits', files: arrow('mqtt/a.ts', 'ingest/admission.ts') },
  {
    what: 'a front of the library that answers what ingest admits',
    files: arrow('library-publish.ts', 'ingest/admission.ts'),
  },
  {
    what: 'ioredis in the Redis stores',
    files: { 'src/buffer/redis/a.ts': usesPackage('ioredis'), 'src/mqtt/sessions/redis.ts': usesPackage('ioredis') },
  },
  { what: 'aedes in mqtt', files: { 'src/mqtt/a.ts': usesPackage('aedes') } },
  {
    what: 'the root that puts stations together',
    files: { ...arrow('sluice.ts', 'mqtt/b.ts'), ...arrow('index.ts', 'sluice.ts') },
  },
];
