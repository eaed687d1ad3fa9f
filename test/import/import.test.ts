import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { SluiceConfig } from '../../src/config/config.ts';
import { explain } from '../../src/explain.ts';
import { groupTemplate, nameGroups } from '../../src/import/groups.ts';
import { parseHocon } from '../../src/import/hocon.ts';
import { importers, type Imported } from '../../src/import/index.ts';
import { parseProperties } from '../../src/import/properties.ts';
import { randomFrom } from '../support/random.ts';

/** What comes out is a file that sluice takes. */
function load({ yaml }: Imported): SluiceConfig {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-import-'));
  try {
    const file = join(directory, 'sluice.yaml');
    writeFileSync(file, yaml);
    return loadConfig({ file, env: {} }).config;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Nothing is left out in silence: every note is a comment in the file, too. */
function expectSaid({ yaml, notes }: Imported): void {
  const comments = yaml
    .split('\n')
    .filter((line) => line.trimStart().startsWith('#'))
    .join('\n');
  expect(comments.match(/NOT TAKEN OVER/g)?.length ?? 0).toBe(notes.length);
}

const records = (config: SluiceConfig, topic: string, payload = '{}', clientId = 'd1'): string[] =>
  explain(config, { topic, payload, clientId }).records.map(
    ({ topic: to, key }) => `${to} ${key?.toString() ?? 'null'}`,
  );

describe('sluice import confluent-proxy', () => {
  const text = `
# a comment
bootstrap.servers=PLAINTEXT://k1:9092, k2:9092
topic.regex.list=temperature:.*temperature, brightness:.*\\\\/brightness,odd:(?=a)b
producer.compression.type=lz4
producer.sasl.jaas.config=org.apache Login required password="secret";
listeners=0.0.0.0:1883
network.threads.num=2
something.else=1
`;
  const imported = importers['confluent-proxy']!(text);

  it('makes a route of each expression, of which the first that fits counts', () => {
    const config = load(imported);
    expect(config.kafka).toMatchObject({ brokers: ['k1:9092', 'k2:9092'], compression: 'lz4' });
    expect(records(config, 'car/temperature')).toEqual(['temperature car/temperature']);
    expect(records(config, 'car/brightness')).toEqual(['brightness car/brightness']);
    expect(records(config, 'car/other')).toEqual([]);
  });

  it('says what it does not take over, and shows no secret', () => {
    expectSaid(imported);
    expect(imported.notes.join('\n')).toMatch(/something\.else=1[^]*look-around/);
    expect(imported.yaml + imported.notes.join()).not.toContain('secret');
  });

  it('refuses what is no such file', () => {
    expect(() => importers['confluent-proxy']!('a=b')).toThrowError(/no topic\.regex\.list/);
  });
});

describe('sluice import strimzi', () => {
  const imported = importers['strimzi']!(
    JSON.stringify([
      { mqttTopic: 'building/{building}/room/{room}/#', kafkaTopic: 'building_{building}_room_{room}' },
      { mqttTopic: 'sensors/+/data', kafkaTopic: 'sensor_data' },
      { mqttTopic: 'plants/([^/]+)/(on|off)', kafkaTopic: 'plants_$1', kafkaKey: 'plant_$2' },
      { mqttTopic: 'odd/(a)', kafkaTopic: 'odd_$2' },
      { mqttTopic: 'sensors/#', kafkaTopic: 'sensor_others' },
    ]),
  );

  it('makes patterns and expressions of either form, of which the first that fits counts', () => {
    const config = load(imported);
    expect(records(config, 'building/A/room/1/floor/2')).toEqual(['building_A_room_1 null']);
    expect(records(config, 'sensors/t/data')).toEqual(['sensor_data null']);
    expect(records(config, 'sensors/t/other')).toEqual(['sensor_others null']);
    expect(records(config, 'plants/p1/on')).toEqual(['plants_p1 plant_on']);
    expect(records(config, 'elsewhere')).toEqual(['messages_default null']);
  });

  it('says what it does not take over', () => {
    expectSaid(imported);
    expect(imported.notes).toContainEqual(expect.stringMatching(/^odd\/.*there is no group \$2/));
  });

  it.each(['[', '{}', '[{}]', '[null]', '[{"mqttTopic":1,"kafkaTopic":"t"}]'])('refuses %s', (text) => {
    expect(() => importers['strimzi']!(text)).toThrowError(/Strimzi/);
  });
});

describe('sluice import emqx', () => {
  const hocon = `
connectors.kafka_producer.main { bootstrap_hosts = "k1:9092,k2:9092", authentication { mechanism = plain } }
actions {
  kafka_producer {
    plain {
      connector = main, enable = true
      parameters {
        topic = iot
        message { key = "\${.clientid}", value = "\${.payload}", timestamp = "\${.timestamp}" }
        compression = snappy
        kafka_ext_headers = [ { kafka_ext_header_key = unit, kafka_ext_header_value = "\${payload.unit}" } ]
      }
    }
    whole { connector = main, parameters { topic = "all-\${username}", message { key = "", value = "\${.}" } } }
    odd { connector = main, parameters { topic = odd, message { key = "\${nonsense}" } } }
    idle { connector = main, parameters { topic = idle } }
  }
}
rule_engine { rules {
  r1 { sql = "SELECT * FROM \\"devices/+/telemetry\\", \\"x/#\\"", actions = ["kafka_producer:plain", "console"] }
  r2 { sql = """~
    SELECT
      *
    FROM "all/#"~""", actions = ["kafka_producer:whole"] }
  r3 { sql = "SELECT payload.t as t FROM \\"t/#\\" WHERE payload.t > 3", actions = ["kafka_producer:plain"] }
  r4 { sql = "SELECT * FROM \\"o/#\\"", actions = ["kafka_producer:odd"] }
  r5 { sql = "FOREACH payload FROM \\"o/#\\"", actions = ["kafka_producer:plain"] }
} }
`;
  const imported = importers['emqx']!(hocon);

  it('makes routes of rules and their actions', () => {
    const config = load(imported);
    expect(config.kafka.brokers).toEqual(['k1:9092', 'k2:9092']);
    expect(records(config, 'devices/d1/telemetry')).toEqual(['iot d1']);
    expect(records(config, 'x/y')).toEqual(['iot d1']);
    const [record] = explain(config, { topic: 'all/x', payload: '{"t":1}', user: 'ann' }).records;
    expect(record).toMatchObject({ topic: 'all-ann', key: null });
    const [headed] = explain(config, { topic: 'x/y', payload: '{"unit":"C"}' }).records;
    expect(headed?.headers.map(([name, value]) => `${name} ${String(value)}`)).toContain('unit C');
    // What would take other messages than its rule did is not in force.
    expect(records(config, 't/x')).toEqual([]);
    expect(records(config, 'o/x')).toEqual([]);
  });

  it('says what it does not take over', () => {
    expectSaid(imported);
    for (const part of [
      'console',
      'WHERE payload.t > 3',
      'SELECT payload.t as t',
      'nonsense',
      'FOREACH',
      ':idle',
      'sasl',
    ])
      expect(imported.notes.join('\n')).toContain(part);
  });

  it('takes the same as JSON', () => {
    const json = {
      actions: { kafka_producer: { a: { parameters: { topic: 't', message: { value: '${payload}' } } } } },
      rule_engine: { rules: { r: { sql: 'SELECT * FROM "a/#"', actions: ['kafka_producer:a'] } } },
    };
    expect(records(load(importers['emqx']!(JSON.stringify(json))), 'a/b')).toEqual(['t d1']);
  });

  it.each([
    ['a = ${x}', /line 1: .*substitutions/],
    ['a = 1\ninclude "x"', /line 2: include/],
    ['a = "x', /line 1: a text in quotes/],
    ['a {', /a } is missing/],
    ['a = [', /a ] is missing/],
    ['{'.repeat(5), /key is expected/],
    ['a {'.repeat(200), /more than 50 levels/],
    ['', /no actions/],
  ])('refuses %s', (text, reason) => {
    expect(() => importers['emqx']!(text)).toThrowError(reason);
  });

  it('has fields called __proto__ as any other', () => {
    expect(Object.keys(parseHocon('__proto__ { polluted = yes }'))).toEqual(['__proto__']);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

describe('what is read', () => {
  it('numbers groups as Java does', () => {
    expect(nameGroups('a(b)[(](?:c)(?<d>e)\\((f)[]()](g)')).toEqual({
      regex: 'a(?<g1>b)[(](?:c)(?<d>e)\\((?<g3>f)[]()](?<g4>g)',
      names: ['g1', 'd', 'g3', 'g4'],
    });
    expect(groupTemplate('x_$1_${d}_{}', ['g1', 'd'])).toEqual({ template: 'x_{g1}_{d}_{{}}' });
    expect(groupTemplate('$3', ['g1'])).toBe('there is no group $3');
  });

  it('reads properties as Java does', () => {
    const read = parseProperties('! no\na = 1\\\n  2\nb:c\\:d\ne\\ f g\nu=\\u00e9\n');
    expect([...read]).toEqual([
      ['a', '12'],
      ['b', 'c:d'],
      ['e f', 'g'],
      ['u', 'é'],
    ]);
  });

  it('ends on any text, with a file or a reason', () => {
    const random = randomFrom();
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      '"',
      '"""',
      '=',
      ':',
      ',',
      '\n',
      '#',
      '$1',
      '${',
      'a',
      '\\',
      '(',
      ')',
      '.',
      '/',
      '+',
      'include ',
      'actions',
      'kafka_producer',
      'topic.regex.list=',
    ];
    for (let round = 0; round < 2_000; round++) {
      const text = Array.from({ length: random.int(40) }, () => random.pick(pieces)).join('');
      for (const [name, importer] of Object.entries(importers)) {
        try {
          expectSaid(importer(text));
        } catch (error) {
          expect(error, `seed ${random.seed}, ${name}: ${JSON.stringify(text)}`).toHaveProperty(
            'code',
            'CONFIG_UNREADABLE',
          );
        }
      }
    }
  });
});
