-- Closes a fresh Lua state down to what a scene program may use, and runs scene programs under an instruction limit.
-- Arguments: tick(), called now and then (it may raise); print_line(text); open(path), which gives the source of a file
-- and its chunk number, or nil and what is wrong; again(), see `guarded`; limit in VM instructions; step between two looks
-- at it;
-- settle(value), which makes a table of a list that is none yet; the chunks of patterns.lua and c_functions.lua.
-- Returns run(source, chunk), check(source), guarded(f), place(), raw_metatable(value), getinfo, serials (object -> its place in
-- pairs) and a table of functions as Lua has them, which are charged for nothing.
local tick, print_line, open, again, limit, step, settle, load_patterns, load_c_functions = ...

local error, getmetatable, next, pcall, rawget, rawlen, rawset, select, setmetatable, tostring, type, xpcall =
    error, getmetatable, next, pcall, rawget, rawlen, rawset, select, setmetatable, tostring, type, xpcall
local concat, match, math_type, sort, to_number = table.concat, string.match, math.type, table.sort, tonumber
local getinfo, raw_metatable, sethook = debug.getinfo, debug.getmetatable, debug.sethook
local collect, getenv, load = collectgarbage, os.getenv, load

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

-- Counts work that is not done in instructions.
local function charge(instructions)
  if instructions > 0 then used = used + instructions end
  if used >= limit and not dead then die("limit") end
end

-- Functions of Python give false instead of results that Lua has no memory for, as running out of it on the way back
-- would break the Python process. again() then says 0 and the results; or 1, there is no memory; or 2, Python raised.
local function after_again(status, ...)
  if status == 0 then return ... end
  die(status == 1 and "memory" or "raised")
  return ...
end
local function after_call(...)
  if (...) ~= false then return ... end
  collect()
  return after_again(again())
end
local function guarded(f)
  return function(...) return after_call(f(...)) end
end
print_line, open = guarded(print_line), guarded(open)

-- A failure may be that of the hook itself, for want of C stack, which then has counted nothing: so failures count.
-- An error that is userdata is one of Python, which had no memory for what was handed to it.
local function after_pcall(fine, ...)
  if not fine and not dead then
    if type((...)) == "userdata" then die("memory") end
    used = used + step // 10
    if used >= limit and not dead then die("limit") end
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
  if type(problem) == "userdata" then dead = dead or "memory" end
  return "the program raised a " .. type(problem) .. " as its error"
end

-- status ("done", "syntax", "error", "limit", "interrupted", "memory" or "raised"), message, chunk number, line, and the environment
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

-- Whether a text is a program; if not, what is wrong.
local function check(source) return select(2, load(source, "=#0", "t")) end

-- dofile in the scene's own folder. The depth is counted down even where an error ends the file.
local DEEPEST = 32
local depth = 0
local LEAVE = {__close = function() depth = depth - 1 end}

local function safe_dofile(...)
  local path = ...
  if type(path) ~= "string" then error("bad argument #1 to 'dofile' (string expected, got " .. type(path) .. ")", 0) end
  if depth >= DEEPEST then error("dofile('" .. path .. "') is the " .. DEEPEST .. "th file inside another", 0) end
  local source, chunk = open(path)
  if not source then error(chunk, 0) end
  charge(1000 + #source // 16)
  local program, problem = load(source, "=#" .. chunk, "t", _G)
  if not program then
    local where, what = match(problem, "^(#%d+:%d+: )(.*)$")
    error((where or "#" .. chunk .. ":0: ") .. "Lua syntax error: " .. (what or problem), 0)
  end
  depth = depth + 1
  local _ <close> = setmetatable({}, LEAVE)
  return program()
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
  settle(t)
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
  settle(t)
  settle(metatable)
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
  local line = concat(words, "\t")
  charge(100 + #line)
  print_line(line)
end

-- What looks at a table as it is: one that is none yet becomes one first.
local function settled(f)
  return function(...)
    settle((...))
    return f(...)
  end
end
local raw = {}
for name, f in next, {getmetatable = getmetatable, next = next, rawget = rawget, rawlen = rawlen, rawset = rawset} do
  raw[name] = settled(f)
end

local KEPT = {
  _G = _G, _VERSION = _VERSION, assert = assert, dofile = safe_dofile, error = error,
  getmetatable = raw.getmetatable, ipairs = ipairs, math = math, next = raw.next, os = {getenv = noting_getenv}, pairs = ordered_pairs, pcall = safe_pcall,
  print = safe_print,
  rawequal = rawequal, rawget = raw.rawget, rawlen = raw.rawlen, rawset = raw.rawset, select = select,
  setmetatable = safe_setmetatable, string = string, table = table, tonumber = tonumber, tostring = tostring,
  type = type, utf8 = utf8, xpcall = safe_xpcall,
}
for name in next, _G do _G[name] = KEPT[name] end
string.dump = nil
string.find, string.match, string.gmatch, string.gsub = load_patterns(charge, 10000)
local bounded = load_c_functions(charge)
for name, f in next, bounded.string do string[name] = f end
for name, f in next, bounded.table do table[name] = f end
raw_metatable("").__metatable = false
math.randomseed(0)

return run, check, guarded, place, raw_metatable, getinfo, serials,
  {next = next, setmetatable = setmetatable, sort = sort}
