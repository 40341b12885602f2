-- Shared by the scripts of a queue. KEYS 1 stream, 2 leases, 3 returned, 4 dead letters.
local GROUP, CONSUMER = 'core', 'loket-http'
local FIRST = 'id.loket.complaint.received.v1'
-- Times of a complaint are kept in buckets of 32 days, for 400 days.
local EPOCH, KEPT = 2764800000, 34560000000

local function field(fields, name)
  for place = 1, #fields, 2 do
    if fields[place] == name then return fields[place + 1] end
  end
end

-- Notes when the first event of a complaint was leased ('L') or acknowledged ('A').
local function note(prefix, letter, fields, now)
  if field(fields, 'ce_type') ~= FIRST then return end
  local hex = string.gsub(field(fields, 'ce_subject') or '', '-', '')
  if #hex ~= 32 then return end
  local id = string.gsub(hex, '%x%x', function(two) return string.char(tonumber(two, 16)) end)
  local epoch = math.floor(tonumber(string.sub(hex, 1, 12), 16) / EPOCH)
  local key = prefix .. epoch .. ':' .. string.sub(hex, 30)
  if letter == 'L' then redis.call('HSETNX', key, 'L' .. id, now) else redis.call('HSET', key, 'A' .. id, now) end
  if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, KEPT) end
end

-- Consumer and deliveries of an entry that is pending in the group, or nothing.
local function pending(id)
  local found = redis.call('XPENDING', KEYS[1], GROUP, id, id, 1)[1]
  if found then return found[2], found[4] end
end

local function entry(id)
  local found = redis.call('XRANGE', KEYS[1], id, id)[1]
  return found and found[2]
end

-- What each group of the stream says of itself.
local function groups()
  local all = {}
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local values = {}
    for place = 1, #info, 2 do values[info[place]] = info[place + 1] end
    all[#all + 1] = values
  end
  return all
end

local function core()
  for _, group in ipairs(groups()) do
    if group.name == GROUP then return group end
  end
  return {}
end

-- Does one entry stand before another in the stream?
local function before(one, other)
  local ms, sequence = string.match(one, '^(%d+)-(%d+)$')
  local other_ms, other_sequence = string.match(other, '^(%d+)-(%d+)$')
  if ms ~= other_ms then return tonumber(ms) < tonumber(other_ms) end
  return tonumber(sequence) < tonumber(other_sequence)
end

-- Somebody may have destroyed the group: everything is new again then, which is better than nothing at all.
local function mend()
  redis.pcall('XGROUP', 'CREATE', KEYS[1], GROUP, '0')
end

local function forget(id)
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZREM', KEYS[3], id)
end

-- Moves an entry to the dead letters. It stays in the stream for the other groups.
local function bury(id, reason, attempts, now)
  local fields = entry(id)
  if fields then
    for _, more in ipairs({'reason', reason, 'attempts', tostring(attempts), 'dead_at', now}) do fields[#fields + 1] = more end
    -- A server without memory takes no dead letter: the entry stays where it is, and holds up no other.
    local added = redis.pcall('XADD', KEYS[4], '*', unpack(fields))
    if type(added) == 'table' and added.err then return end
  end
  redis.call('XACK', KEYS[1], GROUP, id)
  forget(id)
end
