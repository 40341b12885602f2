-- KEYS 1 answer, 2 waiting; ARGV 1 id, 2 due (ms), 3 document
if redis.call('EXISTS', KEYS[1]) == 1 then
  -- Written again, so that whoever waits for the replicas waits for it, too.
  redis.call('HINCRBY', KEYS[1], 'repeats', 1)
  return 0
end
redis.call('HSET', KEYS[1], 'document', ARGV[3], 'stage', 'waiting', 'at', ARGV[2], 'version', 1)
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return 1
