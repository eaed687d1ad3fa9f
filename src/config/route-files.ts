/** Files that routes name: schemas, and tables to look things up in. */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { errorText } from '../errors.ts';
import type { RouteConfig } from './config.ts';

const FILE_MAX_BYTES = 64 * 1024 * 1024;

export function withAbsoluteFiles(routes: readonly RouteConfig[], base: string): readonly RouteConfig[] {
  return routes.map((route) => {
    const { schema, fields, registry } = route;
    if (schema === undefined && fields?.lookup === undefined && registry?.file === undefined) return route;
    const lookup = fields?.lookup?.map((each) => ({ ...each, file: resolve(base, each.file) }));
    return {
      ...route,
      ...(schema === undefined ? {} : { schema: resolve(base, schema) }),
      ...(registry?.file === undefined ? {} : { registry: { ...registry, file: resolve(base, registry.file) } }),
      ...(lookup === undefined ? {} : { fields: { ...fields, lookup } }),
    };
  });
}

/** @throws Error in words */
export function readRouteFile(file: string): string {
  try {
    const { size } = statSync(file);
    if (size > FILE_MAX_BYTES) throw new Error(`${size} bytes are more than ${FILE_MAX_BYTES}`);
    return readFileSync(file, 'utf8');
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    throw new Error(missing ? 'there is no such file' : errorText(error), { cause: error });
  }
}
