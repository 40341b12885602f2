-- Frees a tracking id that was reserved and named nothing, unless it names another by now.
-- KEYS 1 tracking ids; ARGV 1 tracking id, 2 complaint (16 bytes) that it was reserved for
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
