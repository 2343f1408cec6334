-- The lists of numbers that were taken out of a program's text (number_lists.py). To a program they are tables: such a
-- list becomes one as soon as anything but the setting of an attribute looks into it.
-- Arguments: text_of(number), which gives a list's text, its chunk and its line.
-- Returns settle(value); number_of(value); the word that stands for lists in programs (word ^ 3 is list 3); a table for
-- the constructors that may stand in lists, by name.
local text_of = ...

local error, load, rawset, setmetatable, type = error, load, rawset, setmetatable, type
local raw_metatable, rep = debug.getmetatable, string.rep

local LIST = {}
local numbers = setmetatable({}, {__mode = "k"})   -- list that is no table yet -> its number
local constructors = {}

local function build(number, environment)
  local text, chunk, line = text_of(number)
  if not text then error("not enough memory", 0) end
  local program, problem = load(rep("\n", line - 1) .. "return {" .. text .. "}", "=#" .. chunk, "t", environment)
  if not program then error(problem, 0) end
  return program()
end

local function settle(value)
  if raw_metatable(value) ~= LIST then return end
  local items = build(numbers[value], constructors)
  for i = 1, #items do rawset(value, i, items[i]) end
  numbers[value] = nil
  setmetatable(value, nil)
end

local function number_of(value) return numbers[value] end

function LIST.__index(list, key)
  settle(list)
  return list[key]
end

function LIST.__newindex(list, key, value)
  settle(list)
  list[key] = value
end

function LIST.__len(list)
  settle(list)
  return #list
end

local word = setmetatable({}, {
  __metatable = false,
  __pow = function(_, which)
    local number = which
    if type(which) == "table" then
      local constructor, name = which[1], which[3]
      number = which[2]
      if constructor ~= constructors[name] then return build(number, {[name] = constructor}) end
    end
    local list = setmetatable({}, LIST)
    numbers[list] = number
    return list
  end,
})

return settle, number_of, word, constructors
