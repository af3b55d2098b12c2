#!lua name=aviary_engage_@VERSION@

-- What is written of counts, marks and interactions; they are read by plain commands.
--
-- The version comes from this text itself, so that two versions of it run side by side and neither replaces the other.
--
--   counts        token 8 | for each kind: count u64, as_of u64 (0: not known)
--   marks         a hash. Field tweet 16 -> like state 1, at u64, bookmark state 1, at u64; at 0: never set, or not known.
--                 'floor' -> id 16 from which on all marks are there; 'build' -> token of who reads them from the store
--   interactions  base, ms f64 | for each author: id 16, weight f64; or the token 9 of who reads them from the store
--
-- Whoever fills from the store shows a token that was put here before the store was read. Another one, or none, means that
-- Redis forgot something since, perhaps a newer value: then nothing is filled.
--
-- Places and versions are below 2^53, exact as Lua's numbers. Ids are compared by their milliseconds only: Lua compares strings by
-- the server's locale.

local STATE = 9
local AUTHOR = 24
-- No list of authors is as long.
local TOKEN = 9
local HALF_LIFE_MS = 30 * 24 * 3600 * 1000
local CHUNK = 1000

local function number_at(text, at)
  return (struct.unpack('>I8', text, at))
end

local function empty(token, slots)
  return token .. string.rep('\0', 16 * slots)
end

-- A text with `part` from position `at` on.
local function with(text, at, part)
  return string.sub(text, 1, at - 1) .. part .. string.sub(text, at + #part)
end

-- KEYS: counts. ARGV: expiry in ms, token for those that are not there, number of slots; then for each key the number of its
-- slot from 0 on, and count | as_of.
local function put(keys, args)
  local expiry, token, slots = args[1], args[2], tonumber(args[3])
  for i = 1, #keys do
    local at, new = 9 + 16 * tonumber(args[2 + 2 * i]), args[3 + 2 * i]
    local value = redis.call('GET', keys[i]) or empty(token, slots)
    if number_at(new, 9) >= number_at(value, at + 8) then
      redis.call('SET', keys[i], with(value, at, new), 'PX', expiry)
    end
  end
  return #keys
end

-- KEYS: counts. ARGV: expiry in ms, token for those that are not there, number of slots. Answers the tokens, one string.
local function reserve(keys, args)
  local tokens = {}
  for i = 1, #keys do
    local value = redis.call('GET', keys[i])
    if not value then
      value = empty(args[2], tonumber(args[3]))
      redis.call('SET', keys[i], value, 'PX', args[1])
    end
    tokens[i] = string.sub(value, 1, 8)
  end
  return table.concat(tokens)
end

-- KEYS: counts. ARGV: expiry in ms, then for each key the token and the slots.
local function fill(keys, args)
  for i = 1, #keys do
    local value, new = redis.call('GET', keys[i]), args[1 + i]
    if value and #value == #new and string.sub(value, 1, 8) == string.sub(new, 1, 8) then
      for at = 9, #value, 16 do
        if number_at(new, at + 8) > number_at(value, at + 8) then
          value = with(value, at, string.sub(new, at, at + 15))
        end
      end
      redis.call('SET', keys[i], value, 'PX', args[1])
    end
  end
  return #keys
end

-- Of two values of a tweet in marks: of like and bookmark the later states.
local function later(one, other)
  local like = number_at(one, 2) >= number_at(other, 2) and one or other
  local bookmark = number_at(one, 2 + STATE) >= number_at(other, 2 + STATE) and one or other
  return string.sub(like, 1, STATE) .. string.sub(bookmark, STATE + 1)
end

-- Forget all but the newest tweets. The floor rises to the oldest millisecond that is whole. Without a floor nothing is known to
-- be there, so that everything may go.
local function trim(key, keep)
  local floor = redis.call('HGET', key, 'floor')
  if not floor then
    redis.call('DEL', key)
    return
  end
  local fields, times = {}, {}
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if #field == 16 then
      fields[#fields + 1] = field
      times[#times + 1] = struct.unpack('>I6', field)
    end
  end
  table.sort(times)
  local oldest = times[#times - keep + 1]
  local gone = {}
  for _, field in ipairs(fields) do
    if struct.unpack('>I6', field) < oldest then
      gone[#gone + 1] = field
    end
  end
  for first = 1, #gone, CHUNK do
    redis.call('HDEL', key, unpack(gone, first, math.min(first + CHUNK - 1, #gone)))
  end
  if oldest > struct.unpack('>I6', floor) then
    redis.call('HSET', key, 'floor', struct.pack('>I6', oldest) .. string.rep('\0', 10))
  end
  -- Who reads the store may have read what was dropped here in an earlier state.
  redis.call('HDEL', key, 'build')
end

-- Positions at which authors begin are 9, 33 ...
local function position_of(known, author)
  local at = string.find(known, author, 9, true)
  while at and (at - 9) % AUTHOR ~= 0 do
    at = string.find(known, author, at + 1, true)
  end
  return at
end

local function least_of(known)
  local least, where = math.huge, nil
  for at = 9, #known, AUTHOR do
    local weight = struct.unpack('>d', known, at + 16)
    if weight < least then
      least, where = weight, at
    end
  end
  return where
end

-- One more engagement with an author, or one less: what one weighed that is taken back only its row tells, so all are read again.
local function engage(key, author, delta, at_ms, most)
  local known = redis.call('GET', key)
  if not known then
    return
  end
  if #known == TOKEN or delta < 0 then
    redis.call('DEL', key)
    return
  end
  local weight = 2 ^ ((at_ms - struct.unpack('>d', known)) / HALF_LIFE_MS)
  local at = position_of(known, author)
  if at then
    known = with(known, at + 16, struct.pack('>d', struct.unpack('>d', known, at + 16) + weight))
  elseif #known < 8 + AUTHOR * most then
    known = known .. author .. struct.pack('>d', weight)
  else
    known = with(known, least_of(known), author .. struct.pack('>d', weight))
  end
  redis.call('SET', key, known, 'KEEPTTL')
end

-- KEYS: marks, interactions. ARGV: expiry in ms, tweet, its value, how many tweets at most, how many are kept; of a like that
-- changed something: author, 1 or -1, when in ms, how many authors.
local function set_mark(keys, args)
  local key, tweet, new = keys[1], args[2], args[3]
  local old = redis.call('HGET', key, tweet)
  local value = old and later(old, new) or new
  if value == old then
    return 0
  end
  local first = redis.call('EXISTS', key) == 0
  redis.call('HSET', key, tweet, value)
  if first then
    redis.call('PEXPIRE', key, args[1])
  elseif redis.call('HLEN', key) > tonumber(args[4]) then
    trim(key, tonumber(args[5]))
  end
  if args[6] then
    engage(keys[2], args[6], tonumber(args[7]), tonumber(args[8]), tonumber(args[9]))
  end
  return 1
end

-- KEYS: marks. ARGV: expiry in ms, token.
local function begin_marks(keys, args)
  local first = redis.call('EXISTS', keys[1]) == 0
  redis.call('HSET', keys[1], 'build', args[2])
  if first then
    redis.call('PEXPIRE', keys[1], args[1])
  end
end

-- KEYS: marks. ARGV: expiry in ms, token, floor, then tweets with their values in turn. Answers 1, or 0 without any change.
local function fill_marks(keys, args)
  local key = keys[1]
  if redis.call('HGET', key, 'build') ~= args[2] then
    return 0
  end
  local there = redis.call('HGETALL', key)
  local known = {}
  for i = 1, #there, 2 do
    known[there[i]] = there[i + 1]
  end
  for i = 4, #args, 2 do
    local old = known[args[i]]
    args[i + 1] = old and later(old, args[i + 1]) or args[i + 1]
  end
  for first = 4, #args, CHUNK do
    redis.call('HSET', key, unpack(args, first, math.min(first + CHUNK - 1, #args)))
  end
  redis.call('HSET', key, 'floor', args[3])
  redis.call('HDEL', key, 'build')
  redis.call('PEXPIRE', key, args[1])
  return 1
end

-- KEYS: interactions. ARGV: expiry in ms, token, and what is known, if it was put there under that token.
local function fill_interactions(keys, args)
  if redis.call('GET', keys[1]) == args[2] then
    redis.call('SET', keys[1], args[3], 'PX', args[1])
  end
end

redis.register_function('aviary_engage_@VERSION@_put', put)
redis.register_function('aviary_engage_@VERSION@_reserve', reserve)
redis.register_function('aviary_engage_@VERSION@_fill', fill)
redis.register_function('aviary_engage_@VERSION@_set_mark', set_mark)
redis.register_function('aviary_engage_@VERSION@_begin_marks', begin_marks)
redis.register_function('aviary_engage_@VERSION@_fill_marks', fill_marks)
redis.register_function('aviary_engage_@VERSION@_fill_interactions', fill_interactions)
