/** Parts of the configuration that are designed and not built: refused by name, never accepted and ignored. */
import type { Path } from './shape.ts';

const keys: ReadonlySet<string> = new Set(['downlinks']);

const values: Readonly<Record<string, readonly string[]>> = {
  'routes.*.value': ['avro', 'protobuf'],
};

function pattern(path: Path): string {
  return path.map((key) => (typeof key === 'number' ? '*' : key)).join('.');
}

export function isUnbuiltKey(path: Path): boolean {
  return keys.has(pattern(path));
}

export function isUnbuiltValue(path: Path, value: unknown): boolean {
  return typeof value === 'string' && (values[pattern(path)] ?? []).includes(value);
}

export const notBuiltYet = 'not built yet in this version';
