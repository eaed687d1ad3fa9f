/** Parts of the configuration that are designed and not built: refused by name, never accepted and ignored. */
import type { Path } from './shape.ts';

const keys: ReadonlySet<string> = new Set();

export function isUnbuiltKey(path: Path): boolean {
  return keys.has(path.map((key) => (typeof key === 'number' ? '*' : key)).join('.'));
}

export const notBuiltYet = 'not built yet in this version';
