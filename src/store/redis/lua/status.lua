-- KEYS 1 records, 2 status; ARGV 1 document, 2 status, 3 note or '', 4 complaint
if redis.call('HEXISTS', KEYS[1], ARGV[4]) == 0 then return 0 end
local last = redis.call('LINDEX', KEYS[2], -1)
if last then
  local before = cjson.decode(last)
  -- The last of the list again, whenever it comes, is a repetition. It is written again for the replicas.
  if before.status == ARGV[2] and (before.note or '') == ARGV[3] then
    redis.call('LSET', KEYS[2], -1, last)
    return 1
  end
end
redis.call('RPUSH', KEYS[2], ARGV[1])
return 1
