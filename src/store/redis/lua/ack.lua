-- ARGV 1 now (ms), 2 prefix of times, 3.. entries
local count = 0
for place = 3, #ARGV do
  local id = ARGV[place]
  if redis.call('ZSCORE', KEYS[2], id) then
    local fields = entry(id)
    if redis.call('XACK', KEYS[1], GROUP, id) == 1 then
      count = count + 1
      if fields then note(ARGV[2], 'A', fields, ARGV[1]) end
    end
    forget(id)
  end
end
return count
