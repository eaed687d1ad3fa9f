import { script } from './script.ts';

/**
 * Takes a shard for a process unless another one holds it.
 *
 * KEYS  1 meta, 2 lease, 3 parked, 4 marks
 * ARGV  1 process, 2 time to live in ms
 * Gives {'ok', token, released, trimmed, settlements, origin, epochs, head, {topic, state…}, {mark, value…}}
 *     | {'held'} | {'no log'}
 */
export const acquireScript = script(
  'Acquire',
  'flags=allow-oom',
  `
if redis.call('EXISTS', KEYS[1]) == 0 then return {'no log'} end
local lease = redis.call('GET', KEYS[2])
if lease and string.match(lease, ' (.*)$') ~= ARGV[1] then return {'held'} end
local token = redis.call('HINCRBY', KEYS[1], 'token', 1)
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
redis.call('SET', KEYS[2], int(token) .. ' ' .. ARGV[1], 'PX', ARGV[2])
local meta = redis.call('HMGET', KEYS[1], 'released', 'trimmed', 'settlements', 'origin', 'epochs', 'head')
return {'ok', token, num(meta[1]), num(meta[2]), num(meta[3]), meta[4], meta[5], num(meta[6]),
  redis.call('HGETALL', KEYS[3]), redis.call('HGETALL', KEYS[4])}
`,
);

/**
 * Extends a lease. One that ran out and that nobody else took is still its owner's.
 *
 * KEYS  1 meta, 2 lease
 * ARGV  1 process, 2 time to live in ms, 3 token, 4 log id that the owner knows
 * Gives {'ok'} | {'lost'} | {'epoch', origin, epochs, head}: the log has another id, the owner is to look first
 */
export const renewScript = script(
  'Renew',
  'flags=allow-oom',
  `
local meta = redis.call('HMGET', KEYS[1], 'token', 'owner', 'logId', 'origin', 'epochs', 'head')
if meta[1] ~= ARGV[3] or meta[2] ~= ARGV[1] then return {'lost'} end
if meta[3] ~= ARGV[4] then return {'epoch', meta[4], meta[5], num(meta[6])} end
redis.call('SET', KEYS[2], ARGV[3] .. ' ' .. ARGV[1], 'PX', ARGV[2])
return {'ok'}
`,
);

/**
 * Gives a lease up.
 *
 * KEYS  1 lease
 * ARGV  1 its value
 */
export const yieldScript = script(
  'Yield',
  'flags=allow-oom',
  `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return {'ok'}
`,
);
