-- KEYS 1 answer, 2 waiting, 3 dead, 4 by the provider's id, 5 parked report
-- ARGV 1 id, 2 version seen, 3 document, 4 stage, 5 at (ms) or '' when only the document changes, 6 life (ms) or '', 7 'named' when the provider's id is new,
--      8 life of the provider's id (ms), 9 parked report seen or ''
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[2] then return 0 end
if ARGV[7] ~= '' then
  if (redis.call('GET', KEYS[5]) or '') ~= ARGV[9] then return 0 end
  redis.call('SET', KEYS[4], ARGV[1], 'PX', ARGV[8])
  redis.call('DEL', KEYS[5])
end
redis.call('HSET', KEYS[1], 'document', ARGV[3], 'version', ARGV[2] + 1)
if ARGV[5] == '' then return 1 end
redis.call('HSET', KEYS[1], 'stage', ARGV[4], 'at', ARGV[5])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
if ARGV[4] == 'waiting' then redis.call('ZADD', KEYS[2], ARGV[5], ARGV[1]) end
if ARGV[4] == 'dead' then redis.call('ZADD', KEYS[3], ARGV[5], ARGV[1]) end
if ARGV[6] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[6]) end
return 1
