import { deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { make, message, type Given, type RouteText } from './support.ts';

const json = (route: RouteText, payload: string | Buffer, given?: Given): unknown =>
  JSON.parse(make(route, message(payload), given).records[0]?.value ?? 'null');

const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

describe('value: json', () => {
  it('passes the payload on byte for byte once it is known to be JSON', () => {
    const text = ' {"a": 1.0, "big": 12345678901234567890, "__proto__": {"x": 1}} ';
    expect(make({ value: 'json' }, message(text)).records).toMatchObject([{ value: text }]);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  it.each([
    ['', /is empty/],
    ['{', /not JSON/],
    ['{"a":1}x', /not JSON/],
    ['NaN', /not JSON/],
    [Buffer.from([0x22, 0xff, 0x22]), /not UTF-8/],
    [deep(129), /deeper than 128/],
    ['['.repeat(100_000), /deeper than 128/],
  ])('refuses what is none: %#', (payload, reason) => {
    expect(make({ value: 'json' }, message(payload)).without).toEqual([
      { code: 'PAYLOAD_INVALID', reason: expect.stringMatching(reason) as string, route: 'r0' },
    ]);
  });

  it('takes 100 levels, and brackets in texts are none', () => {
    for (const payload of [deep(100), deep(128), JSON.stringify('[{'.repeat(500)), '"\\"[[["']) {
      expect(make({ value: 'json' }, message(payload)).records).toMatchObject([{ value: payload }]);
    }
  });
});

describe('value: envelope', () => {
  it('tells of the message, with the payload as JSON, text or base64, as it can be', () => {
    const around = {
      topic: 'devices/d7/telemetry',
      clientId: 'c1',
      time: '2023-11-14T22:13:20.123Z',
      qos: 1,
      retain: false,
    };
    const route = { value: 'envelope' } as const;
    expect(json(route, '{"t":1}')).toEqual({ ...around, encoding: 'json', payload: { t: 1 } });
    expect(json(route, 'on')).toEqual({ ...around, encoding: 'string', payload: 'on' });
    expect(json(route, Buffer.from([0xff, 0]))).toEqual({ ...around, encoding: 'base64', payload: '/wA=' });
    expect(json(route, '')).toEqual({ ...around, encoding: 'string', payload: '' });
  });

  it('keeps the digits of numbers', () => {
    const { records } = make({ value: 'envelope' }, message('{"n":1.0,"m":12345678901234567890}'));
    expect(records[0]?.value).toMatch(/"payload":\{"n":1\.0,"m":12345678901234567890\}\}$/);
  });

  it('has user, content type and user properties where there are some', () => {
    const properties = { contentType: 'a/b', userProperties: [['k', 'v'] as const, ['k', 'w'] as const] };
    const { records } = make({ value: 'envelope' }, message('x', { user: 'ann', properties }));
    expect(JSON.parse(records[0]?.value ?? '')).toMatchObject({
      user: 'ann',
      contentType: 'a/b',
      userProperties: [
        ['k', 'v'],
        ['k', 'w'],
      ],
    });
  });

  it('has the payload in the one form that is asked for', () => {
    const as = (payload: 'json' | 'string' | 'base64', of: string | Buffer) =>
      make({ value: 'envelope', envelope: { payload } }, message(of));
    expect(JSON.parse(as('string', '{"t":1}').records[0]?.value ?? '')).toMatchObject({ payload: '{"t":1}' });
    expect(JSON.parse(as('base64', 'hi').records[0]?.value ?? '')).toMatchObject({ payload: 'aGk=' });
    expect(as('json', 'hi').without).toMatchObject([{ code: 'PAYLOAD_INVALID' }]);
    expect(as('string', Buffer.from([0xff])).without).toMatchObject([{ code: 'PAYLOAD_INVALID' }]);
  });
});

describe('value: cloudevents', () => {
  const attributes = {
    specversion: '1.0',
    id: 'log:3:42',
    source: '/clients/c1',
    type: 'mqtt.publish',
    subject: 'devices/d7/telemetry',
    time: '2023-11-14T22:13:20.123Z',
  };

  it('is the payload with ce_ headers in binary mode', () => {
    const { records } = make({ value: 'cloudevents' }, message('{"t":1}'));
    expect(records[0]?.value).toBe('{"t":1}');
    expect(records[0]?.headers).toEqual({
      ...Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`ce_${name}`, value])),
      'content-type': 'application/json',
    });
  });

  it('is one JSON object in structured mode, data in base64 where it is not JSON', () => {
    const route = { value: 'cloudevents', cloudEvents: { mode: 'structured' } } as const;
    expect(json(route, '{"t":1}')).toEqual({ ...attributes, datacontenttype: 'application/json', data: { t: 1 } });
    expect(json(route, 'hot')).toEqual({
      ...attributes,
      datacontenttype: 'application/octet-stream',
      data_base64: 'aG90',
    });
    expect(make(route, message('1')).records[0]?.headers).toEqual({
      'content-type': 'application/cloudevents+json; charset=UTF-8',
    });
  });

  it('has the attributes that the route makes, the source as a URI reference', () => {
    const route: RouteText = {
      value: 'cloudevents',
      cloudEvents: {
        source: 'mqtt://{id}/{clientId}',
        type: 'com.acme.{payload.kind:-unknown}',
        subject: '{payload.s}',
      },
    };
    const { records } = make(route, message('{"kind":"temp"}', { clientId: 'ü x' }));
    expect(records[0]?.headers).toMatchObject({
      ce_source: 'mqtt://d7/%C3%BC%20x',
      ce_type: 'com.acme.temp',
      // What the message has nothing for is the default.
      ce_subject: 'devices/d7/telemetry',
    });
  });

  it('does not take attributes or a content type from user properties of the device', () => {
    const properties = {
      contentType: 'text/plain',
      userProperties: [['ce_id', 'forged'] as const, ['CE_Source', 'forged'] as const, ['ce_mine', 'ok'] as const],
    };
    const { records } = make({ value: 'cloudevents' }, message('x', { properties }));
    expect(records[0]?.headers).toMatchObject({
      ce_id: 'log:3:42',
      ce_source: '/clients/c1',
      'mqtt-user-property-ce_id': 'forged',
      'mqtt-user-property-CE_Source': 'forged',
      ce_mine: 'ok',
      'content-type': 'text/plain',
      'mqtt-content-type': 'text/plain',
    });
  });
});

describe('decompress', () => {
  it('unpacks before everything else', () => {
    const route: RouteText = { decompress: 'gzip', key: '{payload.id}', when: 'payload.t > 1.0' };
    const { records } = make(route, message(gzipSync('{"id":"a","t":2}')));
    expect(records).toMatchObject([{ key: 'a', value: '{"id":"a","t":2}' }]);
    expect(make({ decompress: 'zlib' }, message(deflateSync('hi'))).records).toMatchObject([{ value: 'hi' }]);
  });

  it('refuses what is not compressed, is cut, or would be too large', () => {
    const packed = gzipSync('hello');
    for (const payload of [Buffer.from('plain'), packed.subarray(0, -4), Buffer.alloc(0)]) {
      expect(make({ decompress: 'gzip' }, message(payload)).without).toMatchObject([
        { code: 'PAYLOAD_INVALID', reason: expect.stringContaining('does not decompress as gzip') as string },
      ]);
    }
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    expect(bomb.length).toBeLessThan(100_000);
    expect(make({ decompress: 'gzip' }, message(bomb)).without).toMatchObject([
      { code: 'PAYLOAD_INVALID', reason: expect.stringContaining('more than 4194304 bytes') as string },
    ]);
    expect(make({ decompress: 'gzip', decompressMaxBytes: 4 }, message(packed)).without).toHaveLength(1);
  });
});

describe('fields', () => {
  const payload = '{"t":21.5,"unit":"C","debug":{"x":1},"n":1,"__proto__":{"p":1}}';
  const fields = (definition: NonNullable<RouteText['fields']>, given?: Given): unknown =>
    json({ value: 'json', fields: definition }, payload, given);

  it('are kept, dropped, renamed and added, each as it is', () => {
    expect(fields({ keep: ['t', 'unit'] })).toEqual({ t: 21.5, unit: 'C' });
    expect(Object.keys(fields({ drop: ['debug', 'unit'] }) as object)).toEqual(['t', 'n', '__proto__']);
    expect(fields({ keep: ['t'], rename: { t: 'temperature' } })).toEqual({ temperature: 21.5 });
    expect(
      fields({
        keep: ['t'],
        add: {
          device: '{id}',
          from: '{clientId}@{topic[2]}',
          whole: '{payload.debug}',
          number: '{payload.n}',
          text: 'n={payload.n}',
          constant: 5,
          yes: true,
          nothing: null,
          missing: '{payload.none}',
          kept: '{payload.none:-x}',
        },
      }),
    ).toEqual({
      t: 21.5,
      device: 'd7',
      from: 'c1@telemetry',
      whole: { x: 1 },
      number: 1,
      text: 'n=1',
      constant: 5,
      yes: true,
      nothing: null,
      kept: 'x',
    });
  });

  it('do not let a payload reach what every object has', () => {
    const value = make({ value: 'json', fields: { add: { a: 1 } } }, message('{"__proto__":{"polluted":1}}'));
    expect(value.records[0]?.value).toBe('{"__proto__":{"polluted":1},"a":1}');
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    const kind = make({ value: 'json', fields: { add: { a: 1 } } }, message('{"kind":"fault","code":"X"}'));
    expect(kind.records[0]?.value).toBe('{"kind":"fault","code":"X","a":1}');
  });

  it('are looked up in a file', () => {
    const files = { 'sites.json': '{"d7":{"site":"north","floor":2},"__proto__":{"site":"odd"}}' };
    expect(fields({ keep: ['t'], lookup: [{ file: 'sites.json', key: '{id}' }] }, { files })).toEqual({
      t: 21.5,
      site: 'north',
      floor: 2,
    });
    expect(fields({ keep: ['t'], lookup: [{ file: 'sites.json', key: '{id}', into: 'where' }] }, { files })).toEqual({
      t: 21.5,
      where: { site: 'north', floor: 2 },
    });
    expect(fields({ keep: ['t'], lookup: [{ file: 'sites.json', key: 'toString' }] }, { files })).toEqual({ t: 21.5 });
  });

  it('need an object', () => {
    for (const odd of ['[1]', '5', 'null', '"x"']) {
      expect(make({ value: 'json', fields: { drop: ['a'] } }, message(odd)).without).toMatchObject([
        { code: 'PAYLOAD_INVALID', reason: expect.stringContaining('not a JSON object') as string },
      ]);
    }
  });

  it('work in an envelope and in an event, too', () => {
    expect(json({ value: 'envelope', fields: { keep: ['t'] } }, payload)).toMatchObject({ payload: { t: 21.5 } });
    const event = { value: 'cloudevents', cloudEvents: { mode: 'structured' }, fields: { keep: ['t'] } } as const;
    expect(json(event, payload)).toMatchObject({ data: { t: 21.5 } });
  });
});

describe('split', () => {
  it('makes a record per element, with its place and its own key, topic and time', () => {
    const route: RouteText = {
      split: 'readings',
      to: 'iot.{payload.k}',
      key: '{payload.id}',
      timestamp: '{payload.ts}',
      headers: { k: '{payload.k}' },
    };
    const { records, without } = make(
      route,
      message('{"readings":[{"k":"a","id":1,"ts":10},{"k":"b","id":2,"ts":20}],"x":1}'),
    );
    expect(without).toEqual([]);
    expect(records).toMatchObject([
      {
        topic: 'iot.a',
        key: '1',
        time: 10,
        value: '{"k":"a","id":1,"ts":10}',
        headers: { 'sluice-index': '0', k: 'a' },
      },
      {
        topic: 'iot.b',
        key: '2',
        time: 20,
        value: '{"k":"b","id":2,"ts":20}',
        headers: { 'sluice-index': '1', k: 'b' },
      },
    ]);
  });

  it('gives each event an id of its own', () => {
    const { records } = make({ split: true, value: 'cloudevents' }, message('[1,2]'));
    expect(records.map(({ headers }) => headers['ce_id'])).toEqual(['log:3:42:0', 'log:3:42:1']);
  });

  it('delivers the sound elements, and tells of the first that is not', () => {
    const { records, without } = make({ split: true, key: '{payload.id}' }, message('[{"id":1},{},{"id":3},5]'));
    expect(records.map(({ key, headers }) => [key, headers['sluice-index']])).toEqual([
      ['1', '0'],
      ['3', '2'],
    ]);
    expect(without).toEqual([
      { code: 'ROUTE_VALUE_MISSING', reason: expect.stringMatching(/^element 1: /) as string, route: 'r0' },
    ]);
  });

  it('has a rule for an empty list, and a fault for what is none or too long', () => {
    expect(make({ split: true }, message('[]')).without).toEqual([{ rule: 'empty', route: 'r0' }]);
    expect(make({ split: true }, message('{}')).without).toMatchObject([{ code: 'PAYLOAD_INVALID' }]);
    expect(make({ split: 'a.b' }, message('{"a":1}')).without).toMatchObject([{ code: 'PAYLOAD_INVALID' }]);
    expect(make({ split: true }, message(`[${'1,'.repeat(10_000)}1]`)).without).toMatchObject([
      { reason: 'the list has 10001 elements, more than 10000' },
    ]);
    expect(make({ split: true }, message(`[${'1,'.repeat(9_999)}1]`)).records).toHaveLength(10_000);
  });
});

describe('schema', () => {
  const schema = JSON.stringify({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: { t: { $ref: '#/$defs/temperature' }, id: { type: 'string', pattern: '^(a+)+$' } },
    required: ['t'],
    $defs: { temperature: { type: 'number', minimum: -50 } },
  });
  const given = { files: { s: schema } };

  it('lets through what is valid, byte for byte, and says of the rest what is wrong', () => {
    expect(make({ schema: 's' }, message(' {"t": 1.0}'), given).records).toMatchObject([{ value: ' {"t": 1.0}' }]);
    for (const [payload, reason] of [
      ['{"t":"hot"}', 'payload/t must be number'],
      ['{"t":-51}', 'payload/t must be >= -50'],
      ['{}', "payload must have required property 't'"],
      ['[]', 'payload must be object'],
    ] as const) {
      expect(make({ schema: 's' }, message(payload), given).without).toEqual([
        { code: 'SCHEMA_INVALID', reason, route: 'r0' },
      ]);
    }
    expect(make({ schema: 's' }, message('{'), given).without).toMatchObject([{ code: 'PAYLOAD_INVALID' }]);
  });

  it('is not slowed down by a pattern that backtracks elsewhere', () => {
    const started = performance.now();
    const { without } = make({ schema: 's' }, message(JSON.stringify({ t: 1, id: `${'a'.repeat(50_000)}!` })), given);
    expect(without).toMatchObject([{ code: 'SCHEMA_INVALID' }]);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it('tells patterns apart', () => {
    const two = { files: { s: '{"properties":{"a":{"pattern":"^a$"},"b":{"pattern":"^b$"}}}' } };
    const { without, records } = make({ schema: 's' }, message('{"a":"a","b":"b"}'), two);
    expect([without.length, records.length]).toEqual([0, 1]);
    expect(make({ schema: 's' }, message('{"a":"b","b":"b"}'), two).without).toMatchObject([
      { reason: 'payload/a must match pattern "^a$"' },
    ]);
  });

  it('looks at the payload before it is split, and after it is unpacked', () => {
    const list = { files: { s: '{"type":"array","items":{"type":"number"}}' } };
    expect(
      make({ schema: 's', split: true, decompress: 'gzip' }, message(gzipSync('[1,2]')), list).records,
    ).toHaveLength(2);
    expect(make({ schema: 's', split: true }, message('[1,"x"]'), list).without).toMatchObject([
      { reason: 'payload/1 must be number' },
    ]);
  });
});

describe('what a route says of payloads', () => {
  it.each([
    [{ schema: 'none' }, ['schema'], /cannot be read: there is no such file/],
    [{ schema: 'bad' }, ['schema'], /is not JSON/],
    [{ schema: 'remote' }, ['schema'], /can't resolve reference http/],
    [{ schema: 'unknown' }, ['schema'], /unknown keyword/],
    [{ schema: 'regex' }, ['schema'], /not a JSON Schema that can be used/],
    [{ schema: 'unique' }, ['schema'], /uniqueItems/],
    [{ schema: 'list' }, ['schema'], /an object is expected/],
    [{ split: 'a..b' }, ['split'], /no path/],
    [{ fields: { drop: ['x'] } }, ['fields'], /needs a value that is JSON/],
    [{ value: 'json', fields: { add: { x: '{none}' } } }, ['fields', 'add', 'x'], /unknown name/],
    [
      { value: 'json', fields: { lookup: [{ file: 'none', key: 'x' }] } },
      ['fields', 'lookup', 0, 'file'],
      /no such file/,
    ],
    [
      { value: 'json', fields: { lookup: [{ file: 'list', key: 'x' }] } },
      ['fields', 'lookup', 0, 'file'],
      /no JSON object/,
    ],
    [{ value: 'json', fields: { lookup: [{ file: 'flat', key: 'x' }] } }, ['fields', 'lookup', 0, 'file'], /no object/],
    [{ value: 'json', fields: { lookup: [{ file: 'flat', key: '{' }] } }, ['fields', 'lookup', 0, 'key'], /not closed/],
    [{ value: 'cloudevents', cloudEvents: { type: '{none}' } }, ['cloudEvents', 'type'], /unknown name/],
  ] as const)('is checked when it is loaded: %#', (route, path, reason) => {
    const files = {
      bad: '{',
      remote: '{"$ref":"https://example.com/s.json"}',
      unknown: '{"typ":"object"}',
      regex: '{"type":"string","pattern":"(?=a)"}',
      unique: '{"type":"array","uniqueItems":true}',
      list: '[1]',
      flat: '{"a":1}',
    };
    expect(() => make(route as RouteText, message('x'), { files })).toThrowError(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        problems: [expect.objectContaining({ path: [0, ...path], message: expect.stringMatching(reason) as string })],
      }) as Error,
    );
  });
});
