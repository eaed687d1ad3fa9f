/**
 * The session is there again, or for the first time, and does not end by itself.
 * KEYS: session, order, queue, sent, sessions. ARGV: client id, expiry in seconds, owner.
 */
export const ENTER = `
redis.call('HSET', KEYS[1], 'expiry', ARGV[2], 'owner', ARGV[3])
for i = 1, 4 do redis.call('PERSIST', KEYS[i]) end
redis.call('SADD', KEYS[5], ARGV[1])
return 1`;

/**
 * The session ends by itself after a time, unless its client comes back; it has come back if the owner is another.
 * KEYS: session, order, queue, sent. ARGV: expiry in seconds, life in milliseconds or -1 for ever, owner.
 */
export const LEAVE = `
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[3] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
  return 1
end
redis.call('HSET', KEYS[1], 'expiry', ARGV[1])
if tonumber(ARGV[2]) >= 0 then
  for i = 1, 4 do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
end
return 1`;

/**
 * One message into several queues.
 * KEYS: session, order, queue of each. ARGV: key, number of values, the values, which of them each session gets.
 * Returns the places of those whose session is not there.
 */
export const ENQUEUE = `
local missing = {}
local values = tonumber(ARGV[2])
for i = 1, #KEYS / 3 do
  local session, order, queue = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  if redis.call('EXISTS', session) == 0 then
    missing[#missing + 1] = i
  else
    local seq = redis.call('HINCRBY', session, 'seq', 1)
    redis.call('ZADD', order, seq, ARGV[1])
    redis.call('HSET', queue, ARGV[1], ARGV[2 + tonumber(ARGV[2 + values + i])])
    local life = redis.call('PTTL', session)
    if life >= 0 then
      redis.call('PEXPIRE', order, life)
      redis.call('PEXPIRE', queue, life)
    end
  end
end
return missing`;
