-- Step 1, slot of the sender: claim the message, compare-and-set the sender's memory, note what step 2 has to do.
-- KEYS 1 memories, 2 deadlines, 3 pending, 4 lanes, 5.. the buckets of each claim, the last of which is written to
-- ARGV 1 receipt, 2 arrival (ms), 3 expected version (8 bytes), 4 new memory or '', 5 whoever has to have written the
--      memory last (8 bytes) or '', 6 deadline (ms) or '',
--      7 sender, 8 pending field, 9 pending value or '', 10 claims, 11 buckets per claim, 12 claim value,
--      13 life of the written bucket (ms), 14 place in the lane or '', 15 'wait' when an earlier place keeps it, 16.. claims
local receipt, arrival, sender, field = ARGV[1], tonumber(ARGV[2]), ARGV[7], ARGV[8]
local claims, buckets, lane = tonumber(ARGV[10]), tonumber(ARGV[11]), ARGV[14]

local function bucket(claim, number)
  return KEYS[4 + (claim - 1) * buckets + number]
end

-- Whoever holds a claim that is not over. It is written again, so that whoever waits for the replicas after this script
-- waits for the claim, too, whichever connection wrote it first.
local function holder(claim)
  for number = 1, buckets do
    local value = redis.call('HGET', bucket(claim, number), ARGV[15 + claim])
    if value and struct.unpack('>I6', value, 17) > arrival then
      redis.call('HSET', bucket(claim, number), ARGV[15 + claim], value)
      return string.sub(value, 1, 16)
    end
  end
end

local ours = 0
for claim = 1, claims do
  local first = holder(claim)
  if first and first ~= receipt then
    return {'D', first}
  end
  if first then ours = ours + 1 end
end
-- A transition is applied whole or not at all, so that a part of the claims is another transition of the receipt.
if claims > 0 and ours == claims then
  return {'R', redis.call('HGET', KEYS[3], field)}
end

-- Places of this gateway are no reason to wait: its own order is kept by the versions. A place is left after step 2.
if ARGV[15] == 'wait' then
  for _, place in ipairs(redis.call('ZRANGEBYLEX', KEYS[4], '[' .. sender, '(' .. lane)) do
    if string.sub(place, -8) ~= string.sub(lane, -8) then return {'N'} end
  end
end

local memory = string.sub(redis.call('HGET', KEYS[1], sender) or '', 1, 24)
local version = memory == '' and string.rep('\0', 8) or string.sub(memory, 1, 8)
if version ~= ARGV[3] then return {'C'} end
-- A message that builds on another of the same call was given the version that the other would leave. Somebody else may
-- have left the same number meanwhile, so that the writer is asked for, too.
if ARGV[5] ~= '' and string.sub(memory, 17, 24) ~= ARGV[5] then return {'C'} end

for claim = 1, claims do
  local key = bucket(claim, buckets)
  redis.call('HSET', key, ARGV[15 + claim], ARGV[12])
  if redis.call('HLEN', key) == 1 then redis.call('PEXPIRE', key, ARGV[13]) end
end
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], sender, ARGV[4])
  if ARGV[6] ~= '' then
    redis.call('ZADD', KEYS[2], ARGV[6], sender)
  elseif memory ~= '' and string.sub(memory, 9, 16) ~= string.rep('\255', 8) then
    redis.call('ZREM', KEYS[2], sender)
  end
end
if ARGV[9] ~= '' then redis.call('HSET', KEYS[3], field, ARGV[9]) end
return {'A'}
