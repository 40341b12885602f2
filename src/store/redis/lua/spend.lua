-- KEYS 1 budget; ARGV 1 limit, 2 now (ms), 3 until (ms)
local spent, till = unpack(redis.call('HMGET', KEYS[1], 'spent', 'until'))
if not till or tonumber(till) <= tonumber(ARGV[2]) then spent, till = 0, ARGV[3] end
if tonumber(spent) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'spent', spent + 1, 'until', till)
redis.call('PEXPIRE', KEYS[1], math.max(tonumber(till) - tonumber(ARGV[2]), 1))
return 1
