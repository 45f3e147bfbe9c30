/**
 * The broker's side of the Redis transport: one Lua script, which Redis runs as one step. Needs Redis 6 or newer, one node.
 *
 * KEYS, all under `spark-proxy:<cluster>:`, all with a time to live:
 * - `q:<queue>` stream of frames with the consumer group `g`; frames given to a consumer are in its list of pending entries,
 *   those that came back are in that of the consumer `~`, and go out first; a frame that is done is deleted
 * - `c:<queue>` hash: consumer -> `generation:prefetch:outstanding:turn` (prefetch 0: cancelled; generation 0: it does not listen)
 * - `m:<queue>` hash: ready frames `n`, their bytes `b`, how many of them came back `r`, somebody waits for room `w`
 * - `l:<queue>` set, `l:<queue>:<id>` hash of pieces: bodies too large for the stream; `up:*` those on their way
 * - `clients` sorted set: client -> when it is dead; `k:<client>` set of queues it reads; `s:<client>` hash: queue -> last
 *   number taken from it (a frame that is pushed again after a lost answer is recognised); `gone` set of the dead who may return
 * - `incarnation` tells a Redis that was flushed or came back empty from the one that was known
 *
 * A frame for a consumer with credit is published on the channel of its client, `in:<client>`: one hop, no polling, any
 * number of queues on one connection. A publication that nobody received, or that was lost with its connection, is still
 * pending: it is given out again when the consumer attaches anew.
 */
export const BROKER_SCRIPT = `
local op, P, incarnation, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local call = redis.call

local function now()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function touch(q)
  call('PEXPIRE', P..'q:'..q, ttl)
  call('PEXPIRE', P..'c:'..q, ttl)
  call('PEXPIRE', P..'m:'..q, ttl)
  if call('PEXPIRE', P..'l:'..q, ttl) == 1 then
    for _, id in ipairs(call('SMEMBERS', P..'l:'..q)) do call('PEXPIRE', P..'l:'..q..':'..id, ttl) end
  end
end

local function group(q)
  redis.pcall('XGROUP', 'CREATE', P..'q:'..q, 'g', '0', 'MKSTREAM')
end

local function size(fields)
  return #fields[2] + (tonumber(fields[4]) or 0)
end

-- Gives ready frames to consumers with credit, the one that waits longest first.
local function pump(q)
  local stream, ck, mk = P..'q:'..q, P..'c:'..q, P..'m:'..q
  local meta = call('HMGET', mk, 'n', 'b', 'r', 'w')
  local n, b, r = tonumber(meta[1]) or 0, tonumber(meta[2]) or 0, tonumber(meta[3]) or 0
  if n <= 0 and r <= 0 then return end
  local flat = call('HGETALL', ck)
  local list, last, served = {}, 0, 0
  for i = 1, #flat, 2 do
    local gen, pre, out, turn = string.match(flat[i + 1], '^(%d+):(%d+):(%d+):(%d+)$')
    local client, number = string.match(flat[i], '^(.*)%.(%d+)$')
    local c = { id = flat[i], client = client, number = number, gen = gen, pre = tonumber(pre), out = tonumber(out), turn = tonumber(turn) }
    if c.turn > last then last = c.turn end
    list[#list + 1] = c
  end
  while true do
    local c
    for _, each in ipairs(list) do
      if each.gen ~= '0' and each.out < each.pre and (not c or each.turn < c.turn) then c = each end
    end
    if not c then break end
    local entry, again = nil, '0'
    if r > 0 then
      local reply = call('XREADGROUP', 'GROUP', 'g', '~', 'COUNT', 1, 'STREAMS', stream, '0')
      entry = reply and reply[1] and reply[1][2][1]
      again = '1'
      if not entry then
        r = 0
      elseif not entry[2] then
        call('XACK', stream, 'g', entry[1])
        r = r - 1
        entry = nil
      else
        r = r - 1
        call('XCLAIM', stream, 'g', c.id, 0, entry[1], 'JUSTID')
      end
    else
      local reply = redis.pcall('XREADGROUP', 'GROUP', 'g', c.id, 'COUNT', 1, 'STREAMS', stream, '>')
      if reply and reply.err then
        group(q)
        reply = call('XREADGROUP', 'GROUP', 'g', c.id, 'COUNT', 1, 'STREAMS', stream, '>')
      end
      entry = reply and reply[1] and reply[1][2][1]
      if not entry then
        n, b = 0, 0
        break
      end
    end
    if entry then
      local fields = entry[2]
      local head = c.number..' '..c.gen..' '..again..' '..entry[1]..' '..(fields[4] or '-')..'\\n'
      if call('PUBLISH', P..'in:'..c.client, head..fields[2]) == 0 then
        call('XCLAIM', stream, 'g', '~', 0, entry[1], 'JUSTID')
        r = r + 1
        c.gen = '0'
      else
        c.out = c.out + 1
        last = last + 1
        c.turn = last
        served = served + 1
        n = n - 1
        b = b - size(fields)
      end
      c.changed = true
    end
  end
  for _, c in ipairs(list) do
    if c.changed then call('HSET', ck, c.id, c.gen..':'..c.pre..':'..c.out..':'..c.turn) end
  end
  call('HSET', mk, 'n', math.max(n, 0), 'b', math.max(b, 0), 'r', math.max(r, 0))
  if served > 0 and meta[4] then
    call('HDEL', mk, 'w')
    call('PUBLISH', P..'room', '+'..q)
  end
end

local function consumer(q, id)
  local value = call('HGET', P..'c:'..q, id)
  if not value then return nil end
  local gen, pre, out, turn = string.match(value, '^(%d+):(%d+):(%d+):(%d+)$')
  return { id = id, gen = gen, pre = tonumber(pre), out = tonumber(out), turn = turn }
end

local function save(q, c)
  if c.pre == 0 and c.out <= 0 then
    call('HDEL', P..'c:'..q, c.id)
    redis.pcall('XGROUP', 'DELCONSUMER', P..'q:'..q, 'g', c.id)
  else
    call('HSET', P..'c:'..q, c.id, c.gen..':'..c.pre..':'..math.max(c.out, 0)..':'..c.turn)
  end
end

-- Frames of a consumer back to the head of the queue.
local function back(q, id, ids)
  if #ids == 0 then return 0 end
  local entries = call('XCLAIM', P..'q:'..q, 'g', '~', 0, unpack(ids))
  local count, bytes = 0, 0
  for _, entry in ipairs(entries) do
    if entry and entry[2] then
      count = count + 1
      bytes = bytes + size(entry[2])
    end
  end
  call('HINCRBY', P..'m:'..q, 'n', count)
  call('HINCRBY', P..'m:'..q, 'r', count)
  call('HINCRBY', P..'m:'..q, 'b', bytes)
  return count
end

local function pending(q, id)
  local list = redis.pcall('XPENDING', P..'q:'..q, 'g', '-', '+', 7000, id)
  local ids = {}
  if list.err then return ids end
  for i, each in ipairs(list) do ids[i] = each[1] end
  return ids
end

local function drop(q, ids)
  call('XDEL', P..'q:'..q, unpack(ids))
  if call('EXISTS', P..'l:'..q) == 1 then
    for _, id in ipairs(ids) do
      if call('SREM', P..'l:'..q, id) == 1 then call('UNLINK', P..'l:'..q..':'..id) end
    end
  end
end

-- A queue nobody reads and nothing is in costs nothing.
local function tidy(q)
  if call('HLEN', P..'c:'..q) > 0 then return end
  if call('XLEN', P..'q:'..q) == 0 then call('DEL', P..'q:'..q, P..'c:'..q, P..'m:'..q, P..'l:'..q) end
end

local function bury(client)
  for _, q in ipairs(call('SMEMBERS', P..'k:'..client)) do
    for _, id in ipairs(call('HKEYS', P..'c:'..q)) do
      if string.match(id, '^(.*)%.%d+$') == client then
        back(q, id, pending(q, id))
        call('HDEL', P..'c:'..q, id)
        redis.pcall('XGROUP', 'DELCONSUMER', P..'q:'..q, 'g', id)
      end
    end
    pump(q)
    tidy(q)
  end
  call('DEL', P..'k:'..client)
  call('ZREM', P..'clients', client)
end

-- Those whose time is up; they may yet come back and push again what they had pushed.
local function buryDead(time)
  for _, dead in ipairs(call('ZRANGEBYSCORE', P..'clients', '-inf', time, 'LIMIT', 0, 10)) do
    bury(dead)
    call('PEXPIRE', P..'s:'..dead, 60000)
    call('SADD', P..'gone', dead)
    call('PEXPIRE', P..'gone', 60000)
  end
end

-- Nobody was heard of for half a life: Redis itself was away, or everybody was. Then silence tells nothing.
local function forgive(life)
  local latest = call('ZREVRANGE', P..'clients', 0, 0, 'WITHSCORES')[2]
  local time = now()
  if not latest or tonumber(latest) - life / 2 > time then return end
  for _, client in ipairs(call('ZRANGE', P..'clients', 0, -1)) do call('ZADD', P..'clients', time + life, client) end
end

if op == 'open' then
  local client, life = ARGV[5], ARGV[6]
  forgive(life)
  call('SET', P..'incarnation', incarnation, 'NX', 'PX', ttl)
  call('ZADD', P..'clients', now() + life, client)
  call('PEXPIRE', P..'clients', ttl)
  return call('GET', P..'incarnation')
end

if op == 'bye' then
  bury(ARGV[5])
  call('DEL', P..'s:'..ARGV[5])
  -- The last one leaves nothing behind.
  if call('ZCARD', P..'clients') == 0 then
    for _, dead in ipairs(call('SMEMBERS', P..'gone')) do call('DEL', P..'s:'..dead) end
    call('DEL', P..'incarnation', P..'gone')
  end
  return 1
end

if op == 'ack' then
  -- XACK is the first command that writes: it is allowed when memory is full, and what follows then is, too.
  local q, id, gen = ARGV[5], ARGV[6], ARGV[7]
  local c = consumer(q, id)
  if not c or (c.gen ~= gen and c.gen ~= '0') then return 0 end
  local ids = {}
  for i = 8, #ARGV do ids[#ids + 1] = ARGV[i] end
  local acked = call('XACK', P..'q:'..q, 'g', unpack(ids))
  if acked == 0 then return 0 end
  drop(q, ids)
  c.out = c.out - acked
  save(q, c)
  pump(q)
  if c.pre == 0 then tidy(q) end
  return acked
end

if call('GET', P..'incarnation') ~= incarnation then return redis.error_reply('SPFLUSHED the data of the broker are gone') end

if op == 'push' then
  local q, client, base, seq = ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
  local maxFrames, maxBytes = tonumber(ARGV[9]), tonumber(ARGV[10])
  local last = math.max(tonumber(call('HGET', P..'s:'..client, q)) or 0, base - 1)
  local before, accepted, full = last, 0, 0
  local stream, mk = P..'q:'..q, P..'m:'..q
  local meta = call('HMGET', mk, 'n', 'b')
  local n, b = tonumber(meta[1]) or 0, tonumber(meta[2]) or 0
  local pumped = false
  local i = 11
  while i < #ARGV do
    local frame, length, upload = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
    if seq > last then
      if seq > last + 1 then break end
      local bytes = #frame + length
      if n > 0 and (n >= maxFrames or b + bytes > maxBytes) and not pumped then
        call('HSET', mk, 'n', n, 'b', b)
        pump(q)
        meta = call('HMGET', mk, 'n', 'b')
        n, b = tonumber(meta[1]) or 0, tonumber(meta[2]) or 0
        pumped = true
      end
      if n > 0 and (n >= maxFrames or b + bytes > maxBytes) then
        full = 1
        break
      end
      if length > 0 then
        if call('EXISTS', upload) == 0 then return redis.error_reply('SPUPLOAD the pieces of a large frame are gone') end
        local id = call('XADD', stream, '*', 'e', frame, 'n', length)
        call('RENAME', upload, P..'l:'..q..':'..id)
        call('PEXPIRE', P..'l:'..q..':'..id, ttl)
        call('SADD', P..'l:'..q, id)
        call('PEXPIRE', P..'l:'..q, ttl)
      else
        call('XADD', stream, '*', 'e', frame)
      end
      n, b, last = n + 1, b + bytes, seq
      pumped = false
    end
    accepted = accepted + 1
    seq = seq + 1
    i = i + 3
  end
  if last > before then
    call('HSET', P..'s:'..client, q, last)
    call('PEXPIRE', P..'s:'..client, ttl)
    call('HSET', mk, 'n', n, 'b', b)
    call('PEXPIRE', stream, ttl)
    call('PEXPIRE', mk, ttl)
    pump(q)
  end
  if full == 1 then call('HSET', mk, 'w', 1) end
  return { accepted, full }
end

if op == 'nack' then
  local q, id, gen, ids = ARGV[5], ARGV[6], ARGV[7], { ARGV[8] }
  local c = consumer(q, id)
  if not c or c.gen ~= gen then return 0 end
  c.out = c.out - back(q, id, ids)
  save(q, c)
  pump(q)
  return 1
end

if op == 'attach' then
  local q, client, number, gen, prefetch = ARGV[5], ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])
  local id = client..'.'..number
  group(q)
  call('SADD', P..'k:'..client, q)
  call('PEXPIRE', P..'k:'..client, ttl)
  local known, held, out = consumer(q, id), {}, 0
  for i = 10, #ARGV do held[ARGV[i]] = true end
  local lost = {}
  for _, each in ipairs(pending(q, id)) do
    if held[each] then
      held[each] = nil
      out = out + 1
    else
      lost[#lost + 1] = each
    end
  end
  back(q, id, lost)
  for each in pairs(held) do
    -- Given back in its name while it was away, and not yet taken by another.
    local p = call('XPENDING', P..'q:'..q, 'g', each, each, 1, '~')
    if p[1] then
      local entry = call('XCLAIM', P..'q:'..q, 'g', id, 0, each)[1]
      if entry and entry[2] then
        out = out + 1
        call('HINCRBY', P..'m:'..q, 'n', -1)
        call('HINCRBY', P..'m:'..q, 'r', -1)
        call('HINCRBY', P..'m:'..q, 'b', -size(entry[2]))
      end
    end
  end
  call('HSET', P..'c:'..q, id, gen..':'..prefetch..':'..out..':'..(known and known.turn or 0))
  touch(q)
  pump(q)
  return out
end

if op == 'cancel' then
  local q, id = ARGV[5], ARGV[6]
  local c = consumer(q, id)
  if c then
    c.pre = 0
    save(q, c)
    tidy(q)
  end
  return 1
end

if op == 'delete' then
  local q = ARGV[5]
  for _, id in ipairs(call('SMEMBERS', P..'l:'..q)) do call('UNLINK', P..'l:'..q..':'..id) end
  call('DEL', P..'l:'..q, P..'m:'..q)
  if call('HLEN', P..'c:'..q) == 0 then
    call('DEL', P..'q:'..q)
  else
    -- Trimmed, not deleted: ids must go on, or an acknowledgement of an old frame might hit a new one.
    group(q)
    call('XTRIM', P..'q:'..q, 'MAXLEN', 0)
    call('XGROUP', 'DESTROY', P..'q:'..q, 'g')
    call('XGROUP', 'CREATE', P..'q:'..q, 'g', '$')
    for _, id in ipairs(call('HKEYS', P..'c:'..q)) do
      local c = consumer(q, id)
      c.out = 0
      save(q, c)
    end
    touch(q)
  end
  call('PUBLISH', P..'room', '-'..q)
  return 1
end

if op == 'beat' then
  local client, life, mayBury, refresh = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
  if not call('ZSCORE', P..'clients', client) then return redis.error_reply('SPEXPIRED this client was taken for dead') end
  forgive(life)
  local time = now()
  call('ZADD', P..'clients', time + life, client)
  if refresh == '1' then
    for _, name in ipairs({ 'incarnation', 'clients', 'k:'..client, 's:'..client }) do call('PEXPIRE', P..name, ttl) end
    for _, q in ipairs(call('SMEMBERS', P..'k:'..client)) do touch(q) end
  end
  if mayBury == '1' then buryDead(time) end
  return 1
end

return redis.error_reply('ERR unknown operation '..tostring(op))
`;
