-- Functions of Lua's libraries that can work long in one call, where no hook looks at them: what they are asked for is
-- charged like instructions first.
-- Argument: charge(instructions), which does not return where the limit is passed.
-- Returns a table: string and table, each a table of functions by name.
local charge = ...

local math_type, next, select, type = math.type, next, select, type
local concat, insert, move, remove, sort = table.concat, table.insert, table.move, table.remove, table.sort
local rep, reverse, lower, upper = string.rep, string.reverse, string.lower, string.upper

-- BYTES bytes are copied in the time of one instruction.
local BYTES = 64

local function length_of(value)
  local basic = type(value)
  if basic ~= "string" and basic ~= "table" then return 0 end
  local length = #value
  return math_type(length) and length or 0
end

local function whole(value) return math_type(value) and value or 0 end

local bounded = {string = {}, table = {}}

function bounded.string.rep(...)
  local text, count, between = ...
  local length = length_of(text) + length_of(between)
  -- Lua's own counts to the end even where there is nothing to copy
  if type(text) == "string" and length == 0 and math_type(count) then return "" end
  if math_type(count) and count > 0 then charge(length * (count + 0.0) // BYTES) end
  return (rep(...))
end

for name, original in next, {reverse = reverse, lower = lower, upper = upper} do
  bounded.string[name] = function(...)
    charge(length_of((...)) // BYTES)
    return (original(...))
  end
end

function bounded.table.concat(...)
  local list, _, first, last = ...
  charge((whole(last) == 0 and length_of(list) or last) - whole(first) + 0.0)
  return (concat(...))
end

function bounded.table.insert(...)
  local list, place = ...
  if select("#", ...) > 2 then charge(length_of(list) - whole(place) + 0.0) end
  return insert(...)
end

function bounded.table.remove(...)
  local list, place = ...
  if place ~= nil then charge(length_of(list) - whole(place) + 0.0) end
  return (remove(...))
end

function bounded.table.move(...)
  local _, first, last = ...
  charge(whole(last) - whole(first) + 0.0)
  return (move(...))
end

function bounded.table.sort(...)
  charge(32.0 * length_of((...)))
  return sort(...)
end

return bounded
