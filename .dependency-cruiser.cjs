// The arrows of the layout. Each folder names what it may import from src; everything else is a violation.
// test/structure plants a violation of every rule here and sees it fail.

/** A folder, and the only parts of src besides itself that it may import (a regular expression each). */
const mayImport = {
  // Pure: they know nobody, but that a route says what becomes of a payload.
  routes: ['errors\\.ts$', 'message\\.ts$'],
  payload: ['errors\\.ts$', 'message\\.ts$', 'routes/'],
  observe: ['errors\\.ts$', 'message\\.ts$', 'status\\.ts$'],
  config: ['errors\\.ts$', 'routes/', 'payload/', 'auth/access/', 'downlink/(definition|mapping)\\.ts$'],
  // The stations of a message. They meet in sluice.ts, except through the ports that are named here.
  mqtt: ['errors\\.ts$', 'message\\.ts$', 'ingest/admission\\.ts$', 'auth/identity\\.ts$'],
  auth: ['errors\\.ts$', 'message\\.ts$'],
  ingest: ['errors\\.ts$', 'message\\.ts$', 'routes/', 'payload/', 'auth/', 'buffer/(commit|store|frame|shard)\\.ts$'],
  buffer: ['errors\\.ts$', 'message\\.ts$'],
  forward: [
    'errors\\.ts$',
    'message\\.ts$',
    'routes/',
    'payload/',
    'buffer/(store|frame|tail)\\.ts$',
    'kafka/(sink|record|record-reader|partitioner)\\.ts$',
  ],
  // Texts of other products to a text: what it makes is checked like any other file.
  import: ['errors\\.ts$'],
  kafka: ['errors\\.ts$', 'message\\.ts$'],
  downlink: ['errors\\.ts$', 'message\\.ts$', 'routes/', 'payload/', 'kafka/record-source\\.ts$'],
  // On top: thin users of what sluice.ts puts together.
  // Of auth the port through which it asks who a device is.
  http: ['errors\\.ts$', 'message\\.ts$', 'status\\.ts$', 'ingest/', 'observe/', 'auth/identity\\.ts$'],
  doctor: [
    '(errors|status|kafka-options)\\.ts$',
    'config/',
    'routes/',
    'http/admin\\.ts$',
    'kafka/(durability|authorization)\\.ts$',
    'buffer/redis/inspect\\.ts$',
  ],
  cli: [
    '(index|sluice|status|errors|message|kafka-options|explain|dead-letters)\\.ts$',
    'config/',
    'routes/',
    'import/',
    'observe/',
    'http/',
    'doctor/',
    'kafka/durability\\.ts$',
    'auth/(password|user-name|users-file)\\.ts$',
  ],
};

/** What only some files may import, by name of the package. */
const packageOwners = [
  {
    name: 'aedes-only-in-mqtt',
    packages: '(aedes|aedes-.+|mqemitter|mqemitter-.+|mqtt-packet)',
    owners: '^src/mqtt/',
  },
  { name: 'kafkajs-only-in-kafka', packages: 'kafkajs', owners: '^src/kafka/' },
  {
    name: 'ioredis-only-in-redis-stores',
    packages: 'ioredis',
    owners: '^src/(buffer/redis|mqtt/sessions/redis)',
  },
  {
    name: 'leveldb-only-in-level-stores',
    packages: '(classic-level|level)',
    owners: '^src/(buffer/level|mqtt/sessions/level)',
  },
  { name: 'prom-client-only-in-observe', packages: 'prom-client', owners: '^src/observe/' },
  { name: 'fastify-only-in-http', packages: '(fastify|@fastify/.+)', owners: '^src/http/' },
  { name: 'commander-only-in-cli', packages: 'commander', owners: '^src/cli/' },
  { name: 'expressions-only-in-routes', packages: '@marcbachmann/cel-js', owners: '^src/routes/' },
  { name: 'regular-expressions-only-in-routes-and-payload', packages: 're2js', owners: '^src/(routes|payload)/' },
  { name: 'json-schema-only-in-payload', packages: 'ajv', owners: '^src/payload/' },
];

const packagePath = (packages) => `(^|/)node_modules/${packages}/|^${packages}(/|$)`;

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...Object.entries(mayImport).map(([folder, allowed]) => ({
      name: `${folder}-knows-only-its-own`,
      severity: 'error',
      from: { path: `^src/${folder}/` },
      to: {
        path: '^src/',
        pathNot: [`^src/${folder}/`, ...allowed.map((each) => `^src/${each}`)],
        // Besides its port, mqtt knows of ingest only the shape of what it is given, not the code.
        ...(folder === 'mqtt' ? { dependencyTypesNot: ['type-only'] } : {}),
      },
    })),
    {
      name: 'mqtt-types-only-from-ingest',
      comment: 'The types that mqtt may import are those of ingest, and the port of auth.',
      severity: 'error',
      from: { path: '^src/mqtt/' },
      to: { path: '^src/', pathNot: '^src/(mqtt/|ingest/|auth/identity\\.ts$|errors\\.ts$|message\\.ts$)' },
    },
    {
      name: 'new-folder-names-its-imports',
      comment: 'A new folder of src belongs into the list above.',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: `^src/(${Object.keys(mayImport).join('|')})/` },
      to: { path: '^src/' },
    },
    {
      name: 'contracts-know-nobody',
      comment: 'message.ts and errors.ts are read by everyone and so read nobody.',
      severity: 'error',
      from: { path: '^src/(message|errors)\\.ts$' },
      to: { path: '.' },
    },
    {
      name: 'pure-has-no-packages',
      comment:
        'Routes and status types need no package but languages of expressions; what reads or writes is handed to them.',
      severity: 'error',
      from: { path: '^src/(routes/|status\\.ts$)' },
      to: {
        pathNot: packagePath('(re2js|@marcbachmann/cel-js)'),
        dependencyTypes: ['npm', 'npm-dev', 'npm-peer', 'npm-optional', 'npm-no-pkg', 'npm-unknown'],
      },
    },
    {
      name: 'pure-has-no-io',
      severity: 'error',
      from: { path: '^src/(routes|payload)/' },
      to: {
        dependencyTypes: ['core'],
        path: '^(node:)?(fs|net|tls|http|https|http2|dgram|dns|child_process|cluster|worker_threads)(/|$)',
      },
    },
    {
      name: 'nobody-imports-cli',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/cli/' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'only-the-root-puts-together',
      comment: 'Files directly in src other than the composition root import no station.',
      severity: 'error',
      from: {
        path: '^src/[^/]+\\.ts$',
        pathNot: '^src/(sluice|index|kafka-options|explain|dead-letters|downlinks)\\.ts$',
      },
      to: {
        path: '^src/(mqtt|ingest|buffer|forward|kafka|http|downlink|auth)/',
        // The port of whoever publishes: an MQTT connection, HTTP, the embedding program.
        pathNot: '^src/ingest/admission\\.ts$',
        dependencyTypesNot: ['type-only'],
      },
    },
    ...packageOwners.map(({ name, packages, owners }) => ({
      name,
      severity: 'error',
      from: { path: '^src/', pathNot: owners },
      to: { path: packagePath(packages) },
    })),
    {
      name: 'src-stands-alone',
      comment: 'What is published does not import what is not.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|scripts|examples|dist)/' },
    },
    {
      name: 'no-undeclared-packages',
      comment: 'A package that src imports is a dependency in package.json, not a guest of another one.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'everything-resolves',
      severity: 'error',
      from: { path: '^src/' },
      to: { couldNotResolve: true },
    },
    {
      name: 'no-circles',
      comment: 'Types may refer to each other in a circle; code may not.',
      severity: 'error',
      from: { path: '^src/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
    exclude: { path: '^dist/' },
  },
};
