import { describe, expect, it } from 'vitest';
import {
  checkRoutes,
  compileRoutes,
  constantTopics,
  type RouteDefinition,
  type Router,
  type TopicMatch,
} from '../../src/routes/index.ts';
import { obviouslyMatches } from './reference.ts';
import { randomFrom } from '../support/random.ts';

function route(from: string, more: Partial<RouteDefinition> = {}): RouteDefinition {
  return { name: from, from, to: 'iot', ...more };
}

function names(router: Router, topic: string): string[] {
  return router.match(topic).map((match) => match.route.name);
}

function only(router: Router, topic: string): TopicMatch {
  const matches = router.match(topic);
  expect(matches).toHaveLength(1);
  return matches[0]!;
}

function messageOf(topic: string, clientId = 'c1', user = ''): { clientId: string; topic: string; user: string } {
  return { clientId, topic, user };
}

describe('the router', () => {
  it('gives all routes that match, in the order of the configuration', () => {
    const router = compileRoutes([
      route('a/#', { name: 'z' }),
      route('a/b', { name: 'y' }),
      route('x', { name: 'x' }),
      route('+/b', { name: 'w' }),
      route('#', { name: 'v' }),
      route('a/b', { name: 'u' }),
      route('a/b/#', { name: 't' }),
    ]);
    expect(names(router, 'a/b')).toEqual(['z', 'y', 'w', 'v', 'u', 't']);
    expect(names(router, 'a')).toEqual(['z', 'v']);
    expect(names(router, 'a/b/c')).toEqual(['z', 'v', 't']);
    expect(names(router, '')).toEqual(['v']);
    expect(names(router, '$SYS/x')).toEqual([]);
  });

  it('keeps topics that begin with $ from wildcards at the first level [MQTT-4.7.2-1]', () => {
    const router = compileRoutes([route('#'), route('+/x'), route('{a}/x'), route('$SYS/#'), route('$SYS/+')]);
    expect(names(router, '$SYS/x')).toEqual(['$SYS/#', '$SYS/+']);
    expect(names(router, '$SYS')).toEqual(['$SYS/#']);
    expect(names(router, '$other/x')).toEqual([]);
    expect(names(router, 'a/$x')).toEqual(['#']);
  });

  it('is not misled by names that every object has', () => {
    const router = compileRoutes([
      route('__proto__/{__proto__}', { key: '{__proto__}' }),
      route('constructor/toString'),
      route('hasOwnProperty'),
    ]);
    expect(only(router, '__proto__/x').key).toBe('x');
    expect(names(router, 'constructor/toString')).toEqual(['constructor/toString']);
    for (const topic of ['constructor', '__proto__', 'toString', 'valueOf/x', '__proto__/__proto__/x']) {
      expect(names(router, topic)).toEqual([]);
    }
  });

  it('tells empty levels and leading slashes apart', () => {
    const router = compileRoutes([
      route('a//b'),
      route('/a'),
      route('a/'),
      route('+/{x}/b', { key: '{x}' }),
      route('/'),
    ]);
    expect(names(router, 'a//b')).toEqual(['a//b', '+/{x}/b']);
    expect(router.match('a//b')[1]?.key).toBe('');
    expect(names(router, '/a')).toEqual(['/a']);
    expect(names(router, 'a/')).toEqual(['a/']);
    expect(names(router, '/')).toEqual(['/']);
    expect(names(router, 'a')).toEqual([]);
  });

  it('agrees with the reference on random routes and topics, whether it remembers the topic or not', () => {
    const random = randomFrom();
    console.log(`router: SEED=${random.seed}`);
    const words = ['a', 'b', 'c', '', '$a', '__proto__', 'ü'];
    let matched = 0;
    for (let round = 0; round < 300; round++) {
      const definitions = Array.from({ length: 1 + random.int(30) }, (_, index) => {
        const levels = Array.from({ length: 1 + random.int(5) }, (_level, at) =>
          random.pick([...words, '+', '+', `{n${at}}`]),
        );
        if (random.int(4) === 0) levels.push('#');
        const from = levels.join('/');
        return route(from === '' ? '/' : from, { name: `r${index}` });
      });
      const router = compileRoutes(definitions, { cachedTopics: 8 });
      for (let lookup = 0; lookup < 100; lookup++) {
        const topic = Array.from({ length: 1 + random.int(6) }, () => random.pick(words)).join('/');
        const expected = definitions.filter(({ from = '' }) => obviouslyMatches(from, topic)).map(({ name }) => name);
        matched += expected.length;
        expect(names(router, topic), `topic '${topic}', seed ${random.seed}`).toEqual(expected);
      }
    }
    expect(matched).toBeGreaterThan(10_000);
  });
});

describe('what a route makes of a topic', () => {
  it('is decided at once where it depends on the topic alone', () => {
    const router = compileRoutes([
      route('devices/{deviceId}/+', {
        to: 'iot.{deviceId}',
        key: '{deviceId}@{topic}',
        headers: { device: '{deviceId}' },
      }),
    ]);
    const match = only(router, 'devices/d7/telemetry');
    expect(match.kafkaTopic).toBe('iot.d7');
    expect(match.key).toBe('d7@devices/d7/telemetry');
    expect(match.route.headers.map((header) => [header.name, match.headerFor(header, messageOf(''))])).toEqual([
      ['device', 'd7'],
    ]);
    expect(match.topicFor(messageOf('devices/d7/telemetry'))).toBe('iot.d7');
    expect(match.keyFor(messageOf('devices/d7/telemetry'))).toBe('d7@devices/d7/telemetry');
  });

  it('waits for the message where it depends on the client', () => {
    const router = compileRoutes([route('{x}', { to: '{x}.{clientId}', key: '{user}/{clientId}' })]);
    const match = only(router, 'a');
    expect([match.kafkaTopic, match.key]).toEqual([undefined, undefined]);
    expect(match.topicFor(messageOf('a', 'c9'))).toBe('a.c9');
    expect(match.keyFor(messageOf('a', 'c9', 'ann'))).toBe('ann/c9');
  });

  it('has the client id as key by default, and no key where that is asked for', () => {
    const router = compileRoutes([route('a'), route('b', { key: null })]);
    expect(only(router, 'a').keyFor(messageOf('a', 'c5'))).toBe('c5');
    expect(only(router, 'b').key).toBeNull();
    expect(only(router, 'b').keyFor(messageOf('b'))).toBeNull();
  });

  it('is one object for all topics where nothing depends on the topic', () => {
    const router = compileRoutes([route('#')]);
    expect(only(router, 'a')).toBe(only(router, 'b'));
  });

  it.each([
    ['a b', /' '/],
    ['ü', /'ü'/],
    ['', /empty/],
    ['.', /'\.' is not allowed/],
    ['..', /'\.\.' is not allowed/],
    ['x'.repeat(250), /250 characters, Kafka allows 249/],
    ['a\u0007', /'\\u0007'/],
    ['😀', /'😀'/],
    ['__consumer_offsets', /begins with __/],
  ])('is a fault that says why where a Kafka topic made of data is not legal: %#', (level, reason) => {
    const router = compileRoutes([route('{level}/x', { to: '{level}' }), route('y', { to: '{clientId}' })]);
    const byTopic = only(router, `${level}/x`);
    expect(byTopic.kafkaTopic).toMatchObject({ fault: expect.stringMatching(reason) as string });
    expect(byTopic.topicFor(messageOf(`${level}/x`))).toEqual(byTopic.kafkaTopic);
    const byClient = only(router, 'y').topicFor(messageOf('y', level));
    expect(byClient).toMatchObject({ fault: expect.stringMatching(reason) as string });
    expect((byClient as { fault: string }).fault).toMatch(/^route 'y' makes .* of '\{clientId\}', no Kafka topic: /);
  });

  it('may go to a topic that begins with __ where the route itself says so', () => {
    const router = compileRoutes([route('a', { to: '__mine' }), route('{x}/b', { to: '__{x}' })]);
    expect(only(router, 'a').kafkaTopic).toBe('__mine');
    expect(only(router, 'y/b').kafkaTopic).toBe('__y');
  });

  it('takes 249 characters, dots, dashes and underscores', () => {
    const router = compileRoutes([route('{x}', { to: '{x}' })]);
    for (const name of ['x'.repeat(249), 'a.b-c_D9', '...', '-']) expect(only(router, name).kafkaTopic).toBe(name);
  });
});

describe('the check of routes', () => {
  it.each([
    [route('a/#/b'), ['from'], /not the last level/],
    [route('a', { to: '' }), ['to'], /it is empty/],
    [route('a', { to: 'a/b' }), ['to'], /it holds '\/'/],
    [route('a', { to: '..' }), ['to'], /not allowed/],
    [route('{x}', { to: 'a b{x}' }), ['to'], /it holds ' '/],
    [route('{x}', { to: `${'a'.repeat(249)}{x}` }), ['to'], /too long/],
    [route('{x}/y', { to: '{topic}' }), ['to'], /\{topic\} holds slashes/],
    [route('a', { to: '{b}' }), ['to'], /unknown name \{b\}/],
    [route('a', { key: '{deviceId}' }), ['key'], /unknown name/],
    [route('a', { key: '' }), ['key'], /empty/],
    [route('a', { headers: { x: '{' } }), ['headers', 'x'], /not closed/],
    [route('a', { headers: { 'sluice-id': 'x' } }), ['headers', 'sluice-id'], /taken/],
    [route('a', { headers: { 'MQTT-Topic': 'x' } }), ['headers', 'MQTT-Topic'], /taken/],
    [route('a', { headers: { '': 'x' } }), ['headers', ''], /empty/],
    [route('a', { name: '' }), ['name'], /empty/],
  ])('says what is wrong, where, and the way out: %#', (definition, field, reason) => {
    const problems = checkRoutes([route('fine'), definition]);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ path: [1, ...field], message: expect.stringMatching(reason) as string });
    expect(problems[0]?.wayOut).not.toBe('');
    expect(() => compileRoutes([route('fine'), definition])).toThrowError(
      expect.objectContaining({ code: 'CONFIG_INVALID', problems }) as Error,
    );
  });

  it('allows {topic} as Kafka topic where the filter has one level', () => {
    expect(
      checkRoutes([route('+', { to: '{topic}' }), route('a/#', { to: '{topic}' }), route('#', { to: '{topic}' })]),
    ).toEqual([]);
  });

  it('reports all problems at once', () => {
    const problems = checkRoutes([route('#/a'), route('b', { to: '/', key: '{x}', headers: { 'sluice-x': '{' } })]);
    expect(problems.map(({ path }) => path.join('.'))).toEqual([
      '0.from',
      '1.to',
      '1.key',
      '1.headers.sluice-x',
      '1.headers.sluice-x',
    ]);
  });

  it('wants names that tell routes apart', () => {
    const problems = checkRoutes([route('a'), route('b'), route('a')]);
    expect(problems).toMatchObject([{ path: [2, 'name'], value: 'a', message: 'routes[0] has the same name' }]);
  });
});

describe('the router at scale', () => {
  it('looks at as many nodes as the topic can reach, not at all routes', () => {
    const definitions = Array.from({ length: 10_000 }, (_, index) => route(`site/${index}/{deviceId}/data`));
    const router = compileRoutes(definitions);
    expect(names(router, 'site/5000/d1/data')).toEqual(['site/5000/{deviceId}/data']);
    expect(router.statistics.nodesVisited).toBe(5);
  });

  it('visits no node twice, even where every level may be taken in two ways', () => {
    // 2^13 filters over {a, +}: a matcher that tries each filter level by level would need 13 * 8,192 steps,
    // one that backtracks over shared suffixes far more. The trie has 2^14 - 1 nodes, and one more level of ends.
    const filters = Array.from({ length: 2 ** 13 }, (_, bits) =>
      Array.from({ length: 13 }, (_level, at) => ((bits >> at) & 1 ? '+' : 'a')).join('/'),
    );
    const router = compileRoutes(filters.map((filter) => route(`${filter}/end`)));
    expect(router.match('a/a/a/a/a/a/a/a/a/a/a/a/a/other')).toHaveLength(0);
    expect(router.statistics.nodesVisited).toBe(2 ** 14 - 1);
    expect(router.match('a/a/a/a/a/a/a/a/a/a/a/a/a/end')).toHaveLength(2 ** 13);
    expect(router.statistics.nodesVisited).toBe(2 ** 14 - 1 + 2 ** 14 - 1 + 2 ** 13);
  });

  it('takes 10,000 routes of 100 levels and topics of 100 levels and more', () => {
    const tail = 'x/'.repeat(98);
    const definitions = Array.from({ length: 10_000 }, (_, index) => route(`${index}/${tail}+`));
    const router = compileRoutes(definitions);
    expect(names(router, `77/${tail}end`)).toEqual([`77/${tail}+`]);
    expect(router.statistics.nodesVisited).toBe(101);
    expect(names(router, `78/${tail}end/more`)).toEqual([]);
    expect(router.statistics.nodesVisited).toBe(202);
    expect(names(router, `79/${'x/'.repeat(30_000)}`)).toEqual([]);
    expect(router.statistics.nodesVisited).toBeLessThanOrEqual(303);
  });

  it('finds a topic again without looking at any node', () => {
    const router = compileRoutes([route('a/+')]);
    const first = router.match('a/b');
    expect(router.match(['a', 'b'].join('/'))).toBe(first);
    expect(router.statistics).toMatchObject({ lookups: 2, misses: 1, nodesVisited: 3, cachedTopics: 1 });
  });

  it('remembers topics that match nothing, too', () => {
    const router = compileRoutes([route('a/b')]);
    router.match('x');
    router.match('x');
    expect(router.statistics).toMatchObject({ lookups: 2, misses: 1 });
  });

  it('remembers no more topics than it is allowed to', () => {
    const router = compileRoutes([route('t/{n}', { key: '{n}' })], { cachedTopics: 100 });
    for (let n = 0; n < 10_000; n++) {
      expect(only(router, `t/${n}`).key).toBe(`${n}`);
      expect(router.statistics.cachedTopics).toBeLessThanOrEqual(100);
    }
    expect(router.statistics.cachedTopics).toBeGreaterThanOrEqual(50);
  });

  it('remembers no more bytes than it is allowed to, however long the topics', () => {
    const router = compileRoutes([route('#', { key: '{topic}' })], { cacheMaxBytes: 1_000_000 });
    for (let n = 0; n < 200; n++) {
      only(router, `${'long/'.repeat(10_000)}${n}`);
      expect(router.statistics.cachedBytes).toBeLessThanOrEqual(1_000_000);
    }
    expect(router.statistics.cachedTopics).toBeGreaterThan(0);
  });
});

describe('the constant topics of routes', () => {
  it('are those that need no message, each once', () => {
    expect(
      constantTopics([
        route('a', { to: 'x' }),
        route('{d}', { to: 'y.{d}' }),
        route('c', { to: 'x' }),
        route('b', { to: 'z' }),
      ]),
    ).toEqual(['x', 'z']);
  });
});

describe('the id of a router', () => {
  it('is the same for the same routes, and another for others', () => {
    const id = compileRoutes([route('a'), route('b')]).id;
    expect(compileRoutes([route('a'), { ...route('b'), key: '{clientId}', headers: {} }]).id).toBe(id);
    for (const other of [
      [route('b'), route('a')],
      [route('a')],
      [route('a'), route('b', { key: null })],
      [route('a'), route('b', { to: 'other' })],
      [route('a'), route('b', { headers: { x: 'y' } })],
      [route('a'), route('b', { name: 'c' })],
    ]) {
      expect(compileRoutes(other).id).not.toBe(id);
    }
  });
});
