-- ARGV 1 after ('' for the beginning), 2 most
local after, most, out = ARGV[1], tonumber(ARGV[2]), {}
if redis.call('EXISTS', KEYS[1]) == 0 or most == 0 then return out end
mend()
local from = after == '' and '-' or '(' .. after
for _, item in ipairs(redis.call('XPENDING', KEYS[1], GROUP, from, '+', most)) do
  local fields = entry(item[1])
  if fields then out[#out + 1] = {item[1], item[4], fields} end
end
local last = '0-0'
for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local values = {}
  for place = 1, #info, 2 do values[info[place]] = info[place + 1] end
  if values.name == GROUP then last = values['last-delivered-id'] end
end
local function behind(a, b)
  local ams, aseq = string.match(a, '^(%d+)-(%d+)$')
  local bms, bseq = string.match(b, '^(%d+)-(%d+)$')
  ams, aseq, bms, bseq = tonumber(ams), tonumber(aseq), tonumber(bms), tonumber(bseq)
  return ams > bms or (ams == bms and aseq > bseq)
end
if #out < most then
  local start = after ~= '' and behind(after, last) and after or last
  for _, item in ipairs(redis.call('XRANGE', KEYS[1], '(' .. start, '+', 'COUNT', most - #out)) do
    out[#out + 1] = {item[1], 0, item[2]}
  end
end
return out
