/** Paths in the configuration: made absolute, and looked at once, before anything starts. */
import { accessSync, constants, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { SluiceConfig } from './config.ts';
import { withAbsoluteFiles } from './route-files.ts';
import { branches, textFields, type Path, type SchemaNode } from './shape.ts';
import { isMapping, type ConfigTree, type Finding } from './tree.ts';

/**
 * Those of the file (and the defaults beside it) count from its folder, wherever sluice is started from: a restart finds the
 * same buffer. Those of the environment and of flags count from the working directory, as everywhere on a command line.
 */
export function absolutePaths(config: SluiceConfig, tree: ConfigTree, file: string | undefined): SluiceConfig {
  const copy = structuredClone(config);
  for (const { path, node } of textFields()) {
    const parent = path.slice(0, -1).reduce<unknown>((value, key) => (isMapping(value) ? value[key] : undefined), copy);
    const key = path.at(-1) ?? '';
    if (formatOf(node) === undefined || !isMapping(parent) || typeof parent[key] !== 'string') continue;
    const origin = tree.origin(path)?.kind;
    const base = file === undefined || origin === 'environment' || origin === 'flag' ? process.cwd() : dirname(file);
    parent[key] = resolve(base, parent[key]);
  }
  return { ...copy, routes: withAbsoluteFiles(copy.routes, file === undefined ? process.cwd() : dirname(file)) };
}

export function checkPaths(config: SluiceConfig, skip: (path: Path) => boolean): Finding[] {
  return textFields().flatMap(({ path, node }) => {
    const value = path.reduce<unknown>((parent, key) => (isMapping(parent) ? parent[key] : undefined), config);
    const format = formatOf(node);
    if (format === undefined || typeof value !== 'string' || skip(path)) return [];
    const fault = format === 'file-path' ? fileFault(value) : directoryFault(value);
    return fault === undefined ? [] : [{ path, ...fault }];
  });
}

function formatOf(node: SchemaNode): 'file-path' | 'directory-path' | undefined {
  const format = node.format ?? branches(node).find((branch) => branch.format !== undefined)?.format;
  return format === 'file-path' || format === 'directory-path' ? format : undefined;
}

type Fault = Pick<Finding, 'message' | 'wayOut'>;

function fileFault(file: string): Fault | undefined {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) {
    return {
      message: `there is no file ${file}`,
      wayOut: 'correct the path; in a file it counts from the folder of that file',
    };
  }
  if (!found.isFile()) return { message: `${file} is not a file`, wayOut: 'name a PEM file' };
  try {
    accessSync(file, constants.R_OK);
  } catch {
    return { message: `${file} cannot be read by this user`, wayOut: 'change its owner or mode' };
  }
  return undefined;
}

function directoryFault(directory: string): Fault | undefined {
  const found = statSync(directory, { throwIfNoEntry: false });
  return found === undefined || found.isDirectory()
    ? undefined
    : { message: `${directory} is not a directory`, wayOut: 'name another directory; it is made if it is not there' };
}
