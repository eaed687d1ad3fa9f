import { script } from './script.ts';

/** Entries of a stream from an id on, as {id, frame, …}: at least one, up to maxBytes; a few at a time, as sizes differ. */
const RANGE = `
local function range(key, from, maxBytes, field)
  local found, bytes, count = {}, 0, 4
  while true do
    local entries = redis.call('XRANGE', key, from, '+', 'COUNT', count)
    for _, entry in ipairs(entries) do
      bytes = bytes + string.len(entry[2][field])
      if #found > 0 and bytes > maxBytes then return found end
      found[#found + 1] = string.match(entry[1], '^%d+')
      found[#found + 1] = entry[2][field]
      from = '(' .. entry[1]
    end
    if #entries < count or #found >= 2000 then return found end
    local average = bytes / (#found / 2)
    count = math.max(1, math.min(64, math.ceil((maxBytes - bytes) / average)))
  end
end
`;

/**
 * Frames from the one that holds an offset, or the first after it.
 *
 * KEYS  1 meta, 2 log
 * ARGV  1 offset, 2 bytes at most, 3 log id that the reader knows
 * Gives {{base, frame, …}} and, where the log has another id, behind it origin, epochs, head
 */
export const readScript = script(
  'Read',
  'flags=no-writes',
  `${RANGE}
local offset = num(ARGV[1])
local from = int(offset) .. '-0'
local first = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', 1)[1]
if not first or first[1] ~= from then
  local before = redis.call('XREVRANGE', KEYS[2], from, '-', 'COUNT', 1)[1]
  if before and num(string.match(before[1], '^%d+')) + num(before[2][2]) > offset then from = before[1] end
end
local found = range(KEYS[2], from, num(ARGV[2]), 4)
local meta = redis.call('HMGET', KEYS[1], 'logId', 'origin', 'epochs', 'head')
if meta[1] and meta[1] ~= ARGV[3] then return {found, meta[2], meta[3], meta[4]} end
return {found}
`,
);

/**
 * Entries of a parking log behind a position.
 *
 * KEYS  1 parking log
 * ARGV  1 position, 2 bytes at most
 * Gives {position, entry, …}
 */
export const readParkedScript = script(
  'ReadParked',
  'flags=no-writes',
  `${RANGE}
return range(KEYS[1], '(' .. ARGV[1] .. '-0', num(ARGV[2]), 2)
`,
);

/**
 * Everything that is counted, at one moment.
 *
 * KEYS  1 meta, 2 parked, 3 aside, 4 lease
 * Gives {{field, value…}, {topic, state…}, frames set aside, lease}
 */
export const statsScript = script(
  'Stats',
  'flags=no-writes',
  `
return {redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]), redis.call('XLEN', KEYS[3]),
  redis.call('GET', KEYS[4]) or ''}
`,
);
