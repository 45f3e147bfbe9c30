import { QUEUES_PART } from './script-queues.ts';

/**
 * The broker's side of the Redis transport: one Lua script, which Redis runs as one step. Needs Redis 6 or newer, one node.
 *
 * KEYS, all under `spark-proxy:<cluster>:`, all with a time to live:
 * - `q:<queue>` stream of frames (`e` an envelope; its body in it, or as `b`, or beside the queue, `n` bytes) with the consumer group `g`; frames given to a consumer are in its list of pending entries,
 *   those that came back are in that of the consumer `~`, and go out first; a frame that is done is deleted
 * - `c:<queue>` hash: consumer -> `generation:prefetch:outstanding:turn` (prefetch 0: cancelled; generation 0: it does not listen)
 * - `m:<queue>` hash: ready frames `n`, their bytes `b`, how many of them came back `r`, somebody waits for room `w`, there have
 *   been large frames `l`; the only consumer `d`, if it reads the queue by itself
 * - `l:<queue>` set, `l:<queue>:<id>` hash of pieces: bodies too large for the stream; `up:*` those on their way
 * - `clients` sorted set: client -> when it is dead; `k:<client>` set of queues it reads; `s:<client>` hash: queue -> last
 *   number taken from it (a frame that is pushed again after a lost answer is recognised), and under the empty name the
 *   incarnation it knows; `gone` set of the dead who may return
 * - `incarnation` tells a Redis that was flushed or came back empty from the one that was known
 *
 * WHO READS ALONE reads by itself: the usual queue has one consumer, which then waits in XREADGROUP on a connection of its own, and
 * senders add with XADD in a transaction that also notes their number. No frame passes through Lua, most of whose cost is its
 * copies. The script is told from time to time how much came and went. It ends (`<` to the reader, `>` to senders) when another
 * consumer comes; a connection that is lost is killed before another takes its place, so that nothing of it comes late.
 *
 * ELSE a frame for a consumer with credit is published on the channel of its client, `in:<client>` (see parcels.ts): one hop, no
 * polling, any number of queues on one connection. A publication that nobody received, or that was lost with its connection,
 * is still pending: it is given out again when the consumer attaches anew.
 */
export const BROKER_SCRIPT = `${QUEUES_PART}
-- Frames of a consumer back to the head of the queue.
local function back(q, id, ids)
  if #ids == 0 then return 0 end
  local entries = call('XCLAIM', P..'q:'..q, 'g', '~', 0, unpack(ids))
  local count, bytes = 0, 0
  for _, entry in ipairs(entries) do
    if entry and entry[2] then
      count = count + 1
      bytes = bytes + select(3, content(entry[2]))
    end
  end
  call('HINCRBY', P..'m:'..q, 'n', count)
  call('HINCRBY', P..'m:'..q, 'r', count)
  call('HINCRBY', P..'m:'..q, 'b', bytes)
  return count
end

-- Gives out what is ready, counted anew.
local function rouse(q)
  local state = load(q)
  recount(q, state)
  pump(q, state)
end

local function pending(q, id)
  local list = redis.pcall('XPENDING', P..'q:'..q, 'g', '-', '+', 7000, id)
  local ids = {}
  if list.err then return ids end
  for i, each in ipairs(list) do ids[i] = each[1] end
  return ids
end

-- Frames in hands that nobody knows: who was taken for dead reads on for a moment when it comes to life.
local function orphans(q)
  local found = false
  local summary = redis.pcall('XPENDING', P..'q:'..q, 'g')
  for _, each in ipairs(not summary.err and summary[4] or {}) do
    local id = each[1]
    if id ~= '~' and call('HEXISTS', P..'c:'..q, id) == 0 then
      back(q, id, pending(q, id))
      redis.pcall('XGROUP', 'DELCONSUMER', P..'q:'..q, 'g', id)
      found = true
    end
  end
  return found
end

local function bury(client)
  for _, q in ipairs(call('SMEMBERS', P..'k:'..client)) do
    local direct = call('HGET', P..'m:'..q, 'd')
    if direct and string.match(direct, '^(.*)%.%d+$') == client then undirect(q) end
    for _, id in ipairs(call('HKEYS', P..'c:'..q)) do
      if string.match(id, '^(.*)%.%d+$') == client then
        back(q, id, pending(q, id))
        call('HDEL', P..'c:'..q, id)
        redis.pcall('XGROUP', 'DELCONSUMER', P..'q:'..q, 'g', id)
      end
    end
    rouse(q)
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
  local current = call('GET', P..'incarnation')
  call('HSET', P..'s:'..client, '', current)
  call('PEXPIRE', P..'s:'..client, ttl)
  return current
end

if op == 'bye' then
  bury(ARGV[5])
  call('DEL', P..'s:'..ARGV[5])
  for i = 6, #ARGV do call('UNLINK', ARGV[i]) end
  -- The last one leaves nothing behind.
  if call('ZCARD', P..'clients') == 0 then
    for _, dead in ipairs(call('SMEMBERS', P..'gone')) do call('DEL', P..'s:'..dead) end
    call('DEL', P..'incarnation', P..'gone')
  end
  return 1
end

local EXPIRED = 'SPEXPIRED this client was taken for dead'

if call('GET', P..'incarnation') ~= incarnation then return redis.error_reply(FLUSHED) end

if op == 'nack' then
  local q, id, gen, ids = ARGV[5], ARGV[6], ARGV[7], { ARGV[8] }
  local c = consumer(q, id)
  if not c or c.gen ~= gen then return 0 end
  c.out = c.out - back(q, id, ids)
  save(q, c)
  pump(q)
  return 1
end

-- Frames were added by plain commands to a queue whose only consumer reads it no longer by itself.
if op == 'pump' then
  rouse(ARGV[5])
  return 1
end

-- Whoever alone reads a queue may read it by itself, with XREADGROUP; senders then add to it with XADD.
if op == 'direct' then
  local q, id, gen = ARGV[5], ARGV[6], ARGV[7]
  local c = consumer(q, id)
  if not c or c.gen ~= gen or call('HLEN', P..'c:'..q) > 1 then return 0 end
  local state = load(q)
  recount(q, state)
  store(q, state)
  if state.r > 0 then return 0 end
  call('HSET', P..'m:'..q, 'd', id)
  return 1
end

-- Asks who reads by itself to attach again. False: nobody is there to hear it.
local function askBack(id)
  local client, number = string.match(id, '^(.*)%.(%d+)$')
  return call('PUBLISH', P..'in:'..client, '<'..number) > 0
end

if op == 'attach' then
  local q, client, number, gen, prefetch, force = ARGV[5], ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10]
  local id = client..'.'..number
  -- What was written before a goodbye may arrive after it.
  if not call('ZSCORE', P..'clients', client) then return redis.error_reply(EXPIRED) end
  local direct = call('HGET', P..'m:'..q, 'd')
  if direct and direct ~= id then
    -- Its reader is asked to stop. One who is not there to hear it has the rest to be told when it comes back.
    if askBack(direct) and force ~= '1' then return 0 end
    local c = consumer(q, direct)
    if c then
      c.gen = '0'
      save(q, c)
    end
  end
  if direct then undirect(q) end
  group(q)
  call('SADD', P..'k:'..client, q)
  call('PEXPIRE', P..'k:'..client, ttl)
  local known, held, out = consumer(q, id), {}, 0
  for i = 11, #ARGV do held[ARGV[i]] = true end
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
  local reply = {}
  for each in pairs(held) do
    -- Given back in its name while it was away, and not yet taken by another.
    local p = call('XPENDING', P..'q:'..q, 'g', each, each, 1, '~')
    local entry = p[1] and call('XCLAIM', P..'q:'..q, 'g', id, 0, each)[1]
    if not entry or not entry[2] then
      -- Done, or another's: an acknowledgement from here would be one of what another has in hand.
      reply[#reply + 1] = each
    else
      out = out + 1
      call('HINCRBY', P..'m:'..q, 'n', -1)
      call('HINCRBY', P..'m:'..q, 'r', -1)
      call('HINCRBY', P..'m:'..q, 'b', -select(3, content(entry[2])))
    end
  end
  call('HSET', P..'c:'..q, id, gen..':'..prefetch..':'..out..':'..(known and known.turn or 0))
  touch(q)
  rouse(q)
  return reply
end

if op == 'cancel' then
  local q, id = ARGV[5], ARGV[6]
  local c = consumer(q, id)
  if call('HGET', P..'m:'..q, 'd') == id then undirect(q) end
  if c then
    c.pre = 0
    save(q, c)
    tidy(q)
  end
  return 1
end

if op == 'delete' then
  local q = ARGV[5]
  local direct = call('HGET', P..'m:'..q, 'd')
  if direct then askBack(direct) end
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
  if not call('ZSCORE', P..'clients', client) then return redis.error_reply(EXPIRED) end
  forgive(life)
  local time = now()
  call('ZADD', P..'clients', time + life, client)
  if refresh == '1' then
    for _, name in ipairs({ 'incarnation', 'clients', 'k:'..client, 's:'..client }) do call('PEXPIRE', P..name, ttl) end
  end
  for _, q in ipairs(call('SMEMBERS', P..'k:'..client)) do
    if refresh == '1' then touch(q) end
    -- A sender that died may not have said what it added.
    if orphans(q) or not call('HGET', P..'m:'..q, 'd') then rouse(q) end
  end
  if mayBury == '1' then buryDead(time) end
  return 1
end

return redis.error_reply('ERR unknown operation '..tostring(op))
`;

/**
 * Acknowledgements, and what was taken, where the consumer reads by itself and nothing else is to be done: a small script costs a third of the
 * large one. -1: it is to be done by that.
 */
export const DIRECT_ACK_SCRIPT = `
local P, q, id, gen, bytes = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local its = redis.call('HGET', P..'c:'..q, id)
local m = redis.call('HMGET', P..'m:'..q, 'd', 'l', 'w')
if m[1] ~= id or m[2] or m[3] or not its or string.match(its, '^%d+') ~= gen then return -1 end
local acked = 0
if #ARGV > 5 then
  local stream = P..'q:'..q
  acked = redis.call('XACK', stream, 'g', unpack(ARGV, 6))
  if acked > 0 then redis.call('XDEL', stream, unpack(ARGV, 6)) end
end
if bytes ~= '0' then redis.call('HINCRBY', P..'m:'..q, 'b', '-'..bytes) end
return acked
`;
