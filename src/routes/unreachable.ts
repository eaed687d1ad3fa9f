/** Routes that no message comes to, because a route before them takes all of theirs and says stop. */
import type { Filter, FilterLevel } from './filter.ts';
import type { Route } from './route.ts';

/** What is looked at is bounded: each of them is compared with all routes behind it. */
const STOPS_MAX = 500;

export interface Unreachable {
  readonly route: Route;
  readonly by: Route;
}

export function unreachableRoutes(routes: readonly Route[]): readonly Unreachable[] {
  const ordered = [...routes].sort((a, b) => b.priority - a.priority || a.index - b.index);
  const stops = ordered.filter((route) => route.stop && takesAll(route)).slice(0, STOPS_MAX);
  if (stops.length === 0) return [];
  const place = new Map(ordered.map((route, at) => [route, at]));
  return ordered.flatMap((route, at) => {
    const by = stops.find((stop) => (place.get(stop) ?? at) < at && covers(stop, route));
    return by === undefined ? [] : [{ route, by }];
  });
}

/** It has no condition. What it drops by age or sample it has taken all the same. */
function takesAll({ when, qos, onlyRetained }: Route): boolean {
  return when === undefined && (qos === undefined || qos.size === 3) && !onlyRetained;
}

function covers(one: Route, other: Route): boolean {
  if (one.filter === undefined || other.filter === undefined) {
    return one.regex !== undefined && one.regex.text === other.regex?.text;
  }
  return filterCovers(one.filter, other.filter);
}

/** Every topic that `other` matches is matched by `one`. */
export function filterCovers({ levels: one }: Filter, { levels: other }: Filter): boolean {
  const [first] = other;
  // [MQTT-4.7.2-1]: topics that begin with $ are not for wildcards at the first level.
  if (one[0]?.kind !== 'literal' && first?.kind === 'literal' && first.text.startsWith('$')) return false;
  for (const [index, level] of one.entries()) {
    if (level.kind === 'rest') return other.length >= index;
    const its: FilterLevel | undefined = other[index];
    if (its === undefined || its.kind === 'rest') return false;
    if (level.kind === 'literal' && !(its.kind === 'literal' && its.text === level.text)) return false;
    // `a/#` matches `a` as well, which `a/+` does not.
    if (index === one.length - 1 && other[index + 1] !== undefined) return false;
  }
  return other.length === one.length;
}
