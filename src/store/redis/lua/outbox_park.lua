-- KEYS 1 by the provider's id, 2 parked report; ARGV 1 report seen or '', 2 report, 3 life (ms)
if redis.call('EXISTS', KEYS[1]) == 1 or (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
