-- Asks, without doing anything, whether the user of this connection may do what `consume` does (Redis 7.0+).
--
-- ARGV  1 stream of health events  2 offset  3 commit record  4 stream of snapshots  5 stream of dead letters
--       6 last break  7 what is waited for  8 how many dead letters were dropped  9 journal
--      10 stream of writes  11 pause
-- Returns what it may not do, as command and key.

local wanted = {
  { 'XREAD', 'COUNT', '1', 'STREAMS', ARGV[1], '0-0' },
  { 'XRANGE', ARGV[1], '-', '+', 'COUNT', '1' },
  { 'XINFO', 'STREAM', ARGV[1] },
  { 'GET', ARGV[2] },
  { 'SET', ARGV[2], '0-0' },
  { 'GET', ARGV[3] },
  { 'SET', ARGV[3], '' },
  { 'TYPE', ARGV[4] },
  { 'XADD', ARGV[4], '*', 'a', 'b' },
  { 'TYPE', ARGV[5] },
  { 'XADD', ARGV[5], 'MAXLEN', '~', '1000', '*', 'a', 'b' },
  { 'GET', ARGV[6] },
  { 'SET', ARGV[6], '' },
  { 'SET', ARGV[7], '', 'EX', '1' },
  { 'XLEN', ARGV[5] },
  { 'GET', ARGV[8] },
  { 'SET', ARGV[8], '' },
  { 'TYPE', ARGV[9] },
  { 'XADD', ARGV[9], '*', 'a', 'b' },
  { 'XLEN', ARGV[9] },
  { 'XTRIM', ARGV[9], 'MINID', '~', '0-1' },
  { 'TYPE', ARGV[10] },
  { 'XADD', ARGV[10], 'MAXLEN', '~', '1000', '*', 'a', 'b' },
  { 'XTRIM', ARGV[10], 'MINID', '~', '0-1' },
  { 'XRANGE', ARGV[10], '-', '+', 'COUNT', '1' },
  { 'XREVRANGE', ARGV[10], '+', '-', 'COUNT', '1' },
  { 'GET', ARGV[11] },
  { 'EVALSHA', 'commit', '8', ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[8], ARGV[9], ARGV[10], ARGV[1] },
  { 'SCRIPT', 'LOAD', '' },
}
local keyed = { XREAD = 5, XINFO = 3, EVALSHA = 4 }

local refused = {}
for _, command in ipairs(wanted) do
  if not redis.acl_check_cmd(unpack(command)) then
    table.insert(refused, command[1] .. ' ' .. command[keyed[command[1]] or 2])
  end
end
return refused
