#!lua name=aviary_window_@VERSION@

-- The cached windows of homes. A window is a list: entries, latest arrival first, and at its right end one header, so that
-- LPUSHX also finds an empty window and there is one key with one expiry.
--
-- The version comes from this text itself, so that two versions of it run side by side and neither replaces the other.
--
--   entry   id 16 | author 16 | flags 1 | lag of the arrival in ms, u32; 2^32 - 1: was put here in order, 2^32 - 2: not known
--   header  state 1 ('B'uilding, 'R'eady) | token 16 | marked at, ms u64 | revision u32 | floor 16
--
-- Arrivals are stamped with this server's time, inside the call that makes them: a sender that stalls between stamping and
-- pushing would break the rule by which readers stop. Ids are compared by their milliseconds only: Lua compares strings by
-- the server's locale. Whatever needs a full sort is done by the caller and put back by `replace`.

local HEADER = 1 + 16 + 8 + 4 + 16
-- No functions of Lua are there while a library is loaded.
local NO_ID = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
local LAG_UNKNOWN = 4294967294

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function ms_of(id)
  return (struct.unpack('>I6', id))
end

local function pack(state, token, marked, revision, floor)
  return state .. token .. struct.pack('>I8I4', marked, revision % 4294967296) .. floor
end

local function unpack_header(header)
  local marked, revision = struct.unpack('>I8I4', header, 18)
  return string.sub(header, 1, 1), string.sub(header, 2, 17), marked, revision, string.sub(header, 30)
end

local function header_of(key)
  local header = redis.call('LINDEX', key, -1)
  if header and #header == HEADER then
    return header
  end
  return nil
end

-- Keep the latest arrivals. The floor rises to the newest id dropped, rounded up to the end of its millisecond.
local function trim(key, capacity)
  local header = header_of(key)
  if not header then
    return redis.call('DEL', key)
  end
  local state, token, marked, revision, floor = unpack_header(header)
  local newest = -1
  for _, entry in ipairs(redis.call('LRANGE', key, capacity, -2)) do
    newest = math.max(newest, ms_of(entry))
  end
  if newest >= ms_of(floor) then
    floor = struct.pack('>I6', newest) .. string.rep('\255', 10)
  end
  redis.call('LTRIM', key, 0, capacity - 1)
  redis.call('RPUSH', key, pack(state, token, marked, revision + 1, floor))
end

-- KEYS: windows. ARGV: capacity, slack, id | author | flags. Answers '1' or '0' for each key: there is such a window, or not.
local function push(keys, args)
  local capacity, slack, entry = tonumber(args[1]), tonumber(args[2]), args[3]
  local lag = math.min(math.max(now_ms() - ms_of(entry), 0), LAG_UNKNOWN)
  entry = entry .. struct.pack('>I4', lag)
  local longest = capacity + slack + 1
  local took = {}
  for i = 1, #keys do
    local length = redis.call('LPUSHX', keys[i], entry)
    took[i] = length > 0 and '1' or '0'
    if length > longest then
      trim(keys[i], capacity)
    end
  end
  return table.concat(took)
end

-- KEYS: window, witness, the list of the user's own writes. ARGV: entries wanted, new expiry in ms, how long in ms own writes
-- are kept.
-- The witness is a key that never expires: it says since when this server forgot nothing. One that has to be made anew means
-- that the server was emptied, and what users did lately with it.
-- Answers whether own writes are known (1 or 0), the own writes, then of the window: header, number of entries, the latest of
-- them in one string; without a window the header is empty.
local function read(keys, args)
  local key, now = keys[1], now_ms()
  local since = redis.call('GET', keys[2])
  if not since then
    since = now
    redis.call('SET', keys[2], string.format('%.0f', now))
  end
  local known = now - tonumber(since) >= tonumber(args[3]) and 1 or 0
  local own = redis.call('LRANGE', keys[3], 0, -1)
  local header = header_of(key)
  if not header then
    return {known, own, '', 0, ''}
  end
  local length = redis.call('LLEN', key) - 1
  local wanted = math.min(tonumber(args[1]), length)
  local entries = ''
  if wanted > 0 then
    entries = table.concat(redis.call('LRANGE', key, 0, wanted - 1))
  end
  redis.call('PEXPIRE', key, args[2])
  return {known, own, header, length, entries}
end

-- KEYS: window. ARGV: token, expiry in ms, age in ms after which another build counts as dead. Answers 1 when the build is the
-- caller's from now on: pushes are kept. 0 when the window is ready or being built by another.
local function mark(keys, args)
  local key, token = keys[1], args[1]
  local now = now_ms()
  local header = header_of(key)
  if not header then
    redis.call('DEL', key)
    redis.call('RPUSH', key, pack('B', token, now, 0, NO_ID))
  else
    local state, _, marked, revision, floor = unpack_header(header)
    if state == 'R' or now - marked < tonumber(args[3]) then
      return 0
    end
    redis.call('LSET', key, -1, pack('B', token, now, revision + 1, floor))
  end
  redis.call('PEXPIRE', key, args[2])
  return 1
end

-- KEYS: window. ARGV: the header and the number of entries that the caller saw, new state, new floor, expiry in ms, then the
-- entries, newest first, that take the place of those seen. What was pushed since stays above them, as it arrived.
-- Answers 1, or 0 without any change when the header is another by now.
local function replace(keys, args)
  local key = keys[1]
  if header_of(key) ~= args[1] then
    return 0
  end
  local _, token, marked, revision = unpack_header(args[1])
  local pushed = redis.call('LLEN', key) - 1 - tonumber(args[2])
  if pushed > 0 then
    redis.call('LTRIM', key, 0, pushed - 1)
  else
    redis.call('DEL', key)
  end
  for first = 6, #args, 500 do
    redis.call('RPUSH', key, unpack(args, first, math.min(first + 499, #args)))
  end
  redis.call('RPUSH', key, pack(args[3], token, marked, revision + 1, args[4]))
  redis.call('PEXPIRE', key, args[5])
  return 1
end

redis.register_function('aviary_window_@VERSION@_push', push)
redis.register_function('aviary_window_@VERSION@_read', read)
redis.register_function('aviary_window_@VERSION@_mark', mark)
redis.register_function('aviary_window_@VERSION@_replace', replace)
