import { existsSync } from 'node:fs';
import { InvalidArgumentError, type Command } from 'commander';
import { loadConfig, type LoadedConfig } from '../config/load.ts';

/** Where a configuration is looked for when -c is not given. */
const STANDARD_FILE = 'sluice.yaml';

export interface ConfigFlags {
  readonly config?: string;
  readonly set: Record<string, string>;
}

/** `-c FILE` and `--set PATH=VALUE`, for every command that needs the configuration. */
export function withConfig(command: Command): Command {
  return command
    .option('-c, --config <file>', `configuration file (default: ./${STANDARD_FILE} if it is there, else the defaults)`)
    .option('--set <path=value>', 'override one value, e.g. --set buffer.store=redis (repeatable)', collect, {});
}

/** undefined: none is given, and none is there. */
export function configFileOf({ config }: ConfigFlags): string | undefined {
  return config ?? (existsSync(STANDARD_FILE) ? STANDARD_FILE : undefined);
}

export function configOf(flags: ConfigFlags): LoadedConfig {
  return loadConfig({ file: configFileOf(flags), env: process.env, flags: flags.set });
}

/** For options that count. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('write a whole number');
  return Number(text);
}

function collect(pair: string, before: Record<string, string>): Record<string, string> {
  const at = pair.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('write PATH=VALUE, such as buffer.store=redis');
  return { ...before, [pair.slice(0, at)]: pair.slice(at + 1) };
}
