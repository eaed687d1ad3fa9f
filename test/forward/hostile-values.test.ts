/** What devices may put into topics, payloads and properties: a clear outcome for each, and the bytes as they were. */
import { describe, expect, it } from 'vitest';
import { make, message } from '../payload/support.ts';

const nested = (levels: number): string => '{"a":'.repeat(levels) + '1' + '}'.repeat(levels);

describe('hostile values', () => {
  it.each(['a b', 'a\u0001b', 'ä', 'a\r\nb', '..', 'x'.repeat(250), '__consumer_offsets', 'a{b}'])(
    'a level that makes no Kafka topic is a dead letter: %j',
    (level) => {
      const { records, without } = make(
        { from: 'd/{device}', to: '{device}', onInvalid: 'drop' },
        { ...message('x'), topic: `d/${level}` },
      );
      expect(records).toEqual([]);
      expect(without).toMatchObject([{ code: 'ROUTE_TOPIC_ILLEGAL' }]);
    },
  );

  it('headers hold CR, LF, NUL and any character as they are: Kafka counts their bytes, nothing ends them', () => {
    const text = 'a\r\nsluice-id: forged\u0000b\u2028';
    const { records } = make(
      { headers: { unit: '{payload.unit}', tenant: '{userProperty.t}' } },
      message(JSON.stringify({ unit: text }), { properties: { userProperties: [['t', text]] } }),
    );
    expect(records[0]?.headers).toMatchObject({ unit: text, tenant: text });
    expect(Object.keys(records[0]?.headers ?? {})).toHaveLength(3);
  });

  it('a user property cannot take the place of what sluice writes', () => {
    const forged: [string, string][] = [
      ['sluice-id', 'forged'],
      ['sluice-route', 'forged'],
      ['mqtt-topic', 'forged'],
    ];
    const { records } = make({}, message('x', { properties: { userProperties: forged } }));
    const names = Object.entries(records[0]?.headers ?? {}).flatMap(([name, value]) =>
      value === 'forged' ? [name] : [],
    );
    expect(names).toEqual([
      'mqtt-user-property-sluice-id',
      'mqtt-user-property-sluice-route',
      'mqtt-user-property-mqtt-topic',
    ]);
  });

  it.each(['json', 'envelope', 'cloudevents', 'raw'] as const)(
    'JSON of 100 levels passes as %s, byte for byte; of 100,000 it is no JSON to look into',
    (value) => {
      const payload = nested(100);
      const { records } = make({ value }, message(payload));
      expect(records[0]?.value).toContain(payload);
      const deep = make({ value: 'json' }, message(nested(100_000)));
      expect(deep.without).toMatchObject([
        { code: 'PAYLOAD_INVALID', reason: expect.stringMatching(/deeper/) as string },
      ]);
    },
  );

  it('`__proto__` is a field like any other, wherever it goes', () => {
    const payload = '{"__proto__":{"admin":true},"constructor":{"prototype":{"x":1}},"t":1}';
    for (const route of [
      { value: 'json' as const },
      { value: 'json' as const, fields: { drop: ['none'] } },
      { value: 'json' as const, fields: { rename: { t: '__proto__' } } },
      { value: 'envelope' as const, when: 'payload.t == 1' },
    ]) {
      const { records } = make(route, message(payload));
      expect(records).toHaveLength(1);
      expect(records[0]?.value).toContain('__proto__');
    }
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  it('a key of 1 MB is refused by the route, and counted as invalid where that is said', () => {
    const payload = JSON.stringify({ id: 'k'.repeat(2 ** 20) });
    expect(make({ key: '{payload.id}' }, message(payload)).without).toMatchObject([{ code: 'ROUTE_VALUE_INVALID' }]);
    const dropped = make({ key: '{payload.id}', onInvalid: 'drop' }, message(payload));
    expect(dropped.without).toEqual([{ rule: 'invalid', route: 'r0' }]);
  });
});
