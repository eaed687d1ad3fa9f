/** Values that come as text, from the environment or a flag: what they mean is for the field to say, not for the text. */
import { accepts, type SchemaNode } from './shape.ts';

/**
 * A password of digits stays a text, a port becomes a number, a list is split at its commas. What does not fit stays a text,
 * for the schema to refuse. undefined: an empty text is as good as none.
 */
export function typed(text: string, node: SchemaNode | undefined): unknown {
  const trimmed = text.trim();
  if (trimmed === '') return undefined;
  if (node === undefined) return text;
  if (accepts(node, 'array')) {
    return trimmed
      .split(',')
      .map((item) => typed(item.trim(), node.items))
      .filter((item) => item !== undefined);
  }
  if (accepts(node, 'boolean') && (trimmed === 'true' || trimmed === 'false')) return trimmed === 'true';
  if (accepts(node, 'null') && trimmed === 'null') return null;
  if (accepts(node, 'number') && /^[+-]?\d{1,16}(\.\d+)?$/.test(trimmed)) return Number(trimmed);
  return text;
}

export interface Substituted {
  readonly text: string;
  readonly used: boolean;
  /** What cannot be substituted: a variable that is not set, or `${` that is not a variable. */
  readonly faults: readonly { readonly kind: 'unset' | 'malformed'; readonly reference: string }[];
}

/**
 * `${NAME}`: the variable, which must be set. `${NAME:-default}`: the default where it is unset or empty; braces in it
 * balance. `$${` is a plain `${`. What is put in is not substituted again.
 */
export function substitute(text: string, env: Readonly<Record<string, string | undefined>>): Substituted {
  const faults: Substituted['faults'][number][] = [];
  let result = '';
  let used = false;
  let at = 0;
  for (;;) {
    const start = text.indexOf('${', at);
    if (start === -1) return { text: result + text.slice(at), used, faults };
    if (text[start - 1] === '$' && start > at) {
      result += text.slice(at, start - 1) + '${';
      at = start + 2;
      used = true;
      continue;
    }
    result += text.slice(at, start);
    used = true;
    const end = closingBrace(text, start + 2);
    const reference = text.slice(start, end + 1);
    const match = /^\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?\}$/s.exec(reference);
    const name = match?.[1] ?? '';
    const value = match === null || !Object.hasOwn(env, name) ? undefined : env[name];
    if (match === null) faults.push({ kind: 'malformed', reference: reference.slice(0, 60) });
    else if (match[2] !== undefined) result += value === undefined || value === '' ? match[2] : value;
    else if (value === undefined) faults.push({ kind: 'unset', reference: name });
    else result += value;
    at = end + 1;
  }
}

function closingBrace(text: string, from: number): number {
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    if (text[at] === '{') depth++;
    if (text[at] === '}' && --depth === 0) return at;
  }
  return text.length - 1;
}
