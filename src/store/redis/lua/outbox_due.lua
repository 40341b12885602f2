-- KEYS 1 waiting; ARGV 1 now (ms), 2 most, 3 shown again (ms), 4 prefix of answers
local out = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  local key = ARGV[4] .. id
  local document = redis.call('HGET', key, 'document')
  if document then
    redis.call('ZADD', KEYS[1], ARGV[3], id)
    redis.call('HSET', key, 'at', ARGV[3])
    out[#out + 1] = document
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return out
