-- An operator's reset of the offset: compare-and-set, and a line in the audit, both or none.
--
-- KEYS  1 offset  2 audit stream
-- ARGV  1 offset as it was shown ("" for none)  2 new offset  3 by whom  4 reason  5 time (Unix ms)
-- Returns nil when applied, else the offset that stands in its way ("" for none).

local saved = redis.call('GET', KEYS[1]) or ''
if saved ~= ARGV[1] then
  return saved
end

-- First, as it is what can fail: the audit's key may be of another type, the memory may be full.
redis.call('XADD', KEYS[2], '*', 'by', ARGV[3], 'old', saved, 'new', ARGV[2], 'reason', ARGV[4], 'at_ms', ARGV[5])
redis.call('SET', KEYS[1], ARGV[2])
return false
