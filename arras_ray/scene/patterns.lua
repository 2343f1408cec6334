-- Lua's pattern functions, for programs that may be hostile: one call of the built-in ones can run for years, and no hook
-- can stop it. Patterns that cannot take long go to the built-in functions. The others go to the matcher here, which is
-- Lua and so falls under the instruction limit.
-- Arguments: charge(instructions); how many steps a call of a built-in function may take.
-- Returns find, match, gmatch, gsub.
local charge, most = ...

local error, math_type, next, select, setmetatable, tostring, type =
    error, math.type, next, select, setmetatable, tostring, type
local byte, char, concat, sub, unpack = string.byte, string.char, table.concat, string.sub, table.unpack
local find, match, gmatch, gsub = string.find, string.match, string.gmatch, string.gsub

local CLOSED_LEVELS = 32
local QUANTIFIERS = {["*"] = true, ["+"] = true, ["-"] = true, ["?"] = true}

---------------------------------------------------------------------------------------------------- reading a pattern
-- Where the set that begins at `from` ends.
local function set_end(pattern, from)
  local at = from + 1
  if sub(pattern, at, at) == "^" then at = at + 1 end
  repeat
    local letter = sub(pattern, at, at)
    if letter == "" then error("malformed pattern (missing ']')", 0) end
    at = at + (letter == "%" and 2 or 1)
  until sub(pattern, at, at) == "]"
  return at
end

local members_of = setmetatable({}, {__mode = "v"})

-- The bytes that a single-character item stands for.
local function members(item)
  local found = members_of[item]
  if not found then
    found = {}
    for code = 0, 255 do found[code] = find(char(code), item) ~= nil end
    members_of[item] = found
  end
  return found
end

-- The items of a pattern: {op, test = members, a, b}.
local function parse(pattern, at)
  local items = {}
  while at <= #pattern do
    local letter, following = sub(pattern, at, at), sub(pattern, at + 1, at + 1)
    local item, last
    if letter == "(" then
      item, last = {op = following == ")" and "position" or "open"}, following == ")" and at + 1 or at
    elseif letter == ")" then
      item, last = {op = "close"}, at
    elseif letter == "$" and at == #pattern then
      item, last = {op = "end"}, at
    elseif letter == "%" and following == "b" then
      if at + 3 > #pattern then error("malformed pattern (missing arguments to '%b')", 0) end
      item, last = {op = "balance", a = byte(pattern, at + 2), b = byte(pattern, at + 3)}, at + 3
    elseif letter == "%" and following == "f" then
      if sub(pattern, at + 2, at + 2) ~= "[" then error("missing '[' after '%f' in pattern", 0) end
      last = set_end(pattern, at + 2)
      item = {op = "frontier", test = members(sub(pattern, at + 2, last))}
    elseif letter == "%" and find(following, "^%d$") then
      item, last = {op = "back", a = byte(following) - 48}, at + 1
    else
      if letter == "[" then
        last = set_end(pattern, at)
      elseif letter == "%" then
        if following == "" then error("malformed pattern (ends with '%')", 0) end
        last = at + 1
      else
        last = at
      end
      local text = sub(pattern, at, last)
      if text == "^" or text == "$" then text = "%" .. text end
      item = {op = "one", test = members(text)}
      local quantifier = sub(pattern, last + 1, last + 1)
      if QUANTIFIERS[quantifier] then item.op, last = quantifier, last + 1 end
    end
    items[#items + 1] = item
    at = last + 1
  end
  return items
end

local BRANCHING = {["*"] = true, ["+"] = true, ["-"] = true, balance = true, back = true}

local QUANTIFIED = {["*"] = true, ["+"] = true, ["-"] = true}

-- In how many ways at most a pattern can go at one place: length ^ powers * 2 ^ doublings. A last quantifier takes what
-- it gets and is never asked again.
local function ways(items)
  local powers, doublings = 0, 0
  local last = #items
  while last > 0 and (items[last].op == "close" or items[last].op == "position") do last = last - 1 end
  for index, item in next, items do
    if item.op == "?" then doublings = doublings + 1 end
    if BRANCHING[item.op] and not (index == last and QUANTIFIED[item.op]) then powers = powers + 1 end
  end
  return powers, doublings
end

local known, known_count = {}, 0

local function know(pattern)
  local found = known[pattern]
  if not found then
    charge(20 * #pattern)
    local anchored = sub(pattern, 1, 1) == "^"
    local items, whole = parse(pattern, anchored and 2 or 1), nil
    if anchored then whole = parse(pattern, 1) end
    local powers, doublings = ways(items)
    found = {items = items, whole = whole or items, anchored = anchored, powers = powers, doublings = doublings}
    if known_count == 200 then known, known_count = {}, 0 end
    known[pattern], known_count = found, known_count + 1
  end
  return found
end

-- Whether the built-in functions may do it; they are paid for at once.
local function is_quick(subject, pattern, anchored)
  local length = #subject + 1
  local cost = 2.0 ^ pattern.doublings * length ^ pattern.powers * (anchored and 1 or length)
  if cost > most + 16 * length then return false end
  charge(cost // 4)
  return true
end

---------------------------------------------------------------------------------------------------- matching
local OPEN, POSITION = -1, -2

local function capture(state, index)
  local length = state.lengths[index]
  if length == OPEN then error("unfinished capture", 0) end
  if length == POSITION then return state.starts[index] end
  charge(length // 64)
  return sub(state.subject, state.starts[index], state.starts[index] + length - 1)
end

local run

local function run_capture(state, at, step, length)
  local level = state.level + 1
  if level > CLOSED_LEVELS then error("too many captures", 0) end
  state.level, state.starts[level], state.lengths[level] = level, at, length
  local last = run(state, at, step + 1)
  if not last then state.level = level - 1 end
  return last
end

local function run_close(state, at, step)
  local level = state.level
  while level > 0 and state.lengths[level] ~= OPEN do level = level - 1 end
  if level == 0 then error("invalid pattern capture", 0) end
  state.lengths[level] = at - state.starts[level]
  local last = run(state, at, step + 1)
  if not last then state.lengths[level] = OPEN end
  return last
end

local function balanced(subject, at, first, second)
  if byte(subject, at) ~= first then return nil end
  local depth = 1
  for place = at + 1, #subject do
    local code = byte(subject, place)
    if code == second then
      depth = depth - 1
      if depth == 0 then return place + 1 end
    elseif code == first then
      depth = depth + 1
    end
  end
  return nil
end

local function after_same(state, at, index)
  if index < 1 or index > state.level or state.lengths[index] == OPEN then
    error("invalid capture index %" .. index, 0)
  end
  local text = tostring(capture(state, index))
  charge(#text // 64)
  return sub(state.subject, at, at + #text - 1) == text and at + #text or nil
end

-- Where a match of the items from `step` on that begins at `at` ends (the place behind it), or nil.
function run(state, at, step)
  local subject, length, items = state.subject, state.length, state.items
  while true do
    local item = items[step]
    if not item then return at end
    local op, test = item.op, item.test
    if op == "one" then
      if at > length or not test[byte(subject, at)] then return nil end
      at = at + 1
    elseif op == "*" or op == "+" then
      local least, most_at = op == "*" and at or at + 1, at
      while most_at <= length and test[byte(subject, most_at)] do most_at = most_at + 1 end
      for place = most_at, least, -1 do
        local last = run(state, place, step + 1)
        if last then return last end
      end
      return nil
    elseif op == "-" then
      local last = run(state, at, step + 1)
      while not last do
        if at > length or not test[byte(subject, at)] then return nil end
        at = at + 1
        last = run(state, at, step + 1)
      end
      return last
    elseif op == "?" then
      local last = at <= length and test[byte(subject, at)] and run(state, at + 1, step + 1)
      if last then return last end
    elseif op == "open" then
      return run_capture(state, at, step, OPEN)
    elseif op == "position" then
      return run_capture(state, at, step, POSITION)
    elseif op == "close" then
      return run_close(state, at, step)
    elseif op == "frontier" then
      if test[byte(subject, at - 1) or 0] or not test[byte(subject, at) or 0] then return nil end
    elseif op == "end" then
      if at ~= length + 1 then return nil end
    else
      at = op == "back" and after_same(state, at, item.a) or op == "balance" and balanced(subject, at, item.a, item.b)
      if not at then return nil end
    end
    step = step + 1
  end
end

local function begin(subject, items)
  return {subject = subject, length = #subject, items = items, level = 0, starts = {}, lengths = {}}
end

local function match_at(state, at)
  state.level = 0
  return run(state, at, 1)
end

local function captures(state, first, last, whole)
  if state.level == 0 and whole then return sub(state.subject, first, last - 1) end
  local values = {}
  for index = 1, state.level do values[index] = capture(state, index) end
  return unpack(values, 1, state.level)
end

---------------------------------------------------------------------------------------------------- the functions
local function text_of(value) return type(value) == "number" and tostring(value) or value end

local function begin_at(init, length)
  if math_type(init) == nil then return 1 end
  local place = init // 1
  if place > 0 then return place end
  return place == 0 and 1 or place < -length and 1 or length + place + 1
end

-- nil where the built-in functions have to take over, if only for their message about bad arguments
local function slow_pattern(subject, pattern, iterates)
  if type(subject) ~= "string" or type(pattern) ~= "string" then return nil end
  local found = know(pattern)
  if is_quick(subject, found, found.anchored and not iterates) then return nil end
  return found
end

local function search(subject, pattern, init, as_find)
  local state = begin(subject, pattern.items)
  for at = begin_at(init, #subject), pattern.anchored and begin_at(init, #subject) or #subject + 1 do
    if at > #subject + 1 then return nil end
    local last = match_at(state, at)
    if last then
      if as_find then return at, last - 1, captures(state, at, last, false) end
      return captures(state, at, last, true)
    end
  end
  return nil
end

local function bounded_find(...)
  local subject, pattern, init, plain = ...
  subject, pattern = text_of(subject), text_of(pattern)
  if type(subject) == "string" and type(pattern) == "string" and plain then
    charge(#subject * (#pattern + 0.0) // 1000)
  else
    local slow = slow_pattern(subject, pattern)
    if slow then return search(subject, slow, init, true) end
  end
  return find(...)
end

local function bounded_match(...)
  local subject, pattern, init = ...
  subject, pattern = text_of(subject), text_of(pattern)
  local slow = slow_pattern(subject, pattern)
  if slow then return search(subject, slow, init, false) end
  return match(...)
end

local function bounded_gmatch(...)
  local subject, pattern, init = ...
  subject, pattern = text_of(subject), text_of(pattern)
  local slow = slow_pattern(subject, pattern, true)
  if not slow then return gmatch(...) end
  local state, at, before = begin(subject, slow.whole), begin_at(init, #subject), nil
  return function()
    while at <= #subject + 1 do
      local first, last = at, match_at(state, at)
      if last and last ~= before then
        at, before = last, last
        return captures(state, first, last, true)
      end
      at = at + 1
    end
    return nil
  end
end

local function replaced(state, first, last, replacement)
  local whole = sub(state.subject, first, last - 1)
  local value
  if type(replacement) == "function" then
    value = replacement(captures(state, first, last, true))
  elseif type(replacement) == "table" then
    value = replacement[(captures(state, first, last, true))]
  else
    return (gsub(replacement, "%%(.?)", function(which)
      if which == "%" then return "%" end
      if which == "0" or which == "1" and state.level == 0 then return whole end
      local index = find(which, "^%d$") and byte(which) - 48
      if not index then error("invalid use of '%' in replacement string", 0) end
      if index > state.level then error("invalid capture index %" .. index .. " in replacement string", 0) end
      return (capture(state, index))
    end))
  end
  if not value then return whole end
  if type(value) ~= "string" and type(value) ~= "number" then
    error("invalid replacement value (a " .. type(value) .. ")", 0)
  end
  return value
end

local REPLACEMENTS = {string = true, number = true, table = true, ["function"] = true}

local function bounded_gsub(...)
  local subject, pattern, replacement, count = ...
  subject, pattern = text_of(subject), text_of(pattern)
  local slow = REPLACEMENTS[type(replacement)] and slow_pattern(subject, pattern)
  if not slow then return gsub(...) end
  replacement = text_of(replacement)
  local state, parts, at, before, done = begin(subject, slow.items), {}, 1, nil, 0
  local at_most = math_type(count) and count or #subject + 1
  while done < at_most do
    local last = match_at(state, at)
    if last and last ~= before then
      done = done + 1
      parts[#parts + 1] = replaced(state, at, last, replacement)
      at, before = last, last
    elseif at <= #subject then
      parts[#parts + 1] = sub(subject, at, at)
      at = at + 1
    else
      break
    end
    if slow.anchored then break end
  end
  parts[#parts + 1] = sub(subject, at)
  return concat(parts), done
end

return bounded_find, bounded_match, bounded_gmatch, bounded_gsub
