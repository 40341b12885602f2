-- ARGV 1 now (RFC 3339), 2.. dead letters
local own = {reason = true, attempts = true, dead_at = true, enqueued_at = true}
local count = 0
for place = 2, #ARGV do
  local found = redis.call('XRANGE', KEYS[4], ARGV[place], ARGV[place])[1]
  if found then
    local fields = {}
    for number = 1, #found[2], 2 do
      if not own[found[2][number]] then
        fields[#fields + 1] = found[2][number]
        fields[#fields + 1] = found[2][number + 1]
      end
    end
    fields[#fields + 1] = 'enqueued_at'
    fields[#fields + 1] = ARGV[1]
    if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('XGROUP', 'CREATE', KEYS[1], GROUP, '0', 'MKSTREAM') end
    redis.call('XADD', KEYS[1], '*', unpack(fields))
    redis.call('XDEL', KEYS[4], ARGV[place])
    count = count + 1
  end
end
return count
