/** Routes with what they make of payloads: compiled together, replaced together. */
import { compileRoutes, checkRoutes, RoutesError, type RouterOptions } from '../routes/index.ts';
import type { RouteDefinition, RouteProblem } from '../routes/route.ts';
import type { Router } from '../routes/router.ts';
import type { ValueDefinition } from './definition.ts';
import { RouteValue, type ValueContext } from './route-value.ts';

export type FullRouteDefinition = RouteDefinition & ValueDefinition;

export interface RouteSet {
  readonly router: Router;
  /** By index of the route. */
  readonly values: readonly RouteValue[];
}

/** Text of a file that a route names. @throws Error */
export type ReadFile = (file: string) => string;

const noFiles: ReadFile = (file) => {
  throw new Error(`${file} is not to be had here`);
};

/** @throws RoutesError, with all problems */
export function compileRouteSet(
  definitions: readonly FullRouteDefinition[],
  read: ReadFile = noFiles,
  options: RouterOptions = {},
  schemas?: ValueContext['schemas'],
): RouteSet {
  const router = compileRoutes(definitions, options);
  const problems: RouteProblem[] = [];
  const values = valuesOf(router, definitions, read, problems, schemas);
  if (problems.length > 0) throw new RoutesError(problems);
  return { router, values };
}

/** Everything that is wrong with routes and what they make of payloads. */
export function checkRouteSet(definitions: readonly FullRouteDefinition[], read: ReadFile): readonly RouteProblem[] {
  const problems = [...checkRoutes(definitions)];
  // A route that does not compile has no value to look at.
  const bad = new Set(problems.map(({ path }) => path[0]));
  const sound = definitions.map((definition, index) =>
    bad.has(index) ? { name: `(${index})`, from: '#', to: 't' } : definition,
  );
  if (problems.every(({ path }) => path.length > 0)) valuesOf(compileRoutes(sound), sound, read, problems);
  return problems;
}

function valuesOf(
  router: Router,
  definitions: readonly FullRouteDefinition[],
  read: ReadFile,
  problems: RouteProblem[],
  schemas?: ValueContext['schemas'],
): readonly RouteValue[] {
  return router.routes.map((route) => {
    const report: ValueContext['report'] = (field, value, { message, wayOut }) => {
      problems.push({ path: [route.index, ...field], value, message, wayOut });
    };
    return new RouteValue(route, definitions[route.index] ?? {}, { read, report, schemas });
  });
}
