/** sluice.yaml, or an object, with SLUICE_ variables and flags above it, becomes a SluiceConfig; or all that is wrong with it. */
import { closeSync, openSync, readSync } from 'node:fs';
import { resolve as resolvePath } from 'node:path';
import { SluiceError, errorText } from '../errors.ts';
import type { SluiceConfig } from './config.ts';
import { hasAuthentication, isLoopback, listenersOf } from './listener-checks.ts';
import { applyEnvironment, applyFlags } from './overrides.ts';
import { ConfigError, type Problem } from './problems.ts';
import type { SluiceConfigInput } from './schema.ts';
import { ConfigTree } from './tree.ts';
import { validate } from './validate.ts';
import { compileRoutes, unreachableRoutes } from '../routes/index.ts';
import { maxFileBytes, readYaml, type YamlReading } from './yaml-source.ts';

const maxInputDepth = 32;

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
  const env = options.env ?? process.env;
  const file = options.file === undefined ? undefined : resolvePath(options.file);
  const reading =
    options.file === undefined ? fromInput(options.input ?? {}) : readYaml(options.file, readFile(options.file), env);
  const { tree } = reading;
  const overriding = [...applyEnvironment(tree, env), ...applyFlags(tree, options.flags ?? {})];
  const validation = reading.usable ? validate(tree, file, reading.wrong) : undefined;

  const problems = [...reading.problems, ...(validation?.problems ?? []), ...overriding];
  if (problems.length > 0 || validation?.config === undefined) throw new ConfigError(problems.sort(byPlace));
  return { config: validation.config, file, warnings: warningsOf(validation.config) };
}

/** One byte more than may be, for the reader to say so. */
function readFile(file: string): Uint8Array {
  try {
    const handle = openSync(file, 'r');
    try {
      const bytes = Buffer.alloc(maxFileBytes + 1);
      let length = 0;
      for (;;) {
        const read = readSync(handle, bytes, length, bytes.length - length, null);
        length += read;
        if (read === 0 || length === bytes.length) return bytes.subarray(0, length);
      }
    } finally {
      closeSync(handle);
    }
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
    const said =
      code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a directory' : errorText(cause);
    throw new SluiceError('CONFIG_UNREADABLE', `cannot read ${file}: ${said}`, { cause });
  }
}

function fromInput(input: unknown): YamlReading {
  const tree = new ConfigTree(undefined);
  tree.root = plainCopy(input, 0);
  return { tree, problems: [], wrong: [], usable: true };
}

/** What is overridden is not changed in the caller's object. Anything but plain mappings and lists is for the schema to refuse. */
function plainCopy(value: unknown, depth: number): unknown {
  if (depth > maxInputDepth || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => plainCopy(item, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plainCopy(entry, depth + 1)]));
}

/** In the order of the file; then what comes from elsewhere. */
function byPlace({ place: a }: Problem, { place: b }: Problem): number {
  if (a.kind === 'file' && b.kind === 'file') return a.line - b.line || a.column - b.column;
  return Number(b.kind === 'file') - Number(a.kind === 'file');
}

function warningsOf(config: SluiceConfig): string[] {
  const { buffer, kafka, auth } = config;
  const open = listenersOf(config).filter(({ host, certified }) => !isLoopback(host) && !certified);
  return [
    ...unreachableRoutes(compileRoutes(config.routes).routes).map(
      ({ route, by }) =>
        `routes[${route.index}] (${route.name}) is never reached: ${by.name} takes its topics and says stop`,
    ),
    ...(buffer.store === 'memory' ? ['buffer.store: memory is not durable: a restart loses what it holds'] : []),
    ...(buffer.allowWeakDurability
      ? ['buffer.allowWeakDurability: a store that may lose acknowledged messages is not refused']
      : []),
    ...(kafka.sasl?.mechanism === 'plain' && kafka.tls === undefined
      ? ['kafka.sasl: plain without kafka.tls sends the password readably over the network']
      : []),
    ...(hasAuthentication(config) ? passwordWarnings(config) : []),
    ...(auth.jwt !== undefined && (auth.jwt.issuer === undefined || auth.jwt.audience === undefined)
      ? ['auth.jwt without issuer and audience accepts tokens that were made for other services']
      : []),
    ...(auth.allowAnonymous && open.length > 0
      ? [
          `auth.allowAnonymous: anyone who reaches ${open.map(({ name }) => `listeners.${name}`).join(', ')} may publish and subscribe`,
        ]
      : []),
  ];
}

/** Where passwords and tokens go over a network that can read them. */
function passwordWarnings({ auth, listeners }: SluiceConfig): string[] {
  const plain = (['mqtt', 'ws'] as const).filter((name) => {
    const listener = listeners[name];
    return listener !== undefined && !isLoopback(listener.host);
  });
  const url = auth.http === undefined ? undefined : new URL(auth.http.url);
  return [
    ...plain.map((name) => `listeners.${name} has no TLS: passwords and tokens go over the network readably`),
    ...(url?.protocol === 'http:' && !isLoopback(url.hostname.replace(/^\[|\]$/g, ''))
      ? ['auth.http.url is not https: it is sent passwords readably']
      : []),
  ];
}
