/** Whether an acknowledged append outlives a crash of this Redis: looked up when the store is opened, and said. */
import type { Redis } from 'ioredis';
import { SluiceError } from '../../errors.ts';
import type { Durability } from '../store.ts';

export interface RedisDurability extends Durability {
  /** Known to fall short, as opposed to what could not be looked up. */
  readonly shortcomings: readonly string[];
}

const OLDEST_MAJOR = 7;

/** setting -> the value that is safe, and what happens with another one. */
const SETTINGS: readonly (readonly [
  name: string,
  isSafe: (value: string) => boolean,
  sentence: (value: string) => string,
])[] = [
  [
    'appendonly',
    (value) => value === 'yes',
    () =>
      'appendonly is no: a restart of Redis loses acknowledged messages. CONFIG SET appendonly yes, and set it in redis.conf',
  ],
  [
    'appendfsync',
    (value) => value === 'always',
    (value) =>
      `appendfsync is ${value}: a crash of the machine loses the last ${value === 'everysec' ? 'second' : 'seconds'} of acknowledged messages. CONFIG SET appendfsync always, and set it in redis.conf`,
  ],
  [
    'no-appendfsync-on-rewrite',
    (value) => value === 'no',
    () =>
      'no-appendfsync-on-rewrite is yes: nothing is synced while the append-only file is rewritten. CONFIG SET no-appendfsync-on-rewrite no, and set it in redis.conf',
  ],
  [
    'maxmemory-policy',
    // volatile-*: only leases expire, and a lost lease costs a hand-over.
    (value) => value === 'noeviction' || value.startsWith('volatile-'),
    (value) =>
      `maxmemory-policy is ${value}: Redis may remove buffered messages when its memory is full. CONFIG SET maxmemory-policy noeviction, and set it in redis.conf`,
  ],
];

/** @throws SluiceError STORE_REFUSED for a Redis that is too old */
export async function redisDurability(client: Redis): Promise<RedisDurability> {
  const info = parseInfo(await client.info().catch(() => ''));
  const version = info.get('redis_version');
  if (version !== undefined && Number.parseInt(version, 10) < OLDEST_MAJOR) {
    throw new SluiceError('STORE_REFUSED', `Redis ${version} is too old for the buffer`, {
      hint: `Use Redis ${OLDEST_MAJOR}.0 or newer.`,
    });
  }
  const shortcomings: string[] = [];
  const unverified: string[] = [];
  const values = new Map<string, string>();
  for (const [name, isSafe, sentence] of SETTINGS) {
    const value = await settingOf(client, name);
    if (value === undefined) {
      unverified.push(name);
      continue;
    }
    values.set(name, value);
    // What an append-only file does not do, it does not matter how.
    if (name !== 'appendonly' && name !== 'maxmemory-policy' && values.get('appendonly') === 'no') continue;
    if (!isSafe(value)) shortcomings.push(sentence(value));
  }
  if (values.get('appendonly') === undefined && info.get('aof_enabled') === '0') {
    shortcomings.push('it runs without an append-only file: a restart of Redis loses acknowledged messages');
  }
  const weak = [...shortcomings];
  if (unverified.length > 0) {
    weak.push(
      `CONFIG GET is not allowed here, so ${unverified.join(', ')} could not be verified: allow it, or make sure of appendonly yes, appendfsync always, maxmemory-policy noeviction`,
    );
  }
  return { summary: summaryOf(version, values, info), weak, shortcomings };
}

function summaryOf(version: string | undefined, values: Map<string, string>, info: Map<string, string>): string {
  const parts = [`Redis${version === undefined ? '' : ` ${version}`}`];
  const appendonly = values.get('appendonly') ?? (info.get('aof_enabled') === '1' ? 'yes' : undefined);
  if (appendonly === 'no') parts.push('no append-only file');
  else if (appendonly === 'yes') parts.push(`AOF appendfsync ${values.get('appendfsync') ?? 'unknown'}`);
  else parts.push('durability unknown');
  const replicas = Number(info.get('connected_slaves') ?? 0);
  if (replicas > 0)
    parts.push(
      `${replicas} ${replicas === 1 ? 'replica' : 'replicas'} (asynchronous: a failover may lose the last messages)`,
    );
  if (info.get('role') === 'slave') parts.push('a replica');
  return parts.join(', ');
}

async function settingOf(client: Redis, name: string): Promise<string | undefined> {
  try {
    const reply = (await client.config('GET', name)) as readonly string[];
    return reply[1];
  } catch {
    return undefined;
  }
}

function parseInfo(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}
