/** docs/configuration.md, from the schema: a table per section. */
import { branches, configJsonSchema, knownKeys, nodeAt, textFields, type Path, type SchemaNode } from './shape.ts';

const head = `# Configuration

<!-- Generated from src/config by \`npm run docs\`. Change the schema, not this file. -->

sluice reads one YAML file: \`sluice start -c sluice.yaml\`. Every key has a default, and an empty file, or none, is complete: it
listens on this machine only, keeps the buffer in \`./sluice-data\`, and sends everything to \`mqtt.messages\` on \`localhost:9092\`.
\`sluice check -c sluice.yaml\` validates a file and prints what would run; \`sluice config schema\` prints the JSON Schema
(docs/sluice.schema.json) that editors use. Put this line first in the file for completion and checks while you type:

\`\`\`yaml
# yaml-language-server: $schema=./docs/sluice.schema.json
\`\`\`

**Precedence**: flags (\`--set buffer.store=redis\`), then environment variables (last column), then the file, then the default. A list in
a flag or variable is separated by commas; an empty variable counts as not set; a \`SLUICE_\` variable that is not known is an error.

**Variables in the file**: \`\${NAME}\` in a value is replaced by the environment variable, which must be set; \`\${NAME:-default}\` has a
default for when it is unset or empty; \`$\${\` is a plain \`\${\`. What is put in never changes the structure of the file: it becomes a
number, a truth value, a comma-separated list or a text, as the key asks. Inside \`{ }\` and \`[ ]\` YAML wants it in quotes: \`{ port: "\${PORT}" }\`.
A value that is empty after replacement counts as not written.

**Durations** need a unit: \`500ms\`, \`10s\`, \`5m\`, \`1h\`, \`1d\`. **Sizes** are \`256KB\`, \`64MB\`, \`10GB\` (1KB = 1024 bytes), or a number of bytes.

**Paths** in the file count from its folder, wherever sluice is started from; paths in variables and flags count from the working directory.

**Listeners** on another address than loopback refuse to start unless clients prove who they are (one of the ways of \`auth\`, or
\`clientCertificate: required\`) or \`auth.allowAnonymous\` is \`true\`. Keys of the design that this version does not build yet
(\`acl\`, \`listeners.http\`, \`routes[].schema\` and their like) are refused by name.
`;

const columns = '| Key | Type | Default | Description | Variable |\n| --- | --- | --- | --- | --- |';

export function configReference(): string {
  const sections = knownKeys([]).map((name) => {
    const node = nodeAt([name]) ?? {};
    const rows = rowsOf([name]);
    const intro = node.properties !== undefined || node.items !== undefined ? `${node.description ?? ''}\n\n` : '';
    return `## ${name}\n\n${intro}${columns}\n${rows.join('\n')}\n`;
  });
  return `${head}\n${sections.join('\n')}`;
}

function rowsOf(path: Path): string[] {
  const node = nodeAt(path);
  if (node === undefined) return [];
  const item = node.items !== undefined && node.items.properties !== undefined;
  const plainSection = path.length === 1 && (node.properties !== undefined || item);
  const own = plainSection ? [] : [row(path, node)];
  const below = item ? [...path, 0] : path;
  return [...own, ...knownKeys(below).flatMap((key) => rowsOf([...below, key]))];
}

function row(path: Path, node: SchemaNode): string {
  const key = path
    .map((step, index) => (typeof step === 'number' ? '[]' : `${index === 0 ? '' : '.'}${step}`))
    .join('');
  const variable = textFields().find((field) => field.path.join('.') === path.join('.'))?.variable;
  const cells = [
    code(key),
    typeOf(node),
    standardOf(path, node),
    sentence(node),
    variable === undefined ? '' : code(variable),
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function sentence(node: SchemaNode): string {
  return node.description ?? branches(node).find((branch) => branch.description !== undefined)?.description ?? '';
}

/** The default of what has one text; mappings have none but those of their keys. */
function standardOf(path: Path, node: SchemaNode): string {
  if (node.default !== undefined) {
    const text = typeof node.default === 'string' ? node.default : JSON.stringify(node.default);
    return text === '{}' ? '' : code(text);
  }
  const parent = nodeAt(path.slice(0, -1));
  const key = path.at(-1);
  if (parent === undefined || typeof key !== 'string') return '';
  const having = branches(parent).filter((branch) => branch.properties !== undefined);
  const requiring = having.filter((branch) => branch.required?.includes(key));
  if (requiring.length === 0) return '';
  return requiring.length === having.length ? '**required**' : '**required** by some mechanisms';
}

function typeOf(node: SchemaNode): string {
  const words = node.patternErrorMessage;
  if (words?.startsWith('a duration') === true) return 'duration';
  if (words?.startsWith('a size') === true) return 'size';
  const kinds = branches(node).flatMap((branch) => {
    if (branch.enum !== undefined) return branch.enum.map((value) => code(String(value)));
    if (branch.const !== undefined) return code(JSON.stringify(branch.const).replaceAll('"', ''));
    switch (branch.type) {
      case 'integer':
        return `whole number, ${branch.minimum} to ${branch.maximum}`;
      case 'number':
        return `number, ${branch.minimum} to ${branch.maximum}`;
      case 'boolean':
        return '`true`, `false`';
      case 'string':
        return branch.writeOnly === true
          ? 'secret text'
          : branch.format === 'file-path' || branch.format === 'directory-path'
            ? 'path'
            : 'text';
      case 'array':
        return `list of ${typeOf(branch.items ?? {})}`;
      case 'object':
        return typeof branch.additionalProperties === 'object' ? 'mapping of text' : 'mapping';
      default:
        return '';
    }
  });
  return [...new Set(kinds)].filter((kind) => kind !== '').join(', ');
}

function code(text: string): string {
  return `\`${text}\``;
}

/** docs/sluice.schema.json. */
export function configJsonSchemaText(): string {
  return `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
}
