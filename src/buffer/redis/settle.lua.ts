import { script } from './script.ts';

/**
 * One settlement by the owner of a shard, once, in order. Its owner is who was given the newest token: a lease that ran out
 * and that nobody else took still settles.
 *
 * KEYS  1 meta, 2 log, 3 parked, 4 marks, 5 aside, then the parking logs: one per unpark, one per park
 * ARGV  1 token, 2 process, 3 log id that the owner knows, 4 number of the settlement, 5 released, 6 trimmed,
 *       7 freed bytes, 8 counters, 9 marks, 10 unparks, 11 parks, 12 frames set aside, 13 frames to keep aside,
 *       14 bytes to keep aside; then per counter: meta field, increment; per mark: name, value; per unpark: topic, up to,
 *       messages, bytes; per park: topic, messages, entry; per frame set aside: base, frame
 * Gives {'ok'} | {'fenced', why} | {'epoch', origin, epochs, head}: the log has another id, the owner is to look first
 */
export const settleScript = script(
  'Settle',
  'flags=allow-oom',
  `
local meta = redis.call('HMGET', KEYS[1], 'token', 'owner', 'logId', 'settlements', 'head', 'released', 'trimmed',
  'bytesIn', 'bytesOut', 'position', 'parkedBytes', 'origin', 'epochs', 'asideBytes')
if meta[1] ~= ARGV[1] or meta[2] ~= ARGV[2] then return {'fenced', 'another owner took the shard'} end
if meta[3] ~= ARGV[3] then return {'epoch', meta[12], meta[13], num(meta[5])} end
local number, settlements = num(ARGV[4]), num(meta[4])
if number <= settlements then return {'ok'} end
if number ~= settlements + 1 then return {'fenced', 'an earlier settlement did not take effect'} end
local head = num(meta[5])
if num(ARGV[5]) > head then return {'fenced', 'the log ends before what was settled'} end

local released = math.max(num(meta[6]), num(ARGV[5]))
local trimmed = math.max(num(meta[7]), math.min(num(ARGV[6]), released + 1))
local bytesOut = num(meta[9]) + num(ARGV[7])
local position, parkedBytes = num(meta[10]), num(meta[11])
if trimmed > num(meta[7]) then redis.call('XTRIM', KEYS[2], 'MINID', '=', int(trimmed) .. '-0') end

local at, key = 15, 6
for _ = 1, num(ARGV[8]) do
  redis.call('HINCRBY', KEYS[1], ARGV[at], ARGV[at + 1])
  at = at + 2
end
for _ = 1, num(ARGV[9]) do
  if ARGV[at + 1] == '' then redis.call('HDEL', KEYS[4], ARGV[at])
  else redis.call('HSET', KEYS[4], ARGV[at], ARGV[at + 1]) end
  at = at + 2
end
local function stateOf(topic)
  local state = redis.call('HGET', KEYS[3], topic)
  if not state then return 0, 0, 0 end
  local entries, messages, bytes = string.match(state, '^(%-?%d+) (%-?%d+) (%-?%d+)$')
  return num(entries), num(messages), num(bytes)
end
local function keep(topic, entries, messages, bytes)
  redis.call('HSET', KEYS[3], topic, int(entries) .. ' ' .. int(messages) .. ' ' .. int(bytes))
end
for _ = 1, num(ARGV[10]) do
  local topic = ARGV[at]
  local removed = redis.call('XTRIM', KEYS[key], 'MINID', '=', int(num(ARGV[at + 1]) + 1) .. '-0')
  local entries, messages, bytes = stateOf(topic)
  local freed = num(ARGV[at + 3])
  if entries - removed <= 0 then
    redis.call('DEL', KEYS[key])
    redis.call('HDEL', KEYS[3], topic)
    freed = bytes
  else
    keep(topic, entries - removed, messages - num(ARGV[at + 2]), bytes - freed)
  end
  bytesOut = bytesOut + freed
  parkedBytes = parkedBytes - freed
  at, key = at + 4, key + 1
end
for _ = 1, num(ARGV[11]) do
  local topic, size = ARGV[at], string.len(ARGV[at + 2])
  position = position + 1
  redis.call('XADD', KEYS[key], int(position) .. '-0', 'f', ARGV[at + 2])
  local entries, messages, bytes = stateOf(topic)
  keep(topic, entries + 1, messages + num(ARGV[at + 1]), bytes + size)
  bytesOut = bytesOut - size
  parkedBytes = parkedBytes + size
  at, key = at + 3, key + 1
end
local aside = num(meta[14])
for _ = 1, num(ARGV[12]) do
  local last = redis.call('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 1)[1]
  -- A frame that was set aside before a crash is not set aside again.
  if not last or num(string.match(last[1], '^%d+')) < num(ARGV[at]) then
    redis.call('XADD', KEYS[5], ARGV[at] .. '-0', 'f', ARGV[at + 1])
    aside = aside + string.len(ARGV[at + 1])
  end
  at = at + 2
end
if num(ARGV[12]) > 0 then
  while true do
    local length = redis.call('XLEN', KEYS[5])
    if length <= 1 or (length <= num(ARGV[13]) and aside <= num(ARGV[14])) then break end
    local oldest = redis.call('XRANGE', KEYS[5], '-', '+', 'COUNT', 1)[1]
    redis.call('XTRIM', KEYS[5], 'MINID', '=', int(num(string.match(oldest[1], '^%d+')) + 1) .. '-0')
    aside = aside - string.len(oldest[2][2])
  end
end
-- An empty log holds no bytes: whatever was lost or counted wrong does not narrow the limit for ever.
if trimmed > head then bytesOut = num(meta[8]) - parkedBytes end
redis.call('HSET', KEYS[1], 'settlements', int(number), 'released', int(released), 'trimmed', int(trimmed),
  'bytesOut', int(bytesOut), 'position', int(position), 'parkedBytes', int(parkedBytes), 'asideBytes', int(aside))
return {'ok'}
`,
);
