-- The objects of RDLA: constructors, setting and reading attributes, sets, and the strict globals.
-- Arguments: what sandbox.lua returns past guarded; what number_lists.lua returns; what rdla_values.lua returns; the chunk
-- of packing.lua; a table of functions of the reader (rdla.py), which give a message where something is wrong.
local place, raw_metatable, getinfo, serials, originals, settle, list_number, list_word, constructors, values,
  load_packing, reader = ...

local error, math_type, pairs, rawset, tostring, type = error, math.type, pairs, rawset, tostring, type
local next, setmetatable, sort = originals.next, originals.setmetatable, originals.sort
local format, unpack_bytes = string.format, string.unpack

local KINDS, SIZES, VALUE, kind_of, metatable_of =
    values.kinds, values.sizes, values.metatables, values.kind_of, values.metatable_of
local read_class, read_create, read_describe = reader.class, reader.create, reader.describe
local read_get, read_set, read_warn = reader.get, reader.set, reader.warn
local read_members, read_rows, read_size = reader.members, reader.rows, reader.size

local function fail(...) error(format(...), 0) end

---------------------------------------------------------------------------------------------------- objects
local OBJECT = metatable_of("SceneObject")
local UNDEF, BIND, BLUR = metatable_of("undef"), metatable_of("bind"), metatable_of("blur")
local CLASS = metatable_of("SceneClass")

local ids = serials          -- object -> its number, counting from 1
local objects = {}           -- number -> object
local names = {}             -- number -> Class("name"), for messages
local calls = {}             -- number -> what calling it means: "members", "pairs", "layer", "metadata" or nil
local contents = setmetatable({}, {__mode = "k"})   -- bind or blur -> what it holds, out of a program's reach
local undefined = setmetatable({}, UNDEF)

local function object_of(id, call, name)
  local object = objects[id]
  if not object then
    object = setmetatable({}, OBJECT)
    objects[id], ids[object], calls[id], names[id] = object, id, call, name
  end
  return object
end

local function create(class, name)
  local id, call, full_name = read_create(class, name)
  if not id then fail("%s", call) end
  return object_of(id, call, full_name)
end

local function undef() return undefined end

local function bind(...)
  local target, value = ...
  local kind = kind_of(target)
  if kind ~= "SceneObject" and kind ~= "undef" then
    fail("bad argument #1 to 'bind' (SceneObject expected, got %s)", kind)
  end
  if kind_of(value) == "bind" then fail("bad argument #2 to 'bind' (a bind cannot hold another)") end
  local made = setmetatable({}, BIND)
  contents[made] = {target = ids[target] or 0, value = value}
  return made
end

local function blur(...)
  local a, b = ...
  local kind_a, kind_b = kind_of(a), kind_of(b)
  for i, kind in next, {kind_a, kind_b} do
    if kind == "bind" or kind == "blur" or kind == "table" or kind == "nil" or kind == "function" then
      fail("bad argument #%d to 'blur' (a %s cannot be blurred)", i, kind)
    end
  end
  local references = (kind_a == "undef" or kind_a == "SceneObject") and (kind_b == "undef" or kind_b == "SceneObject")
  if kind_a ~= kind_b and not references then
    fail("bad arguments to 'blur' (%s and %s; both must be of one type)", kind_a, kind_b)
  end
  local made = setmetatable({}, BLUR)
  contents[made] = {a, b}
  return made
end

---------------------------------------------------------------------------------------------------- values out
local pack_texts, pack_objects, encode_any, encode_mixed = load_packing(raw_metatable, values, ids, list_number, contents)

local function set(id, name, value)
  local target = -1
  local held, is_bind = value, kind_of(value) == "bind"
  if is_bind then target, held = contents[value].target, contents[value].value end
  local problem
  if not is_bind or held ~= nil then
    problem = read_set(id, name, target, encode_any(held))
    if problem == true then problem = read_set(id, name, target, "list", encode_mixed(held, #held)) end
  else
    problem = read_set(id, name, target, "none")
  end
  if problem then
    local fatal = read_warn(id, name, problem, place())
    if fatal then fail("%s", fatal) end
  end
end

---------------------------------------------------------------------------------------------------- values in
local function value_at(kind, payload, at)
  local value = {}
  for slot = 0, SIZES[kind] - 1 do value[slot], at = unpack_bytes("<d", payload, at) end
  return setmetatable(value, VALUE[kind]), at
end

local function decode(kind, payload)
  if kind == "object" then
    if payload == 0 then return undefined end
    return object_of(payload, read_describe(payload))
  end
  if SIZES[kind] then return (value_at(kind, payload, 1)) end
  return payload
end

local function decode_list(kind, letter, payload)
  local list, count, at = {}, 0, 1
  while at <= #payload do
    local item
    if SIZES[kind] then
      item, at = value_at(kind, payload, at)
    else
      item, at = unpack_bytes("<" .. letter, payload, at)
      item = decode(kind, item)
      if kind == "boolean" then item = item ~= 0 end
    end
    count = count + 1
    list[count] = item
  end
  return list
end

local function get(id, name)
  local problem, target, form, kind, a, b = read_get(id, name)
  if problem then fail("%s", problem) end
  local value
  if form == "list" then
    value = decode_list(kind, a, b)
  elseif form == "blur" then
    value = blur(decode(kind, a), decode(kind, b))
  else
    value = decode(kind, a)
  end
  if target == 0 then return value end
  return bind(decode("object", target), value)
end

---------------------------------------------------------------------------------------------------- object syntax
local function mass_set(id, attributes)
  settle(attributes)
  local keys, count = {}, 0
  for key in next, attributes do
    if type(key) ~= "string" then
      fail("%s: every value needs its attribute's name, as in [\"name\"] = value", names[id])
    end
    count = count + 1
    keys[count] = key
  end
  sort(keys)
  for i = 1, count do set(id, keys[i], attributes[keys[i]]) end
end

local function length_with_holes(row)
  settle(row)
  local last = 0
  for key in next, row do
    if math_type(key) == "integer" and key > last then last = key end
  end
  return last
end

local function parts_of(id, column, index)
  if type(column) == "string" then return {column} end
  if kind_of(column) ~= "table" then
    fail("%s: row #%d: column 2 must be a part's name or a list of them, not a %s", names[id], index, kind_of(column))
  end
  for i = 1, #column do
    if type(column[i]) ~= "string" then fail("%s: row #%d: bad part name #%d", names[id], index, i) end
  end
  return column
end

-- What a layer's row says past its first two columns; whatever is no object there is only a place-holder.
local function assigned(id, row, index, last)
  local found = {}
  for column = 3, last do
    local kind = kind_of(row[column])
    if kind == "SceneObject" then
      found[#found + 1] = row[column]
    elseif kind ~= "undef" and kind ~= "string" and kind ~= "nil" and kind ~= "number" then
      fail("%s: row #%d: a %s cannot stand in column %d", names[id], index, kind, column)
    end
  end
  return found
end

local function add_rows(id, rows, call)
  for index = 1, #rows do
    local row = rows[index]
    if kind_of(row) ~= "table" then fail("%s: bad element #%d in table (a row is a table)", names[id], index) end
    local last = length_with_holes(row)
    if last < 2 or (call == "pairs" and last ~= 2) then
      fail("%s: row #%d has %d columns; it needs a geometry and a part", names[id], index, last)
    end
    if kind_of(row[1]) ~= "SceneObject" then
      fail("%s: row #%d: column 1 must be a geometry, not a %s", names[id], index, kind_of(row[1]))
    end
    local parts, found = parts_of(id, row[2], index), assigned(id, row, index, last)
    local _, packed_parts = pack_texts(parts, #parts)
    local _, packed_objects = pack_objects(found, #found)
    local problem = read_rows(id, ids[row[1]], packed_parts, packed_objects)
    if problem then fail("%s: row #%d: %s", names[id], index, problem) end
  end
end

local function add_metadata(id, rows)
  local texts = {}
  for index = 1, #rows do
    local row = rows[index]
    if kind_of(row) ~= "table" or #row ~= 3 then fail("%s: row #%d must be {name, type, value}", names[id], index) end
    for column = 1, 3 do
      if type(row[column]) ~= "string" then
        fail("%s: row #%d: column %d must be a string", names[id], index, column)
      end
      texts[#texts + 1] = row[column]
    end
  end
  local _, payload = pack_texts(texts, #texts)
  local problem = read_members(id, payload)
  if problem then fail("%s: %s", names[id], problem) end
end

local function add_members(id, list)
  local count = #list
  for i = 1, count do
    if kind_of(list[i]) ~= "SceneObject" then fail("%s: bad element #%d in table", names[id], i) end
  end
  local _, payload = pack_objects(list, count)
  local problem = read_members(id, payload)
  if problem then fail("%s: %s", names[id], problem) end
end

function OBJECT.__call(object, argument)
  local id = ids[object]
  local call = calls[id]
  if kind_of(argument) ~= "table" then
    fail("%s: bad argument #1 (table expected, got %s)", names[id], kind_of(argument))
  end
  if not call then
    mass_set(id, argument)
  elseif call == "members" then
    add_members(id, argument)
  elseif call == "metadata" then
    add_metadata(id, argument)
  else
    add_rows(id, argument, call)
  end
  return object
end

local function check_indexing(object, name)
  local id = ids[object]
  if calls[id] then fail("%s has no attributes to index; call it with a list", names[id]) end
  if type(name) ~= "string" then fail("%s: an attribute's name is a string, not a %s", names[id], kind_of(name)) end
  return id
end

function OBJECT.__index(object, name) return get(check_indexing(object, name), name) end
function OBJECT.__newindex(object, name, value) set(check_indexing(object, name), name, value) end
function OBJECT.__len(object)
  local id = ids[object]
  if not calls[id] then fail("%s has no length", names[id]) end
  return read_size(id)
end
function OBJECT.__tostring(object) return names[ids[object]] end

---------------------------------------------------------------------------------------------------- globals
local classes = {}   -- SceneClass values: metatable-bearing table -> class name

local globals = _G

local function SceneClass(name)
  if type(name) ~= "string" then fail("bad argument #1 to 'SceneClass' (string expected, got %s)", kind_of(name)) end
  if not read_class(name) then return nil end
  local class = setmetatable({}, CLASS)
  classes[class] = name
  return class
end

local function SceneObject(class, name)
  if not classes[class] then fail("bad argument #1 to 'SceneObject' (SceneClass expected, got %s)", kind_of(class)) end
  if type(name) ~= "string" then fail("bad argument #2 to 'SceneObject' (string expected, got %s)", kind_of(name)) end
  return create(classes[class], name)
end

local function constructor(class)
  return function(name)
    if type(name) ~= "string" then fail("bad argument #1 to '%s' (string expected, got %s)", class, kind_of(name)) end
    return create(class, name)
  end
end

local function udim(map)
  if kind_of(map) ~= "table" then fail("bad argument #1 to 'udim' (table expected, got %s)", kind_of(map)) end
  local keys, values = {}, {}
  for key, value in pairs(map) do keys[#keys + 1], values[#values + 1] = key, value end
  return keys, values
end

local function safe_rawset(t, name, value)
  if t == globals then fail("bad argument #1 to 'rawset' (the globals are strict)") end
  return rawset(t, name, value)
end

-- Values and objects are no tables to a scene.
local function for_tables(name, f)
  return function(...)
    local kind = KINDS[raw_metatable((...))]
    if kind then fail("bad argument #1 to '%s' (table expected, got %s)", name, kind) end
    return f(...)
  end
end

local function type_of(...)
  local basic = type(...)
  return basic == "table" and KINDS[raw_metatable((...))] and "userdata" or basic
end

for name, word in next, values.words do globals[name] = word end
for kind in next, SIZES do constructors[kind] = values.words[kind] end
for name, word in next, {
  bind = bind, blur = blur, undef = undef, udim = udim, SceneClass = SceneClass, SceneObject = SceneObject,
  next = for_tables("next", globals.next), rawget = for_tables("rawget", globals.rawget),
  rawlen = for_tables("rawlen", globals.rawlen), rawset = for_tables("rawset", safe_rawset), type = type_of,
} do globals[name] = word end
globals.SceneVariables = create("SceneVariables", "__SceneVariables__")

local declared = {}

setmetatable(globals, {
  __metatable = false,
  __index = function(_, name)
    -- lupa looks for debug.traceback whenever it calls Lua; it must find nothing, rather than an error or a scene's own
    if declared[name] or name == "debug" then return nil end
    if name == "__number_list" then return list_word end
    if type(name) ~= "string" then fail("a global variable's name is a string, not a %s", kind_of(name)) end
    local class, problem = read_class(name)
    if not class then fail("%s", problem) end
    local make = constructor(class)
    rawset(globals, name, make)
    return make
  end,
  __newindex = function(_, name, value)
    if name == "debug" then fail("'debug' is not available in scenes") end
    if not declared[name] and getinfo(2, "S").what ~= "main" then
      fail("global variable '%s' cannot be made inside a function; assign to it outside first, or make it local",
        tostring(name))
    end
    declared[name] = true
    rawset(globals, name, value)
  end,
})
