-- ARGV 1 most, 2 until (ms), 3 now (ms), 4 most attempts, 5 prefix of times, 6 now (RFC 3339)
local most, now, limit = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4])
local out = {}
if redis.call('EXISTS', KEYS[1]) == 0 then return out end
mend()

-- What ran out or was returned and is ready, the longest ready first.
local ready, seen = {}, {}
for _, key in ipairs({KEYS[2], KEYS[3]}) do
  local found = redis.call('ZRANGEBYSCORE', key, '-inf', ARGV[3], 'WITHSCORES', 'LIMIT', 0, 1000)
  for place = 1, #found, 2 do
    if not seen[found[place]] then ready[#ready + 1] = {found[place], tonumber(found[place + 1])} end
    seen[found[place]] = true
  end
end
table.sort(ready, function(one, other)
  if one[2] ~= other[2] then return one[2] < other[2] end
  return before(one[1], other[1])
end)
for _, item in ipairs(ready) do
  if #out >= most then break end
  local id = item[1]
  local consumer, count = pending(id)
  if consumer ~= CONSUMER then
    -- Acknowledged, or claimed by a consumer that speaks to Redis itself.
    forget(id)
  elseif count >= limit then
    bury(id, 'not acknowledged in ' .. count .. ' deliveries', count, ARGV[6])
  else
    local claimed = redis.call('XCLAIM', KEYS[1], GROUP, CONSUMER, 0, id)[1]
    forget(id)
    if claimed then
      redis.call('ZADD', KEYS[2], ARGV[2], id)
      out[#out + 1] = {id, count + 1, claimed[2]}
    end
  end
end

local room = most - #out
if room > 0 then
  local found = redis.call('XREADGROUP', 'GROUP', GROUP, CONSUMER, 'COUNT', room, 'STREAMS', KEYS[1], '>')
  if found then
    for _, item in ipairs(found[1][2]) do
      redis.call('ZADD', KEYS[2], ARGV[2], item[1])
      note(ARGV[5], 'L', item[2], ARGV[3])
      out[#out + 1] = {item[1], 1, item[2]}
    end
  end
end
return out
