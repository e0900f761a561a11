-- A dead letter goes back to the stream it came from: once, whatever crashes in between.
--
-- KEYS  1 stream of health events  2 hash of retried dead letters  3 stream of dead letters
-- ARGV  1 ID of the dead letter    then names and values of the entry
-- Returns the ID it got, or nil if it was retried before or is gone: purged, and with it the note that it was retried.
--
-- A script is not rolled back. So whatever can fail is tried before the first write: HEXISTS fails on a key of
-- another type, and so does XADD, which writes first.

if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then
  return false
end
if #redis.call('XRANGE', KEYS[3], ARGV[1], ARGV[1]) == 0 then
  return false
end

local id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
redis.call('HSET', KEYS[2], ARGV[1], id)
return id
