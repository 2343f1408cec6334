-- Values of scene programs as what goes to Python: numbers, strings, and lists as bytes.
-- Arguments: raw_metatable of sandbox.lua; what rdla_values.lua returns; ids (object -> its number); list_number of
-- number_lists.lua; contents (blur -> its two values).
-- Returns pack_texts(list, count), pack_objects(list, count), encode_any(value), encode_mixed(list, count).
local raw_metatable, values, ids, list_number, contents = ...

local math_type, type = math.type, type
local concat, unpack = table.concat, table.unpack
local min, pack, rep = math.min, string.pack, string.rep

local KINDS, SIZES, kind_of = values.kinds, values.sizes, values.kind_of

-- Lists leave packed: CHUNK numbers at a time, far below Lua's limit of results of one unpack.
local CHUNK = 240
local formats = {}

local function packed(letter, values, first, last)
  local count = last - first + 1
  local key = letter .. count
  local fmt = formats[key]
  if not fmt then
    fmt = "<" .. rep(letter, count)
    formats[key] = fmt
  end
  return pack(fmt, unpack(values, first, last))
end

local function pack_all(letter, values, count)
  local parts = {}
  for i = 1, count, CHUNK do parts[#parts + 1] = packed(letter, values, i, min(i + CHUNK - 1, count)) end
  return concat(parts)
end

local function pack_numbers(list, count)
  local whole, some_whole = true, false
  for i = 1, count do
    local kind = math_type(list[i])
    if kind == "integer" then
      some_whole = true
    else
      if kind ~= "float" then return nil end
      whole = false
    end
  end
  if whole then return "integer", pack_all("j", list, count) end
  return "number", pack_all("d", list, count), some_whole
end

local function pack_values(list, count, metatable, kind)
  local size = SIZES[kind]
  local buffer, filled, parts = {}, 0, {}
  local most = CHUNK // size * size
  for i = 1, count do
    local value = list[i]
    if type(value) ~= "table" or raw_metatable(value) ~= metatable then return nil end
    for slot = 0, size - 1 do
      filled = filled + 1
      buffer[filled] = value[slot]
    end
    if filled == most then
      parts[#parts + 1] = packed("d", buffer, 1, filled)
      filled = 0
    end
  end
  if filled > 0 then parts[#parts + 1] = packed("d", buffer, 1, filled) end
  return kind, concat(parts)
end

local function pack_texts(list, count)
  for i = 1, count do
    if type(list[i]) ~= "string" then return nil end
  end
  return "string", pack_all("s4", list, count)
end

local function pack_objects(list, count)
  local numbers = {}
  for i = 1, count do
    local kind = kind_of(list[i])
    if kind ~= "SceneObject" and kind ~= "undef" then return nil, i end
    numbers[i] = ids[list[i]] or 0
  end
  return "object", pack_all("j", numbers, count)
end

local LETTERS = {integer = "j", number = "d", boolean = "B", object = "j"}

-- kind and payload of anything but lists, binds and blurs
local function encode(value)
  local kind = kind_of(value)
  if SIZES[kind] then return kind, packed("d", value, 0, SIZES[kind] - 1) end
  if kind == "SceneObject" then return "object", ids[value] end
  if kind == "undef" then return "object", 0 end
  if kind == "number" or kind == "string" or kind == "boolean" then return kind, value end
  return "other", kind
end

-- Mixed kinds, one by one: a kind as s1, then j, d, B or s4.
local function encode_mixed(list, count)
  local parts = {}
  for i = 1, count do
    local kind, payload = encode(list[i])
    if kind == "number" and math_type(payload) == "integer" then kind = "integer" end
    local letter = LETTERS[kind] or "s4"
    if kind == "boolean" then payload = payload and 1 or 0 end
    parts[i] = pack("<s1" .. letter, kind, payload)
  end
  return "mixed", concat(parts)
end

local function encode_list(list)
  local number = list_number(list)
  if number then return "listed", number end
  local count = #list
  local first = list[1]
  local kind, payload, some_whole
  if count == 0 then return "empty" end
  if math_type(first) then
    kind, payload, some_whole = pack_numbers(list, count)
  elseif type(first) == "table" and SIZES[KINDS[raw_metatable(first)]] then
    kind, payload = pack_values(list, count, raw_metatable(first), KINDS[raw_metatable(first)])
  elseif type(first) == "string" then
    kind, payload = pack_texts(list, count)
  else
    kind, payload = pack_objects(list, count)
  end
  if kind then return kind, payload, some_whole end
  return encode_mixed(list, count)
end

-- form, then its arguments: "value" kind payload; "list" kind payload; "blur" kind payload kind payload
local function encode_any(value)
  local kind = kind_of(value)
  if kind == "table" then return "list", encode_list(value) end
  if kind == "blur" then
    local kind_a, a = encode(contents[value][1])
    return "blur", kind_a, a, encode(contents[value][2])
  end
  return "value", encode(value)
end

return pack_texts, pack_objects, encode_any, encode_mixed
