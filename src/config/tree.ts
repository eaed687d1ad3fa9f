/** The configuration before it is validated: plain values, and for each of them where it comes from. */
import type { Place, Problem } from './problems.ts';
import { isSecret, pathText, type Path } from './shape.ts';
import { withoutCredentials, type SourceText, type Span } from './source-text.ts';

export type Origin =
  | { readonly kind: 'file'; readonly key: Span | undefined; readonly value: Span }
  | { readonly kind: 'environment'; readonly variable: string }
  | { readonly kind: 'flag'; readonly flag: string };

/** What is wrong, before its place is looked up. */
export interface Finding {
  readonly path: Path;
  readonly message: string;
  readonly wayOut: string;
  readonly code?: Problem['code'];
  /** The key itself is wrong, not its value. */
  readonly atKey?: boolean;
  /** There is no value to show, only the text in the file. */
  readonly withoutValue?: boolean;
  /** Fields that this finding rests on: without interest where one of them is wrong itself. */
  readonly needs?: readonly Path[];
}

type Mapping = Record<string, unknown>;

export class ConfigTree {
  root: unknown = {};
  readonly source: SourceText | undefined;
  readonly #origins = new Map<string, Origin>();

  constructor(source: SourceText | undefined) {
    this.source = source;
  }

  setOrigin(path: Path, origin: Origin): void {
    this.#origins.set(JSON.stringify(path), origin);
    if (origin.kind === 'file' && isSecret(path)) this.source?.hide(origin.value);
  }

  /** Where the value at `path` comes from; undefined: a default, or an object of the library. */
  origin(path: Path): Origin | undefined {
    return this.#origins.get(JSON.stringify(path));
  }

  get(path: Path): unknown {
    return path.reduce<unknown>((value, key) => (hasKey(value, key) ? (value as Mapping)[key] : undefined), this.root);
  }

  /** Sets a value and makes the mappings that lead to it; what is switched off above it is switched on. */
  set(path: readonly string[], value: unknown, origin: Origin): void {
    let parent = this.root;
    for (const [index, key] of path.slice(0, -1).entries()) {
      if (!isMapping(parent)) return;
      const next = Object.hasOwn(parent, key) ? parent[key] : undefined;
      if (next === undefined || next === null || typeof next === 'boolean') {
        parent[key] = {};
        this.setOrigin(path.slice(0, index + 1), origin);
      }
      parent = parent[key];
    }
    const last = path.at(-1);
    if (!isMapping(parent) || last === undefined) return;
    parent[last] = value;
    this.setOrigin(path, origin);
  }

  /** Takes the value out, or, where there is none, the nearest thing around it. An item of a list gives way to `instead`. */
  remove(path: Path, instead: (item: Path) => unknown): Path {
    for (let length = path.length; length > 0; length--) {
      const parent = this.get(path.slice(0, length - 1));
      const key = path[length - 1];
      if (key === undefined || !hasKey(parent, key)) continue;
      const item = typeof key === 'number' ? instead(path.slice(0, length)) : undefined;
      if (typeof key === 'number' && item === undefined) continue;
      if (typeof key === 'number') (parent as unknown[])[key] = item;
      else delete (parent as Mapping)[key];
      return path.slice(0, length);
    }
    this.root = {};
    return [];
  }

  problem(finding: Finding): Problem {
    const { place, span } = this.#locate(finding.path, finding.atKey === true);
    return {
      code: finding.code ?? 'CONFIG_INVALID',
      place,
      path: pathText(finding.path),
      value: finding.atKey === true || finding.withoutValue === true ? undefined : this.shown(finding.path),
      message: finding.message,
      wayOut: finding.wayOut,
      excerpt: span === undefined ? undefined : this.source?.excerpt(span),
    };
  }

  /** The value as text, masked where it is secret. */
  shown(path: Path): string | undefined {
    const value = this.get(path);
    if (value === undefined) return undefined;
    if (isSecret(path)) return '***';
    if (Array.isArray(value)) return 'a list';
    if (typeof value === 'object' && value !== null) return 'a mapping';
    const text = JSON.stringify(typeof value === 'string' ? withoutCredentials(value) : value) ?? typeof value;
    return text.length > 80 ? `${text.slice(0, 77)}...` : text;
  }

  /** A value that begins on a later line than its key is shown by its key. */
  #nearKey(key: Span | undefined, value: Span): Span {
    return key !== undefined && this.source?.text.slice(key[0], value[0]).includes('\n') ? key : value;
  }

  /** What is not there is looked for at the nearest thing around it. */
  #locate(path: Path, atKey: boolean): { place: Place; span?: Span } {
    for (let length = path.length; length >= 0; length--) {
      const origin = this.origin(path.slice(0, length));
      if (origin === undefined) continue;
      if (origin.kind !== 'file') return { place: origin };
      const exact = length === path.length && !atKey;
      const span = exact ? this.#nearKey(origin.key, origin.value) : (origin.key ?? origin.value);
      if (this.source === undefined) break;
      return { place: this.source.place(span[0]), span };
    }
    return { place: { kind: 'object' } };
  }
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function hasKey(value: unknown, key: string | number): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key);
}
