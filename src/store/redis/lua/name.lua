-- The tracking id's last word: it names this complaint for good, unless it names another.
-- KEYS 1 tracking id; ARGV 1 complaint
local holder = redis.call('GET', KEYS[1])
if holder and string.sub(holder, 1, 36) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. '!')
return 1
