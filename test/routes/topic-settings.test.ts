import { describe, expect, it } from 'vitest';
import { compileRoutes } from '../../src/routes/index.ts';
import { timeOf, type TimestampUnit } from '../../src/routes/timestamp.ts';
import { topicSettings, topicSettingsProblems } from '../../src/routes/topic-settings.ts';

describe('Kafka topics made of data', () => {
  const router = (topics: { allow?: string[]; max?: number }) =>
    compileRoutes([{ name: 'r', from: '{x}', to: 'iot.{x}', topics }]);
  const made = (of: ReturnType<typeof router>, x: string): unknown => of.match(x)[0]?.kafkaTopic;

  it('have to be allowed, where the route says what is', () => {
    const some = router({ allow: ['^iot\\.a', 'z$'] });
    expect([made(some, 'a1'), made(some, 'xyz')]).toEqual(['iot.a1', 'iot.xyz']);
    expect(made(some, 'b')).toMatchObject({
      code: 'ROUTE_TOPIC_REFUSED',
      fault: expect.stringMatching(/'iot\.b'.*topics\.allow of the route does not allow it/) as string,
    });
  });

  it('are bounded in number; those that were made go on', () => {
    const three = router({ max: 3 });
    const first = ['a', 'b', 'c'].map((x) => made(three, x));
    expect(first).toEqual(['iot.a', 'iot.b', 'iot.c']);
    for (let n = 0; n < 20_000; n++) {
      expect(made(three, `d${n}`)).toMatchObject({ code: 'ROUTE_TOPIC_REFUSED' });
    }
    expect(['a', 'b', 'c'].map((x) => made(three, x))).toEqual(first);
  });
});

describe('the time that a message brings', () => {
  it.each<[string, TimestampUnit, number | undefined]>([
    ['1700000000', 's', 1_700_000_000_000],
    ['1700000000.25', 's', 1_700_000_000_250],
    ['1700000000123', 'ms', 1_700_000_000_123],
    ['1700000000123456', 'us', 1_700_000_000_123],
    ['1700000000123000000', 'ns', 1_700_000_000_123],
    ['2026-03-05T07:09:03.045Z', 'iso', 1_772_694_543_045],
    ['2026-03-05T08:09:03+01:00', 'iso', 1_772_694_543_000],
    ['2026-03-05', 'iso', 1_772_668_800_000],
    ['-1', 'ms', undefined],
    ['', 'ms', undefined],
    ['1e3', 'ms', undefined],
    ['NaN', 'ms', undefined],
    ['99999999999999999999', 'ms', undefined],
    ['1700000000123', 's', 1_700_000_000_123_000],
    ['1700000000123', 'iso', undefined],
    ['yesterday', 'iso', undefined],
    ['2026-13-45', 'iso', undefined],
    ['1 hour', 's', undefined],
  ])('%s in %s', (text, unit, expected) => {
    const limit = 253_402_300_799_999;
    expect(timeOf(text, unit)).toBe(expected !== undefined && expected > limit ? undefined : expected);
  });
});

describe('what routes ask of their topics', () => {
  const find = topicSettings([
    { to: 'plain' },
    { to: 'iot.raw', compression: 'zstd' },
    { to: 'iot.{site}.{kind}', compression: 'lz4', createTopic: { partitions: 3 } },
    { to: '{x}', compression: 'gzip' },
  ]);

  it('is found by the name of the topic', () => {
    expect(find('iot.raw')).toMatchObject({ compression: 'zstd' });
    expect(find('iot.a.b')).toMatchObject({ compression: 'lz4', createTopic: { partitions: 3 } });
    expect(find('iot.a.b.c')).toMatchObject({ compression: 'lz4' });
    expect(find('iot.a')).toMatchObject({ compression: 'gzip' });
    expect(topicSettings([{ to: 'iot.{x}', compression: 'lz4' }])('other')).toBeUndefined();
  });

  it('has to be one thing for one topic', () => {
    expect(
      topicSettingsProblems([
        { to: 'a', compression: 'lz4' },
        { to: 'a' },
        { to: 'a', compression: 'lz4' },
        { to: 'a', compression: 'gzip' },
        { to: 'b', compression: 'gzip' },
      ]),
    ).toMatchObject([{ path: [3, 'compression'], message: expect.stringContaining('routes[0]') as string }]);
  });
});
