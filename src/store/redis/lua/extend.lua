-- ARGV 1 until (ms), 2.. entries
local count = 0
for place = 2, #ARGV do
  local id = ARGV[place]
  if redis.call('ZSCORE', KEYS[2], id) then
    local consumer = pending(id)
    if consumer == CONSUMER then
      redis.call('ZADD', KEYS[2], ARGV[1], id)
      -- Its idle time begins again, so that no native consumer claims it meanwhile.
      redis.call('XCLAIM', KEYS[1], GROUP, CONSUMER, 0, id, 'JUSTID')
      count = count + 1
    else
      forget(id)
    end
  end
end
return count
