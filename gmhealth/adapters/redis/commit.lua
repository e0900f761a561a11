-- One batch's effects on Redis, all or none: snapshots, dead letters, journal and the offset (I5), fenced (I6).
--
-- KEYS  1 offset  2 commit record  3 stream of snapshots  4 stream of dead letters
--       5 how many dead letters were ever dropped  6 journal  7 stream of writes  8 stream of health events
-- ARGV  1 whether the offset fences  "yes": apply only while offset and record are as in 2 and 3; "": only while the
--                                    record is, as a replay leaves the offset to others
--       2 expected offset            "" for none saved
--       3 expected record            "" for none; without it a commit that arrives late would apply once the offset
--                                    has been reset and has come back
--       4 new offset                 "" to leave it as it is
--       5 new record                 compared and stored as bytes, never parsed
--       6 bound of the dead letters  approximate, as XADD MAXLEN ~ trims whole nodes only
--       7 snapshots                  MessagePack: game, turn, status, summary and time of each in turn, all of them
--                                    text. Five arguments for each would take the server as long as a third of the
--                                    XADDs, and a table for each a sixth
--       8 number of the commit  9 its worker  10 its job  11 PostgreSQL's time
--      12 what each event did        MessagePack; with 8 to 11 an entry of the journal. "" for no entry
--      13 what each write left       MessagePack, an entry of the writes. "" for no entry
--      14 games in 13
--       then 1 argument per dead letter: MessagePack of its source ID, reason and fields
-- Returns when applied how many dead letters were dropped for it to keep to the bound, nil for none; else the offset
-- and the record that stand in its way ("" for none).
--
-- A script is not rolled back. So whatever can fail is tried before the first write: GET fails on a key of another
-- type, and so do the checks below; a full memory refuses the first write and, once that went through, no later
-- one (Redis manual, "Eval scripts", deny-oom). Trimming may fail, and is left to the next commit.

local KEPT_MS = 120000 -- of the writes: settling needs the last minute of them
local KEPT_GAMES = 500000 -- of the writes, about
local AT_ONCE = 10 -- entries of the writes that one commit deletes for it
local KEPT_COMMITS = 1000 -- of the journal, at least
local TRIM_EVERY = 100 -- commits; a node of a stream holds as many entries at most

local offset, record = redis.call('GET', KEYS[1]) or '', redis.call('GET', KEYS[2]) or ''
if record ~= ARGV[3] or ARGV[1] == 'yes' and offset ~= ARGV[2] then
  return { offset, record }
end

for _, i in ipairs({ 3, 4, 6, 7 }) do
  local kind = redis.call('TYPE', KEYS[i]).ok
  if kind ~= 'stream' and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. kind .. ', not a stream; nothing was written')
  end
end

local letters = #ARGV - 14
local dropped, ever = 0, 0
if letters > 0 then
  dropped = letters + redis.call('XLEN', KEYS[4])
  ever = tonumber(redis.call('GET', KEYS[5]) or 0) or 0
end

local commits = ARGV[12] ~= '' and redis.call('XLEN', KEYS[6]) + 1 or 0

local snapshots = cmsgpack.unpack(ARGV[7])

-- Each entry of the writes has how many games were ever written, so the bound is kept whatever size batches have.
local function first_of_writes(command, from, to)
  return redis.call(command, KEYS[7], from, to, 'COUNT', '1')[1]
end
local newest = ARGV[13] ~= '' and first_of_writes('XREVRANGE', '+', '-')
local games = (newest and tonumber(newest[2][4]) or 0) + tonumber(ARGV[14])

redis.call('SET', KEYS[2], ARGV[5])

local call, lobby, dead = redis.call, KEYS[3], KEYS[4] -- locals: they are looked up for each entry
for i = 15, #ARGV - 1 do
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

if ARGV[12] ~= '' then
  redis.call('XADD', KEYS[6], '*',
    'n', ARGV[8], 'worker', ARGV[9], 'job', ARGV[10], 'at', ARGV[11], 'events', ARGV[12])
end
local written
if ARGV[13] ~= '' then
  written = redis.call('XADD', KEYS[7], '*', 'lines', ARGV[13], 'games', string.format('%.0f', games))
end

if ARGV[4] ~= '' then
  redis.call('SET', KEYS[1], ARGV[4])
end

if written then
  local since = math.max(0, tonumber(string.match(written, '^%d+')) - KEPT_MS)
  redis.pcall('XTRIM', KEYS[7], 'MINID', '~', string.format('%d', since))
  for _ = 1, AT_ONCE do
    local oldest = first_of_writes('XRANGE', '-', '+')
    if oldest[1] == written or games - (tonumber(oldest[2][4]) or 0) < KEPT_GAMES then
      break
    end
    if type(redis.pcall('XTRIM', KEYS[7], 'MAXLEN', redis.call('XLEN', KEYS[7]) - 1)) ~= 'number' then
      break
    end
  end
end
if commits > KEPT_COMMITS and commits % TRIM_EVERY == 0 then
  local oldest = redis.pcall('XRANGE', KEYS[8], '-', '+', 'COUNT', '1')[1]
  if oldest then
    redis.pcall('XTRIM', KEYS[6], 'MINID', '~', oldest[1], 'LIMIT', string.format('%d', commits - KEPT_COMMITS))
  end
end
return dropped > 0 and dropped
