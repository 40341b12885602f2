-- ARGV 1 after ('' for the beginning), 2 most
local after, most, out = ARGV[1], tonumber(ARGV[2]), {}
if redis.call('EXISTS', KEYS[1]) == 0 or most == 0 then return out end
mend()
local from = after == '' and '-' or '(' .. after
for _, item in ipairs(redis.call('XPENDING', KEYS[1], GROUP, from, '+', most)) do
  local fields = entry(item[1])
  if fields then out[#out + 1] = {item[1], item[4], fields} end
end
local last = core()['last-delivered-id'] or '0-0'
if #out < most then
  local start = after ~= '' and before(last, after) and after or last
  for _, item in ipairs(redis.call('XRANGE', KEYS[1], '(' .. start, '+', 'COUNT', most - #out)) do
    out[#out + 1] = {item[1], 0, item[2]}
  end
end
return out
