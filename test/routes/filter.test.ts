import { describe, expect, it } from 'vitest';
import { compileFilter, parseFilter, validateFilter, validateTopicName } from '../../src/routes/filter.ts';
import { randomFrom } from '../support/random.ts';
import { obviouslyMatches } from './reference.ts';

describe('a topic filter', () => {
  it.each([
    // The examples of MQTT 4.7.1 and 4.7.2, in its words.
    ['sport/tennis/player1/#', 'sport/tennis/player1', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
    ['sport/#', 'sport', true],
    ['#', 'a/b/c', true],
    ['sport/tennis/+', 'sport/tennis/player1', true],
    ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+/+', '/finance', true],
    ['/+', '/finance', true],
    ['+', '/finance', false],
    ['#', '$SYS/uptime', false],
    ['+/monitor/Clients', '$SYS/monitor/Clients', false],
    ['{a}/monitor/Clients', '$SYS/monitor/Clients', false],
    ['$SYS/#', '$SYS/monitor', true],
    ['$SYS/#', '$SYS', true],
    ['$SYS/monitor/+', '$SYS/monitor/Clients', true],
    ['a//b', 'a//b', true],
    ['a/+/b', 'a//b', true],
    ['a/b', 'a//b', false],
    ['/', '/', true],
    ['ACCOUNTS', 'Accounts', false],
    ['gerät/+', 'gerät/größe', true],
    ['__proto__/+', '__proto__/constructor', true],
    ['constructor', 'constructor', true],
    ['constructor', 'toString', false],
  ])('%s on %s: %s', (filter, topic, matches) => {
    expect(compileFilter(filter).matches(topic)).toBe(matches);
    expect(obviouslyMatches(filter, topic)).toBe(matches);
  });

  it('gives the values of its named levels in the order of its names', () => {
    const matcher = compileFilter('{site}/+/{deviceId}/#');
    expect(matcher.filter.names).toEqual(['site', 'deviceId']);
    expect(matcher.match('berlin/x/d1/a/b')).toEqual(['berlin', 'd1']);
    expect(matcher.match('berlin/x/d1')).toEqual(['berlin', 'd1']);
    expect(matcher.match('/x//a')).toEqual(['', '']);
    expect(matcher.match('berlin/x')).toBeUndefined();
  });

  it('takes level names that are properties of every object', () => {
    const matcher = compileFilter('{__proto__}/{constructor}/{toString}');
    expect(matcher.match('a/b/c')).toEqual(['a', 'b', 'c']);
  });

  it.each([
    ['', /empty; it has at least one character/],
    ['a\0b', /U\+0000: 'a\\u0000b'/],
    ['a\ud800', /surrogate/],
    ['a/#/b', /# is not the last level; .*\+ for one level/],
    ['a#', /# shares the level 'a#'.*; put a \/ before #/],
    ['a/b#', /shares the level/],
    ['a/##', /shares the level/],
    ['a+', /\+ shares the level 'a\+'.*; write \+ alone/],
    ['+a/b', /shares the level/],
    ['$share/group/a/#', /shared subscription.*; write the filter alone/],
    ['$share', /shared subscription/],
    ['a/{}', /empty name/],
    ['a/{1x}', /'1x' is not a name/],
    ['a/{device id}', /not a name/],
    ['a/{deviceId', /brace/],
    ['a/deviceId}', /brace/],
    ['a/x{deviceId}', /brace.*whole level/],
    ['a/{x}y', /brace/],
    ['a/{{x}}', /brace/],
    ['a/{x}{y}', /brace/],
    ['{a}/{a}', /\{a\} stands for two levels; give each level its own name/],
    ['{clientId}/x', /\{clientId\} is a name that every message has.*\{deviceId\}/],
    ['{topic}', /every message has/],
    ['{user}', /every message has/],
    [`${'a/'.repeat(128)}a`, /more than 128 levels/],
    ['a'.repeat(65_536), /65536 bytes.*65535/],
    ['ä'.repeat(32_768), /65536 bytes/],
  ])('is refused with the reason and the way out: %#', (filter, reason) => {
    expect(validateFilter(filter)).toMatch(reason);
    expect(() => compileFilter(filter)).toThrowError(expect.objectContaining({ code: 'CONFIG_INVALID' }) as Error);
  });

  it('quotes no more of a huge filter than fits a line', () => {
    expect(validateFilter(`+${'x'.repeat(60_000)}`)?.length).toBeLessThan(300);
  });

  it.each(['/', '//', '+', '#', '$SYS/#', '$sharex/y', 'a//b', '/a', '{a}', '{_A9}/+/#', '😀/+', 'a b/c'])(
    'is valid: %s',
    (filter) => {
      expect(validateFilter(filter)).toBeUndefined();
    },
  );

  it('may have 128 levels and 65,535 bytes', () => {
    expect(validateFilter(`${'a/'.repeat(127)}a`)).toBeUndefined();
    expect(validateFilter('a'.repeat(65_535))).toBeUndefined();
  });

  it('matches topics of more levels than a filter may have', () => {
    const deep = 'a/'.repeat(30_000);
    expect(compileFilter('a/#').matches(deep)).toBe(true);
    expect(compileFilter('a/+').matches(deep)).toBe(false);
    const full = `${'+/'.repeat(127)}+`;
    expect(compileFilter(full).matches(deep)).toBe(false);
    expect(compileFilter(full).matches('a/'.repeat(127))).toBe(true);
    expect(compileFilter(full).matches('a/'.repeat(128))).toBe(false);
  });

  it('agrees with the reference on random filters and topics', () => {
    const random = randomFrom();
    console.log(`filters: SEED=${random.seed}`);
    const levels = ['a', 'b', '', '$a', '$', '__proto__', 'é'];
    let matched = 0;
    for (let round = 0; round < 50_000; round++) {
      const filterLevels = Array.from({ length: 1 + random.int(5) }, (_, index) =>
        random.pick([...levels, '+', '+', `{n${index}}`]),
      );
      if (random.int(3) === 0) filterLevels.push('#');
      const filter = filterLevels.join('/');
      const topic = Array.from({ length: 1 + random.int(6) }, () => random.pick(levels)).join('/');
      if (validateFilter(filter) !== undefined) {
        expect(filter).toBe('');
        continue;
      }
      const expected = topic !== '' && obviouslyMatches(filter, topic);
      if (topic === '') continue;
      if (expected) matched++;
      expect(compileFilter(filter).matches(topic), `${filter} on ${topic}, seed ${random.seed}`).toBe(expected);
    }
    expect(matched).toBeGreaterThan(1_000);
  });

  it('parses into levels', () => {
    expect(parseFilter('a/{b}/+/#')).toMatchObject({
      kind: 'filter',
      levels: [
        { kind: 'literal', text: 'a' },
        { kind: 'single', name: 'b' },
        { kind: 'single', name: undefined },
        { kind: 'rest' },
      ],
      names: ['b'],
      nameLevels: [1],
    });
  });
});

describe('a topic name', () => {
  it.each(['a', '/', 'a//b', '$SYS/x', '{a}/b', 'ä', 'a'.repeat(65_535), '__proto__'])('is valid: %#', (topic) => {
    expect(validateTopicName(topic)).toBeUndefined();
  });

  it.each([
    ['', /empty/],
    ['a/+', /wildcard/],
    ['a/b#', /wildcard/],
    ['a\0', /U\+0000/],
    ['\udfff', /surrogate/],
    ['ä'.repeat(32_768), /65536 bytes/],
  ])('is refused: %#', (topic, reason) => {
    expect(validateTopicName(topic)).toMatch(reason);
  });
});
