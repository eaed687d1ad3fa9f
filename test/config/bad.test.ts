import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { renderProblems } from '../../src/config/problems.ts';
import { isSluiceError } from '../../src/errors.ts';
import { problemsOf, sandbox } from './sandbox.ts';

interface Bad {
  readonly name: string;
  readonly yaml: string;
  /** line:column of the one problem. */
  readonly at: string;
  readonly path: string;
  readonly value?: string;
  readonly says: RegExp;
  readonly wayOut: RegExp;
  readonly code?: string;
}

const cases: readonly Bad[] = [
  {
    name: 'a port beyond 65535',
    yaml: 'listeners:\n  mqtt: { port: 70000 }\n',
    at: '2:17',
    path: 'listeners.mqtt.port',
    value: '70000',
    says: /a whole number from 0 to 65535/,
    wayOut: /default is 1883/,
  },
  {
    name: 'a port in quotes',
    yaml: 'listeners:\n  mqtt:\n    port: "1883"\n',
    at: '3:11',
    path: 'listeners.mqtt.port',
    value: '"1883"',
    says: /a whole number/,
    wayOut: /remove the quotes/,
  },
  {
    name: 'a misspelt key',
    yaml: 'buffer:\n  stroe: redis\n',
    at: '2:3',
    path: 'buffer.stroe',
    says: /unknown key "stroe"/,
    wayOut: /did you mean store\?/,
  },
  {
    name: 'a key of another section',
    yaml: 'compresion: lz4\n',
    at: '1:1',
    path: 'compresion',
    says: /unknown key/,
    wayOut: /did you mean kafka\.compression\?/,
  },
  {
    name: 'a key that is close to none',
    yaml: 'log: { zzzzzz: 1 }\n',
    at: '1:8',
    path: 'log.zzzzzz',
    says: /unknown key/,
    wayOut: /known in log: level, format/,
  },
  {
    name: 'the key __proto__',
    yaml: 'buffer:\n  __proto__: { store: memory }\n',
    at: '2:3',
    path: 'buffer["?"]',
    says: /__proto__ is no key/,
    wayOut: /a key is a word/,
  },
  {
    name: 'a misspelt choice',
    yaml: 'buffer: { store: lvel }\n',
    at: '1:18',
    path: 'buffer.store',
    value: '"lvel"',
    says: /"level", "redis" or "memory"/,
    wayOut: /did you mean level\?/,
  },
  {
    name: 'a duration without a unit',
    yaml: 'buffer:\n  appendTimeout: 10\n',
    at: '2:18',
    path: 'buffer.appendTimeout',
    value: '10',
    says: /a duration with its unit/,
    wayOut: /write 10ms or 10s/,
  },
  {
    name: 'a duration beyond its bounds',
    yaml: 'buffer: { appendTimeout: 1h }\n',
    at: '1:26',
    path: 'buffer.appendTimeout',
    value: '"1h"',
    says: /from 100ms to 5m/,
    wayOut: /write 10s, the default/,
  },
  {
    name: 'a size with an unknown unit',
    yaml: 'limits:\n  maxPacketSize: 256kilo\n',
    at: '2:18',
    path: 'limits.maxPacketSize',
    value: '"256kilo"',
    says: /a size: 256KB/,
    wayOut: /256KB/,
  },
  {
    name: 'a size below its bounds',
    yaml: 'buffer: { maxBytes: 10 }\n',
    at: '1:21',
    path: 'buffer.maxBytes',
    value: '10',
    says: /from 1MB to/,
    wayOut: /with its unit/,
  },
  {
    name: 'yes for a truth value',
    yaml: 'auth:\n  allowAnonymous: yes\n',
    at: '2:19',
    path: 'auth.allowAnonymous',
    value: '"yes"',
    says: /true or false/,
    wayOut: /write true/,
  },
  {
    name: 'one broker instead of a list',
    yaml: 'kafka: { brokers: kafka1 }\n',
    at: '1:19',
    path: 'kafka.brokers',
    value: '"kafka1"',
    says: /a list, at least one, each host:port/,
    wayOut: /\["kafka1:9092"\]/,
  },
  {
    name: 'a broker without a port',
    yaml: 'kafka:\n  brokers:\n    - kafka1:9092\n    - kafka2\n',
    at: '4:7',
    path: 'kafka.brokers[1]',
    value: '"kafka2"',
    says: /host:port/,
    wayOut: /kafka2:9092/,
  },
  {
    name: 'redis without a url',
    yaml: 'buffer:\n  store: redis\n',
    at: '1:1',
    path: 'buffer.url',
    says: /is missing: store: redis needs/,
    wayOut: /add url: redis:\/\/localhost:6379/,
  },
  {
    name: 'a url without redis',
    yaml: 'buffer:\n  url: redis://:hunter2@localhost\n',
    at: '2:8',
    path: 'buffer.url',
    value: '"redis://:***@localhost"',
    says: /only for store: redis, but the store is level/,
    wayOut: /set store: redis, or remove url/,
  },
  {
    name: 'a url of another kind',
    yaml: 'buffer: { store: redis, url: "http://localhost" }\n',
    at: '1:30',
    path: 'buffer.url',
    value: '"http://localhost"',
    says: /a URL such as redis:/,
    wayOut: /redis:\/\/localhost:6379/,
  },
  {
    name: 'SASL without a password',
    yaml: 'kafka:\n  sasl:\n    mechanism: plain\n    username: u\n',
    at: '2:3',
    path: 'kafka.sasl.password',
    says: /is missing/,
    wayOut: /add password:/,
  },
  {
    name: 'an unknown SASL mechanism',
    yaml: 'kafka: { sasl: { mechanism: scram, username: u, password: hunter2 } }\n',
    at: '1:29',
    path: 'kafka.sasl.mechanism',
    value: '"scram"',
    says: /"plain", "scram-sha-256", "scram-sha-512" or "oauthbearer"/,
    wayOut: /use plain, scram-sha-256/,
  },
  {
    name: 'a listener open to other machines',
    yaml: 'listeners:\n  mqtt: { host: 0.0.0.0 }\n',
    at: '2:17',
    path: 'listeners.mqtt.host',
    value: '"0.0.0.0"',
    says: /other machines reach this listener/,
    wayOut: /127\.0\.0\.1.*allowAnonymous: true/,
    code: 'INSECURE_LISTENER',
  },
  {
    name: 'two listeners on one port',
    yaml: 'listeners:\n  mqtt: { port: 8083 }\n',
    at: '1:1',
    path: 'listeners.ws.port',
    says: /port 8083 is taken by listeners\.mqtt/,
    wayOut: /mqtt: false/,
  },
  {
    name: 'every listener off',
    yaml: 'listeners:\n  mqtt: false\n  ws:\n',
    at: '1:1',
    path: 'listeners',
    value: 'a mapping',
    says: /every listener is off/,
    wayOut: /leave one of/,
  },
  {
    name: 'client certificates without their authority',
    yaml: 'listeners:\n  mqtts:\n    tls:\n      cert: sluice.yaml\n      key: sluice.yaml\n      clientCertificate: required\n',
    at: '6:26',
    path: 'listeners.mqtts.tls.clientCertificate',
    value: '"required"',
    says: /needs `ca` beside it/,
    wayOut: /add ca:/,
  },
  {
    name: 'a certificate file that is not there',
    yaml: 'listeners:\n  mqtts:\n    tls: { cert: certs/none.crt, key: sluice.yaml }\n',
    at: '3:18',
    path: 'listeners.mqtts.tls.cert',
    value: '"certs/none.crt"',
    says: /there is no file .*certs\/none\.crt/,
    wayOut: /folder of that file/,
  },
  {
    name: 'a certificate that is a directory',
    yaml: 'kafka:\n  tls: { ca: folder }\n',
    at: '2:14',
    path: 'kafka.tls.ca',
    value: '"folder"',
    says: /is not a file/,
    wayOut: /name a PEM file/,
  },
  {
    name: 'a data directory that is a file',
    yaml: 'buffer: { path: sluice.yaml }\n',
    at: '1:17',
    path: 'buffer.path',
    value: '"sluice.yaml"',
    says: /is not a directory/,
    wayOut: /name another directory/,
  },
  {
    name: 'a client key without its certificate',
    yaml: 'kafka:\n  tls: { key: sluice.yaml }\n',
    at: '2:15',
    path: 'kafka.tls.key',
    value: '"sluice.yaml"',
    says: /needs `cert` beside it/,
    wayOut: /add cert:/,
  },
  {
    name: 'an origin with a path',
    yaml: 'listeners:\n  ws:\n    origins: ["https://a.example/app"]\n',
    at: '3:15',
    path: 'listeners.ws.origins[0]',
    value: '"https://a.example/app"',
    says: /an origin, scheme:\/\/host/,
    wayOut: /https:\/\/app\.example\.com/,
  },
  {
    name: 'a filter with a wildcard inside a level',
    yaml: 'routes:\n  - from: devices/a#\n    to: t\n',
    at: '2:11',
    path: 'routes[0].from',
    value: '"devices/a#"',
    says: /shares the level 'a#'/,
    wayOut: /put a \/ before #/,
  },
  {
    name: 'a filter that YAML took for a comment',
    yaml: 'routes:\n  - to: t\n    from: #\n',
    at: '3:11',
    path: 'routes[0].from',
    value: 'null',
    says: /has no value/,
    wayOut: /put "#" in quotes/,
  },
  {
    name: 'a template that YAML took for a mapping',
    yaml: 'routes:\n  - from: a\n    to: t\n    key: {clientId}\n',
    at: '4:10',
    path: 'routes[0].key',
    value: 'a mapping',
    says: /a text/,
    wayOut: /in quotes, as in "{clientId}"/,
  },
  {
    name: 'a name that the filter does not define',
    yaml: 'routes:\n  - from: devices/{deviceId}/+\n    to: t\n    headers: { device: "{devieId}" }\n',
    at: '4:24',
    path: 'routes[0].headers.device',
    value: '"{devieId}"',
    says: /unknown name {devieId}/,
    wayOut: /did you mean {deviceId}\?/,
  },
  {
    name: 'an illegal Kafka topic',
    yaml: 'routes:\n  - { from: a, to: iot/telemetry }\n',
    at: '2:20',
    path: 'routes[0].to',
    value: '"iot/telemetry"',
    says: /no Kafka topic: it holds '\/'/,
    wayOut: /topic that Kafka allows/,
  },
  {
    name: 'an illegal dead-letter topic',
    yaml: 'deadLetter:\n  topic: dead letters\n',
    at: '2:10',
    path: 'deadLetter.topic',
    value: '"dead letters"',
    says: /no Kafka topic/,
    wayOut: /such as sluice\.dead-letter/,
  },
  {
    name: 'two routes of one name',
    yaml: 'routes:\n  - { name: a, from: x, to: t }\n  - { name: a, from: y, to: u }\n',
    at: '3:13',
    path: 'routes[1].name',
    value: '"a"',
    says: /routes\[0\] has the same name/,
    wayOut: /name/,
  },
  {
    name: 'a header that sluice writes itself',
    yaml: 'routes:\n  - from: x\n    to: t\n    headers:\n      sluice-id: mine\n',
    at: '5:18',
    path: 'routes[0].headers.sluice-id',
    value: '"mine"',
    says: /is taken/,
    wayOut: /written by sluice/,
  },
  {
    name: 'a route without a target',
    yaml: 'routes:\n  - from: x\n',
    at: '2:5',
    path: 'routes[0].to',
    says: /is missing/,
    wayOut: /add to:/,
  },
  {
    name: 'an empty list of routes',
    yaml: 'routes: []\n',
    at: '1:9',
    path: 'routes',
    value: 'a list',
    says: /at least one/,
    wayOut: /remove the key/,
  },
  {
    name: 'a mapping where routes are a list',
    yaml: 'routes:\n  from: x\n  to: y\n',
    at: '1:1',
    path: 'routes',
    value: 'a mapping',
    says: /a list of mappings/,
    wayOut: /begin each item with a dash/,
  },
  {
    name: 'access rules, which are not built',
    yaml: 'acl:\n  - { user: "*" }\n',
    at: '1:1',
    path: 'acl',
    says: /not built yet in this version/,
    wayOut: /remove it/,
  },
  {
    name: 'the HTTP listener, which is not built',
    yaml: 'listeners:\n  http: { port: 8080 }\n',
    at: '2:3',
    path: 'listeners.http',
    says: /not built yet in this version/,
    wayOut: /remove it/,
  },
  {
    name: 'a user file, which is not built',
    yaml: 'auth: { users: users.txt }\n',
    at: '1:9',
    path: 'auth.users',
    says: /not built yet in this version/,
    wayOut: /remove it/,
  },
  {
    name: 'an encoding that is not built',
    yaml: 'routes:\n  - { from: a, to: t, value: avro }\n',
    at: '2:30',
    path: 'routes[0].value',
    value: '"avro"',
    says: /not built yet in this version/,
    wayOut: /use raw/,
  },
  {
    name: 'waits in the wrong order',
    yaml: 'forward: { retry: { min: 1m, max: 1s } }\n',
    at: '1:26',
    path: 'forward.retry.min',
    value: '"1m"',
    says: /longer than retry\.max/,
    wayOut: /the shorter/,
  },
  {
    name: 'an environment variable that is not set',
    yaml: 'buffer:\n  path: ${DATA_DIR}/sluice\n',
    at: '2:9',
    path: 'buffer.path',
    says: /environment variable DATA_DIR is not set/,
    wayOut: /\${DATA_DIR:-default}/,
  },
  {
    name: 'a level of the topic written as an environment variable',
    yaml: 'routes:\n  - from: devices/{id}\n    to: t\n    key: ${id}\n',
    at: '4:10',
    path: 'routes[0].key',
    says: /environment variable id is not set/,
    wayOut: /\{id\}, without \$/,
  },
  {
    name: 'something in ${} that is no name',
    yaml: 'buffer:\n  path: ${DATA-DIR}\n',
    at: '2:9',
    path: 'buffer.path',
    says: /"\${DATA-DIR}" is no environment variable/,
    wayOut: /\${NAME:-default}/,
  },
  {
    name: 'an environment variable unquoted in braces',
    yaml: 'listeners:\n  mqtt: { port: ${PORT} }\n',
    at: '2:18',
    path: '',
    says: /must be in quotes/,
    wayOut: /"\${VARIABLE}"/,
  },
  {
    name: 'a key twice',
    yaml: 'buffer:\n  shards: 2\n  shards: 4\n',
    at: '3:3',
    path: '',
    says: /there twice/,
    wayOut: /keep one/,
  },
  {
    name: 'a tab in the indentation',
    yaml: 'buffer:\n\tshards: 2\n',
    at: '2:1',
    path: '',
    says: /a tab/,
    wayOut: /spaces/,
  },
  {
    name: 'wrong indentation',
    yaml: 'buffer:\n  shards: 2\n store: level\n',
    at: '3:1',
    path: '',
    says: /indentation/,
    wayOut: /same column/,
  },
  {
    name: 'a list as the whole file',
    yaml: '- a\n- b\n',
    at: '1:1',
    path: '',
    value: 'a list',
    says: /the configuration is a list, expected a mapping/,
    wayOut: /begin with a key/,
  },
  {
    name: 'a second document',
    yaml: 'buffer: {}\n---\nkafka: {}\n',
    at: '2:1',
    path: '',
    says: /second document/,
    wayOut: /remove the line ---/,
  },
  {
    name: 'a star that is an alias',
    yaml: 'listeners:\n  ws:\n    origins: [*any]\n',
    at: '3:15',
    path: 'listeners.ws.origins[0]',
    says: /\*any is an alias in YAML/,
    wayOut: /in quotes/,
  },
];

describe('a bad configuration', () => {
  const { load, directory, write } = sandbox();
  mkdirSync(join(directory, 'folder'));

  it.each(cases)(
    '$name is refused with its place, value and way out',
    ({ yaml, at, path, value, says, wayOut, code }) => {
      const problems = problemsOf(() => load(yaml));
      expect(problems.map((problem) => `${problem.path}: ${problem.message}`)).toHaveLength(1);
      const [problem] = problems;
      if (problem?.place.kind !== 'file') throw new Error('the problem has no place in the file');
      expect(`${problem.place.line}:${problem.place.column}`).toBe(at);
      expect(problem.path).toBe(path);
      expect(problem.value).toBe(value);
      expect(problem.message).toMatch(says);
      expect(problem.wayOut).toMatch(wayOut);
      expect(problem.code).toBe(code ?? 'CONFIG_INVALID');

      const text = renderProblems(problems, { color: false });
      expect(text).toContain(`sluice.yaml:${at}  `);
      expect(text).toContain(problem.wayOut);
      if (value !== undefined) expect(text).toContain(value);
      expect(text).not.toContain('hunter2');
      const caret = text.split('\n').find((line) => /^\s+\| +\^+$/.test(line));
      expect(caret).toBeDefined();
    },
  );

  it('has all its problems reported at once, in the order of the file', () => {
    const yaml =
      'listeners:\n  mqtt: { port: 0.5, hosst: x }\n  ws: { host: 0.0.0.0 }\nbuffer: { store: redis }\nroutes:\n  - { from: a#, to: a/b, kye: x }\nacl: []\n';
    const problems = problemsOf(() =>
      load(yaml, { env: { SLUICE_KAFKA_BROKER: 'a:1' }, flags: { 'log.levle': 'info' } }),
    );
    expect(problems.map((problem) => problem.path)).toEqual([
      'listeners.mqtt.port',
      'listeners.mqtt.hosst',
      'listeners.ws.host',
      'buffer.url',
      'routes[0].from',
      'routes[0].to',
      'routes[0].kye',
      'acl',
      '',
      '',
    ]);
  });

  it('does not report what only follows from another problem', () => {
    const follow =
      'buffer:\n  store: rediss\n  url: redis://localhost\nlisteners:\n  mqtt: false\n  ws: false\n  mqtts: { port: 1 }\n';
    expect(problemsOf(() => load(follow)).map((problem) => problem.path)).toEqual([
      'buffer.store',
      'listeners.mqtts.tls',
    ]);
  });

  it('numbers the routes behind a broken one as they are in the file', () => {
    const yaml = 'routes:\n  - { from: 5, to: 6 }\n  - { to: t }\n  - { from: b+, to: t }\n';
    expect(problemsOf(() => load(yaml)).map((problem) => problem.path)).toEqual([
      'routes[0].from',
      'routes[0].to',
      'routes[1].from',
      'routes[2].from',
    ]);
  });

  it('is a SluiceError whose message is the whole report', () => {
    let thrown: unknown;
    try {
      load('buffer: { shards: 0 }\n');
    } catch (error) {
      thrown = error;
    }
    expect(isSluiceError(thrown, 'CONFIG_INVALID')).toBe(true);
    expect((thrown as Error).message).toContain('1 problem in the configuration');
    expect((thrown as Error).message).toContain('buffer.shards = 0');
  });

  it('that is no text, too long, or too deep is refused without being parsed', () => {
    const messages = [
      Uint8Array.from([0x61, 0x3a, 0xff, 0xfe]),
      '#'.repeat(2 ** 20 + 1),
      '['.repeat(50_000),
      '- '.repeat(50_000) + 'a',
      Array.from({ length: 400 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'),
    ].map((content) => problemsOf(() => load(content)).map((problem) => problem.message));
    expect(messages.map(([message]) => message)).toEqual([
      expect.stringMatching(/not UTF-8/),
      expect.stringMatching(/1048577 bytes/),
      expect.stringMatching(/levels deep/),
      expect.stringMatching(/levels deep/),
      expect.stringMatching(/levels deep/),
    ]);
  });

  it('whose aliases multiply is cut off', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let index = 1; index < 9; index++) lines.push(`a${index}: &a${index} [${`*a${index - 1}, `.repeat(10)}]`);
    const started = performance.now();
    const problems = problemsOf(() => load(lines.join('\n')));
    expect(problems.some((problem) => /unfolds to more than/.test(problem.message))).toBe(true);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('whose alias holds itself is cut off', () => {
    const problems = problemsOf(() => load('buffer: &a\n  path: *a\n'));
    expect(problems.length).toBeGreaterThan(0);
  });

  it('in a file that cannot be read says which and why', () => {
    const read = (file: string) => () => loadConfig({ file, env: {} });
    expect(read(join(directory, 'absent.yaml'))).toThrow(/cannot read .*absent\.yaml: there is no such file/);
    expect(read(join(directory, 'folder'))).toThrow(/it is a directory/);
  });

  it('given as an object names the path', () => {
    const input = { buffer: { store: 'level', shard: 3 }, limits: { connections: '5' } } as never;
    expect(problemsOf(() => loadConfig({ input, env: {} })).map(({ path, place }) => [path, place.kind])).toEqual([
      ['buffer.shard', 'object'],
      ['limits.connections', 'object'],
    ]);
  });

  it('shows the line of the problem, with tabs and control characters as blanks and a window of a long line', () => {
    const file = write(
      'long.yaml',
      `kafka: { clientId: "${'x'.repeat(300)}", compression: lz5, brokers: ["\u001b[31m:1"] }\n`,
    );
    const text = renderProblems(
      problemsOf(() => loadConfig({ file, env: {} })),
      { color: false },
    );
    expect(text).toContain('compression: lz5');
    expect(text).not.toContain('\u001b');
    expect(
      Math.max(
        ...text
          .split('\n')
          .filter((line) => line.includes(' | '))
          .map((line) => line.length),
      ),
    ).toBeLessThan(125);
  });
});
