-- KEYS 1 lease; ARGV 1 owner, 2 now (ms), 3 until (ms)
local owner, till = unpack(redis.call('HMGET', KEYS[1], 'owner', 'until'))
if owner and owner ~= ARGV[1] and tonumber(till) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', ARGV[3])
return 1
