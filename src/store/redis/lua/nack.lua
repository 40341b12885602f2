-- ARGV 1 now (RFC 3339), 2 ready again (ms), 3 most attempts, 4 reason, 5.. entries
local count = 0
for place = 5, #ARGV do
  local id = ARGV[place]
  if redis.call('ZSCORE', KEYS[2], id) then
    local consumer, attempts = pending(id)
    if consumer ~= CONSUMER then
      forget(id)
    else
      count = count + 1
      if attempts >= tonumber(ARGV[3]) then
        bury(id, ARGV[4], attempts, ARGV[1])
      else
        redis.call('ZREM', KEYS[2], id)
        redis.call('ZADD', KEYS[3], ARGV[2], id)
      end
    end
  end
end
return count
