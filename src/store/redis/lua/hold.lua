-- KEYS 1 lease; ARGV 1 owner, 2 now (ms), 3 until (ms)
local owner, till = unpack(redis.call('HMGET', KEYS[1], 'owner', 'until'))
-- A lease that ends later than one taken now was taken by a clock that is wrong, and holds nobody up.
local is_over = not till or tonumber(till) <= tonumber(ARGV[2]) or tonumber(till) > tonumber(ARGV[3])
if owner and owner ~= ARGV[1] and not is_over then return 0 end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', ARGV[3])
return 1
