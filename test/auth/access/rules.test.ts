import { describe, expect, it } from 'vitest';
import { AccessRules, checkRules, type AccessRule } from '../../../src/auth/access/rules.ts';
import {
  parsePattern,
  isPatternProblem,
  bindPattern,
  containsFilter,
  matchesTopic,
  type Subject,
} from '../../../src/auth/access/pattern.ts';
import { matchesGlob } from '../../../src/auth/access/glob.ts';
import { randomFrom, type Random } from '../../support/random.ts';
import { allowed, filterExpression, universeOf } from './oracle.ts';

function rule(fields: Partial<AccessRule>): AccessRule {
  return { effect: 'allow', publish: [], subscribe: [], ...fields };
}

function subject(clientId: string, user = '', attributes: Readonly<Record<string, string>> = {}): Subject {
  return { clientId, user, attributes: new Map(Object.entries(attributes)) };
}

const device = (clientId: string) =>
  new AccessRules([rule({ publish: ['devices/{clientId}/#'], subscribe: ['devices/{clientId}/commands/#'] })]).for(
    subject(clientId),
  );

describe('access rules', () => {
  it('let a device use its own topics and no others', () => {
    const access = device('d1');
    expect(access.mayPublish('devices/d1/telemetry', 1, false)).toBe(true);
    expect(access.mayPublish('devices/d1', 1, false)).toBe(true);
    expect(access.mayPublish('devices/d2/telemetry', 1, false)).toBe(false);
    expect(access.mayPublish('other', 1, false)).toBe(false);
    expect(access.maySubscribe('devices/d1/commands/#', 1)).toBe(true);
    expect(access.maySubscribe('devices/d1/commands/+', 1)).toBe(true);
    expect(access.maySubscribe('devices/+/commands/#', 1)).toBe(false);
    expect(access.maySubscribe('devices/d1/#', 1)).toBe(false);
    expect(access.maySubscribe('#', 0)).toBe(false);
    expect(access.mayReceive('devices/d1/commands/now', 1)).toBe(true);
    expect(access.mayReceive('devices/d2/commands/now', 1)).toBe(false);
  });

  it.each(['+', '#', '', 'a/b', 'd1/../d2', '+/x', '#/', 'a\0b', '$SYS', '$share'])(
    'are not widened by the client id %j',
    (clientId) => {
      const access = device(clientId);
      for (const topic of ['devices/d2/telemetry', 'devices/a/b', 'devices/d1', 'devices/', 'devices'])
        expect(access.mayPublish(topic, 0, false), topic).toBe(false);
      for (const filter of ['devices/+/commands/#', 'devices/#', 'devices/a/b/commands/#', '#', '+/+/commands/#'])
        expect(access.maySubscribe(filter, 0), filter).toBe(false);
      const first = new AccessRules([rule({ publish: ['{clientId}/#'], subscribe: ['{clientId}/#'] })]).for(
        subject(clientId),
      );
      for (const topic of ['$SYS/a', '$share/a', 'd2/a', 'a/b', '/a']) {
        expect(first.mayPublish(topic, 0, false), topic).toBe(false);
        expect(first.maySubscribe(topic, 0), topic).toBe(false);
      }
      for (const filter of ['#', '+/#', '$SYS/#', '+/a']) expect(first.maySubscribe(filter, 0), filter).toBe(false);
    },
  );

  it('deny more rather than less where a value cannot be told', () => {
    const rules = new AccessRules([
      rule({ effect: 'deny', publish: ['users/{user}/locked'] }),
      rule({ publish: ['users/#'] }),
    ]);
    expect(rules.for(subject('c', 'ann')).mayPublish('users/bob/locked', 0, false)).toBe(true);
    expect(rules.for(subject('c', 'ann')).mayPublish('users/ann/locked', 0, false)).toBe(false);
    expect(rules.for(subject('c')).mayPublish('users/bob/locked', 0, false)).toBe(false);
    expect(rules.for(subject('c', 'a/b')).mayPublish('users/bob/locked', 0, false)).toBe(false);
    expect(rules.for(subject('c', 'a/b')).mayPublish('users/bob/open', 0, false)).toBe(true);
  });

  it('name the rule that refused', () => {
    const access = new AccessRules([
      rule({ publish: ['a'] }),
      rule({ effect: 'deny', publish: ['b'] }),
      rule({ effect: 'deny', name: 'no c', publish: ['c/#'] }),
    ]).for(subject('x'));
    expect(access.publishRule('b', 0, false)).toBe('acl rule 2');
    expect(access.publishRule('c/d', 0, false)).toBe('no c');
    expect(access.publishRule('e', 0, false)).toMatch(/^default/);
  });

  it('use attributes of the identity, and never those of Object', () => {
    const rules = new AccessRules([
      rule({ attributes: { 'jwt.role': 'admin*' }, publish: ['#'] }),
      rule({ publish: ['plants/{jwt.plant}/{cert.cn}'] }),
      rule({ publish: ['x/{jwt.constructor.name}'] }),
    ]);
    expect(rules.for(subject('c', 'u', { 'jwt.role': 'admin2' })).mayPublish('any', 0, false)).toBe(true);
    expect(rules.for(subject('c', 'u', { 'jwt.role': 'reader' })).mayPublish('any', 0, false)).toBe(false);
    const worker = rules.for(subject('c', 'u', { 'jwt.plant': 'p1', 'cert.cn': 'press 3' }));
    expect(worker.mayPublish('plants/p1/press 3', 0, false)).toBe(true);
    expect(worker.mayPublish('plants/p1/press 4', 0, false)).toBe(false);
    expect(worker.mayPublish('x/Object', 0, false)).toBe(false);
    const unknown = rules.for(subject('c', 'u', { 'cert.cn': 'a' }));
    expect(unknown.mayPublish('plants/p1/a', 0, false)).toBe(false);
  });

  it('are found by user where there are thousands, in the order of the list', () => {
    const rules = new AccessRules([
      rule({ effect: 'deny', user: 'u7', publish: ['secret'] }),
      rule({ user: 'u*', publish: ['secret'] }),
      ...Array.from({ length: 5_000 }, (_, index) => rule({ user: `u${index}`, publish: [`own/${index}`, 'secret'] })),
    ]);
    expect(rules.for(subject('c', 'u7')).mayPublish('secret', 0, false)).toBe(false);
    expect(rules.for(subject('c', 'u8')).mayPublish('secret', 0, false)).toBe(true);
    expect(rules.for(subject('c', 'u4999')).mayPublish('own/4999', 0, false)).toBe(true);
    expect(rules.for(subject('c', 'u4999')).mayPublish('own/4998', 0, false)).toBe(false);
  });

  it('answer the same when asked again, and for each QoS and retained flag', () => {
    const access = new AccessRules([
      rule({ effect: 'deny', publish: ['t/#'], retain: true, qos: [0] }),
      rule({ publish: ['t/#'], qos: [0, 1] }),
    ]).for(subject('c'));
    for (let round = 0; round < 2; round++) {
      for (let topic = 0; topic < 100; topic++) {
        const name = `t/${topic}`;
        expect(access.mayPublish(name, 0, true)).toBe(false);
        expect(access.mayPublish(name, 0, false)).toBe(true);
        expect(access.mayPublish(name, 1, true)).toBe(true);
        expect(access.mayPublish(name, 2, true)).toBe(false);
      }
    }
  });

  it('remember a bounded number of topics', () => {
    const access = new AccessRules([rule({ publish: ['#'], subscribe: ['#'] })]).for(subject('c'));
    for (let topic = 0; topic < 10_000; topic++) {
      access.mayPublish(`t/${topic}`, 0, false);
      access.mayReceive(`t/${topic}`, 1);
    }
    access.mayPublish('x'.repeat(10_000), 0, false);
    expect(access.remembered).toBeLessThanOrEqual(32 + 256);
  });

  it('are checked as a whole', () => {
    expect(
      checkRules([rule({}), rule({ publish: ['a/#/b', 'ok'], subscribe: ['{who}'] })]).map(({ path }) => path),
    ).toEqual([[0], [1, 'publish', 0], [1, 'subscribe', 0]]);
    expect(() => new AccessRules([rule({ publish: ['a+'] })])).toThrow(/mixes a wildcard/);
  });
});

const words = ['a', 'b', '', '$S', 'new'];
const universe = universeOf(words, 4);
// No topic is empty [MQTT-4.7.3-1].
const shallow = universeOf(words, 3).filter((topic) => topic !== '');

function drawFilter(random: Random): string {
  const levels = Array.from({ length: 1 + random.int(3) }, () => random.pick(['a', 'b', '', '$S', '+']));
  if (random.int(3) === 0) levels.push('#');
  // A filter is not empty [MQTT-4.7.3-1].
  return random.int(15) === 0 ? '#' : levels.join('/') || 'a';
}

describe('patterns and filters', () => {
  it('match and contain what trying every topic says', () => {
    const random = randomFrom();
    let contained = 0;
    for (let round = 0; round < 4_000; round++) {
      const text = drawFilter(random);
      const filter = drawFilter(random);
      const parsed = parsePattern(text);
      if (isPatternProblem(parsed)) throw new Error(parsed.message);
      const bound = bindPattern(parsed, subject('c'), 'allow');
      if (bound === undefined) throw new Error('a pattern without names');
      const hint = `seed ${random.seed}: ${text} and ${filter}`;
      const expression = filterExpression(text);
      const asFilter = filterExpression(filter);
      const wanted = universe.filter((topic) => asFilter.test(topic));
      const expected = wanted.every((topic) => expression.test(topic));
      if (containsFilter(bound, filter.split('/')) !== expected)
        throw new Error(`contains: ${hint}, expected ${expected}`);
      if (expected) contained++;
      const topic = random.pick(universe);
      if (matchesTopic(bound, topic.split('/')) !== expression.test(topic))
        throw new Error(`matches ${topic}: ${hint}`);
    }
    expect(contained).toBeGreaterThan(100);
  });

  it('the oracle finds a planted fault', () => {
    const rules = [rule({ publish: ['a/+'] })];
    const question = { action: 'publish', topic: 'a/b/c', qos: 0, retain: false } as const;
    expect(allowed(rules, subject('c'), question, universe)).toBe(false);
    expect(allowed([rule({ publish: ['a/#'] })], subject('c'), question, universe)).toBe(true);
  });
});

const ids = ['d1', '+', '#', 'a/b', '$S', 'a'];
const people = ['', 'ann', 'bob', '+'];

function drawRule(random: Random): AccessRule {
  const pattern = (): string => {
    const levels = Array.from({ length: 1 + random.int(3) }, () =>
      random.pick(['a', 'b', '', '$S', '+', '{clientId}', '{user}', 'x{jwt.t}', 'new']),
    );
    return [...levels, ...(random.int(3) === 0 ? ['#'] : [])].join('/') || 'b';
  };
  const publish = Array.from({ length: random.int(3) }, pattern);
  const subscribe = Array.from({ length: publish.length === 0 ? 1 : random.int(3) }, pattern);
  return rule({
    effect: random.int(3) === 0 ? 'deny' : 'allow',
    publish,
    subscribe,
    ...(random.int(3) === 0 ? { user: random.pick([['ann'], ['a*'], ['?*'], ['*'], ['ann', 'bob']]) } : {}),
    ...(random.int(5) === 0 ? { clientId: random.pick(['d*', '??', '+']) } : {}),
    ...(random.int(5) === 0 ? { attributes: { 'jwt.t': random.pick(['1', '?', '2']) } } : {}),
    ...(random.int(4) === 0 ? { qos: random.pick([[0], [1, 2], [0, 1]] as (0 | 1 | 2)[][]) } : {}),
    ...(subscribe.length === 0 && random.int(2) === 0 ? { retain: random.int(2) === 0 } : {}),
  });
}

describe('drawn rules', () => {
  it('say what the oracle says, in 20,000 questions', () => {
    const random = randomFrom();
    const count = { allowed: 0, denied: 0 };
    for (let round = 0; round < 400; round++) {
      const list = Array.from({ length: 1 + random.int(4) }, () => drawRule(random));
      const who = subject(
        random.pick(ids),
        random.pick(people),
        random.int(2) === 0 ? {} : { 'jwt.t': random.pick(['1', '/']) },
      );
      const access = new AccessRules(list).for(who);
      for (let at = 0; at < 50; at++) {
        const qos = random.pick([0, 1, 2] as const);
        const retain = random.int(2) === 0;
        const action = random.pick(['publish', 'subscribe', 'receive'] as const);
        const topic = action === 'subscribe' ? drawFilter(random) : random.pick(shallow);
        const said =
          action === 'publish'
            ? access.mayPublish(topic, qos, retain)
            : action === 'subscribe'
              ? access.maySubscribe(topic, qos)
              : access.mayReceive(topic, 1 << qos);
        const expected = allowed(list, who, { action, topic, qos, retain }, universe);
        count[expected ? 'allowed' : 'denied']++;
        if (said !== expected) {
          throw new Error(
            `seed ${random.seed}: ${JSON.stringify({ list, who, action, topic, qos, retain, said, expected })}`,
          );
        }
      }
    }
    expect(count.allowed).toBeGreaterThan(500);
    expect(count.denied).toBeGreaterThan(500);
  });
});

describe('globs', () => {
  it.each([
    ['*', '', true],
    ['?*', '', false],
    ['?*', 'x', true],
    ['a*c', 'abcbc', true],
    ['a*c', 'abcb', false],
    ['a?c', 'a*c', true],
    ['*.b*', 'a.b.c', true],
    ['ab', 'abc', false],
    ['[a]', 'a', false],
  ])('%j of %j: %j', (glob, text, matches) => {
    expect(matchesGlob(glob, text)).toBe(matches);
  });

  it('take no time with a text that is made for it', () => {
    expect(matchesGlob('*a*a*a*a*a*a*a*b', 'a'.repeat(2_000))).toBe(false);
  });
});
