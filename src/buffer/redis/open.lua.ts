import { script } from './script.ts';

/**
 * Opens a shard for one appender: makes the log where there is none, begins a new epoch where the log may have lost its end,
 * registers the appender's new token and forgets its former one.
 *
 * KEYS  1 meta, 2 log, 3 appenders
 * ARGV  1 format, 2 shards, 3 run id of the server ('' unknown), 4 new token, 5 former token, 6 known head,
 *       7 a fresh log id, 8 age in ms after which an unused token is forgotten, 9 tokens to keep at most
 * Gives {'ok', origin, epochs `id:from,…`, head, head as it was found}
 *     | {'format', found} | {'shards', found}
 */
export const openScript = script(
  'Open',
  'flags=allow-oom',
  `
local known = num(ARGV[6])
local meta = redis.call('HMGET', KEYS[1], 'format', 'shards', 'origin', 'epochs', 'runId', 'head', 'trimmed', 'accepted')
local found = 0
local head, epochs

if not meta[1] then
  -- Frames without their meta (evicted, deleted by hand) were acknowledged: they are kept, and counted anew.
  local first, size = nil, 0
  local from = '-'
  while true do
    local entries = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', 16)
    if #entries == 0 then break end
    for _, entry in ipairs(entries) do
      local base = num(string.match(entry[1], '^%d+'))
      first = first or base
      found = base + num(entry[2][2]) - 1
      size = size + string.len(entry[2][4])
      from = '(' .. entry[1]
    end
  end
  head = math.max(found, known)
  local released = first and first - 1 or head
  epochs = ARGV[7] .. ':' .. int(head + 1)
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'shards', ARGV[2], 'origin', ARGV[7], 'epochs', epochs,
    'logId', ARGV[7], 'runId', ARGV[3], 'head', int(head), 'accepted', int(head - released), 'bytesIn', int(size),
    'released', int(released), 'trimmed', int(released + 1))
  meta[3] = ARGV[7]
else
  if meta[1] ~= ARGV[1] then return {'format', meta[1]} end
  if meta[2] ~= ARGV[2] then return {'shards', meta[2]} end
  found = num(meta[6])
  head, epochs = found, meta[4]
  if ARGV[3] == '' or meta[5] ~= ARGV[3] or found < known then
    head = math.max(found, known)
    local trimmed = num(meta[7])
    -- An epoch that names no offset yet is not used on: the copy that was lost may have used it.
    local list = {}
    for id, from in string.gmatch(epochs, '([^,:]+):(%d+)') do
      if num(from) <= head then list[#list + 1] = {id, num(from)} end
    end
    list[#list + 1] = {ARGV[7], head + 1}
    local kept = {}
    for i, epoch in ipairs(list) do
      if list[i + 1] == nil or list[i + 1][2] > trimmed then kept[#kept + 1] = epoch[1] .. ':' .. int(epoch[2]) end
    end
    epochs = table.concat(kept, ',')
    redis.call('HSET', KEYS[1], 'epochs', epochs, 'logId', ARGV[7], 'runId', ARGV[3], 'head', int(head),
      'accepted', int(num(meta[8]) + head - found))
  end
end

local time = redis.call('TIME')
local now = time[1] .. string.sub('00000' .. time[2], -6, -4)
redis.call('HDEL', KEYS[3], ARGV[5])
redis.call('HSET', KEYS[3], ARGV[4], '0 ' .. now)
-- A live appender that is forgotten here is told so at its next append, and opens again.
local tokens = redis.call('HGETALL', KEYS[3])
local ages = {}
for i = 1, #tokens, 2 do
  if tokens[i] ~= ARGV[4] then ages[#ages + 1] = {num(string.match(tokens[i + 1], ' (%d+)$')), tokens[i]} end
end
table.sort(ages, function(a, b) return a[1] > b[1] end)
for i, age in ipairs(ages) do
  if i >= num(ARGV[9]) or num(now) - age[1] > num(ARGV[8]) then redis.call('HDEL', KEYS[3], age[2]) end
end
return {'ok', meta[3], epochs, head, found}
`,
);
