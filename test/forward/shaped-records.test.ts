import { describe, expect, it } from 'vitest';
import { keyHash } from '../../src/kafka/partitioner.ts';
import { map, mapperOf, make, message } from '../payload/support.ts';

describe('a route that looks into messages', () => {
  it('makes topic, key and headers of payload, user properties, content type and time', () => {
    const { records, without } = make(
      {
        to: 'iot.{payload.kind}.{time.year}',
        key: '{userProperty.tenant}/{payload.id}',
        headers: { type: '{contentType}', unit: '{payload.unit}', none: '{payload.none}' },
      },
      message('{"kind":"temp","id":7,"unit":"°C"}', {
        properties: { contentType: 'application/json', userProperties: [['tenant', 'acme']] },
      }),
    );
    expect(without).toEqual([]);
    expect(records).toMatchObject([
      { topic: 'iot.temp.2023', key: 'acme/7', value: '{"kind":"temp","id":7,"unit":"°C"}' },
    ]);
    expect(records[0]?.headers).toEqual({
      'content-type': 'application/json',
      tenant: 'acme',
      type: 'application/json',
      unit: '°C',
    });
  });

  it.each([
    [{ key: '{payload.id}' }, '{"x":1}', 'ROUTE_VALUE_MISSING', /no \{payload\.id\}, which key needs/],
    [{ to: 'iot.{payload.id}' }, '{"id":null}', 'ROUTE_VALUE_MISSING', /which to needs/],
    [{ to: 'iot.{payload.id}' }, '{"id":"a b"}', 'ROUTE_TOPIC_ILLEGAL', /it holds ' '/],
    [{ to: 'iot.{payload.id}' }, '{"id":{"a":1}}', 'ROUTE_TOPIC_ILLEGAL', /it holds '\{'/],
    [{ to: '{payload.id}' }, '{"id":"__consumer_offsets"}', 'ROUTE_TOPIC_ILLEGAL', /begins with __/],
    [{ to: '{payload.id}', topics: { allow: ['^a$'] } }, '{"id":"b"}', 'ROUTE_TOPIC_REFUSED', /topics\.allow/],
    [{ key: '{payload.id}' }, `{"id":"${'x'.repeat(1_000_000)}"}`, 'ROUTE_VALUE_INVALID', /more than 65535 bytes/],
    [{ key: '{payload.id}' }, 'not JSON', 'PAYLOAD_INVALID', /not JSON/],
    [{ key: '{payload.id}' }, '', 'PAYLOAD_INVALID', /is empty/],
    [{ timestamp: '{payload.ts}' }, '{"ts":"soon"}', 'ROUTE_VALUE_INVALID', /'soon' is no time in ms/],
    [{ timestamp: '{payload.ts}' }, '{"ts":-5}', 'ROUTE_VALUE_INVALID', /no time/],
    [{ partition: '{payload.p}' }, '{"p":-1}', 'ROUTE_VALUE_INVALID', /no partition number/],
    [{ partition: '{payload.p}' }, '{"p":1.5}', 'ROUTE_VALUE_INVALID', /no partition number/],
    [{ when: 'payload.t > 1.0' }, '{"t":"hot"}', 'CONDITION_FAILED', /when: /],
    [{ when: 'payload.t > 1.0' }, '{}', 'CONDITION_FAILED', /No such key: t/],
  ] as const)('cannot use this message, and says why: %#', (route, payload, code, reason) => {
    const { records, without } = make(route, message(payload));
    expect(records).toEqual([]);
    expect(without).toEqual([{ code, reason: expect.stringMatching(reason) as string, route: 'r0' }]);
  });

  it('drops what it cannot use where that is said, but not for a topic that is not legal', () => {
    const drop = { onInvalid: 'drop' } as const;
    expect(make({ ...drop, key: '{payload.id}' }, message('x')).without).toEqual([{ rule: 'invalid', route: 'r0' }]);
    expect(make({ ...drop, key: '{payload.id}' }, message('{}')).without).toEqual([{ rule: 'invalid', route: 'r0' }]);
    expect(make({ ...drop, when: 'payload.t > 1.0' }, message('{}')).without).toEqual([
      { rule: 'invalid', route: 'r0' },
    ]);
    expect(make({ ...drop, to: '{payload.t}' }, message('{"t":"a b"}')).without).toMatchObject([
      { code: 'ROUTE_TOPIC_ILLEGAL' },
    ]);
  });

  it('takes CR, LF, NUL and every other character into a header as they are', () => {
    const text = 'a\r\nb\0c\u007f😀';
    const { records } = make({ headers: { h: '{payload.h}' } }, message(JSON.stringify({ h: text })));
    expect(records[0]?.headers).toEqual({ h: text });
  });

  it('leaves out headers of a payload that is not JSON, where nothing else needs it', () => {
    const { records, without } = make({ headers: { h: '{payload.h}', i: 'x{payload.h:-none}' } }, message('\xff'));
    expect(without).toEqual([]);
    expect(records[0]?.headers).toEqual({ i: 'xnone' });
  });

  it('goes to the partition that it names, by number', () => {
    expect(make({ partition: 3 }, message('x')).records).toMatchObject([{ keyHash: 3, key: 'c1' }]);
    expect(make({ partition: '{topic[1]}' }, message('x', { topic: 'devices/12/t' })).records[0]?.keyHash).toBe(12);
    expect(make({ key: '{payload.k}' }, message('{"k":"abc"}')).records[0]?.keyHash).toBe(keyHash(Buffer.from('abc')));
    expect(make({ key: null, when: 'true' }, message('x')).records).toMatchObject([{ keyHash: -1, key: undefined }]);
  });

  it('has the time that the message brings', () => {
    const properties = { userProperties: [['ts', '2024-01-01T00:00:00Z'] as const] };
    expect(make({ timestamp: '{payload.ts}' }, message('{"ts":1700000000555}')).records[0]?.time).toBe(
      1_700_000_000_555,
    );
    expect(
      make({ timestamp: '{userProperty.ts}', timestampUnit: 'iso' }, message('x', { properties })).records[0]?.time,
    ).toBe(Date.UTC(2024, 0, 1));
    expect(make({ when: 'true' }, message('x')).records[0]?.time).toBe(1_700_000_000_123);
  });
});

describe('which messages a route takes', () => {
  it.each([
    [{ qos: [0, 2] }, {}, 'filtered'],
    [{ qos: [1] }, {}, undefined],
    [{ onlyRetained: true }, {}, 'filtered'],
    [{ onlyRetained: true }, { retain: true }, undefined],
    [{ when: 'payload.t > 20.0' }, {}, undefined],
    [{ when: 'payload.t > 22.0' }, {}, 'filtered'],
    [{ when: 'id == "d7"' }, {}, undefined],
    [{ sample: 0 }, {}, 'sampled'],
    [{ expireMs: 500 }, {}, 'expired'],
    [{ expireMs: 5_000 }, {}, undefined],
    [{ honorMessageExpiry: true }, {}, undefined],
    [{ honorMessageExpiry: true }, { properties: { messageExpiryInterval: 0 } }, 'expired'],
    [{ honorMessageExpiry: true }, { properties: { messageExpiryInterval: 1 } }, undefined],
    [{ when: 'true' }, { properties: { messageExpiryInterval: 0 } }, undefined],
  ] as const)('%j of %j: %s', (route, more, rule) => {
    const { records, without } = make(route, message('{"t":21.5}', more));
    expect(without).toEqual(rule === undefined ? [] : [{ rule, route: 'r0' }]);
    expect(records).toHaveLength(rule === undefined ? 1 : 0);
  });

  it('is a part of them where it samples: the same ones in every repeat, whatever process maps them', () => {
    const taken = (seed: number): number[] => {
      const mapper = mapperOf([{ sample: 0.1 }]);
      return Array.from({ length: 20_000 }, (_, at) => at + seed).filter(
        (offset) => map(mapper, message('x'), offset).records.length > 0,
      );
    };
    const first = taken(0);
    expect(first.length).toBeGreaterThan(1_700);
    expect(first.length).toBeLessThan(2_300);
    expect(taken(0)).toEqual(first);
  });
});

describe('stop', () => {
  const routes = [
    { name: 'hot', to: 'hot', when: 'payload.t > 30.0', stop: true },
    { name: 'all', to: 'all' },
    { name: 'first', to: 'first', priority: 1, from: 'devices/+/alarm', stop: true },
  ];
  const topics = (of: Parameters<typeof make>[1]): string[] => make(routes, of).records.map(({ topic }) => topic);

  it('ends the routes behind one that applies, and only there', () => {
    expect(topics(message('{"t":31}'))).toEqual(['hot']);
    expect(topics(message('{"t":3}'))).toEqual(['all']);
    expect(topics(message('x', { topic: 'devices/d/alarm' }))).toEqual(['first']);
  });

  it('ends them, too, where the route took the message and cannot use it', () => {
    const { records, without } = make(routes, message('{"t":"?"}'));
    expect(records).toEqual([]);
    expect(without).toMatchObject([{ code: 'CONDITION_FAILED', route: 'hot' }]);
  });
});
