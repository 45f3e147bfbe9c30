/**
 * The half of the broker's script (see script.ts) that every call runs: what queues are made of, pushes and acknowledgements.
 *
 * COST: Lua hashes every byte of every string it makes, which for a frame of some KiB is more work than all else that Redis
 * does with it. So the body of a frame that somebody waits for is one string on its whole way, the argument of `push`: it goes
 * into the stream and onto the channel, and becomes pending without being read back (XCLAIM with FORCE, not XREADGROUP).
 */

/** So much of heads and small frames travels in one publication. */
const PARCEL_BYTES = 6144;
/** Most that a pump has in hand, and reads at a time. */
const IN_HAND_BYTES = 1_048_576;
const READ_FRAMES = 16;
/** Part of the room in a queue that a sender may fill before it asks how much there is. */
const SHARE_OF_ROOM = 16;

export const QUEUES_PART = `
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

-- Body, its length beside the queue, and bytes in all, of an entry.
local function content(fields)
  local kind, value = fields[3], fields[4]
  if kind == 'b' then return value, nil, #fields[2] + #value end
  return nil, value, #fields[2] + (tonumber(value) or 0)
end

local function parse(id, value)
  local gen, pre, out, turn = string.match(value, '^(%d+):(%d+):(%d+):(%d+)$')
  return { id = id, gen = gen, pre = tonumber(pre), out = tonumber(out), turn = tonumber(turn) }
end

local function consumer(q, id)
  local value = call('HGET', P..'c:'..q, id)
  return value and parse(id, value)
end

-- A queue as it is: what is ready; who reads it is looked up when there is something for them.
local function load(q)
  local m = call('HMGET', P..'m:'..q, 'n', 'b', 'r', 'w', 'l', 'd')
  return { n = tonumber(m[1]) or 0, b = tonumber(m[2]) or 0, r = tonumber(m[3]) or 0, w = m[4], l = m[5], d = m[6], known = m[1], given = {}, inHand = 0, served = 0 }
end

-- Counts what is ready, where frames came or went by plain commands.
local function recount(q, state)
  local hands, r = 0, 0
  local summary = redis.pcall('XPENDING', P..'q:'..q, 'g')
  for _, each in ipairs(not summary.err and summary[4] or {}) do
    if each[1] == '~' then r = tonumber(each[2]) else hands = hands + tonumber(each[2]) end
  end
  local n = math.max(call('XLEN', P..'q:'..q) - hands, 0)
  if n ~= state.n or r ~= state.r then state.n, state.r, state.changed = n, r, true end
  if n == 0 then state.b = 0 end
end

-- Its only consumer reads it by itself no longer: senders hand frames to the script again.
local function undirect(q)
  call('HDEL', P..'m:'..q, 'd')
  call('PUBLISH', P..'room', '>'..q)
end

-- The consumer with credit that waits longest, and whether others have credit.
local function choose(q, state)
  if state.d then
    -- It reads by itself, but what came back.
    if state.r <= 0 then return nil end
    if not state.readers then
      local c = consumer(q, state.d)
      if not c then return nil end
      c.client, c.number = string.match(c.id, '^(.*)%.(%d+)$')
      state.readers, state.turn = { c }, c.turn
    end
    return state.readers[1].gen ~= '0' and state.readers[1] or nil, true
  end
  if not state.readers then
    local flat = call('HGETALL', P..'c:'..q)
    state.readers, state.turn = {}, 0
    for i = 1, #flat, 2 do
      local c = parse(flat[i], flat[i + 1])
      c.client, c.number = string.match(c.id, '^(.*)%.(%d+)$')
      if c.turn > state.turn then state.turn = c.turn end
      state.readers[#state.readers + 1] = c
    end
  end
  local chosen, others = nil, false
  for _, c in ipairs(state.readers) do
    if c.gen ~= '0' and c.out < c.pre then
      others = chosen ~= nil
      if not chosen or c.turn < chosen.turn then chosen = c end
    end
  end
  return chosen, others
end

-- A frame for a consumer, in whose list of pending entries it is or will be when it is posted.
local function give(state, c, again, id, head, body, length, bytes)
  state.turn = state.turn + 1
  c.out, c.turn, c.changed = c.out + 1, state.turn, true
  state.given[#state.given + 1] = { c = c, again = again, id = id, head = head, body = body, length = length, bytes = bytes }
  state.inHand = state.inHand + #head + (body and #body or 0)
end

local function publish(client, lines, heads, bodies)
  lines[#lines + 1] = '\\n'
  if call('PUBLISH', P..'in:'..client, table.concat(lines, '\\n')..table.concat(heads)) == 0 then return false end
  for _, body in ipairs(bodies) do call('PUBLISH', P..'in:'..client, body) end
  return true
end

-- Sends what was given. What nobody receives is ready again, and who does not listen gets no more.
local function post(q, state)
  local given, i = state.given, 1
  state.given, state.inHand = {}, 0
  while i <= #given do
    local client, first, bytes, lines, heads, bodies = given[i].c.client, i, 0, {}, {}, {}
    while i <= #given and given[i].c.client == client and bytes < ${PARCEL_BYTES} do
      local each = given[i]
      bytes = bytes + #each.head
      heads[#heads + 1] = each.head
      bodies[#bodies + 1] = each.body
      lines[#lines + 1] = each.c.number..' '..each.c.gen..' '..each.again..' '..each.id..' '..#each.head..' '..(each.body and '+' or each.length or '-')
      i = i + 1
    end
    if publish(client, lines, heads, bodies) then
      state.served = state.served + i - first
    else
      for j = first, i - 1 do
        local c = given[j].c
        call('XCLAIM', P..'q:'..q, 'g', '~', '0', given[j].id, 'JUSTID')
        c.gen, c.out = '0', c.out - 1
        state.n, state.r, state.b, state.changed = state.n + 1, state.r + 1, state.b + given[j].bytes, true
      end
    end
  end
end

-- The frame that came back first. Nil: there is none; false: it was deleted meanwhile.
local function returned(q, c)
  local stream = P..'q:'..q
  local reply = call('XREADGROUP', 'GROUP', 'g', '~', 'COUNT', '1', 'STREAMS', stream, '0')
  local entry = reply and reply[1] and reply[1][2][1]
  if not entry then return nil end
  if not entry[2] then
    call('XACK', stream, 'g', entry[1])
    return false
  end
  call('XCLAIM', stream, 'g', c.id, '0', entry[1], 'JUSTID')
  return entry
end

local function fresh(q, c, count)
  local stream = P..'q:'..q
  local reply = redis.pcall('XREADGROUP', 'GROUP', 'g', c.id, 'COUNT', count, 'STREAMS', stream, '>')
  if reply and reply.err then
    group(q)
    reply = call('XREADGROUP', 'GROUP', 'g', c.id, 'COUNT', count, 'STREAMS', stream, '>')
  end
  return reply and reply[1] and reply[1][2] or {}
end

-- Gives what is ready to consumers with credit.
local function serve(q, state)
  while state.n > 0 or state.r > 0 do
    local c, others = choose(q, state)
    if not c then break end
    local entries, again = {}, '0'
    if state.r > 0 then
      local entry = returned(q, c)
      again = '1'
      if entry == nil then state.r = 0 else state.r = state.r - 1 end
      if entry == false then state.n = state.n - 1 end
      if entry then entries[1] = entry end
    else
      entries = fresh(q, c, others and 1 or math.min(c.pre - c.out, ${READ_FRAMES}))
      if #entries == 0 then state.n, state.b = 0, 0 end
    end
    for _, entry in ipairs(entries) do
      local body, length, bytes = content(entry[2])
      state.n, state.b = state.n - 1, state.b - bytes
      give(state, c, again, entry[1], entry[2][2], body, length, bytes)
    end
    state.changed = true
    if state.inHand > ${IN_HAND_BYTES} then post(q, state) end
  end
end

local function store(q, state)
  for _, c in ipairs(state.readers or {}) do
    if c.changed then call('HSET', P..'c:'..q, c.id, c.gen..':'..c.pre..':'..c.out..':'..c.turn) end
  end
  if state.d then
    -- Ready frames are not counted meanwhile, and bytes may be told to have gone before they are told to have come.
    if state.changed then call('HSET', P..'m:'..q, 'b', state.b, 'r', math.max(state.r, 0)) end
  else
    if state.n <= 0 then state.b = 0 end
    if state.changed then call('HSET', P..'m:'..q, 'n', math.max(state.n, 0), 'b', math.max(state.b, 0), 'r', math.max(state.r, 0)) end
  end
  if state.served > 0 and state.w then
    call('HDEL', P..'m:'..q, 'w')
    call('PUBLISH', P..'room', '+'..q)
  end
end

local function pump(q, state)
  state = state or load(q)
  repeat
    serve(q, state)
    post(q, state)
  until state.n <= 0 and state.r <= 0 or not choose(q, state)
  store(q, state)
end

-- With a consumer of the group goes what it has in hand.
local function handless(q, id)
  return #redis.pcall('XPENDING', P..'q:'..q, 'g', '-', '+', 1, id) == 0
end

local function save(q, c)
  if c.pre == 0 and c.out <= 0 and handless(q, c.id) then
    call('HDEL', P..'c:'..q, c.id)
    redis.pcall('XGROUP', 'DELCONSUMER', P..'q:'..q, 'g', c.id)
  else
    call('HSET', P..'c:'..q, c.id, c.gen..':'..c.pre..':'..math.max(c.out, 0)..':'..c.turn)
  end
end

local function drop(q, ids, large)
  call('XDEL', P..'q:'..q, unpack(ids))
  if not large then return end
  for _, id in ipairs(ids) do
    if call('SREM', P..'l:'..q, id) == 1 then call('UNLINK', P..'l:'..q..':'..id) end
  end
end

-- A queue nobody reads and nothing is in costs nothing.
local function tidy(q)
  if call('HLEN', P..'c:'..q) > 0 then return end
  if call('XLEN', P..'q:'..q) == 0 then call('DEL', P..'q:'..q, P..'c:'..q, P..'m:'..q, P..'l:'..q) end
end

-- These two are most of all calls: what only others need comes after them, in script.ts.

if op == 'ack' then
  -- XACK is the first command that writes: it is allowed when memory is full, and what follows then is, too.
  local q, id, gen, taken, bytes = ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
  local c = consumer(q, id)
  if not c or (c.gen ~= gen and c.gen ~= '0') then return 0 end
  local ids = {}
  for i = 10, #ARGV do ids[#ids + 1] = ARGV[i] end
  local state = load(q)
  local acked = #ids > 0 and call('XACK', P..'q:'..q, 'g', unpack(ids)) or 0
  if acked > 0 then
    drop(q, ids, state.l)
    c.out = c.out - acked
    save(q, c)
  end
  -- What it read by itself.
  if taken > 0 then state.b, state.served, state.changed = state.b - bytes, taken, true end
  if state.d then
    if taken > 0 then store(q, state) end
  elseif acked > 0 and (state.n > 0 or state.r > 0) then pump(q, state)
  elseif taken > 0 then store(q, state) end
  if c.pre == 0 then tidy(q) end
  return acked
end

local FLUSHED = 'SPFLUSHED the data of the broker are gone'

if op == 'push' then
  local q, client, base, seq = ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
  local maxFrames, maxBytes, refresh, length, upload = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11], tonumber(ARGV[12]), ARGV[13]
  -- Frames, and their bytes, that it has added by plain commands since it last said so.
  local plainFrames, plainBytes = tonumber(ARGV[14]), tonumber(ARGV[15])
  local sent = call('HMGET', P..'s:'..client, '', q)
  if sent[1] ~= incarnation then return redis.error_reply(FLUSHED) end
  local last = math.max(tonumber(sent[2]) or 0, base - 1)
  if length > 0 and seq == last + 1 and call('EXISTS', upload) == 0 then return redis.error_reply('SPUPLOAD the pieces of a large frame are gone') end
  -- Pushed again although it was taken: the answer was lost.
  if length > 0 and seq <= last then call('UNLINK', upload) end
  local before, accepted, full = last, 0, 0
  local stream, state, pending = P..'q:'..q, load(q), {}
  -- New; or the counts were lost, then this is too much until the first read.
  if not state.known then state.n = call('XLEN', stream) end
  if plainFrames > 0 then state.b, state.changed = state.b + plainBytes, true end
  if state.d or plainFrames > 0 then recount(q, state) end
  serve(q, state)
  for i = 16, #ARGV, 2 do
    if seq > last then
      if seq > last + 1 then break end
      local head, body = ARGV[i], ARGV[i + 1]
      local bytes = #head + #body + length
      if body == '' then body = nil end
      if state.n > 0 and (state.n >= maxFrames or state.b + bytes > maxBytes) then
        full = 1
        break
      end
      local id
      if length > 0 then
        id = call('XADD', stream, '*', 'e', head, 'n', length)
        call('RENAME', upload, P..'l:'..q..':'..id)
        call('PEXPIRE', P..'l:'..q..':'..id, ttl)
        call('SADD', P..'l:'..q, id)
        call('PEXPIRE', P..'l:'..q, ttl)
        call('HSET', P..'m:'..q, 'l', 1)
      elseif body then
        id = call('XADD', stream, '*', 'e', head, 'b', body)
      else
        id = call('XADD', stream, '*', 'e', head)
      end
      local c = state.n <= 0 and state.r <= 0 and choose(q, state)
      if c then
        pending[c.id] = pending[c.id] or {}
        table.insert(pending[c.id], id)
        give(state, c, '0', id, head, body, length > 0 and length, bytes)
      else
        state.n, state.b, state.changed = state.n + 1, state.b + bytes, true
      end
      if not state.known then state.changed = true end
      last = seq
    end
    accepted = accepted + 1
    seq = seq + 1
  end
  for id, ids in pairs(pending) do
    local latest = ids[#ids]
    ids[#ids + 1], ids[#ids + 2], ids[#ids + 3], ids[#ids + 4] = 'FORCE', 'JUSTID', 'LASTID', latest
    local reply = redis.pcall('XCLAIM', stream, 'g', id, '0', unpack(ids))
    if reply.err then
      group(q)
      call('XCLAIM', stream, 'g', id, '0', unpack(ids))
    end
  end
  post(q, state)
  pump(q, state)
  if last > before then call('HSET', P..'s:'..client, q, last) end
  if full == 1 then call('HSET', P..'m:'..q, 'w', 1) end
  if refresh == '1' or not state.known then touch(q) end
  -- How much it may add by plain commands before it asks again, so that a few senders cannot overfill it.
  if not state.d then return { accepted, full, 0, 0 } end
  return { accepted, full, math.floor(math.max(maxFrames - state.n, 0) / ${SHARE_OF_ROOM}), math.floor(math.max(maxBytes - state.b, 0) / ${SHARE_OF_ROOM}) }
end
`;
