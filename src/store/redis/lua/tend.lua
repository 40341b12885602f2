-- ARGV 1 keep entries from (ms), 2 native consumers are gone after (ms), 3 now (ms). Returns how many entries were trimmed.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
mend()
-- What a native consumer left pending comes out of the HTTP API again.
local from = '-'
for _ = 1, 20 do
  local left = redis.call('XPENDING', KEYS[1], GROUP, 'IDLE', ARGV[2], from, '+', 100)
  for _, item in ipairs(left) do
    local is_ours = item[2] == CONSUMER
    if not is_ours then redis.call('XCLAIM', KEYS[1], GROUP, CONSUMER, 0, item[1], 'JUSTID') end
    local is_known = redis.call('ZSCORE', KEYS[2], item[1]) or redis.call('ZSCORE', KEYS[3], item[1])
    if not is_ours or not is_known then
      forget(item[1])
      redis.call('ZADD', KEYS[3], ARGV[3], item[1])
    end
  end
  if #left < 100 then break end
  from = '(' .. left[#left][1]
end
-- Nothing is trimmed that some group has not acknowledged.
local keep = ARGV[1] .. '-0'
for _, group in ipairs(groups()) do
  local needed = redis.call('XPENDING', KEYS[1], group.name)[2] or nil
  -- The last entry that was delivered stays, which costs nothing and saves counting on.
  if not needed or before(group['last-delivered-id'], needed) then needed = group['last-delivered-id'] end
  if before(needed, keep) then keep = needed end
end
return redis.call('XTRIM', KEYS[1], 'MINID', '~', keep, 'LIMIT', 10000)
