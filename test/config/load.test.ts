import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { configJsonSchema, knownKeys, nodeAt, type Path } from '../../src/config/shape.ts';
import { problemsOf, sandbox } from './sandbox.ts';

const { load, directory, write } = sandbox();

describe('without a file', () => {
  const { config, file, warnings } = loadConfig({ env: {} });

  it('listens on loopback only, buffers in ./sluice-data, sends everything to mqtt.messages', () => {
    expect(file).toBeUndefined();
    expect(warnings).toEqual([]);
    expect(config.listeners).toEqual({
      mqtt: { port: 1883, host: '127.0.0.1' },
      mqtts: undefined,
      ws: { port: 8083, host: '127.0.0.1', path: '/mqtt', origins: [] },
      wss: undefined,
    });
    expect(config.buffer).toMatchObject({
      store: 'level',
      path: resolve('sluice-data'),
      shards: 4,
      maxBytes: 10 * 2 ** 30,
    });
    expect(config.routes).toMatchObject([
      { name: 'default', from: '#', to: 'mqtt.messages', key: '{clientId}', headers: {}, value: 'raw' },
    ]);
    expect(config.kafka.brokers).toEqual(['localhost:9092']);
  });

  it('has times in milliseconds and sizes in bytes, said by the names', () => {
    expect(config.buffer.appendTimeoutMs).toBe(10_000);
    expect(config.buffer.tailMaxBytes).toBe(32 * 2 ** 20);
    expect(config.limits.maxPacketSizeBytes).toBe(256 * 1024);
    expect(config.forward.retry).toEqual({ minMs: 100, maxMs: 30_000 });
    expect(config.shutdownTimeoutMs).toBe(20_000);
  });

  it('is what an empty file means, or one of comments, or one of empty sections, or the example in docs/', () => {
    const here = (loaded: ReturnType<typeof loadConfig>) => ({
      ...loaded.config,
      buffer: { ...loaded.config.buffer, path: '' },
    });
    const expected = here(loadConfig({ env: {} }));
    expect(here(load(''))).toEqual(expected);
    expect(here(load('\ufeff# nothing\n'))).toEqual(expected);
    expect(here(load('buffer:\nkafka:\n  createTopics:\nlog: # later\n'))).toEqual(expected);
    expect(here(loadConfig({ file: 'docs/sluice.example.yaml', env: {} }))).toEqual(expected);
  });

  it('round-trips: every default, written out, means the same', () => {
    const written = (path: Path): unknown => {
      const node = nodeAt(path);
      const keys = knownKeys(path);
      if (node?.default !== undefined && (keys.length === 0 || node.default === false)) return node.default;
      const entries = keys
        .map((key) => [key, written([...path, key])] as const)
        .filter(([, value]) => value !== undefined);
      return keys.length === 0 || entries.length === 0 ? undefined : Object.fromEntries(entries);
    };
    const file = {
      ...(written([]) as object),
      schemaRegistry: undefined,
      kafka: { ...(written(['kafka']) as object), sasl: undefined },
      auth: { ...(written(['auth']) as object), jwt: undefined, http: undefined, clientCertificate: undefined },
    };
    expect(Object.keys(file).sort()).toEqual(knownKeys([]).sort());
    const text = stringify(file);
    expect(text).toContain('appendTimeout: 10s');
    expect({ ...load(text).config, buffer: undefined }).toEqual({ ...config, buffer: undefined });
    expect({ ...load(text).config.buffer, path: config.buffer.path }).toEqual(config.buffer);
  });
});

describe('the file', () => {
  it('may hold everything that is built, as the design shows it', () => {
    for (const name of ['server.crt', 'server.key', 'ca.crt']) write(name, 'PEM');
    const tls = 'tls: { cert: server.crt, key: server.key, ca: ca.crt, clientCertificate: optional }';
    const { config } = load(`
listeners:
  mqtt:  { port: 1883, host: 127.0.0.1 }
  mqtts: { port: 8883, ${tls} }
  ws:    { port: 8083, path: /mqtt, origins: ["https://app.example.com"] }
  wss:   { port: 8084, ${tls} }
buffer:  { store: redis, url: redis://localhost:6379, namespace: sluice }
kafka:   { brokers: ["localhost:9092"], compression: lz4, tls: true, sasl: { mechanism: scram-sha-256, username: u, password: p } }
routes:
  - name: telemetry
    from: devices/{deviceId}/telemetry
    to: iot.telemetry
    key: "{deviceId}"
    headers: { device: "{deviceId}" }
    value: raw
deadLetter: { topic: sluice.dead-letter }
auth: { allowAnonymous: false }
limits: { connections: 100000, maxPacketSize: 256KB }
`);
    expect(config.listeners.mqtts).toEqual({
      port: 8883,
      host: '127.0.0.1',
      tls: {
        cert: join(directory, 'server.crt'),
        key: join(directory, 'server.key'),
        ca: join(directory, 'ca.crt'),
        clientCertificate: 'optional',
        minVersion: '1.2',
      },
    });
    expect(config.buffer).toMatchObject({ store: 'redis', url: 'redis://localhost:6379', maxBytes: 2 ** 30 });
    expect(config.kafka).toMatchObject({ compression: 'lz4', tls: {}, sasl: { mechanism: 'scram-sha-256' } });
    expect(config.routes[0]).toMatchObject({ name: 'telemetry', headers: { device: '{deviceId}' } });
  });

  it('switches a listener off with false or with nothing', () => {
    const { listeners } = load('listeners:\n  mqtt: false\n  mqtts:\n').config;
    expect(listeners.mqtt).toBeUndefined();
    expect(listeners.mqtts).toBeUndefined();
    expect(listeners.ws).toBeDefined();
  });

  it('names a route without a name by its filter', () => {
    expect(load('routes: [{ from: a/+, to: t }]').config.routes[0]?.name).toBe('a/+');
  });

  it('may share parts by anchors', () => {
    write('shared.pem', 'PEM');
    const { listeners } = load(
      'listeners:\n  mqtts: { tls: &tls { cert: shared.pem, key: shared.pem } }\n  wss: { tls: *tls }\n',
    ).config;
    expect(listeners.wss?.tls).toEqual(listeners.mqtts?.tls);
  });

  it('has paths that count from its folder, also the default one', () => {
    expect(load('').config.buffer.path).toBe(join(directory, 'sluice-data'));
    expect(load('buffer: { path: ../data }').config.buffer.path).toBe(resolve(directory, '../data'));
    expect(load('buffer: { path: /var/lib/sluice }').config.buffer.path).toBe('/var/lib/sluice');
  });
});

describe('a listener that other machines reach', () => {
  const codes = (yaml: string) => problemsOf(() => load(yaml)).map((problem) => problem.code);
  write('pair.pem', 'PEM');

  it.each(['0.0.0.0', '"::"', '192.168.0.1', 'broker.example.com', '128.0.0.1'])('on %s is refused', (host) => {
    expect(codes(`listeners: { mqtt: { host: ${host} } }`)).toEqual(['INSECURE_LISTENER']);
  });

  it.each(['127.0.0.1', '127.8.8.8', '"::1"', 'localhost'])('is not one on %s', (host) => {
    expect(codes(`listeners: { mqtt: { host: ${host} } }`)).toEqual([]);
  });

  it('is allowed with allowAnonymous, and then it is said', () => {
    const { config, warnings } = load('listeners: { mqtt: { host: 0.0.0.0 } }\nauth: { allowAnonymous: true }');
    expect(config.listeners.mqtt?.host).toBe('0.0.0.0');
    expect(warnings).toEqual([expect.stringContaining('listeners.mqtt')]);
  });

  it('is allowed when clients must present a certificate, not when they may', () => {
    const yaml = (clientCertificate: string) =>
      `listeners: { mqtts: { host: 0.0.0.0, tls: { cert: pair.pem, key: pair.pem, ca: pair.pem, clientCertificate: ${clientCertificate} } } }`;
    expect(codes(yaml('required'))).toEqual([]);
    expect(codes(yaml('optional'))).toEqual(['INSECURE_LISTENER']);
  });
});

describe('listeners', () => {
  const messages = (yaml: string) => problemsOf(() => load(yaml)).map((problem) => problem.message);

  it('may share port 0, and a port on different addresses', () => {
    expect(messages('listeners: { mqtt: { port: 0 }, ws: { port: 0 } }')).toEqual([]);
    expect(messages('listeners: { mqtt: { port: 5000 }, ws: { port: 5000, host: 127.0.0.2 } }')).toEqual([]);
  });

  it('may not share a port on one address, however it is written', () => {
    expect(messages('listeners: { mqtt: { port: 5000 }, ws: { port: 5000, host: LOCALHOST } }')).toHaveLength(1);
    expect(
      messages(
        'auth: { allowAnonymous: true }\nlisteners: { mqtt: { port: 5000, host: 0.0.0.0 }, ws: { port: 5000 } }',
      ),
    ).toHaveLength(1);
  });
});

describe('precedence', () => {
  const yaml = 'buffer: { shards: 8 }\nkafka: { clientId: file }\n';

  it('is flag, environment, file, default', () => {
    expect(load('').config.buffer.shards).toBe(4);
    expect(load(yaml).config.buffer.shards).toBe(8);
    const env = { SLUICE_BUFFER_SHARDS: '16' };
    expect(load(yaml, { env }).config.buffer.shards).toBe(16);
    expect(load(yaml, { env, flags: { 'buffer.shards': '32' } }).config.buffer.shards).toBe(32);
    expect(load(yaml, { env }).config.kafka.clientId).toBe('file');
  });

  it('holds for an object as for a file, which is not changed', () => {
    const input = { buffer: { shards: 8 } };
    expect(loadConfig({ input, env: { SLUICE_BUFFER_SHARDS: '16' } }).config.buffer.shards).toBe(16);
    expect(input).toEqual({ buffer: { shards: 8 } });
  });
});

describe('SLUICE_ variables and flags', () => {
  const env = (variables: Record<string, string>) => loadConfig({ env: variables });

  it('are numbers, truth values, lists, durations or texts as the key asks', () => {
    const { config } = env({
      SLUICE_LISTENERS_MQTT_PORT: '1884',
      SLUICE_LISTENERS_WS: 'false',
      SLUICE_KAFKA_BROKERS: 'a:1, b:2',
      SLUICE_KAFKA_CREATE_TOPICS_ENABLED: 'false',
      SLUICE_BUFFER_APPEND_TIMEOUT: '3s',
      SLUICE_BUFFER_MAX_BYTES: '1073741824',
      SLUICE_BUFFER_SOFT_LIMIT: '0.5',
      SLUICE_KAFKA_SASL_MECHANISM: 'plain',
      SLUICE_KAFKA_SASL_USERNAME: '12',
      SLUICE_KAFKA_SASL_PASSWORD: '0123',
      SLUICE_SHUTDOWN_TIMEOUT: '1m',
    });
    expect(config.listeners.mqtt?.port).toBe(1884);
    expect(config.listeners.ws).toBeUndefined();
    expect(config.kafka.brokers).toEqual(['a:1', 'b:2']);
    expect(config.kafka.createTopics.enabled).toBe(false);
    expect(config.buffer).toMatchObject({ appendTimeoutMs: 3000, maxBytes: 2 ** 30, softLimit: 0.5 });
    expect(config.kafka.sasl).toEqual({ mechanism: 'plain', username: '12', password: '0123' });
    expect(config.shutdownTimeoutMs).toBe(60_000);
  });

  it('switch on what the file or another variable switched off', () => {
    expect(
      load('listeners: { mqtt: false }', { env: { SLUICE_LISTENERS_MQTT_PORT: '5' } }).config.listeners.mqtt?.port,
    ).toBe(5);
    const flags = { 'listeners.ws.port': '6', 'listeners.ws': 'false' };
    expect(loadConfig({ env: {}, flags }).config.listeners.ws?.port).toBe(6);
  });

  it('count as not set when empty, except a flag', () => {
    expect(env({ SLUICE_BUFFER_STORE: '', SLUICE_BUFFER_URL: ' ' }).config.buffer.store).toBe('level');
    expect(problemsOf(() => loadConfig({ env: {}, flags: { 'buffer.store': '' } }))[0]?.message).toBe('has no value');
  });

  it('have paths that count from the working directory', () => {
    expect(load('', { env: { SLUICE_BUFFER_PATH: 'x' } }).config.buffer.path).toBe(resolve('x'));
    expect(load('', { flags: { 'buffer.path': 'y' } }).config.buffer.path).toBe(resolve('y'));
  });

  it('are refused with their name and the closest known one', () => {
    const variables = { SLUICE_LISTENER_MQTT_PORT: '1', SLUICE_BUFFER_SHARDS: 'x', OTHER: '1' };
    expect(problemsOf(() => loadConfig({ env: variables, flags: { 'bufer.path': 'x' } }))).toMatchObject([
      { place: { kind: 'environment', variable: 'SLUICE_BUFFER_SHARDS' }, path: 'buffer.shards', value: '"x"' },
      {
        place: { kind: 'environment', variable: 'SLUICE_LISTENER_MQTT_PORT' },
        wayOut: 'did you mean SLUICE_LISTENERS_MQTT_PORT?',
      },
      { place: { kind: 'flag', flag: '--set bufer.path' }, wayOut: 'did you mean buffer.path?' },
    ]);
  });

  it('of routes and downlinks say where these are set', () => {
    const flags = { downlinks: 'x', 'routes[0].to': 'x' };
    expect(
      problemsOf(() => loadConfig({ env: {}, flags })).map(({ message, wayOut }) => `${message}: ${wayOut}`),
    ).toEqual([
      'unknown key "downlinks": downlinks are set in the file',
      'unknown key "routes[0].to": routes are set in the file',
    ]);
  });

  it('leave out what Kubernetes sets for a service named sluice', () => {
    expect(() =>
      env({
        SLUICE_SERVICE_HOST: '10.0.0.1',
        SLUICE_SERVICE_PORT: '1883',
        SLUICE_SERVICE_PORT_MQTT: '1883',
        SLUICE_PORT: 'tcp://10.0.0.1:1883',
        SLUICE_PORT_1883_TCP: 'tcp://10.0.0.1:1883',
        SLUICE_PORT_1883_TCP_PROTO: 'tcp',
        SLUICE_PORT_1883_TCP_PORT: '1883',
        SLUICE_PORT_1883_TCP_ADDR: '10.0.0.1',
      }),
    ).not.toThrow();
    expect(() => env({ SLUICE_PORT: '1883' })).toThrow(/SLUICE_PORT/);
  });
});

describe('${VARIABLES} in the file', () => {
  it('become what the key asks for, plain or in quotes', () => {
    const { config } = load(
      'listeners: { mqtt: { port: "${PORT}" }, ws: { port: "${WS:-9001}" } }\nkafka:\n  brokers: ${BROKERS}\n  sasl: { mechanism: plain, username: "${U}", password: "${P}" }\nauth:\n  allowAnonymous: ${ANON:-true}\n',
      { env: { PORT: '1999', BROKERS: 'a:1,b:2', U: 'x', P: '007' } },
    );
    expect(config.listeners.mqtt?.port).toBe(1999);
    expect(config.listeners.ws?.port).toBe(9001);
    expect(config.kafka.brokers).toEqual(['a:1', 'b:2']);
    expect(config.kafka.sasl).toMatchObject({ password: '007' });
    expect(config.auth.allowAnonymous).toBe(true);
  });

  it('cannot change the structure of the file', () => {
    const env = { ID: 'x, compression: gzip }\nlog: { level: trace' };
    const { config } = load('kafka:\n  clientId: ${ID}\n', { env });
    expect(config.kafka.clientId).toBe(env.ID);
    expect(config.log.level).toBe('info');
  });

  it('are not read in comments and keys', () => {
    expect(() => load('# ${NOT_SET}\nlog: { level: info } # ${NOT_SET}\n')).not.toThrow();
  });

  it('count as not written when they are empty', () => {
    expect(load('buffer:\n  namespace: ${NS:-}\n').config.buffer.namespace).toBe('sluice');
    const missing = problemsOf(() => load('routes:\n  - from: a\n    to: ${TO:-}\n'));
    expect(missing).toMatchObject([
      { path: 'routes[0].to', place: { line: 3 }, message: expect.stringMatching(/is missing/) as string },
    ]);
  });

  it('point at their place in the file when what they hold is wrong', () => {
    const problems = problemsOf(() => load('buffer:\n  shards: ${SHARDS}\n', { env: { SHARDS: 'many' } }));
    expect(problems).toMatchObject([{ path: 'buffer.shards', value: '"many"', place: { line: 2, column: 11 } }]);
  });
});

describe('warnings', () => {
  it('name what is allowed and weak', () => {
    const yaml =
      'buffer: { store: memory, allowWeakDurability: true }\nkafka: { sasl: { mechanism: plain, username: u, password: hunter2 } }\n';
    expect(load(yaml).warnings).toEqual([
      expect.stringMatching(/memory is not durable/),
      expect.stringMatching(/allowWeakDurability/),
      expect.stringMatching(/readably/),
    ]);
    expect(load(yaml).warnings.join()).not.toContain('hunter2');
  });
});

describe('the JSON Schema', () => {
  it('knows every section and refuses keys that are not known', () => {
    const schema = configJsonSchema();
    expect(schema.additionalProperties).toBe(false);
    expect(Object.keys(schema.properties ?? {})).toEqual(knownKeys([]));
    expect(schema.required).toBeUndefined();
  });
});

describe('the oldest TLS version', () => {
  write('tls.pem', 'PEM');
  it.each(['1.3', '"1.3"'])('may be written %s', (version) => {
    const { config } = load(`listeners: { mqtts: { tls: { cert: tls.pem, key: tls.pem, minVersion: ${version} } } }`);
    expect(config.listeners.mqtts?.tls.minVersion).toBe('1.3');
  });
});
