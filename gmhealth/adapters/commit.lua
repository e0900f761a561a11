-- One batch's effects on Redis, all or none: snapshots, dead letters and the offset (I5), fenced (I6).
--
-- KEYS  1 offset  2 mark of the last commit  3 stream of snapshots  4 stream of dead letters
--       5 how many dead letters were ever dropped
-- ARGV  1 how it is fenced           "fenced": apply only while offset and mark are as in 2 and 3; "marked": only
--                                    while the mark is, as a replay and a standby leave the offset to others
--       2 expected offset            "" for none saved
--       3 expected mark              "" for none; without it a commit that was held up on its way would apply once
--                                    the offset has been reset and has come back
--       4 new offset                 "" to leave it as it is
--       5 mark of this commit
--       6 bound of the dead letters  approximate, as XADD MAXLEN ~ trims whole nodes only
--       7 tail                       what a failover of PostgreSQL would run again, "" if it is not known
--       8 snapshots                  MessagePack: game, turn, status, summary and time of each in turn, all of them
--                                    text. Five arguments for each would take the server as long as a third of the
--                                    XADDs, and a table for each a sixth
--       then 1 argument per dead letter: MessagePack of its source ID, reason and fields
-- Returns when applied how many dead letters were dropped for it to keep to the bound, nil for none; else the offset
-- that stands in its way and the mark's key ("" for none).
--
-- The mark's key holds the offset that the last fenced commit left, a space, the mark, and, if it is known, a tab and
-- that commit's tail. Where another offset is saved, somebody has moved it since.
--
-- A script is not rolled back. So whatever can fail is tried before the first write: GET fails on a key of another
-- type, and so do the two checks below; a full memory refuses the first write and, once that went through, no later
-- one (Redis manual, "Eval scripts", deny-oom).

local saved, marked = redis.call('GET', KEYS[1]) or '', redis.call('GET', KEYS[2]) or ''
local left, mark, tail = string.match(marked, '^(%S*) ([^\t]*)(.*)$')
left, mark, tail = left or '', mark or marked, tail or ''
if mark ~= ARGV[3] or ARGV[1] == 'fenced' and saved ~= ARGV[2] then
  return { saved, marked }
end
if ARGV[1] == 'fenced' then
  left = ARGV[4] ~= '' and ARGV[4] or saved
  tail = ARGV[7] ~= '' and '\t' .. ARGV[7] or ''
end

for i = 3, 4 do
  local kind = redis.call('TYPE', KEYS[i]).ok
  if kind ~= 'stream' and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. kind .. ', not a stream; nothing was written')
  end
end

local letters = #ARGV - 8
local dropped, ever = 0, 0
if letters > 0 then
  dropped = letters + redis.call('XLEN', KEYS[4])
  ever = tonumber(redis.call('GET', KEYS[5]) or 0) or 0
end

local snapshots = cmsgpack.unpack(ARGV[8])

redis.call('SET', KEYS[2], left .. ' ' .. ARGV[5] .. tail)

local call, lobby, dead = redis.call, KEYS[3], KEYS[4] -- locals: they are looked up for each entry
for i = 9, #ARGV - 1 do
  call('XADD', dead, '*', 'letter', ARGV[i])
end
if letters > 0 then -- the last one trims for all of them
  call('XADD', dead, 'MAXLEN', '~', ARGV[6], 'LIMIT', '0', '*', 'letter', ARGV[#ARGV])
  dropped = dropped - call('XLEN', dead)
end
if dropped > 0 then
  redis.call('SET', KEYS[5], string.format('%d', ever + dropped))
end

for i = 1, #snapshots, 5 do
  call('XADD', lobby, '*',
    'event_type', 'runtime_snapshot_update', 'game_id', snapshots[i],
    'current_turn', snapshots[i + 1],
    'runtime_status', snapshots[i + 2], 'engine_health_summary', snapshots[i + 3],
    'player_turn_stats', '[]', 'occurred_at_ms', snapshots[i + 4])
end

if ARGV[4] ~= '' then
  redis.call('SET', KEYS[1], ARGV[4])
end
return dropped > 0 and dropped
