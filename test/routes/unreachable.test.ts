import { describe, expect, it } from 'vitest';
import { parseFilter, type Filter } from '../../src/routes/filter.ts';
import { compileRoutes, unreachableRoutes, type RouteDefinition } from '../../src/routes/index.ts';
import { filterCovers } from '../../src/routes/unreachable.ts';
import { randomFrom } from '../support/random.ts';
import { obviouslyMatches } from './reference.ts';

describe('a route that no message comes to', () => {
  const names = (routes: readonly Partial<RouteDefinition>[]): string[] => {
    const definitions = routes.map((route, index) => ({ name: `r${index}`, to: 't', from: '#', ...route }));
    return unreachableRoutes(compileRoutes(definitions).routes).map(({ route, by }) => `${route.name} by ${by.name}`);
  };

  it('stands behind one that takes its topics, has no condition and says stop', () => {
    expect(names([{ from: 'a/#', stop: true }, { from: 'a/b' }, { from: 'b' }])).toEqual(['r1 by r0']);
    expect(names([{ from: 'a/b' }, { from: 'a/#', stop: true, priority: 1 }])).toEqual(['r0 by r1']);
    expect(names([{ from: 'a/#', stop: true, when: 'qos > 0' }, { from: 'a/b' }])).toEqual([]);
    expect(names([{ from: 'a/#', stop: true, qos: [1] }, { from: 'a/b' }])).toEqual([]);
    expect(names([{ from: 'a/#' }, { from: 'a/b' }])).toEqual([]);
    expect(names([{ stop: true }, { from: '$SYS/#' }])).toEqual([]);
    expect(
      names([
        { from: undefined, regex: 'a', stop: true },
        { from: undefined, regex: 'a' },
      ]),
    ).toEqual(['r1 by r0']);
  });

  it('is never one that some topic reaches', () => {
    const random = randomFrom();
    console.log(`covers: SEED=${random.seed}`);
    let covered = 0;
    const filter = (): Filter => {
      const levels = Array.from({ length: 1 + random.int(3) }, () => random.pick(['a', 'b', '+', '', '$x']));
      if (random.int(3) === 0) levels.push('#');
      return parseFilter(levels.join('/') || '+') as Filter;
    };
    for (let round = 0; round < 3_000; round++) {
      const [one, other] = [filter(), filter()];
      if (!filterCovers(one, other)) continue;
      covered++;
      for (let n = 0; n < 50; n++) {
        const topic = Array.from({ length: 1 + random.int(5) }, () => random.pick(['a', 'b', '', 'c', '$x'])).join('/');
        const missed = obviouslyMatches(other.text, topic) && !obviouslyMatches(one.text, topic);
        expect(missed, `${one.text} covers ${other.text}, but not ${topic}, seed ${random.seed}`).toBe(false);
      }
    }
    expect(covered).toBeGreaterThan(100);
  });
});
