-- The greatest of what gateways have said. KEYS 1 window; ARGV 1 this gateway's (ms)
local longest = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), tonumber(ARGV[1]))
redis.call('SET', KEYS[1], longest)
return longest
