import { describe, expect, it } from 'vitest';
import { Mapper, type MapperLimits } from '../../src/forward/mapper.ts';
import type { MappedRecord, NoRecord } from '../../src/forward/mapping.ts';
import { Origin, type Message, type MessageProperties } from '../../src/message.ts';
import { compileRouteSet } from '../../src/payload/index.ts';
import type { RouteDefinition } from '../../src/routes/index.ts';
import { randomFrom, type Random } from '../support/random.ts';
import { decodeRecord, textHeaders, type DecodedRecord } from './record-decoder.ts';

const LOG = 'AbCdEfGh-_0';

function message(more: Partial<Message> = {}): Message {
  return {
    clientId: 'c1',
    user: '',
    topic: 'devices/d7/telemetry',
    payload: Buffer.from('21.5'),
    qos: 1,
    retain: false,
    dup: false,
    origin: Origin.mqtt,
    receivedAt: 1_700_000_000_123,
    properties: undefined,
    ...more,
  };
}

function route(more: Partial<RouteDefinition> = {}): RouteDefinition {
  return { name: 'r', from: '#', to: 'iot', ...more };
}

function mapperOf(routes: readonly RouteDefinition[], limits: Partial<MapperLimits> = {}): Mapper {
  return new Mapper(compileRouteSet(routes), limits);
}

interface Mapped {
  readonly records: MappedRecord[];
  readonly faults: readonly NoRecord[];
}

function map(mapper: Mapper, of: Message, offset = 42, logId = LOG, shard = 3): Mapped {
  const records: MappedRecord[] = [];
  const faults = mapper.map(of, offset, logId, shard, records);
  return { records, faults };
}

/** The one record that a message makes, decoded. */
function only(mapper: Mapper, of: Message, offset = 42): DecodedRecord {
  const { records, faults } = map(mapper, of, offset);
  expect(faults).toEqual([]);
  expect(records).toHaveLength(1);
  return decodeRecord(records[0]!.slice);
}

function header(record: DecodedRecord, name: string): (string | undefined)[] {
  return textHeaders(record)
    .filter(([each]) => each === name)
    .map(([, value]) => value);
}

describe('a record', () => {
  it('has the client id as key, the payload as value, arrival as time, and the headers in their order', () => {
    const { records, faults } = map(mapperOf([route()]), message());
    expect(faults).toEqual([]);
    expect(records).toMatchObject([{ topic: 'iot', route: 'r', slice: { timestamp: 1_700_000_000_123 } }]);
    const record = decodeRecord(records[0]!.slice);
    expect(record.key).toEqual(Buffer.from('c1'));
    expect(record.value).toEqual(Buffer.from('21.5'));
    expect(textHeaders(record)).toEqual([
      ['mqtt-topic', 'devices/d7/telemetry'],
      ['mqtt-client-id', 'c1'],
      ['mqtt-qos', '1'],
      ['mqtt-retain', 'false'],
      ['sluice-id', `${LOG}:3:42`],
      ['sluice-route', 'r'],
    ]);
  });

  it('carries everything that a message can have, in the documented order', () => {
    const properties: MessageProperties = {
      payloadFormatIndicator: true,
      messageExpiryInterval: 4_294_967_295,
      contentType: 'application/json',
      responseTopic: 'answers/ü',
      correlationData: Buffer.from([0, 255, 1, 128]),
      userProperties: [
        ['b', '1'],
        ['a', ''],
        ['b', '2'],
        ['', 'no name'],
        ['größe', '😀'],
      ],
    };
    const mapper = mapperOf([
      route({ from: 'devices/{id}/+', key: '{id}/{user}', headers: { device: '{id}', who: '{user}@{clientId}' } }),
    ]);
    const of = message({ qos: 2, retain: true, dup: true, origin: Origin.will, user: 'ann', properties });
    // Twice: written directly at first, from the topic's plan then.
    for (let time = 0; time < 2; time++) {
      const record = only(mapper, of);
      expect(record.key?.toString()).toBe('d7/ann');
      expect(record.headers.find(([name]) => name === 'mqtt-correlation-data')?.[1]).toEqual(
        Buffer.from([0, 255, 1, 128]),
      );
      expect(textHeaders(record).filter(([name]) => name !== 'mqtt-correlation-data')).toEqual([
        ['mqtt-topic', 'devices/d7/telemetry'],
        ['mqtt-client-id', 'c1'],
        ['mqtt-qos', '2'],
        ['mqtt-retain', 'true'],
        ['content-type', 'application/json'],
        ['b', '1'],
        ['a', ''],
        ['b', '2'],
        ['', 'no name'],
        ['größe', '😀'],
        ['mqtt-response-topic', 'answers/ü'],
        ['mqtt-message-expiry-interval', '4294967295'],
        ['mqtt-payload-format-indicator', '1'],
        ['device', 'd7'],
        ['who', 'ann@c1'],
        ['sluice-id', `${LOG}:3:42`],
        ['sluice-route', 'r'],
        ['mqtt-dup', 'true'],
        ['mqtt-will', 'true'],
      ]);
      expect(record.headers.map(([name]) => name).slice(10, 13)).toEqual([
        'mqtt-response-topic',
        'mqtt-correlation-data',
        'mqtt-message-expiry-interval',
      ]);
    }
  });

  it('says a payload format indicator of 0, an expiry of 0 and empty texts, too', () => {
    const properties = { payloadFormatIndicator: false, messageExpiryInterval: 0, contentType: '', responseTopic: '' };
    const record = only(mapperOf([route()]), message({ properties }));
    expect(header(record, 'mqtt-payload-format-indicator')).toEqual(['0']);
    expect(header(record, 'mqtt-message-expiry-interval')).toEqual(['0']);
    expect(header(record, 'content-type')).toEqual(['']);
    expect(header(record, 'mqtt-response-topic')).toEqual(['']);
  });

  it.each([0, 1, 2] as const)('tells QoS %s, retain, DUP and will apart', (qos) => {
    const mapper = mapperOf([route()]);
    for (const retain of [true, false]) {
      for (const dup of [true, false]) {
        for (const origin of [Origin.mqtt, Origin.will, Origin.http, Origin.library]) {
          const record = only(mapper, message({ qos, retain, dup, origin }));
          expect(header(record, 'mqtt-qos')).toEqual([String(qos)]);
          expect(header(record, 'mqtt-retain')).toEqual([String(retain)]);
          expect(header(record, 'mqtt-dup')).toEqual(dup ? ['true'] : []);
          expect(header(record, 'mqtt-will')).toEqual(origin === Origin.will ? ['true'] : []);
        }
      }
    }
  });

  it('has an empty value for an empty payload, and takes payloads larger than a slab', () => {
    const mapper = mapperOf([route()]);
    expect(only(mapper, message({ payload: Buffer.alloc(0) })).value).toEqual(Buffer.alloc(0));
    const large = Buffer.alloc(300_000, 'x');
    expect(only(mapper, message({ payload: large })).value?.equals(large)).toBe(true);
  });

  it('takes more headers than one byte can count', () => {
    const userProperties = Array.from({ length: 10_000 }, (_, index) => [`n${index}`, `v${index}`] as const);
    const record = only(mapperOf([route()]), message({ properties: { userProperties } }));
    expect(record.headers).toHaveLength(10_006);
    expect(textHeaders(record).slice(4, 10_004)).toEqual(userProperties);
  });

  it('has no key, and no place by key, where the route says null', () => {
    const mapper = mapperOf([route({ key: null })]);
    for (let time = 0; time < 2; time++) {
      const { records } = map(mapper, message());
      expect(records[0]?.keyHash).toBe(-1);
      expect(decodeRecord(records[0]!.slice).key).toBeNull();
    }
  });

  it.each([
    // From the tests of Kafka's Java client (UtilsTest.testMurmur2).
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])("places the key %s where Kafka's Java client does", (key, murmur2) => {
    const byClient = mapperOf([route()]);
    const byTopic = mapperOf([route({ from: '{k}', key: '{k}' })]);
    for (let time = 0; time < 2; time++) {
      expect(map(byClient, message({ clientId: key })).records[0]?.keyHash).toBe(murmur2 & 0x7fffffff);
      expect(map(byTopic, message({ topic: key })).records[0]?.keyHash).toBe(murmur2 & 0x7fffffff);
    }
  });

  it('stays as it was while others are written behind it', () => {
    const mapper = mapperOf([route()]);
    const records: MappedRecord[] = [];
    for (let n = 0; n < 5_000; n++) mapper.map(message({ payload: Buffer.from(`payload ${n}`) }), n, LOG, 0, records);
    for (const [n, { slice }] of records.entries()) {
      const record = decodeRecord(slice);
      expect(record.value?.toString()).toBe(`payload ${n}`);
      expect(header(record, 'sluice-id')).toEqual([`${LOG}:0:${n}`]);
    }
  });
});

describe('sluice-id', () => {
  it('has the offset exactly, at every number of digits', () => {
    const mapper = mapperOf([route()]);
    const offsets = [
      0,
      1,
      2 ** 31 - 1,
      2 ** 31,
      2 ** 31 + 1,
      2 ** 32,
      Number.MAX_SAFE_INTEGER - 1,
      Number.MAX_SAFE_INTEGER,
    ];
    for (let power = 10; power < Number.MAX_SAFE_INTEGER; power *= 10) offsets.push(power - 1, power, power + 1);
    for (const offset of [...offsets, ...offsets.reverse()]) {
      expect(header(only(mapper, message(), offset), 'sluice-id')).toEqual([`${LOG}:3:${offset}`]);
    }
  });

  it('follows shard and log id, however they alternate', () => {
    const mapper = mapperOf([route()]);
    for (const [logId, shard] of [
      ['a', 0],
      ['b', 1],
      ['a', 0],
      ['c', 0],
      ['b', 1],
      ['x', 15],
      ['c', 0],
    ] as const) {
      const { records } = map(mapper, message(), 7, logId, shard);
      expect(header(decodeRecord(records[0]!.slice), 'sluice-id')).toEqual([`${logId}:${shard}:7`]);
    }
  });

  it.each([-1, 1.5, NaN, Infinity, 2 ** 53])('is never made of what is no offset: %s', (offset) => {
    expect(() => map(mapperOf([route()]), message(), offset)).toThrowError(RangeError);
  });
});

describe('a user property that asks for a name that is not free', () => {
  const forged: [string, string][] = [
    ['sluice-id', 'forged:0:1'],
    ['sluice-route', 'forged'],
    ['SLUICE-ID', 'forged'],
    ['ſluice-id', 'forged'],
    ['mqtt-topic', 'forged'],
    ['Mqtt-Client-Id', 'forged'],
    ['mqtt-client-id', 'forged'],
    ['mqtt-dup', 'true'],
    ['mqtt-will', 'true'],
    ['sluice-error-code', 'forged'],
    ['mqtt-user-property-x', 'forged'],
    ['content-type', 'forged'],
    ['Content-Type', 'forged'],
    ['device', 'forged'],
    ['DEVICE', 'forged'],
  ];

  it('is written under mqtt-user-property-, and never gets the name', () => {
    const mapper = mapperOf([route({ headers: { Device: '{clientId}' } })]);
    const properties = { contentType: 'text/plain', userProperties: [['free', '1'] as const, ...forged] };
    for (let time = 0; time < 2; time++) {
      const record = only(mapper, message({ properties }));
      expect(textHeaders(record)).toEqual([
        ['mqtt-topic', 'devices/d7/telemetry'],
        ['mqtt-client-id', 'c1'],
        ['mqtt-qos', '1'],
        ['mqtt-retain', 'false'],
        ['content-type', 'text/plain'],
        ['free', '1'],
        ...forged.map(([name, value]) => [`mqtt-user-property-${name}`, value]),
        ['Device', 'c1'],
        ['sluice-id', `${LOG}:3:42`],
        ['sluice-route', 'r'],
      ]);
    }
  });

  it('does not get it in a dead letter either', () => {
    const mapper = mapperOf([route({ headers: { device: '{clientId}' } })]);
    const record = deadLetter(mapper, message({ properties: { userProperties: forged } }), { maxBytes: 100_000 });
    for (const name of ['sluice-id', 'sluice-route', 'mqtt-topic', 'mqtt-client-id', 'device', 'sluice-error-code']) {
      expect(header(record, name)).toHaveLength(1);
      expect(header(record, name)).not.toContain('forged');
    }
    expect(header(record, 'mqtt-user-property-sluice-id')).toEqual(['forged:0:1']);
  });

  it('may have it on a route that does not use it', () => {
    const mapper = mapperOf([
      route({ name: 'with', headers: { device: 'd' } }),
      route({ name: 'without', headers: { other: 'd' } }),
    ]);
    const { records } = map(mapper, message({ properties: { userProperties: [['device', 'mine']] } }));
    const [withIt, without] = records.map(({ slice }) => decodeRecord(slice));
    expect(header(withIt!, 'device')).toEqual(['d']);
    expect(header(withIt!, 'mqtt-user-property-device')).toEqual(['mine']);
    expect(header(without!, 'device')).toEqual(['mine']);
  });
});

describe('a route that sets content-type', () => {
  it('has the name; what the publisher says is mqtt-content-type', () => {
    const mapper = mapperOf([route({ headers: { 'Content-Type': 'application/json' } })]);
    const record = only(mapper, message({ properties: { contentType: 'text/plain' } }));
    expect(header(record, 'Content-Type')).toEqual(['application/json']);
    expect(header(record, 'content-type')).toEqual([]);
    expect(header(record, 'mqtt-content-type')).toEqual(['text/plain']);
  });
});

describe('a message that matches several routes', () => {
  it('makes a record for each, in their order, behind what is in the list already', () => {
    const mapper = mapperOf([
      route({ name: 'a', to: 'all' }),
      route({ name: 'other', from: 'x/#' }),
      route({ name: 'b', from: 'devices/{id}/#', to: 'dev.{id}', key: '{id}' }),
    ]);
    const out: MappedRecord[] = [];
    mapper.map(message(), 1, LOG, 0, out);
    const first = out[0];
    mapper.map(message(), 2, LOG, 0, out);
    expect(out[0]).toBe(first);
    expect(out.map(({ topic, route: name }) => [topic, name])).toEqual([
      ['all', 'a'],
      ['dev.d7', 'b'],
      ['all', 'a'],
      ['dev.d7', 'b'],
    ]);
    expect(out.map(({ slice }) => decodeRecord(slice).key?.toString())).toEqual(['c1', 'd7', 'c1', 'd7']);
    expect(out.map(({ slice }) => header(decodeRecord(slice), 'sluice-route')[0])).toEqual(['a', 'b', 'a', 'b']);
  });

  it('makes each with its own key and headers, remembered or not', () => {
    const mapper = mapperOf([
      route({ name: 'a', from: '+/{x}/#', key: 'a-{x}', headers: { h: 'a-{x}' } }),
      route({ name: 'b', key: null, headers: { h: 'b' } }),
      route({ name: 'c', key: 'c-{topic}', headers: { h: '{topic}' } }),
      route({ name: 'd', headers: { h: '{clientId}' } }),
    ]);
    for (let time = 0; time < 3; time++) {
      const records = map(mapper, message()).records.map(({ slice }) => decodeRecord(slice));
      expect(records.map(({ key }) => key?.toString())).toEqual(['a-d7', undefined, 'c-devices/d7/telemetry', 'c1']);
      expect(records.map((record) => header(record, 'h')[0])).toEqual(['a-d7', 'b', 'devices/d7/telemetry', 'c1']);
    }
  });

  it('makes the records it can, and a fault for each that it cannot', () => {
    const mapper = mapperOf([
      route({ name: 'a', to: '{clientId}' }),
      route({ name: 'b', to: 'fine' }),
      route({ name: 'c', from: '{x}/#', to: 'x.{x}' }),
    ]);
    for (let time = 0; time < 2; time++) {
      const { records, faults } = map(mapper, message({ clientId: 'not legal', topic: 'ü/y' }));
      expect(records.map(({ topic }) => topic)).toEqual(['fine']);
      expect(faults).toEqual([
        { code: 'ROUTE_TOPIC_ILLEGAL', route: 'a', reason: expect.stringContaining("'not legal'") as string },
        { code: 'ROUTE_TOPIC_ILLEGAL', route: 'c', reason: expect.stringContaining("'x.ü'") as string },
      ]);
    }
  });

  it('that match none any more is a fault, NO_ROUTE', () => {
    const mapper = mapperOf([route({ from: 'x' })]);
    for (let time = 0; time < 2; time++) {
      expect(map(mapper, message())).toEqual({
        records: [],
        faults: [{ code: 'NO_ROUTE', route: undefined, reason: expect.any(String) as string }],
      });
    }
  });
});

describe('what is remembered', () => {
  it('is never of another client, user or topic', () => {
    const mapper = mapperOf([
      route({
        from: '{x}/#',
        to: 't.{user}',
        key: '{user}|{clientId}|{x}|{topic}',
        headers: { h: '{user}-{clientId}' },
      }),
    ]);
    for (let time = 0; time < 3; time++) {
      for (const user of ['u1', 'u2']) {
        for (const clientId of ['c1', 'c2', '__proto__']) {
          for (const topic of ['a/b', 'a/c', '__proto__/constructor']) {
            const { records } = map(mapper, message({ user, clientId, topic }));
            const record = decodeRecord(records[0]!.slice);
            expect(records[0]?.topic).toBe(`t.${user}`);
            expect(record.key?.toString()).toBe(`${user}|${clientId}|${topic.split('/')[0]}|${topic}`);
            expect(header(record, 'h')).toEqual([`${user}-${clientId}`]);
            expect(header(record, 'mqtt-topic')).toEqual([topic]);
            expect(header(record, 'mqtt-client-id')).toEqual([clientId]);
          }
        }
      }
    }
  });

  it('is bounded by number and by bytes', () => {
    const routes = [route({ from: '#', key: '{topic}', headers: { h: '{topic}' } })];
    const byNumber = mapperOf(routes, { cachedTopics: 50 });
    const byBytes = mapperOf(routes, { cacheMaxBytes: 500_000 });
    for (let n = 0; n < 3_000; n++) {
      map(byNumber, message({ topic: `t/${n}` }));
      expect(byNumber.statistics.cachedTopics).toBeLessThanOrEqual(50);
      map(byBytes, message({ topic: `${'long/'.repeat(n % 2_000)}${n}` }));
      expect(byBytes.statistics.cachedBytes).toBeLessThanOrEqual(500_000);
    }
    expect(byNumber.statistics.cachedTopics).toBe(50);
    expect(byBytes.statistics.cachedTopics).toBeGreaterThan(0);
  });
});

describe('any message', () => {
  function randomText(random: Random): string {
    const pieces = ['a', 'Z', '0', '-', '/', 'ü', '😀', '\u07ff', '\uffff', ' ', 'long piece of text in ASCII '];
    return Array.from({ length: random.int(8) }, () => random.pick(pieces)).join('');
  }

  function randomMessage(random: Random): Message {
    const maybe = <T>(value: T): T | undefined => (random.int(3) === 0 ? value : undefined);
    const names = ['a', 'b', 'Fixed', 'fixed', 'sluice-id', 'MQTT-x', 'content-type', ''];
    const given = {
      payloadFormatIndicator: maybe(random.int(2) === 0),
      messageExpiryInterval: maybe(random.int(2 ** 31)),
      contentType: maybe(randomText(random)),
      responseTopic: maybe(randomText(random)),
      correlationData: maybe(Buffer.from(randomText(random))),
      userProperties: maybe(
        Array.from({ length: random.int(80) }, () => [random.pick(names), randomText(random)] as const),
      ),
    };
    const properties = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    return message({
      clientId: random.pick(['c1', 'c2', `r${randomText(random)}`]),
      user: random.pick(['', 'ann', 'bob']),
      topic: random.pick(['a/b', 'x/y/z', `a/${randomText(random)}`]),
      payload: Buffer.alloc(random.pick([0, 1, 63, 64, 8_191, 8_192, random.int(70_000)]), random.int(256)),
      qos: random.pick([0, 1, 2] as const),
      retain: random.int(2) === 0,
      dup: random.int(2) === 0,
      origin: random.pick([0, 1, 2, 3] as const),
      receivedAt: random.int(2 ** 31) * 1_000,
      properties: maybe(properties),
    });
  }

  /** The documented list, written down once more without any haste. */
  function expectedHeaders(of: Message, id: string, name: string, own: [string, string][]): [string, string][] {
    const p = of.properties ?? {};
    const free = (property: string): boolean =>
      !['content-type', 'fixed', 'sluice-id', 'MQTT-x', 'Fixed'].includes(property);
    const headers: [string, string | undefined][] = [
      ['mqtt-topic', of.topic],
      ['mqtt-client-id', of.clientId],
      ['mqtt-qos', `${of.qos}`],
      ['mqtt-retain', `${of.retain}`],
      ['content-type', p.contentType],
      ...(p.userProperties ?? []).map(([n, v]): [string, string] => [free(n) ? n : `mqtt-user-property-${n}`, v]),
      ['mqtt-response-topic', p.responseTopic],
      ['mqtt-correlation-data', p.correlationData?.toString()],
      ['mqtt-message-expiry-interval', p.messageExpiryInterval?.toString()],
      [
        'mqtt-payload-format-indicator',
        p.payloadFormatIndicator === undefined ? undefined : p.payloadFormatIndicator ? '1' : '0',
      ],
      ...own,
      ['sluice-id', id],
      ['sluice-route', name],
      ['mqtt-dup', of.dup ? 'true' : undefined],
      ['mqtt-will', of.origin === Origin.will ? 'true' : undefined],
    ];
    return headers.filter((each): each is [string, string] => each[1] !== undefined);
  }

  it('becomes what the documentation says, remembered or not', () => {
    const random = randomFrom();
    console.log(`mapper: SEED=${random.seed}`);
    const mapper = mapperOf(
      [
        route({ name: 'one', from: 'a/{x}', key: '{x}.{user}', headers: { Fixed: 'f-{x}', two: '{clientId}{user}' } }),
        route({ name: 'two', key: null, headers: { fixed: 'f' } }),
      ],
      { cachedTopics: 20 },
    );
    for (let offset = 1; offset <= 3_000; offset++) {
      const of = randomMessage(random);
      const { records, faults } = map(mapper, of, offset);
      expect(faults).toEqual([]);
      const levels = of.topic.split('/');
      const matchesOne = levels[0] === 'a' && levels.length === 2;
      expect(records.map(({ route: name }) => name)).toEqual(matchesOne ? ['one', 'two'] : ['two']);
      for (const { slice, route: name } of records) {
        const record = decodeRecord(slice);
        const x = levels[1] ?? '';
        const own: [string, string][] =
          name === 'one'
            ? [
                ['Fixed', `f-${x}`],
                ['two', `${of.clientId}${of.user}`],
              ]
            : [['fixed', 'f']];
        const key = name === 'one' ? `${x}.${of.user}` : undefined;
        expect(record.key?.toString(), `seed ${random.seed}, offset ${offset}`).toBe(key);
        expect(record.value?.equals(of.payload)).toBe(true);
        expect(slice.timestamp).toBe(of.receivedAt);
        expect(textHeaders(record), `seed ${random.seed}, offset ${offset}`).toEqual(
          expectedHeaders(of, `${LOG}:3:${offset}`, name, own),
        );
      }
    }
  });
});

interface LetterChoice {
  readonly maxBytes?: number;
  readonly route?: string | undefined;
  readonly reason?: string;
}

function deadLetterRecord(mapper: Mapper, of: Message, choice: LetterChoice = {}): MappedRecord {
  const out: MappedRecord[] = [];
  const letter = {
    topic: 'dead',
    route: 'route' in choice ? choice.route : 'r',
    code: 'MESSAGE_TOO_LARGE',
    reason: choice.reason ?? 'larger than the broker takes',
    attempt: 2,
    originalTopic: 'iot',
    originalPartition: 5,
    maxBytes: choice.maxBytes,
  };
  mapper.mapDeadLetter(of, 42, LOG, 3, letter, out);
  expect(out).toHaveLength(1);
  return out[0]!;
}

function deadLetter(mapper: Mapper, of: Message, choice: LetterChoice = {}): DecodedRecord {
  return decodeRecord(deadLetterRecord(mapper, of, choice).slice);
}

describe('a dead letter', () => {
  const properties: MessageProperties = {
    contentType: 'text/plain',
    userProperties: [['a', '1']],
    correlationData: Buffer.from('id'),
  };

  it('has the payload, the headers of the record, and why', () => {
    const mapper = mapperOf([route({ from: 'devices/{id}/#', key: '{id}', headers: { device: '{id}' } })]);
    const mapped = deadLetterRecord(mapper, message({ dup: true, properties }));
    expect(mapped).toMatchObject({ topic: 'dead', route: 'r', slice: { timestamp: 1_700_000_000_123 } });
    expect(mapped.letter).toEqual({
      code: 'MESSAGE_TOO_LARGE',
      reason: 'larger than the broker takes',
      route: 'r',
      topic: 'iot',
      truncated: false,
    });
    const record = decodeRecord(mapped.slice);
    expect(record.key?.toString()).toBe('c1');
    expect(record.value?.toString()).toBe('21.5');
    expect(textHeaders(record)).toEqual([
      ['mqtt-topic', 'devices/d7/telemetry'],
      ['mqtt-client-id', 'c1'],
      ['mqtt-qos', '1'],
      ['mqtt-retain', 'false'],
      ['content-type', 'text/plain'],
      ['a', '1'],
      ['mqtt-correlation-data', 'id'],
      ['device', 'd7'],
      ['sluice-id', `${LOG}:3:42`],
      ['sluice-route', 'r'],
      ['mqtt-dup', 'true'],
      ['sluice-properties', '3'],
      ['sluice-error-code', 'MESSAGE_TOO_LARGE'],
      ['sluice-error-reason', 'larger than the broker takes'],
      ['sluice-error-route', 'r'],
      ['sluice-original-topic', 'iot'],
      ['sluice-original-partition', '5'],
      ['sluice-error-attempt', '2'],
    ]);
  });

  it('is placed by the client id, as its other records are by default', () => {
    const mapper = mapperOf([route({ key: '{topic}' })]);
    expect(deadLetterRecord(mapper, message({ clientId: 'abc' })).keyHash).toBe(479470107);
  });

  it('is made although the route has gone', () => {
    const mapper = mapperOf([route({ from: 'x', headers: { device: 'd' } })]);
    const record = deadLetter(
      mapper,
      message({
        properties: {
          userProperties: [
            ['device', 'mine'],
            ['sluice-id', 'x'],
          ],
        },
      }),
    );
    expect(header(record, 'sluice-error-route')).toEqual(['r']);
    expect(header(record, 'sluice-route')).toEqual([]);
    expect(header(record, 'device')).toEqual(['mine']);
    expect(header(record, 'sluice-id')).toEqual([`${LOG}:3:42`]);
    const none = deadLetter(mapper, message(), { route: undefined });
    expect(header(none, 'sluice-error-route')).toEqual([]);
  });

  it('bounds the reason at a whole character', () => {
    const mapper = mapperOf([route()]);
    for (const [reason, kept] of [
      ['x'.repeat(1_024), 'x'.repeat(1_024)],
      ['x'.repeat(5_000), 'x'.repeat(1_024)],
      [`x${'😀'.repeat(1_000)}`, `x${'😀'.repeat(255)}`],
      ['ü'.repeat(600), 'ü'.repeat(512)],
      ['short ü', 'short ü'],
    ] as const) {
      expect(header(deadLetter(mapper, message(), { reason }), 'sluice-error-reason')).toEqual([kept]);
    }
  });

  it('is not changed by a bound that it keeps', () => {
    const mapper = mapperOf([route()]);
    const of = message({ properties });
    expect(deadLetter(mapper, of, { maxBytes: 16_384 })).toEqual(deadLetter(mapper, of));
  });

  it('is cut to its bound: first the payload, whose length it still tells', () => {
    const mapper = mapperOf([route()]);
    const payload = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251));
    const mapped = deadLetterRecord(mapper, message({ payload, properties }), { maxBytes: 16_384 });
    expect(mapped.letter?.truncated).toBe(true);
    const size = mapped.slice.end - mapped.slice.start;
    expect(size).toBeLessThanOrEqual(16_384);
    expect(size).toBeGreaterThan(16_200);
    const record = decodeRecord(mapped.slice);
    expect(record.value?.equals(payload.subarray(0, record.value.length))).toBe(true);
    expect(header(record, 'sluice-payload-truncated')).toEqual(['100000']);
    expect(header(record, 'sluice-headers-dropped')).toEqual([]);
    expect(header(record, 'a')).toEqual(['1']);
  });

  it.each<[string, Partial<Message>, Partial<RouteDefinition>]>([
    [
      'user properties',
      { properties: { userProperties: Array.from({ length: 9_000 }, () => ['n', 'v'.repeat(20)]) } },
      {},
    ],
    ['one user property', { properties: { userProperties: [['x'.repeat(65_535), 'v'.repeat(65_535)]] } }, {}],
    ['topic', { topic: 'ü'.repeat(32_767) }, {}],
    ['client id', { clientId: 'ü'.repeat(32_767) }, {}],
    ['correlation data', { properties: { correlationData: Buffer.alloc(65_535) } }, {}],
    ['content type', { properties: { contentType: 'x'.repeat(65_535) } }, {}],
    ['response topic', { properties: { responseTopic: 'x'.repeat(65_535) } }, {}],
    ['header of the route', { topic: 'x'.repeat(60_000) }, { headers: { h: '{topic}{topic}{topic}' } }],
  ])('is cut to its bound, whatever made it too large: %s', (_what, more, routeMore) => {
    const mapper = mapperOf([route(routeMore)]);
    for (const maxBytes of [8_192, 20_000, 60_000]) {
      const mapped = deadLetterRecord(mapper, message(more), { maxBytes, reason: 'ü'.repeat(10_000) });
      expect(mapped.slice.end - mapped.slice.start).toBeLessThanOrEqual(maxBytes);
      const record = decodeRecord(mapped.slice);
      expect(record.value?.toString()).toBe('21.5');
      expect(Number(header(record, 'sluice-headers-dropped')[0])).toBeGreaterThan(0);
      for (const name of [
        'mqtt-qos',
        'sluice-id',
        'sluice-route',
        'sluice-error-code',
        'sluice-error-reason',
        'sluice-original-topic',
      ]) {
        expect(header(record, name)).toHaveLength(1);
      }
    }
  });

  it('keeps to its bound for random messages and bounds', () => {
    const random = randomFrom();
    console.log(`dead letters: SEED=${random.seed}`);
    const mapper = mapperOf([route({ headers: { h: '{topic}' } })]);
    for (let round = 0; round < 500; round++) {
      const long = (): string => random.pick(['x', 'ü', '😀']).repeat(random.int(random.pick([10, 100, 15_000])));
      const of = message({
        clientId: long(),
        topic: long(),
        payload: Buffer.alloc(random.int(50_000)),
        properties: {
          contentType: long(),
          userProperties: [
            [long(), long()],
            [long(), long()],
          ],
        },
      });
      const maxBytes = 8_192 + random.int(100_000);
      const mapped = deadLetterRecord(mapper, of, { maxBytes, reason: long() });
      const record = decodeRecord(mapped.slice);
      expect(mapped.slice.end - mapped.slice.start, `seed ${random.seed}`).toBeLessThanOrEqual(maxBytes);
      const dropped = Number(header(record, 'sluice-headers-dropped')[0] ?? 0);
      const cut = header(record, 'sluice-payload-truncated');
      expect(cut).toEqual(record.value?.length === of.payload.length ? [] : [String(of.payload.length)]);
      const whole = deadLetter(mapper, of, { reason: 'x' });
      expect(record.headers.length - (dropped > 0 ? 1 : 0) - cut.length).toBe(whole.headers.length - dropped);
    }
  });
});
