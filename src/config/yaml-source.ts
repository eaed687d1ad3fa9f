/** Reads sluice.yaml into a ConfigTree: values with their places, environment variables put in, everything bounded. */
import { isAlias, isMap, isScalar, isSeq, parseDocument, type Node } from 'yaml';
import type { Problem } from './problems.ts';
import { accepts, nodeAt, type Path } from './shape.ts';
import { SourceText, type Span } from './source-text.ts';
import { substitute, typed } from './text-value.ts';
import { ConfigTree, type Finding } from './tree.ts';
import { atOffset, findDepth, maxDepth, syntaxProblems } from './yaml-syntax.ts';

export const maxFileBytes = 1024 * 1024;
/** A configuration of 10,000 routes has fewer; aliases of aliases have more. */
const maxNodes = 200_000;

type Env = Readonly<Record<string, string | undefined>>;

export interface YamlReading {
  readonly tree: ConfigTree;
  readonly problems: readonly Problem[];
  /** What the problems are about. */
  readonly wrong: readonly Path[];
  /** false: the structure is not to be trusted, validating it would only mislead. */
  readonly usable: boolean;
}

export function readYaml(file: string, bytes: Uint8Array, env: Env): YamlReading {
  const text = decode(bytes);
  const source = new SourceText(file, text ?? '');
  const tree = new ConfigTree(source);
  const refuse = (offset: number, message: string, wayOut: string): YamlReading => ({
    tree,
    problems: [atOffset(source, [offset, offset + 1], message, wayOut)],
    wrong: [],
    usable: false,
  });

  // place() needs to know where lines start, also when the parser has not run.
  for (let at = 0; at !== -1 && at < source.text.length; at = nextLine(source.text, at))
    source.lineCounter.addNewLine(at);
  if (bytes.length > maxFileBytes) {
    return refuse(
      0,
      `the file has ${bytes.length} bytes, more than the ${maxFileBytes} that a configuration may have`,
      'check that this is the right file',
    );
  }
  if (text === undefined) return refuse(0, 'the file is not UTF-8 text', 'save it as UTF-8');
  const tooDeep = findDepth(source.text);
  if (tooDeep !== undefined)
    return refuse(tooDeep, `nested more than ${maxDepth} levels deep`, 'check that this is the right file');

  // Without prettyErrors: its messages quote the file, secrets included.
  const document = parseDocument(source.text, { prettyErrors: false, version: '1.2' });
  const faults = [...document.errors, ...document.warnings];
  const problems = syntaxProblems(source, faults);
  const reader = new NodeReader(tree, env);
  tree.root = reader.read(document.contents, []) ?? {};
  const usable = faults.every((fault) => fault.code === 'DUPLICATE_KEY' || fault.name === 'YAMLWarning');
  if (!usable) return { tree, problems, wrong: [], usable };
  return {
    tree,
    problems: [...problems, ...reader.findings.map((finding) => tree.problem(finding))],
    wrong: reader.findings.map((finding) => finding.path),
    usable: !reader.exhausted,
  };
}

class NodeReader {
  readonly findings: Finding[] = [];
  exhausted = false;
  readonly #tree: ConfigTree;
  readonly #env: Env;
  readonly #anchors = new Map<string, Node>();
  #nodes = 0;

  constructor(tree: ConfigTree, env: Env) {
    this.#tree = tree;
    this.#env = env;
  }

  /** undefined: as if it were not written. */
  read(node: unknown, path: Path, key?: Node): unknown {
    if (this.exhausted) return undefined;
    const span = spanOf(node) ?? spanOf(key) ?? [0, 0];
    if (path.length > 0 || node !== null) this.#tree.setOrigin(path, { kind: 'file', key: spanOf(key), value: span });
    if (++this.#nodes > maxNodes || path.length > maxDepth) {
      this.exhausted = true;
      this.#find(
        path,
        `the file unfolds to more than ${maxNodes} values or ${maxDepth} levels`,
        'use fewer aliases (*name)',
      );
      return undefined;
    }
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source);
      if (target !== undefined) return this.read(target, path, key);
      this.#find(
        path,
        `*${node.source} is an alias in YAML, and no &${node.source} comes before it`,
        'put the value in quotes if the * is meant as such',
      );
      return undefined;
    }
    if ((isMap(node) || isSeq(node) || isScalar(node)) && node.anchor !== undefined)
      this.#anchors.set(node.anchor, node);
    if (isMap(node)) {
      const value: Record<string, unknown> = {};
      for (const pair of node.items) {
        const name = this.#keyOf(pair.key, path);
        const entry = name === undefined ? undefined : this.read(pair.value, [...path, name], pair.key as Node);
        if (name !== undefined && entry !== undefined) value[name] = entry;
      }
      return value;
    }
    if (isSeq(node)) {
      // An item without a value keeps its place, so that the next ones keep their numbers.
      return node.items.map((item, index) => this.read(item, [...path, index]) ?? null);
    }
    return this.#scalar(node, path);
  }

  #keyOf(key: unknown, path: Path): string | undefined {
    if (isScalar(key) && (typeof key.value === 'string' || typeof key.value === 'number')) {
      const name = String(key.value);
      if (name !== '__proto__') return name;
    }
    const span = spanOf(key) ?? [0, 0];
    this.#tree.setOrigin([...path, '?'], { kind: 'file', key: span, value: span });
    const text = isScalar(key) ? String(key.value) : 'a mapping or list';
    this.#find(
      [...path, '?'],
      `${text} is no key`,
      'a key is a word; put "{name}" in quotes where a template is meant',
    );
    return undefined;
  }

  #scalar(node: unknown, path: Path): unknown {
    const value = isScalar(node) ? node.value : null;
    const known = nodeAt(path);
    if (value === null) {
      // `buffer:` with all its lines commented out.
      if (known !== undefined && accepts(known, 'object') && !accepts(known, 'null')) return undefined;
      return null;
    }
    if (typeof value !== 'string' || !value.includes('${')) return value;
    const { text, faults } = substitute(value, this.#env);
    for (const fault of faults) {
      if (fault.kind === 'malformed') {
        this.#find(
          path,
          `${JSON.stringify(fault.reference)} is no environment variable`,
          'write ${NAME} or ${NAME:-default}; $${ is a plain ${',
        );
      } else {
        const template = path[0] === 'routes' ? `; a level of the topic is {${fault.reference}}, without $` : '';
        this.#find(
          path,
          `the environment variable ${fault.reference} is not set`,
          `set ${fault.reference}, or give a default: \${${fault.reference}:-default}${template}`,
        );
      }
    }
    return faults.length > 0 ? undefined : typed(text, known);
  }

  #find(path: Path, message: string, wayOut: string): void {
    this.findings.push({ path, message, wayOut, withoutValue: true });
  }
}

function spanOf(node: unknown): Span | undefined {
  const range =
    typeof node === 'object' && node !== null && 'range' in node
      ? (node.range as readonly number[] | null | undefined)
      : undefined;
  return range?.[0] === undefined ? undefined : [range[0], range[1] ?? range[0]];
}

function nextLine(text: string, from: number): number {
  const newline = text.indexOf('\n', from);
  return newline === -1 ? -1 : newline + 1;
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
