import { script } from './script.ts';

/**
 * Appends a frame and changes QoS 2 ids, all or nothing.
 *
 * KEYS  1 meta, 2 log, 3 appenders, 4 lease, then the id sets: one per client to clear, per id to add, per id to remove
 * ARGV  1 appender token, 2 sequence, 3 log id, 4 limit in bytes, 5 messages in the frame, 6 frame, 7 own process,
 *       8 prefix of wake channels, 9 shard, 10 clients to clear, 11 ids to add, 12 ids to remove, then the ids to add,
 *       then the ids to remove, then names and values of cursors
 * Gives {'committed', base, bytes held} | {'full'} | {'duplicate', index…} | {'stale', why}
 *
 * Whatever can fail comes before the first write, and XADD is the first: a script is not rolled back. The server time of an
 * append only tells dead appenders from live ones.
 */
export const appendScript = script(
  'Append',
  '',
  `
local meta = redis.call('HMGET', KEYS[1], 'logId', 'head', 'accepted', 'bytesIn', 'bytesOut')
local appender = redis.call('HGET', KEYS[3], ARGV[1])
if not appender then return {'stale', 'its appender is no longer registered'} end
if meta[1] ~= ARGV[3] then return {'stale', 'the log has a new id'} end
if num(ARGV[2]) <= num(string.match(appender, '^%d+')) then return {'stale', 'its sequence was used'} end

local clears, adds, removes = num(ARGV[10]), num(ARGV[11]), num(ARGV[12])
local firstAdd, firstRemove = 4 + clears, 4 + clears + adds
local cleared = {}
for i = 1, clears do cleared[KEYS[4 + i]] = true end
local duplicates = {'duplicate'}
for i = 1, adds do
  local key = KEYS[firstAdd + i]
  if redis.call('SISMEMBER', key, ARGV[12 + i]) == 1 and not cleared[key] then
    duplicates[#duplicates + 1] = i - 1
  end
end
if #duplicates > 1 then return duplicates end

local count = num(ARGV[5])
local bytes = num(meta[4]) - num(meta[5])
local base = 0
local lease = redis.call('GET', KEYS[4])
local time = redis.call('TIME')
if count > 0 then
  local size = string.len(ARGV[6])
  if bytes + size > num(ARGV[4]) then return {'full'} end
  bytes = bytes + size
  base = num(meta[2]) + 1
  redis.call('XADD', KEYS[2], int(base) .. '-0', 'n', ARGV[5], 'f', ARGV[6])
  redis.call('HSET', KEYS[1], 'head', int(base + count - 1), 'accepted', int(num(meta[3]) + count),
    'bytesIn', int(num(meta[4]) + size))
  for i = 13 + adds + removes, #ARGV, 2 do
    local field = 'c:' .. ARGV[i]
    if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[1], field) else redis.call('HSET', KEYS[1], field, ARGV[i + 1]) end
  end
end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2] .. ' ' .. time[1] .. string.sub('00000' .. time[2], -6, -4))
for i = 1, clears do redis.call('UNLINK', KEYS[4 + i]) end
for i = 1, adds do redis.call('SADD', KEYS[firstAdd + i], ARGV[12 + i]) end
for i = 1, removes do redis.call('SREM', KEYS[firstRemove + i], ARGV[12 + adds + i]) end
if count > 0 and lease then
  local owner = string.match(lease, ' (.*)$')
  -- pcall: whether it may publish is no condition of an append; the owner polls as well.
  if owner ~= ARGV[7] then redis.pcall('PUBLISH', ARGV[8] .. owner, ARGV[9]) end
end
return {'committed', base, bytes}
`,
);
