import { createHash } from 'node:crypto';

/** A Lua script. Inputs and outputs stand on top of each; `name` is the command that ioredis makes of it. */
export interface Script {
  readonly name: string;
  readonly lua: string;
}

/**
 * Flags (Redis 7): without any, the server refuses the script before it begins when memory is full, on a replica, or when
 * it cannot persist; so an append is refused whole. What gives memory back carries allow-oom.
 */
type Flags = '' | 'flags=allow-oom' | 'flags=no-writes';

/** Numbers in Lua are doubles, and print as 1e+15 unless told not to. */
const PRELUDE = `
local function int(value) return string.format('%.0f', value) end
local function num(value) return tonumber(value or '0') or 0 end
`;

export function script(name: string, flags: Flags, body: string): Script {
  const lua = `#!lua${flags === '' ? '' : ` ${flags}`}\n${PRELUDE}${body}`;
  // Named by its content: two versions of sluice on one connection pool never take one for the other.
  return { name: `sluice${name}${createHash('sha1').update(lua).digest('hex').slice(0, 8)}`, lua };
}
