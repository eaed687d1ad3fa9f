/** From what zod found to findings in words: what was expected here, and the way out. */
import type { z } from 'zod';
import { nearest } from './nearest.ts';
import { accepts, choices, expectedOf, knownKeys, nodeAt, pathText, textFields, type Path } from './shape.ts';
import { isMapping, type ConfigTree, type Finding } from './tree.ts';
import { isUnbuiltKey, notBuiltYet } from './unbuilt.ts';

type Issue = z.core.$ZodIssue;

export function findingsOf(issues: readonly Issue[], tree: ConfigTree): Finding[] {
  return issues.flatMap((issue) => flat(issue, [])).flatMap(({ issue, path }) => findings(issue, path, tree));
}

interface Placed {
  readonly issue: Issue;
  readonly path: Path;
}

/** A union says no with the reasons of each alternative: what counts are those of the one that fits best. */
function flat(issue: Issue, above: Path): Placed[] {
  const path = [...above, ...issue.path.map((key) => (typeof key === 'number' ? key : String(key)))];
  if (issue.code !== 'invalid_union') return [{ issue, path }];
  const meant = issue.errors.find((issues) =>
    issues.some((inner) => inner.path.length > 0 || inner.code === 'unrecognized_keys'),
  );
  return meant === undefined ? [{ issue, path }] : meant.flatMap((inner) => flat(inner, path));
}

function findings(issue: Issue, path: Path, tree: ConfigTree): Finding[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey([...path, key]));
  const value = tree.get(path);
  if (issue.code === 'custom' && isMapping(issue.params)) {
    const { wayOut, needs } = issue.params as { wayOut?: string; needs?: readonly string[] };
    const section = path.slice(0, -1);
    return [
      {
        path,
        message: issue.message,
        wayOut: wayOut ?? 'see docs/configuration.md',
        ...(needs === undefined ? {} : { needs: needs.map((name) => [...section, name]) }),
      },
    ];
  }
  if (issue.code === 'invalid_key') {
    return [
      { path, atKey: true, message: 'not a name that can be used here', wayOut: 'use a name of 1 to 250 characters' },
    ];
  }
  return [value === undefined ? missing(path) : wrong(path, value)];
}

function unknownKey(path: Path): Finding {
  const key = String(path.at(-1));
  if (isUnbuiltKey(path)) {
    return {
      path,
      atKey: true,
      message: notBuiltYet,
      wayOut: 'remove it: what sluice cannot do it refuses, rather than ignore it',
    };
  }
  const section = path.slice(0, -1);
  const known = knownKeys(section);
  const close = nearest(key, known);
  const elsewhere = close === undefined ? elsewhereKnown(key) : undefined;
  const where = section.length === 0 ? 'at the top' : `in ${pathText(section)}`;
  const wayOut =
    close !== undefined
      ? `did you mean ${close}?`
      : elsewhere !== undefined
        ? `did you mean ${pathText(elsewhere)}?`
        : `remove it; known ${where}: ${known.join(', ')}`;
  return { path, atKey: true, message: `unknown key ${JSON.stringify(key)}`, wayOut };
}

/** The key, or one close to it, in another section. */
function elsewhereKnown(key: string): Path | undefined {
  const fields = textFields();
  const meant = nearest(
    key,
    fields.map((field) => field.path.at(-1) ?? ''),
  );
  return fields.find((field) => field.path.at(-1) === meant)?.path;
}

function missing(path: Path): Finding {
  const key = String(path.at(-1) ?? '');
  const expected = expectedOf(nodeAt(path) ?? {});
  return { path, message: `is missing, expected ${expected}`, wayOut: `add ${key}: with ${expected}` };
}

function wrong(path: Path, value: unknown): Finding {
  const node = nodeAt(path) ?? {};
  const expected = expectedOf(node);
  const kind = path.length === 0 ? `the configuration is ${kindOf(value)}, ` : value === null ? 'has no value, ' : '';
  return { path, message: `${kind}expected ${expected}`, wayOut: wayOutOf(path, value) };
}

/** The most likely slip first. */
function wayOutOf(path: Path, value: unknown): string {
  const node = nodeAt(path) ?? {};
  const standard = node.default === undefined ? undefined : JSON.stringify(node.default);
  const fallback =
    standard === undefined || standard === '{}'
      ? `write ${expectedOf(node)}`
      : `write ${expectedOf(node)}; the default is ${standard}`;
  if (path.length === 0) return 'begin with a key such as listeners:, buffer:, kafka: or routes:';
  if (value === null)
    return 'give it a value, or remove the line; YAML takes # after a space as a comment: put "#" in quotes';
  if (typeof value === 'string') {
    const known = choices(node);
    const close = nearest(value, known);
    if (close !== undefined) return `did you mean ${close}?`;
    if (known.length > 0) return `use ${quoted(known)}`;
    if (accepts(node, 'boolean') && /^(yes|on|y|no|off|n)$/i.test(value)) return `write ${/^(yes|on|y)$/i.test(value)}`;
    if (accepts(node, 'number') && /^\d+$/.test(value)) return 'remove the quotes around the number';
    if (accepts(node, 'array'))
      return `write it as a list: [${JSON.stringify(isBroker(path) && !value.includes(':') ? `${value}:9092` : value)}]`;
    if (isBroker(path) && /^[^\s:/]+$/.test(value)) return `add the port: ${value}:9092`;
  }
  if (typeof value === 'number') {
    if (isDuration(path)) return `a bare number has no unit: write ${value}ms or ${value}s`;
    if (accepts(node, 'string') && !accepts(node, 'number')) return `put it in quotes: "${value}"`;
  }
  if (isMapping(value) && accepts(node, 'string'))
    return 'a { begins a mapping in YAML: put templates in quotes, as in "{clientId}"';
  if (Array.isArray(value) && value.length === 0) return 'add an item, or remove the key: its default stands in';
  if (Array.isArray(value) && !accepts(node, 'array')) return 'write one value instead of a list';
  if (isMapping(value) && accepts(node, 'array')) return 'begin each item with a dash: - name: value';
  return fallback;
}

function isBroker(path: Path): boolean {
  return path[0] === 'kafka' && path[1] === 'brokers';
}

function isDuration(path: Path): boolean {
  return nodeAt(path)?.patternErrorMessage?.startsWith('a duration') ?? false;
}

function kindOf(value: unknown): string {
  return Array.isArray(value)
    ? 'a list'
    : value === null
      ? 'empty'
      : `a ${typeof value === 'string' ? 'text' : typeof value}`;
}

function quoted(words: readonly string[]): string {
  return words.join(', ');
}
