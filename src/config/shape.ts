/** The schema seen from outside, through its JSON Schema: what is known at a path, in words and by name. */
import { z } from 'zod';
import { schema } from './schema.ts';

export type Path = readonly (string | number)[];

/** What we read of a JSON Schema node. */
export interface SchemaNode {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly description?: string;
  readonly pattern?: string;
  readonly patternErrorMessage?: string;
  readonly format?: string;
  readonly writeOnly?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly minItems?: number;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | SchemaNode;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly oneOf?: readonly SchemaNode[];
}

let generated: SchemaNode | undefined;

/** JSON Schema (2020-12) of what may be written: for editors, and for everything here. */
export function configJsonSchema(): SchemaNode {
  generated ??= {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'sluice.yaml',
    ...z.toJSONSchema(schema, { io: 'input' }),
  } as SchemaNode;
  return generated;
}

/** The alternatives of a node, flat. */
export function branches(node: SchemaNode): readonly SchemaNode[] {
  const alternatives = node.anyOf ?? node.oneOf;
  return alternatives === undefined ? [node] : alternatives.flatMap(branches);
}

function child(node: SchemaNode, key: string | number): SchemaNode | undefined {
  const found = branches(node).flatMap((branch) => {
    if (typeof key === 'number') return branch.items ?? [];
    if (branch.properties !== undefined && Object.hasOwn(branch.properties, key)) return branch.properties[key] ?? [];
    return typeof branch.additionalProperties === 'object' ? branch.additionalProperties : [];
  });
  return found.length > 1 ? { ...found[0], anyOf: found } : found[0];
}

export function nodeAt(path: Path): SchemaNode | undefined {
  return path.reduce<SchemaNode | undefined>((node, key) => node && child(node, key), configJsonSchema());
}

/** Keys that a mapping at this path may have; empty where any may. */
export function knownKeys(path: Path): string[] {
  const node = nodeAt(path);
  return node === undefined
    ? []
    : [...new Set(branches(node).flatMap((branch) => Object.keys(branch.properties ?? {})))];
}

export function accepts(
  node: SchemaNode,
  type: 'object' | 'array' | 'boolean' | 'string' | 'null' | 'number',
): boolean {
  return branches(node).some(
    (branch) =>
      branch.type === type ||
      (type === 'number' && branch.type === 'integer') ||
      (branch.type === undefined && branch.const !== undefined && typeof branch.const === type),
  );
}

/** Never shown. Keys that the schema does not know count by their name. */
export function isSecret(path: Path): boolean {
  const node = nodeAt(path);
  if (node !== undefined) return branches(node).some((branch) => branch.writeOnly === true) || node.writeOnly === true;
  return path.some((key) => typeof key === 'string' && secretName.test(key));
}

export const secretName = /pass|pasw|pswd|pwd|secret|token|credential|private/i;

function list(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function literals(node: SchemaNode): readonly unknown[] {
  return node.enum ?? (node.const === undefined ? [] : [node.const]);
}

/** The texts that a node takes, where it takes only certain ones. */
export function choices(node: SchemaNode): string[] {
  return [...new Set(branches(node).flatMap(literals))].filter((value) => typeof value === 'string');
}

/** What a node takes, as in "expected …". */
export function expectedOf(node: SchemaNode): string {
  if (node.patternErrorMessage !== undefined) return node.patternErrorMessage;
  const fixed = [...new Set(branches(node).flatMap(literals))].map((value) => JSON.stringify(value));
  const open = branches(node)
    .filter((branch) => literals(branch).length === 0)
    .map(openWords);
  return list([...new Set([...open, ...fixed])].filter((word) => word !== ''));
}

function openWords(node: SchemaNode): string {
  if (node.patternErrorMessage !== undefined) return node.patternErrorMessage;
  switch (node.type) {
    case 'integer':
      return `a whole number from ${node.minimum} to ${node.maximum}`;
    case 'number':
      return `a number from ${node.minimum} to ${node.maximum}`;
    case 'boolean':
      return 'true or false';
    case 'string':
      return (node.minLength ?? 0) > 0 ? 'a text that is not empty' : 'a text';
    case 'array': {
      const items = node.items ?? {};
      const least = (node.minItems ?? 0) > 0 ? ', at least one' : '';
      return accepts(items, 'object') ? `a list of mappings${least}` : `a list${least}, each ${expectedOf(items)}`;
    }
    case 'object':
      return node.required === undefined ? 'a mapping' : `a mapping with ${node.required.join(' and ')}`;
    default:
      return '';
  }
}

/** A field that a single text can set: `SLUICE_…` variables and flags. */
export interface TextField {
  readonly path: readonly string[];
  readonly node: SchemaNode;
  readonly variable: string;
}

export function variableName(path: readonly string[]): string {
  return ['SLUICE', ...path.map((key) => key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase())].join('_');
}

function isText(node: SchemaNode): boolean {
  return branches(node).some(
    (branch) =>
      (branch.type !== 'object' && branch.type !== 'array' && branch.type !== 'null') ||
      (branch.items !== undefined && !accepts(branch.items, 'object')),
  );
}

let fields: readonly TextField[] | undefined;

/** Every field that a text can set, parents before their children. */
export function textFields(): readonly TextField[] {
  const collect = (path: readonly string[]): TextField[] => {
    const node = nodeAt(path);
    const own =
      node !== undefined && path.length > 0 && isText(node) ? [{ path, node, variable: variableName(path) }] : [];
    return [...own, ...knownKeys(path).flatMap((key) => collect([...path, key]))];
  };
  fields ??= collect([]);
  return fields;
}

/** `listeners.mqtt.port`, `routes[0].headers["x y"]`. */
export function pathText(path: Path): string {
  return path
    .map((key, index) => {
      if (typeof key === 'number') return `[${key}]`;
      return /^[\w-]+$/.test(key) ? `${index === 0 ? '' : '.'}${key}` : `[${JSON.stringify(key)}]`;
    })
    .join('');
}
