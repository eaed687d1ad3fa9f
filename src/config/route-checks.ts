/** What only the routes' own language can tell: filters, templates, Kafka topic names, names used twice. */
import { checkRouteSet } from '../payload/route-set.ts';
import { kafkaTopicFault } from '../routes/kafka-topic.ts';
import { compileRoute, type RouteProblem } from '../routes/route.ts';
import { topicSettingsProblems } from '../routes/topic-settings.ts';
import { isRegistryForm } from '../payload/definition.ts';
import type { RouteConfig, SluiceConfig } from './config.ts';
import { readRouteFile } from './route-files.ts';
import type { Path } from './shape.ts';
import type { Finding } from './tree.ts';

/** `skip`: this value is wrong already, or stands in for one that is. */
export function checkRoutes(routes: readonly RouteConfig[], skip: (path: Path) => boolean): Finding[] {
  const found = [...checkRouteSet(routes, readRouteFile), ...topicSettingsProblems(routes)];
  const badFilters = found.filter(({ path }) => path[1] === 'from').map(({ path }) => Number(path[0]));
  return [...found, ...badFilters.flatMap((index) => behindBadFilter(routes, index))]
    .map(({ path, message, wayOut }) => ({ path: ['routes', ...path], message, wayOut }))
    .filter(({ path }) => !skip(path));
}

/** A route with a bad filter is not looked at further: do it as if its names were right, so that one round tells all. */
function behindBadFilter(routes: readonly RouteConfig[], index: number): RouteProblem[] {
  const route = routes[index];
  if (route?.from === undefined) return [];
  const names = [...new Set([...route.from.matchAll(/\{([A-Za-z_]\w*)\}/g)].map((match) => match[0]))];
  const problems: RouteProblem[] = [];
  compileRoute({ ...route, from: [...names, '#'].join('/') }, index, problems);
  return problems.filter(({ path }) => path[1] !== 'from');
}

/** A route that needs a registry, and none is named. */
export function checkRegistry({ routes, schemaRegistry }: SluiceConfig, skip: (path: Path) => boolean): Finding[] {
  if (schemaRegistry !== undefined || skip(['schemaRegistry'])) return [];
  return routes.flatMap(({ value }, index) => {
    const path = ['routes', index, 'value'];
    if (!isRegistryForm(value) || skip(path)) return [];
    const wayOut = 'add schemaRegistry: with its url at the top of the file';
    return [{ path, message: 'needs a schema registry', wayOut }];
  });
}

export function checkDeadLetter(topic: string): Finding[] {
  const fault = kafkaTopicFault(topic);
  if (fault === undefined) return [];
  const wayOut = 'name a topic that Kafka allows, such as sluice.dead-letter';
  return [{ path: ['deadLetter', 'topic'], message: `no Kafka topic: ${fault}`, wayOut }];
}
