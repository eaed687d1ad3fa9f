/**
 * A new configuration for a sluice that runs: what differs, what can be changed now, what waits for a restart. Everything is
 * prepared before anything is changed, so that a bad file changes nothing.
 *
 *     compare ─> prepare each part ─┬─ all could be had ──> apply them, in one turn of the event loop
 *                                   └─ one could not ─────> discard what was prepared; the old one stays
 */
import type { SluiceConfig } from './config/config.ts';

/** A part of the running sluice that takes a new configuration. */
export interface Reloadable {
  /** Dotted paths of the configuration that it takes, with all that is below: `auth`, `log.level`. */
  readonly paths: readonly string[];
  /**
   * Opens and reads what the configuration names; called at every reload, since files may have changed where the configuration
   * has not. `changed`: something at `paths` differs. Throws: why the new configuration cannot be had.
   */
  prepare(next: SluiceConfig, changed: boolean): Promise<Change> | Change;
}

/** What is prepared. One of the two is called, once. */
export interface Change {
  /** Cannot fail: what could is done by prepare(). */
  apply(): void;
  /** Gives up what was prepared. */
  discard?(): void;
}

export interface ReloadReport {
  /** Dotted paths of what differed and is in effect now. */
  readonly applied: readonly string[];
  /** Dotted paths of what differs and takes effect at the next start. */
  readonly needRestart: readonly string[];
}

/** Gives the configuration that is in effect after it: the old one where a restart is needed. */
export async function reload(
  current: SluiceConfig,
  next: SluiceConfig,
  parts: readonly Reloadable[],
): Promise<{ config: SluiceConfig; report: ReloadReport }> {
  const differing = differences(current, next, '');
  const live = parts.flatMap(({ paths }) => paths);
  const applied = differing.filter((path) => live.some((of) => isWithin(path, of)));
  const needRestart = differing.filter((path) => !applied.includes(path));
  const config = live.reduce((merged, path) => withValueOf(merged, next, path.split('.')), current);

  const changes: Change[] = [];
  try {
    for (const part of parts) {
      const changed = applied.some((path) => part.paths.some((of) => isWithin(path, of)));
      changes.push(await part.prepare(config, changed));
    }
  } catch (error) {
    for (const change of changes) change.discard?.();
    throw error;
  }
  for (const change of changes) change.apply();
  return { config, report: { applied, needRestart } };
}

function isWithin(path: string, of: string): boolean {
  return path === of || path.startsWith(`${of}.`);
}

/** Paths of what differs; a list counts as one value. */
function differences(one: unknown, other: unknown, path: string): string[] {
  if (!isMapping(one) || !isMapping(other)) return JSON.stringify(one) === JSON.stringify(other) ? [] : [path];
  const keys = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  return keys.flatMap((key) => differences(one[key], other[key], path === '' ? key : `${path}.${key}`));
}

function withValueOf<Value>(target: Value, source: Value, [key, ...rest]: readonly string[]): Value {
  if (key === undefined) return source;
  if (!isMapping(target) || !isMapping(source)) return target;
  return { ...target, [key]: withValueOf(target[key], source[key], rest) };
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
