-- Takes places in the lanes of senders. KEYS 1 lanes; ARGV places
for place = 1, #ARGV do redis.call('ZADD', KEYS[1], 0, ARGV[place]) end
return #ARGV
