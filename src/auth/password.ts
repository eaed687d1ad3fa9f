/**
 * Passwords as salted scrypt hashes (RFC 7914), written as `$scrypt$ln=14,r=8,p=1$salt$hash` (base64 without padding, the
 * PHC string format). node:crypto hashes on libuv's pool, off the main thread; the broker has hashing-thread.ts for it.
 */
import { randomBytes, scrypt, timingSafeEqual, type ScryptOptions } from 'node:crypto';

/** Where the work is done. */
export type Derive = (password: Buffer, salt: Buffer, length: number, options: ScryptOptions) => Promise<Buffer>;

const onThePool: Derive = (password, salt, length, options) =>
  new Promise((resolve, reject) => {
    scrypt(password, salt, length, options, (error, hash) => (error === null ? resolve(hash) : reject(error)));
  });

export interface PasswordHash {
  /** log2 of the cost N. */
  readonly ln: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** 16 MiB and some 30 ms: device passwords should be random anyway, and a fleet comes back all at once. */
export const standardCost = { ln: 14, r: 8, p: 1 } as const;
/** What one hash may take of memory: a file must not be able to exhaust it. */
const MEMORY_MAX_BYTES = 256 * 2 ** 20;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
const pattern = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

/** undefined: not a hash of this form, or one that costs too little or too much. */
export function parseHash(text: string): PasswordHash | undefined {
  const match = pattern.exec(text);
  if (match === null) return undefined;
  const [ln, r, p] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const [salt, hash] = [Buffer.from(match[4] ?? '', 'base64'), Buffer.from(match[5] ?? '', 'base64')];
  if (ln < 10 || r < 1 || p < 1 || p > 16 || memoryOf({ ln, r }) > MEMORY_MAX_BYTES) return undefined;
  return { ln, r, p, salt, hash };
}

export function formatHash({ ln, r, p, salt, hash }: PasswordHash): string {
  const text = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');
  return `$scrypt$ln=${ln},r=${r},p=${p}$${text(salt)}$${text(hash)}`;
}

export async function hashPassword(
  password: Buffer,
  cost: Pick<PasswordHash, 'ln' | 'r' | 'p'> = standardCost,
): Promise<PasswordHash> {
  const salt = randomBytes(SALT_BYTES);
  return { ...cost, salt, hash: await onThePool(password, salt, HASH_BYTES, optionsOf(cost)) };
}

/** A hash that no password has, at the same cost: for users that are not there. */
export function decoy(like: Pick<PasswordHash, 'ln' | 'r' | 'p'>): PasswordHash {
  const { ln, r, p } = like;
  return { ln, r, p, salt: randomBytes(SALT_BYTES), hash: randomBytes(HASH_BYTES) };
}

/** Takes as long whether it matches or not. */
export async function passwordMatches(
  password: Buffer,
  stored: PasswordHash,
  derive: Derive = onThePool,
): Promise<boolean> {
  return timingSafeEqual(await derive(password, stored.salt, stored.hash.length, optionsOf(stored)), stored.hash);
}

function optionsOf({ ln, r, p }: Pick<PasswordHash, 'ln' | 'r' | 'p'>): ScryptOptions {
  return { N: 2 ** ln, r, p, maxmem: 2 * memoryOf({ ln, r }) };
}

function memoryOf({ ln, r }: Pick<PasswordHash, 'ln' | 'r'>): number {
  return 128 * 2 ** ln * r;
}
