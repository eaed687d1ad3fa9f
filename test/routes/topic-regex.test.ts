import { describe, expect, it } from 'vitest';
import { compileRoutes, checkRoutes, type RouteDefinition } from '../../src/routes/index.ts';
import { isProblem, problemText } from '../../src/routes/problem.ts';
import { parseTopicRegex, REGEX_ROUTES_MAX } from '../../src/routes/topic-regex.ts';
import { randomFrom } from '../support/random.ts';

const route = (regex: string, more: Partial<RouteDefinition> = {}): RouteDefinition => ({
  name: regex,
  regex,
  to: 't',
  ...more,
});

const names = (routes: readonly RouteDefinition[], topic: string): string[] =>
  compileRoutes(routes)
    .match(topic)
    .map((match) => match.route.name);

describe('a route by regular expression', () => {
  it('matches the whole topic, and its named groups are named levels', () => {
    const router = compileRoutes([
      route('devices/(?<id>[^/]+)/(?P<kind>temp|hum)', { to: 'iot.{kind}', key: '{id}', headers: { h: '{kind}' } }),
    ]);
    const [match] = router.match('devices/d7/temp');
    expect(match).toMatchObject({ kafkaTopic: 'iot.temp', key: 'd7', levels: ['d7', 'temp'] });
    for (const other of ['devices/d7/temperature', 'x/devices/d7/temp', 'devices/d7/x', 'devices//temp']) {
      expect(router.match(other)).toEqual([]);
    }
  });

  it('stands among filters, in the order of the configuration', () => {
    const routes = [route('a/.*', { name: 'r' }), { name: 'f', from: 'a/#', to: 't' }, route('.*', { name: 's' })];
    expect(names(routes, 'a/b')).toEqual(['r', 'f', 's']);
    expect(names(routes, 'b')).toEqual(['s']);
  });

  it('matches topics that begin with $ only where it begins with $ itself', () => {
    const routes = [route('.*'), route('\\$SYS/.*'), route('^\\$SYS/x$')];
    expect(names(routes, '$SYS/x')).toEqual(['\\$SYS/.*', '^\\$SYS/x$']);
  });

  it.each([
    ['(a', /no regular expression/],
    ['(?=a)', /no look-around/],
    ['\\1', /no regular expression/],
    ['(?<clientId>a)', /\{clientId\} is a name that every message has/],
    ['((a{100}){10}){3}', /no regular expression|too large/],
    ['a'.repeat(501), /501 characters/],
  ])('%s is refused', (text, reason) => {
    const parsed = parseTopicRegex(text);
    expect(isProblem(parsed) ? problemText(parsed) : 'not refused').toMatch(reason);
    expect(checkRoutes([route(text, { name: 'r' })])).toMatchObject([{ path: [0, 'regex'] }]);
  });

  it('takes a bounded number of them', () => {
    const many = Array.from({ length: REGEX_ROUTES_MAX + 1 }, (_, index) => route(`a${index}`));
    expect(checkRoutes(many)).toMatchObject([{ path: [], message: '1001 routes have a regular expression' }]);
    expect(checkRoutes(many.slice(1))).toEqual([]);
  });

  it('agrees with the engine of JavaScript on random expressions and topics', () => {
    const random = randomFrom();
    console.log(`regexes: SEED=${random.seed}`);
    const atoms = ['a', 'b', '/', '.', '[ab]', '[^/]', '(a|b/)', '(?:ab)?', 'a*', '[^/]+', 'b{1,2}', '(/a)*'];
    let matched = 0;
    for (let round = 0; round < 300; round++) {
      const texts = Array.from({ length: 1 + random.int(6) }, () =>
        Array.from({ length: 1 + random.int(5) }, () => random.pick(atoms)).join(''),
      );
      const routes = texts.map((text, index) => route(text, { name: `r${index}` }));
      const router = compileRoutes(routes);
      for (let lookup = 0; lookup < 30; lookup++) {
        const topic = Array.from({ length: 1 + random.int(6) }, () => random.pick(['a', 'b', '/'])).join('');
        const expected = texts.flatMap((text, index) => (new RegExp(`^(?:${text})$`).test(topic) ? [`r${index}`] : []));
        matched += expected.length;
        const found = router.match(topic).map((match) => match.route.name);
        expect(found, `${texts.join('  ')} on ${topic}, seed ${random.seed}`).toEqual(expected);
      }
    }
    expect(matched).toBeGreaterThan(1_000);
  });

  it('is linear: what makes other engines backtrack, and a thousand expressions, cost one pass', () => {
    const hostile = Array.from({ length: 50 }, (_, index) => route(`(a+)+${index}|(a|aa)*b{1,${1 + (index % 20)}}`));
    const started = performance.now();
    for (let n = 0; n < 50; n++) expect(names(hostile, `${'a'.repeat(900 + n)}!`)).toEqual([]);
    const many = compileRoutes(
      Array.from({ length: 1_000 }, (_, index) => route(`site${index}/(?<id>[^/]+)/.*`, { key: '{id}' })),
    );
    for (let n = 0; n < 2_000; n++) {
      expect(many.match(`site${n % 1_000}/d${n}/x/${'y/'.repeat(100)}`).map(({ key }) => key)).toEqual([`d${n}`]);
    }
    expect(performance.now() - started).toBeLessThan(30_000);
  });

  it('does not look at topics longer than anybody uses', () => {
    expect(names([route('a*')], 'a'.repeat(1_024))).toHaveLength(1);
    expect(names([route('a*')], 'a'.repeat(1_025))).toHaveLength(0);
  });
});

describe('priority', () => {
  it('comes before the order of the configuration', () => {
    const routes: RouteDefinition[] = [
      { name: 'a', from: '#', to: 't' },
      { name: 'b', from: 'x', to: 't', priority: 5 },
      { name: 'c', from: '+', to: 't', priority: -1 },
      { name: 'd', regex: 'x', to: 't', priority: 5 },
    ];
    expect(names(routes, 'x')).toEqual(['b', 'd', 'a', 'c']);
  });
});
