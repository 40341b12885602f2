-- Step 2, slot of the queue: append the event unless its id was appended before.
-- KEYS 1 stream, 2.. buckets of event ids, the last of which is written to
-- ARGV 1 event id, 2 life of the written bucket (ms), 3.. fields of the entry
for number = 2, #KEYS do
  if redis.call('HEXISTS', KEYS[number], ARGV[1]) == 1 then
    -- Written again, so that whoever waits for the replicas waits for it, too.
    redis.call('HSET', KEYS[number], ARGV[1], '')
    return 0
  end
end
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('XGROUP', 'CREATE', KEYS[1], 'core', '0', 'MKSTREAM') end
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3))
local bucket = KEYS[#KEYS]
redis.call('HSET', bucket, ARGV[1], '')
if redis.call('HLEN', bucket) == 1 then redis.call('PEXPIRE', bucket, ARGV[2]) end
return 1
