-- One batch's effects on Redis, all or none: snapshots, dead letters and the offset (I5), fenced (I6).
--
-- KEYS  1 offset  2 mark of the last commit  3 stream of snapshots  4 stream of dead letters
-- ARGV  1 "fenced" or "free"         fenced: apply only while the offset is as in 2
--       2 expected offset            "" for none saved
--       3 new offset                 "" to leave it as it is
--       4 mark of this commit
--       5 bound of the dead letters  approximate, as XADD MAXLEN ~ trims whole nodes only
--       6 number of dead letters     followed by 5 arguments each: source stream, source ID, reason, time, fields
--       then 5 arguments per snapshot: game, turn, status, summary, time
-- Returns nil when applied, else the offset that stands in its way and the mark ("" for none).
--
-- A script is not rolled back. So whatever can fail is tried before the first write: GET fails on a key of another
-- type, and so do the two checks below; a full memory refuses the first write and, once that went through, no later
-- one (Redis manual, "Eval scripts", deny-oom).

local saved, mark = redis.call('GET', KEYS[1]) or '', redis.call('GET', KEYS[2]) or ''
if ARGV[1] == 'fenced' and saved ~= ARGV[2] then
  return { saved, mark }
end

for i = 3, 4 do
  local kind = redis.call('TYPE', KEYS[i]).ok
  if kind ~= 'stream' and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. kind .. ', not a stream; nothing was written')
  end
end

redis.call('SET', KEYS[2], ARGV[4])

local at = 7
for _ = 1, tonumber(ARGV[6]) do
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[5], '*',
    'source_stream', ARGV[at], 'source_id', ARGV[at + 1], 'reason', ARGV[at + 2],
    'failed_at_ms', ARGV[at + 3], 'fields', ARGV[at + 4])
  at = at + 5
end

for i = at, #ARGV, 5 do
  redis.call('XADD', KEYS[3], '*',
    'event_type', 'runtime_snapshot_update', 'game_id', ARGV[i], 'current_turn', ARGV[i + 1],
    'runtime_status', ARGV[i + 2], 'engine_health_summary', ARGV[i + 3],
    'player_turn_stats', '[]', 'occurred_at_ms', ARGV[i + 4])
end

if ARGV[3] ~= '' then
  redis.call('SET', KEYS[1], ARGV[3])
end
return false
