-- The values of RDLA: colours, vectors, matrices, their arithmetic, and the transforms.
-- Arguments: raw_metatable and the original functions of sandbox.lua.
-- Returns a table: words (what a program sees, by name), kind_of(value), metatable_of(kind), kinds (metatable -> kind), metatables (kind -> metatable), sizes (kind -> number of components).
local raw_metatable, originals = ...

local error, select, tostring, type = error, select, tostring, type
local next, setmetatable = originals.next, originals.setmetatable
local concat, unpack = table.concat, table.unpack
local format, pack, unpack_bytes = string.format, string.pack, string.unpack
local cos, rad, sin, sqrt = math.cos, math.rad, math.sin, math.sqrt

local function fail(...) error(format(...), 0) end

---------------------------------------------------------------------------------------------------- value types
-- Components live at 0 .. n-1, so that numeric indexing, which is 0-based in RDLA, needs no help.

local KINDS = {}   -- metatable -> what a value with it is called
local SIZES = {Rgb = 3, Rgba = 4, Vec2 = 2, Vec3 = 3, Vec4 = 4, Mat4 = 16}
local FIELDS = {
  Rgb = {r = 0, g = 1, b = 2}, Rgba = {r = 0, g = 1, b = 2, a = 3}, Vec2 = {x = 0, y = 1},
  Vec3 = {x = 0, y = 1, z = 2}, Vec4 = {x = 0, y = 1, z = 2, w = 3}, Mat4 = {},
}

local function metatable_of(kind)
  local metatable = {__metatable = kind, __name = kind}
  function metatable.__len() fail("a %s has no length", kind) end
  function metatable.__newindex() fail("a %s cannot be changed; make a new one", kind) end
  function metatable.__pairs() fail("bad argument #1 to 'pairs' (table expected, got %s)", kind) end
  KINDS[metatable] = kind
  return metatable
end

local function kind_of(value)
  local basic = type(value)
  return basic == "table" and KINDS[raw_metatable(value)] or basic
end

local VALUE = {}   -- kind -> metatable
for kind, fields in next, FIELDS do
  local metatable = metatable_of(kind)
  VALUE[kind] = metatable
  function metatable.__index(value, key)
    local slot = fields[key]
    if slot then return value[slot] end
    fail("%s has no component '%s'", kind, tostring(key))
  end
  function metatable.__tostring(value)
    return kind .. "(" .. concat({unpack(value, 0, SIZES[kind] - 1)}, ", ") .. ")"
  end
end

local function check_numbers(name, count, ...)
  local values = {...}
  for i = 1, count do
    if type(values[i]) ~= "number" then
      fail("bad argument #%d to '%s' (number expected, got %s)", i, name, kind_of(values[i]))
    end
  end
end

local function refuse_arguments(kind, count, ...)
  check_numbers(kind, count, ...)
  fail("wrong number of arguments to '%s' (expected %d)", kind, count)
end

-- Rgb holds 32-bit floats; vectors hold doubles.
local function rounded(value) return (unpack_bytes("<f", pack("<f", value))) end

local RGB, RGBA, VEC2, VEC3, VEC4, MAT4 = VALUE.Rgb, VALUE.Rgba, VALUE.Vec2, VALUE.Vec3, VALUE.Vec4, VALUE.Mat4

local function Rgb(r, g, b, ...)
  if type(r) ~= "number" or type(g) ~= "number" or type(b) ~= "number" or select("#", ...) > 0 then
    refuse_arguments("Rgb", 3, r, g, b)
  end
  return setmetatable({[0] = rounded(r), rounded(g), rounded(b)}, RGB)
end

local function Rgba(r, g, b, a, ...)
  if type(r) ~= "number" or type(g) ~= "number" or type(b) ~= "number" or type(a) ~= "number"
    or select("#", ...) > 0 then
    refuse_arguments("Rgba", 4, r, g, b, a)
  end
  return setmetatable({[0] = rounded(r), rounded(g), rounded(b), rounded(a)}, RGBA)
end

local function Vec2(x, y, extra)
  if type(x) ~= "number" or type(y) ~= "number" or extra ~= nil then refuse_arguments("Vec2", 2, x, y) end
  return setmetatable({[0] = x, y}, VEC2)
end

local function Vec3(x, y, z, extra)
  if type(x) ~= "number" or type(y) ~= "number" or type(z) ~= "number" or extra ~= nil then
    refuse_arguments("Vec3", 3, x, y, z)
  end
  return setmetatable({[0] = x, y, z}, VEC3)
end

local function Vec4(x, y, z, w, extra)
  if type(x) ~= "number" or type(y) ~= "number" or type(z) ~= "number" or type(w) ~= "number" or extra ~= nil then
    refuse_arguments("Vec4", 4, x, y, z, w)
  end
  return setmetatable({[0] = x, y, z, w}, VEC4)
end

local function matrix(first, ...) return setmetatable({[0] = first, ...}, MAT4) end

local function Mat4(...)
  if select("#", ...) ~= 16 then refuse_arguments("Mat4", 16, ...) end
  for i = 1, 16 do
    if type((select(i, ...))) ~= "number" then refuse_arguments("Mat4", 16, ...) end
  end
  return matrix(...)
end

local MAKE = {Rgb = Rgb, Rgba = Rgba, Vec2 = Vec2, Vec3 = Vec3, Vec4 = Vec4, Mat4 = Mat4}

local function componentwise(kind, name, operation)
  local make, last = MAKE[kind], SIZES[kind] - 1
  return function(a, b)
    if kind_of(a) ~= kind or kind_of(b) ~= kind then
      fail("cannot %s %s and %s; both must be %s", name, kind_of(a), kind_of(b), kind)
    end
    local result = {}
    for i = 0, last do result[i] = operation(a[i], b[i]) end
    return make(unpack(result, 0, last))
  end
end

local function equal(kind)
  local last = SIZES[kind] - 1
  return function(a, b)
    if kind_of(a) ~= kind or kind_of(b) ~= kind then return false end
    for i = 0, last do
      if a[i] ~= b[i] then return false end
    end
    return true
  end
end

for _, kind in next, {"Rgb", "Vec2", "Vec3", "Vec4"} do
  local metatable, last = VALUE[kind], SIZES[kind] - 1
  metatable.__add = componentwise(kind, "add", function(a, b) return a + b end)
  metatable.__sub = componentwise(kind, "subtract", function(a, b) return a - b end)
  metatable.__mul = componentwise(kind, "multiply", function(a, b) return a * b end)
  metatable.__div = componentwise(kind, "divide", function(a, b) return a / b end)
  metatable.__eq = equal(kind)
  function metatable.__unm(a)
    local result = {}
    for i = 0, last do result[i] = -a[i] end
    return MAKE[kind](unpack(result, 0, last))
  end
  function metatable.__lt(a, b)
    if kind_of(a) ~= kind or kind_of(b) ~= kind then fail("cannot compare %s with %s", kind_of(a), kind_of(b)) end
    for i = 0, last do
      if a[i] ~= b[i] then return a[i] < b[i] end
    end
    return false
  end
end

function MAT4.__mul(a, b)
  if kind_of(a) ~= "Mat4" or kind_of(b) ~= "Mat4" then
    fail("cannot multiply %s and %s; both must be Mat4", kind_of(a), kind_of(b))
  end
  local result = {}
  for row = 0, 12, 4 do
    for column = 0, 3 do
      result[row + column] = a[row] * b[column] + a[row + 1] * b[column + 4]
        + a[row + 2] * b[column + 8] + a[row + 3] * b[column + 12]
    end
  end
  return setmetatable(result, MAT4)
end

---------------------------------------------------------------------------------------------------- transforms
-- Row vectors: a point p goes to p * M, and A * B does A first.

local function translate(x, y, z)
  if type(x) ~= "number" or type(y) ~= "number" or type(z) ~= "number" then check_numbers("translate", 3, x, y, z) end
  return matrix(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, x, y, z, 1)
end

local function scale(x, y, z)
  if type(x) ~= "number" or type(y) ~= "number" or type(z) ~= "number" then check_numbers("scale", 3, x, y, z) end
  return matrix(x, 0, 0, 0, 0, y, 0, 0, 0, 0, z, 0, 0, 0, 0, 1)
end

-- Counter-clockwise about an axis, in degrees.
local function rotate(degrees, x, y, z)
  if type(degrees) ~= "number" or type(x) ~= "number" or type(y) ~= "number" or type(z) ~= "number" then
    check_numbers("rotate", 4, degrees, x, y, z)
  end
  local length = sqrt(x * x + y * y + z * z)
  if length == 0 then fail("bad arguments to 'rotate' (the axis has no length)") end
  x, y, z = x / length, y / length, z / length
  local c, s = cos(rad(degrees)), sin(rad(degrees))
  local k = 1 - c
  return matrix(
    x * x * k + c, x * y * k + z * s, x * z * k - y * s, 0,
    x * y * k - z * s, y * y * k + c, y * z * k + x * s, 0,
    x * z * k + y * s, y * z * k - x * s, z * z * k + c, 0,
    0, 0, 0, 1)
end

return {
  words = {
    Rgb = Rgb, Rgba = Rgba, Vec2 = Vec2, Vec3 = Vec3, Vec4 = Vec4, Mat4 = Mat4,
    translate = translate, rotate = rotate, scale = scale,
  },
  kind_of = kind_of, metatable_of = metatable_of, kinds = KINDS, metatables = VALUE, sizes = SIZES,
}
