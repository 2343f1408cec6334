-- Closes a fresh Lua state down to what a scene program may use, and runs scene programs under an instruction limit.
-- Arguments: tick(), called now and then (it may raise); print_line(text); limit in VM instructions; step between two
-- looks at it.
-- Returns run(source, chunk), place(), raw_metatable(value), getinfo and serials (object -> its place in pairs).
local tick, print_line, limit, step = ...

local error, next, pcall, rawget, rawlen, select, setmetatable, tostring, type, xpcall =
    error, next, pcall, rawget, rawlen, select, setmetatable, tostring, type, xpcall
local concat, match, math_type, sort, to_number = table.concat, string.match, math.type, table.sort, tonumber
local getinfo, raw_metatable, sethook = debug.getinfo, debug.getmetatable, debug.sethook
local getenv, load = os.getenv, load

-- Scene chunks are named "=#1", "=#2" ...: such a name can never be cut short in a message.
-- Gives the number of the scene chunk that is running (0: none) and its line.
local function place()
  local level = 2
  while true do
    local info = getinfo(level, "Sl")
    if not info then return 0, 0 end
    local chunk = match(info.source, "^=#(%d+)$")
    if chunk then return to_number(chunk), info.currentline end
    level = level + 1
  end
end

-- Once the limit is passed, `dead` is raised at every further instruction, so that no pcall can live on.
local run
local used, dead, dead_chunk, dead_line = 0, nil, 0, 0

local hook

local function die(reason)
  dead = reason
  sethook(hook, "", 1)
end

function hook()
  if not dead then
    used = used + step
    if used >= limit then
      die("limit")
    elseif not pcall(tick) then
      die("interrupted")
    else
      return
    end
  end
  if dead_line == 0 then
    -- deep in a recursion there may be no stack left to look around: the next hook tries again, further out
    local seen, chunk, line = pcall(place)
    if seen then dead_chunk, dead_line = chunk, line end
  end
  if getinfo(2, "f").func == run then
    sethook()
  else
    error(dead, 0)
  end
end

-- A failure may be that of the hook itself, for want of C stack, which then has counted nothing: so failures count.
local function after_pcall(fine, ...)
  if not fine and not dead then
    used = used + step // 10
    if used >= limit then die("limit") end
  end
  return fine, ...
end
local function safe_pcall(...) return after_pcall(pcall(...)) end

local unset = {}

local function noting_getenv(name)
  local value = getenv(name)
  if value == nil then unset[#unset + 1] = name end
  return value
end

local failed_chunk, failed_line

local function on_error(problem)
  failed_chunk, failed_line = place()
  if type(problem) == "string" then return problem end
  return "the program raised a " .. type(problem) .. " as its error"
end

-- status ("done", "syntax", "error", "limit" or "interrupted"), message, chunk number, line, and the environment
-- variables that were asked for and are not set.
function run(source, chunk)
  local program, problem = load(source, "=#" .. chunk, "t", _G)
  if not program then return "syntax", problem, chunk, 0, "" end
  failed_chunk, failed_line = chunk, 0
  sethook(hook, "", step)
  local fine, message = xpcall(program, on_error)
  sethook()
  if dead then return dead, "", dead_chunk, dead_line, "" end
  if fine then return "done", "", chunk, 0, "" end
  return "error", message, failed_chunk, failed_line, concat(unset, ", ")
end

-- pairs in one fixed order, where Lua's own changes from run to run: a scene must be the same scene every time.
-- 1 .. #t, other numbers, strings, then what has a serial number, then the rest.
local serials = setmetatable({}, {__mode = "k"})
local RANK = {number = 1, string = 2, table = 3, boolean = 4}

local function before(a, b)
  local rank_a, rank_b = RANK[type(a)] or 5, RANK[type(b)] or 5
  if rank_a ~= rank_b then return rank_a < rank_b end
  if rank_a < 3 then return a < b end
  if rank_a == 3 then return (serials[a] or 0) < (serials[b] or 0) end
  return rank_a == 4 and not a and b
end

local function ordered_pairs(...)
  local t = ...
  local metatable = raw_metatable(t)
  local custom = metatable and rawget(metatable, "__pairs")
  if custom then return custom(t) end
  if type(t) ~= "table" then error("bad argument #1 to 'pairs' (table expected, got " .. type(t) .. ")", 2) end
  local n, others, count = rawlen(t), {}, 0
  for key in next, t do
    if not (math_type(key) == "integer" and key >= 1 and key <= n) then
      count = count + 1
      others[count] = key
    end
  end
  sort(others, before)
  local i, j = 0, 0
  return function()
    while i < n do
      i = i + 1
      local value = rawget(t, i)
      if value ~= nil then return i, value end
    end
    while j < count do
      j = j + 1
      local key = others[j]
      local value = rawget(t, key)
      if value ~= nil then return key, value end
    end
  end, t, nil
end

-- A finalizer runs with hooks off, beyond any limit.
local function safe_setmetatable(t, metatable)
  if type(metatable) == "table" and rawget(metatable, "__gc") ~= nil then error("__gc is not available", 2) end
  return setmetatable(t, metatable)
end

-- Lua's own runs the handler inside the hook that raised the error, with hooks off, beyond any limit.
local function after_xpcall(handler, fine, ...)
  if fine then return true, ... end
  return false, handler(...)
end
local function safe_xpcall(f, handler, ...) return after_xpcall(handler, safe_pcall(f, ...)) end

local function safe_print(...)
  local words = {}
  for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
  print_line(concat(words, "\t"))
end

local KEPT = {
  _G = _G, _VERSION = _VERSION, assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs,
  math = math, next = next, os = {getenv = noting_getenv}, pairs = ordered_pairs, pcall = safe_pcall,
  print = safe_print,
  rawequal = rawequal, rawget = rawget, rawlen = rawlen, rawset = rawset, select = select,
  setmetatable = safe_setmetatable, string = string, table = table, tonumber = tonumber, tostring = tostring,
  type = type, utf8 = utf8, xpcall = safe_xpcall,
}
for name in next, _G do _G[name] = KEPT[name] end
string.dump = nil
raw_metatable("").__metatable = false
math.randomseed(0)

return run, place, raw_metatable, getinfo, serials
