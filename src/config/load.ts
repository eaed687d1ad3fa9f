import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { SluiceError } from '../errors.ts';
import { resolve, type SluiceConfig } from './config.ts';
import { ConfigError } from './problems.ts';
import { schema, type SluiceConfigInput } from './schema.ts';

export interface LoadOptions {
  /** sluice.yaml. Neither `file` nor `input`: the defaults. */
  readonly file?: string | undefined;
  /** The configuration as a plain object, instead of a file. */
  readonly input?: SluiceConfigInput | undefined;
  /** Default: process.env. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Dotted path -> text, e.g. `{ 'buffer.store': 'redis' }`. Above the environment, which is above the file. */
  readonly flags?: Readonly<Record<string, string>> | undefined;
}

export interface LoadedConfig {
  readonly config: SluiceConfig;
  /** Absolute path; undefined where there is none. */
  readonly file: string | undefined;
  /** What is allowed and yet worth saying at start. */
  readonly warnings: readonly string[];
}

/**
 * Reads, substitutes, overrides, validates. Synchronous: it runs once, before anything else.
 * @throws ConfigError (code CONFIG_INVALID, with all problems); SluiceError CONFIG_UNREADABLE
 */
export function loadConfig(options: LoadOptions = {}): LoadedConfig {
  const { file } = options;
  let value: unknown = options.input ?? {};
  if (file !== undefined) {
    try {
      value = parse(readFileSync(file, 'utf8')) ?? {};
    } catch (cause) {
      throw new SluiceError('CONFIG_UNREADABLE', `cannot read ${file}`, { cause });
    }
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    throw new ConfigError(
      result.error.issues.map((issue) => ({
        code: 'CONFIG_INVALID',
        place: { kind: 'object' },
        path: issue.path.map(String).join('.'),
        value: undefined,
        message: issue.message,
        wayOut: 'see docs/configuration.md',
        excerpt: undefined,
      })),
    );
  }
  return { config: resolve(result.data), file, warnings: [] };
}
