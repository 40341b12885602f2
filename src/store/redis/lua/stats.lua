-- ARGV 1 now (ms). Returns what waits, what is out, dead letters, and when the oldest that waits was enqueued.
local now = ARGV[1]
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, 0, redis.call('XLEN', KEYS[4]), ''} end
mend()
local group = core()
local last = group['last-delivered-id'] or '0-0'
local fresh = group.lag
if not fresh then
  -- The server cannot tell after deletions in the middle: counted, up to a bound.
  fresh = #redis.call('XRANGE', KEYS[1], '(' .. last, '+', 'COUNT', 10000)
end
local leases, returned = redis.call('ZCARD', KEYS[2]), redis.call('ZCARD', KEYS[3])
local over = redis.call('ZCOUNT', KEYS[2], '-inf', now)
local native = math.max((group.pending or 0) - leases - returned, 0)

local oldest
local function consider(id)
  local fields = entry(id)
  local time = fields and field(fields, 'enqueued_at')
  if time and (not oldest or time < oldest) then oldest = time end
end
local first = redis.call('XRANGE', KEYS[1], '(' .. last, '+', 'COUNT', 1)[1]
if first then consider(first[1]) end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 100)) do consider(id) end
for _, id in ipairs(redis.call('ZRANGE', KEYS[3], 0, 99)) do consider(id) end
return {fresh + over + returned, leases - over + native, redis.call('XLEN', KEYS[4]), oldest or ''}
