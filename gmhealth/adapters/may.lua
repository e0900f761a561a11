-- Asks, without doing anything, whether the user of this connection may do what `consume` does (Redis 7.0+).
--
-- KEYS  1 stream of health events  2 offset  3 mark  4 stream of snapshots  5 stream of dead letters
-- Returns what it may not do.

local wanted = {
  { 'XREAD', 'COUNT', '1', 'STREAMS', KEYS[1], '0-0' },
  { 'XRANGE', KEYS[1], '-', '+', 'COUNT', '1' },
  { 'XINFO', 'STREAM', KEYS[1] },
  { 'GET', KEYS[2] },
  { 'SET', KEYS[2], '0-0' },
  { 'GET', KEYS[3] },
  { 'SET', KEYS[3], '' },
  { 'TYPE', KEYS[4] },
  { 'XADD', KEYS[4], '*', 'a', 'b' },
  { 'TYPE', KEYS[5] },
  { 'XADD', KEYS[5], 'MAXLEN', '~', '1000', '*', 'a', 'b' },
}

local refused = {}
for _, command in ipairs(wanted) do
  if not redis.acl_check_cmd(unpack(command)) then
    table.insert(refused, command[1] .. ' ' .. (command[1] == 'XREAD' and KEYS[1] or command[2]))
  end
end
return refused
