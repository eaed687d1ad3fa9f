/** Fields of a JSON object: keep, drop, rename, look up, add; in this order, whatever the order in the file. */
import type { Message } from '../message.ts';
import { parsePayloadPath, valueAt, type PayloadPath } from '../routes/payload-path.ts';
import { isProblem, problem, quoted, type TextProblem } from '../routes/problem.ts';
import { parseTemplate, type Template } from '../routes/template.ts';
import type { Constant, FieldsDefinition, LookupDefinition } from './definition.ts';
import { valueFault, type ValueFault } from './fault.ts';

export interface FieldsContext {
  readonly levelNames: readonly string[];
  /** Text of a file. @throws Error */
  readonly read: (file: string) => string;
  readonly report: (field: readonly (string | number)[], value: string, problem: TextProblem) => void;
}

type Added =
  | { readonly name: string; readonly kind: 'constant'; readonly value: Constant }
  | { readonly name: string; readonly kind: 'path'; readonly path: PayloadPath }
  | { readonly name: string; readonly kind: 'template'; readonly template: Template };

interface Lookup {
  readonly key: Template;
  readonly into: string | undefined;
  readonly entries: ReadonlyMap<string, unknown>;
}

export class Fields {
  readonly #keep: ReadonlySet<string> | undefined;
  readonly #drop: ReadonlySet<string>;
  readonly #rename: ReadonlyMap<string, string>;
  readonly #lookups: readonly Lookup[];
  readonly #added: readonly Added[];

  constructor(definition: FieldsDefinition, context: FieldsContext) {
    this.#keep = definition.keep === undefined ? undefined : new Set(definition.keep);
    this.#drop = new Set(definition.drop);
    this.#rename = new Map(Object.entries(definition.rename ?? {}));
    this.#lookups = (definition.lookup ?? []).flatMap((lookup, index) => readLookup(lookup, index, context));
    this.#added = Object.entries(definition.add ?? {}).flatMap(([name, value]) => readAdded(name, value, context));
  }

  apply(value: unknown, message: Message, levels: readonly string[]): Readonly<Record<string, unknown>> | ValueFault {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return valueFault('PAYLOAD_INVALID', 'the route works on fields, and the payload is not a JSON object');
    }
    // Entries, not assignments: `__proto__` is a field like any other.
    const fields = new Map<string, unknown>();
    for (const [name, field] of Object.entries(value)) {
      if (this.#drop.has(name) || this.#keep?.has(name) === false) continue;
      fields.set(this.#rename.get(name) ?? name, field);
    }
    for (const { key, into, entries } of this.#lookups) {
      const found = entries.get(key.render(message, levels, value) ?? '');
      if (found === undefined) continue;
      if (into !== undefined) fields.set(into, found);
      else for (const [name, field] of Object.entries(found as object)) fields.set(name, field);
    }
    for (const added of this.#added) {
      const made = addedValue(added, message, levels, value);
      if (made !== undefined) fields.set(added.name, made);
    }
    return Object.fromEntries(fields);
  }
}

/** undefined: the message has not what is named, and there is no such field. */
function addedValue(added: Added, message: Message, levels: readonly string[], payload: unknown): unknown {
  switch (added.kind) {
    case 'constant':
      return added.value;
    case 'path':
      return valueAt(payload, added.path);
    case 'template':
      return added.template.render(message, levels, payload);
  }
}

function readAdded(name: string, value: Constant, { levelNames, report }: FieldsContext): Added[] {
  if (typeof value !== 'string') return [{ name, kind: 'constant', value }];
  const path = /^\{payload(?:\.([^{}]+)|([[/][^{}]*))\}$/.exec(value);
  if (path !== null && !value.includes(':-')) {
    const parsed = parsePayloadPath(path[1] ?? path[2] ?? '');
    if (!isProblem(parsed)) return [{ name, kind: 'path', path: parsed }];
  }
  const template = parseTemplate(value, levelNames);
  if (!isProblem(template)) return [{ name, kind: 'template', template }];
  report(['fields', 'add', name], value, template);
  return [];
}

function readLookup(lookup: LookupDefinition, index: number, context: FieldsContext): Lookup[] {
  const { read, report, levelNames } = context;
  const field = ['fields', 'lookup', index];
  const key = parseTemplate(lookup.key, levelNames);
  if (isProblem(key)) {
    report([...field, 'key'], lookup.key, key);
    return [];
  }
  const refuse = (message: string, wayOut: string): [] => {
    report([...field, 'file'], lookup.file, problem(message, wayOut));
    return [];
  };
  let table: unknown;
  try {
    table = JSON.parse(read(lookup.file));
  } catch (error) {
    return refuse(`cannot be used: ${error instanceof Error ? error.message : String(error)}`, 'name a JSON file');
  }
  if (typeof table !== 'object' || table === null || Array.isArray(table)) {
    return refuse('is no JSON object', 'write { "key": { "field": "value" } }');
  }
  const entries = Object.entries(table);
  const odd = entries.find(([, entry]) => typeof entry !== 'object' || entry === null);
  if (lookup.into === undefined && odd !== undefined) {
    return refuse(
      `has under ${quoted(odd[0])} no object`,
      'give the entries fields, or say with `into` which field gets them',
    );
  }
  return [{ key, into: lookup.into, entries: new Map(entries) }];
}
