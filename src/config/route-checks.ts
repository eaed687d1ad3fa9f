/** What only the routes' own language can tell of routes: filters, templates, Kafka topic names, names used twice. */
import { parseFilter } from '../routes/filter.ts';
import { isProblem } from '../routes/problem.ts';
import { parseTemplate } from '../routes/template.ts';
import type { RouteConfig } from './config.ts';
import type { Path } from './shape.ts';
import type { Finding } from './tree.ts';

const topicMaxLength = 249;

/** `skip`: this value is wrong already, or stands in for one that is. */
export function checkRoutes(routes: readonly RouteConfig[], skip: (path: Path) => boolean): Finding[] {
  const byName = new Map<string, number>();
  return routes.flatMap((route, index) => {
    const path: Path = ['routes', index];
    if (skip(path)) return [];
    const first = byName.get(route.name);
    if (first === undefined) byName.set(route.name, index);
    const twice: Finding[] =
      first === undefined || skip([...path, 'name'])
        ? []
        : [
            {
              path: [...path, 'name'],
              message: `routes[${first}] is named ${JSON.stringify(route.name)} too (a route without a name goes by its from)`,
              wayOut: 'give each route a name of its own',
            },
          ];
    return [...twice, ...checkRoute(route, path).filter((finding) => !skip(finding.path))];
  });
}

function checkRoute(route: RouteConfig, path: Path): Finding[] {
  const findings: Finding[] = [];
  const filter = parseFilter(route.from);
  if (isProblem(filter)) findings.push({ path: [...path, 'from'], message: filter.message, wayOut: filter.wayOut });
  // Names of a broken filter still count, lest one fault be reported twice.
  const names = isProblem(filter)
    ? [...route.from.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '')
    : filter.names;

  const template = (
    field: Path,
    text: string,
    check?: (literals: readonly string[], constant: boolean) => TopicFault | undefined,
  ): void => {
    const parsed = parseTemplate(text, names);
    const fault = isProblem(parsed) ? parsed : check?.(parsed.literals, parsed.names.length === 0);
    if (fault !== undefined) findings.push({ path: [...path, ...field], message: fault.message, wayOut: fault.wayOut });
  };
  template(['to'], route.to, topicFault);
  template(['key'], route.key);
  for (const [name, text] of Object.entries(route.headers)) {
    template(['headers', name], text);
    if (name.startsWith('sluice-')) {
      findings.push({
        path: [...path, 'headers', name],
        atKey: true,
        message: `${JSON.stringify(name)} is a header that sluice writes itself`,
        wayOut: 'choose a name that does not begin with sluice-',
      });
    }
  }
  return findings;
}

interface TopicFault {
  readonly message: string;
  readonly wayOut: string;
}

export function checkDeadLetter(topic: string): Finding[] {
  const fault = topicFault([topic], true);
  return fault === undefined ? [] : [{ path: ['deadLetter', 'topic'], ...fault }];
}

/** Kafka's rule (org.apache.kafka.common.internals.Topic): [a-zA-Z0-9._-], at most 249 characters, not . or .. */
function topicFault(literals: readonly string[], constant: boolean): TopicFault | undefined {
  const text = literals.join('');
  const illegal = /[^a-zA-Z0-9._-]/u.exec(text)?.[0];
  if (illegal !== undefined) {
    const character = illegal === '#' || illegal === '+' ? `the wildcard ${illegal}` : JSON.stringify(illegal);
    return {
      message: `not a Kafka topic: ${character} cannot be in one`,
      wayOut: `use letters, digits, dot, dash and underscore${illegal === '/' ? `, e.g. ${text.replaceAll(/[^a-zA-Z0-9._-]+/g, '.').slice(0, 60)}` : ''}`,
    };
  }
  if (text.length > topicMaxLength) {
    return {
      message: `not a Kafka topic: ${text.length} characters`,
      wayOut: `Kafka allows ${topicMaxLength}: shorten it`,
    };
  }
  if (constant && (text === '.' || text === '..'))
    return { message: 'not a Kafka topic', wayOut: 'Kafka reserves . and ..: choose another name' };
  return undefined;
}
