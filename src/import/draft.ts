/** A sluice.yaml in the making: sections, routes, and what could not be taken over, which is said at its place and once more to the caller. */
import { stringify } from 'yaml';

export interface Imported {
  readonly yaml: string;
  /** What is not taken over, or is not quite the same: each is a comment in `yaml`, too. */
  readonly notes: readonly string[];
}

export type RouteDraft = Readonly<Record<string, unknown>> & ({ readonly from: string } | { readonly regex: string });

interface Entry {
  readonly route: RouteDraft;
  readonly notes: readonly string[];
  /** It would take more or other messages than it should: written as a comment. */
  readonly off: boolean;
}

export class Draft {
  readonly #source: string;
  readonly #sections: Record<string, unknown> = {};
  readonly #notes: string[] = [];
  readonly #entries: Entry[] = [];

  /** `source`: what it comes from, in words. */
  constructor(source: string) {
    this.#source = source;
  }

  section(name: string, value: unknown): void {
    this.#sections[name] = value;
  }

  note(text: string): void {
    this.#notes.push(text);
  }

  route(route: RouteDraft, notes: readonly string[], off = false): void {
    this.#entries.push({ route, notes, off });
  }

  finish(): Imported {
    const parts = [
      comment(`From ${this.#source}. Look it over, then: sluice check -c <this file>`),
      ...this.#notes.map((note) => comment(`NOT TAKEN OVER: ${note}`)),
    ];
    if (Object.keys(this.#sections).length > 0) parts.push(stringify(this.#sections, { lineWidth: 0 }));
    const active = this.#entries.some(({ off }) => !off);
    parts.push(active ? 'routes:\n' : comment('routes: (none that can be used as it is)'));
    for (const { route, notes, off } of this.#entries) {
      for (const note of notes) parts.push(comment(`NOT TAKEN OVER: ${note}`, '  '));
      const text = stringify([route], { lineWidth: 0 }).trimEnd();
      parts.push(off ? comment(text, '  ') : `${text.replace(/^/gm, '  ')}\n`);
    }
    const told = this.#entries.flatMap(({ route, notes }) => notes.map((note) => `${nameOf(route)}: ${note}`));
    return { yaml: parts.join(''), notes: [...this.#notes, ...told] };
  }
}

function nameOf(route: RouteDraft): string {
  return String(route['name'] ?? route['from'] ?? route['regex']);
}

function comment(text: string, indent = ''): string {
  return text
    .split(/[\r\n\u0085\u2028\u2029]+/)
    .map((line) => `${indent}# ${line}\n`)
    .join('');
}

/** A text that stands for itself in a template. */
export function literal(text: string): string {
  return text.replaceAll('{', '{{').replaceAll('}', '}}');
}
