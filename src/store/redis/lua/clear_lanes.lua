-- Takes the places of gateways out of the lanes. KEYS 1 lanes; ARGV ids of gateways, the last 8 bytes of their places
local count = 0
for _, place in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  for number = 1, #ARGV do
    if string.sub(place, -8) == ARGV[number] then
      redis.call('ZREM', KEYS[1], place)
      count = count + 1
    end
  end
end
return count
