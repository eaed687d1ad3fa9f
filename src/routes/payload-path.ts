/**
 * Where a field of a JSON payload is: a dotted path, `a.b[0].c`, or a JSON pointer (RFC 6901), `/a/b/0/c`. Only what the
 * payload itself holds is found: `__proto__` is a name like any other.
 */
import { problem, quoted, type TextProblem } from './problem.ts';

const PATH_MAX_STEPS = 32;

export interface PayloadPath {
  readonly kind: 'path';
  readonly text: string;
  readonly steps: readonly string[];
}

export function parsePayloadPath(text: string): PayloadPath | TextProblem {
  const steps = text.startsWith('/') ? pointerSteps(text) : dottedSteps(text);
  if (steps === undefined) {
    return problem(
      `${quoted(text)} is no path into a payload`,
      'write names with dots between and indexes in brackets, a.b[0], or a JSON pointer, /a/b/0',
    );
  }
  if (steps.length > PATH_MAX_STEPS) {
    return problem(`${quoted(text)} has more than ${PATH_MAX_STEPS} steps`, 'name a field that is nearer');
  }
  return { kind: 'path', text, steps };
}

function pointerSteps(text: string): string[] | undefined {
  const parts = text.slice(1).split('/');
  if (parts.some((part) => /~(?![01])/.test(part))) return undefined;
  return parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function dottedSteps(text: string): string[] | undefined {
  const steps: string[] = [];
  for (const part of text.split('.')) {
    const match = /^([^[\]]*)((?:\[\d{1,9}\])*)$/.exec(part);
    if (match === null) return undefined;
    const [, name = '', indexes = ''] = match;
    if (name !== '') steps.push(name);
    // `[0]` alone is where the payload, or an element of it, is a list.
    else if (indexes === '' || steps.length > 0) return undefined;
    for (const [, index = ''] of indexes.matchAll(/\[(\d+)\]/g)) steps.push(index);
  }
  return steps;
}

/** The value there; undefined: there is none. */
export function valueAt(value: unknown, { steps }: PayloadPath): unknown {
  let at = value;
  for (const step of steps) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined;
    // The length of a list is not part of a payload.
    if (Array.isArray(at) && !/^\d+$/.test(step)) return undefined;
    at = (at as Readonly<Record<string, unknown>>)[step];
  }
  return at;
}

/** A value as the text that templates put in; undefined: null, or none. */
export function textOf(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
    case 'boolean':
      return String(value);
    case 'object':
      return value === null ? undefined : JSON.stringify(value);
    default:
      return undefined;
  }
}
