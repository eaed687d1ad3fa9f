import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { loadConfig, type LoadedConfig, type LoadOptions } from '../../src/config/load.ts';
import { ConfigError, type Problem } from '../../src/config/problems.ts';

/** A folder for configuration files, gone after the test file. */
export function sandbox() {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-config-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const write = (name: string, content: string | Uint8Array): string => {
    const file = join(directory, name);
    writeFileSync(file, content);
    return file;
  };
  const load = (yaml: string | Uint8Array, options: Omit<LoadOptions, 'file'> = {}): LoadedConfig =>
    loadConfig({ env: {}, ...options, file: write('sluice.yaml', yaml) });
  return { directory, write, load };
}

export function problemsOf(action: () => unknown): readonly Problem[] {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}
