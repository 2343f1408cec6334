"""RDLA: the smaller rules, one by one."""

from __future__ import annotations

import pytest
from scene_reader import Reader

from arras_ray.errors import SceneError
from arras_ray.scene import BEGIN, END, Rgb


@pytest.mark.parametrize(
    ("expression", "width", "samples"),
    [
        ("2.9", 2.9, 2),
        ("-2.9", -2.9, -2),
        ("'0x10'", 16, 16),
        ("' 12 '", 12, 12),
        ("'1e2'", 100, 100),
        ("'-3.75'", -3.75, -3),
        ("'0x1p4'", 16, 16),
        ("'0x.8'", 0.5, 0),
        ("1e300", float("inf"), None),
        ("'abc'", None, None),
        ("'1_0'", None, None),
        ("'٣'", None, None),
        ("'nan'", None, None),
        ("'inf'", None, None),
        ("''", None, None),
        ("'0x'", None, None),
        ("true", None, None),
        ("Vec2(1, 2)", None, None),
    ],
)
def test_numbers_and_numeric_strings(read: Reader, expression: str, width: float | None, samples: int | None) -> None:
    context = read(f"""
        DistantLight("l")["intensity"] = {expression}
        SceneVariables["pixel_samples"] = {expression}
    """)
    light = context["l"]
    assert light.get("intensity") == (light.attribute("intensity").default if width is None else pytest.approx(width))
    default = context.variables.attribute("pixel_samples").default
    assert context.variables.get("pixel_samples") == (default if samples is None else samples)
    assert len(context.warnings) == (width is None) + (samples is None)


@pytest.mark.parametrize(
    ("expression", "text"),
    [("'a'", "a"), ("12", "12"), ("1.0", "1.0"), ("0.1", "0.1"), ("1e100", "1e+100"), ("-0.0", "-0.0"), ("1/0", "inf")]
    + [("2^53", "9.007199254741e+15"), ("1 << 62", str(1 << 62)), ("-1e15", "-1e+15")],
)
def test_a_number_is_a_string_as_lua_writes_it(read: Reader, expression: str, text: str) -> None:
    context = read(f"""
        RectLight("l")["label"] = {expression}
        UserData("u")["string_values"] = {{{expression}}}
        UserData("v")["string_values"] = {{"x", {expression}}}
        UserData("w")["string_values"] = {{1, 2.5, {expression}}}
    """)
    assert context.warnings == []
    assert context["l"].get("label") == text
    assert context["u"].get("string_values") == (text,)
    assert context["v"].get("string_values") == ("x", text)
    assert context["w"].get("string_values") == ("1", "2.5", text)


def test_lists_of_mixed_kinds(read: Reader) -> None:
    context = read("""
        UserData("u") {
            ["float_values_0"] = {1, "2.5", 3}, ["int_values"] = {"7", 8.9, 1}, ["string_values"] = {"a", 1, 2.5},
            ["bool_values"] = {true, false, true},
        }
        UserData("v") { ["int_values"] = {1, 2.9, -2.9}, ["float_values_0"] = {1, 2, x = 5, [0] = 9} }
        UserData("w")["bool_values"] = {true, 1}
        UserData("x")["int_values"] = {true}
        RectLight("l")["light_filters"] = {undef(), DecayLightFilter("f")}
    """)
    assert context["u"].get("float_values_0").tolist() == [1, 2.5, 3]
    assert context["u"].get("int_values").tolist() == [7, 8, 1]
    assert context["u"].get("string_values") == ("a", "1", "2.5")
    assert context["u"].get("bool_values").tolist() == [True, False, True]
    assert context["v"].get("int_values").tolist() == [1, 2, -2]
    assert context["v"].get("float_values_0").tolist() == [1, 2]
    assert context["l"].get("light_filters") == (None, context["f"])
    assert [(warning.object, warning.attribute) for warning in context.warnings] == [
        ("w", "bool_values"),
        ("x", "int_values"),
    ]


def test_lists_of_every_kind_are_read_back(read: Reader) -> None:
    context = read(r"""
        UserData("u") {
            ["bool_values"] = {true, false}, ["int_values"] = {1, -2}, ["float_values_0"] = {1, 2.5},
            ["string_values"] = {"a", "", "\0\xff"}, ["color_values_0"] = {Rgb(1, 0.5, 0)},
            ["vec2f_values_0"] = {Vec2(1, 2), Vec2(3, 4)}, ["mat4f_values_0"] = {translate(1, 2, 3)},
        }
        RectLight("l")["light_filters"] = {undef(), DecayLightFilter("f")}
        for _, name in ipairs({"bool_values", "int_values", "float_values_0", "string_values", "color_values_0",
                               "vec2f_values_0", "mat4f_values_0"}) do
            UserData("v")[name] = UserData("u")[name]
        end
        RectLight("m")["light_filters"] = RectLight("l")["light_filters"]
        assert(math.type(UserData("u").int_values[1]) == "integer" and UserData("u").bool_values[2] == false)
        assert(math.type(UserData("u").float_values_0[1]) == "float" and #UserData("w").string_values == 0)
        assert(RectLight("l").light_filters[1] == undef() and RectLight("l").light_filters[2] == DecayLightFilter("f"))
        assert(SceneVariables.camera == undef() and type(undef()) == "userdata")
    """)
    assert context.warnings == []
    names = [attribute.name for attribute in context["u"].non_default_attributes()]
    assert len(names) == 7
    assert not context["u"].differing_attributes(context["v"])
    assert context["m"].get("light_filters") == (None, context["f"])


def test_references_can_be_ended(read: Reader) -> None:
    context = read("""
        SceneVariables { ["camera"] = Camera("c") }
        SceneVariables { ["camera"] = undef() }
    """)
    assert context.variables.get("camera") is None
    assert context.warnings == []


def test_labels_are_numbers_and_only_where_they_belong(read: Reader) -> None:
    context = read("""
        RectLight("a")["sidedness"] = "reverse"
        RectLight("b")["sidedness"] = 2.9
        RectLight("c")["sidedness"] = "Reverse"
        RectLight("d")["sidedness"] = "1"
    """)
    assert [context[name].get("sidedness") for name in "abcd"] == [1, 2, 0, 0]
    assert [warning.object for warning in context.warnings] == ["c", "d"]


def test_a_bound_blur_and_a_bound_value_that_fails(read: Reader) -> None:
    context = read("""
        local map = ImageMap("map")
        DwaBaseMaterial("blur")["albedo"] = bind(map, blur(Rgb(1, 0, 0), Rgb(0, 1, 0)))
        DwaBaseMaterial("bad value")["albedo"] = bind(map, 5)
        VectorDisplacement("bad target")["vector"] = bind(RectLight("l"), Vec3(0, 0, 1))
        RectLight("l")["width"] = bind(map, 5)
    """)
    assert context["blur"].get("albedo") == Rgb(0, 1, 0)
    assert context["blur"].binding("albedo") is context["map"]
    assert context["bad value"].binding("albedo") is context["map"]
    assert context["bad value"].get("albedo") == Rgb(1, 1, 1)
    assert context["bad target"].binding("vector") is None
    assert [warning.object for warning in context.warnings] == ["bad value", "bad target", "l"]


def test_blur_is_read_back_the_right_way_round(read: Reader) -> None:
    context = read("""
        Camera("a") { ["focal"] = blur(10, 20), ["node_xform"] = blur(translate(1, 0, 0), translate(2, 0, 0)) }
        Camera("b") { ["focal"] = Camera("a")["focal"], ["node_xform"] = Camera("a")["node_xform"] }
    """)
    assert [context["b"].get("focal", step) for step in (BEGIN, END)] == [10.0, 20.0]
    assert [context["b"].get("node_xform", step)[3][0] for step in (BEGIN, END)] == [1.0, 2.0]


def test_reopening_keeps_what_is_not_named(read: Reader) -> None:
    context = read(
        "RectLight('l') { ['width'] = 5, ['height'] = 6 }",
        "RectLight('l') { ['width'] = 7 } RectLight('l') {}",
    )
    assert (context["l"].get("width"), context["l"].get("height")) == (7.0, 6.0)


def test_what_values_cannot_do(read: Reader) -> None:
    read("""
        local function fails(f) assert(not pcall(f)) end
        local v, c, m = Vec3(1, 2, 3), Rgba(1, 2, 3, 4), translate(1, 2, 3)
        fails(function() return v * 2 end)
        fails(function() return 2 * v end)
        fails(function() return v + Vec2(1, 2) end)
        fails(function() return -c end)
        fails(function() return c * c end)
        fails(function() return c < c end)
        fails(function() return m + m end)
        fails(function() return -m end)
        fails(function() return m < m end)
        fails(function() v.x = 5 end)
        fails(function() return v[3] end)
        fails(function() return v[-1] end)
        fails(function() return m[16] end)
        fails(function() return c.x end)
        fails(function() return #v end)
        fails(function() return v() end)
        for _, value in ipairs({v, c, m, RectLight("l"), undef(), SceneVariables, SceneClass("RectLight")}) do
            fails(function() return next(value) end)
            fails(function() return rawlen(value) end)
            fails(function() rawset(value, 0, 5) end)
            fails(function() rawget(value, 0) end)
            fails(function() table.unpack(value) end)
            fails(function() table.insert(value, 1) end)
            fails(function() table.sort(value) end)
            fails(function() table.remove(value) end)
            fails(function() pairs(value) end)
            fails(function() setmetatable(value, {}) end)
            fails(function() RectLight("other")(value) end)
        end
        for _, value in ipairs({undef(), bind(undef()), blur(1, 2)}) do
            fails(function() value.target = 99 end)
            fails(function() value.value = value end)
            fails(function() value[1] = 5 end)
            fails(function() return #value end)
            fails(function() pairs(value) end)
        end
        assert(Vec2(1, 2) > Vec2(1, 1) and Rgb(1, 2, 3) ~= 5 and v == Vec3(1.0, 2.0, 3.0))
        assert(c.r == 1 and c[3] == 4 and m[0] == 1 and m[15] == 1)
    """)


# --- sets and layers


SOME = """
    local g, h = SphereGeometry("g"), BoxGeometry("h")
    local m, ls, d, v = DwaBaseMaterial("m"), LightSet("ls"), NormalDisplacement("d"), BaseVolume("v")
    local lfs, ss, srs = LightFilterSet("lfs"), ShadowSet("ss"), ShadowReceiverSet("srs")
    local layer = Layer("layer")
"""


def test_rows_of_a_layer(read: Reader) -> None:
    context = read(
        SOME
        + """
        layer {
            {g, "all", srs, ss, lfs, d, ls, m},
            {g, {"two", "three"}, m, undef(), ls},
            {g, "holes", nil, "text", 5, ls},
            {g, "none"},
            {h, "volume", v, ls},
            {h, {}},
        }
        layer { {g, "all", m}, {g, "", ls} }
        assert(#layer == 7)
        """
    )
    layer = context.layer
    assert layer is not None
    rows = {(row.geometry.name, row.part): [item and item.name for item in row.objects] for row in layer.assignments}
    nothing = [None] * 7
    assert rows == {
        ("g", "all"): ["m", *nothing[1:]],
        ("g", "two"): ["m", "ls", *nothing[2:]],
        ("g", "three"): ["m", "ls", *nothing[2:]],
        ("g", "holes"): [None, "ls", *nothing[2:]],
        ("g", "none"): nothing,
        ("h", ""): [None, "ls", None, "v", None, None, None],
        ("g", ""): [None, "ls", *nothing[2:]],
    }
    found = layer.lookup(context["g"], "other")
    assert found is not None
    assert found.part == ""


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("layer { {g} }", "row #1 has 1 columns"),
        ("layer { {g, 'p'}, 5 }", "bad element #2 in table"),
        ("layer { g }", "bad element #1 in table"),
        ("layer { {'p', g} }", "column 1 must be a geometry"),
        ("layer { {undef(), 'p', m} }", "column 1 must be a geometry"),
        ("layer { {m, 'p', m} }", "is no geometry"),
        ("layer { {g, m} }", "column 2 must be a part's name"),
        ("layer { {g, {5}, m} }", "bad part name #1"),
        ("layer { {g, 'p', m, DwaBaseMaterial('n')} }", "two objects for one slot"),
        ("layer { {g, 'p', ls, LightSet('n')} }", "two objects for one slot"),
        ("layer { {g, 'p', RectLight('l')} }", "cannot be assigned"),
        ("layer { {g, 'p', true} }", "a boolean cannot stand in column 3"),
        ("layer { {g, 'p', {m}} }", "a table cannot stand in column 3"),
        ("layer { {g, 'p', Vec3(1, 2, 3)} }", "a Vec3 cannot stand in column 3"),
        ("layer(5)", "table expected"),
        ("layer['geometries'] = {}", "has no attributes to index"),
        ("TraceSet('t') { {g} }", "row #1 has 1 columns"),
        ("TraceSet('t') { {g, 'p', m} }", "row #1 has 3 columns"),
        ("TraceSet('t') { {m, 'p'} }", "is no geometry"),
        ("GeometrySet('s') { m }", "no geometry"),
        ("LightSet('s') { g }", "no light"),
        ("ShadowSet('s') { g }", "no light"),
        ("LightFilterSet('s') { RectLight('l') }", "no lightfilter"),
        ("GeometrySet('s') { g, undef() }", "bad element #2 in table"),
        ("GeometrySet('s') { g, 'x' }", "bad element #2 in table"),
        ("return GeometrySet('s')[1]", "has no attributes to index"),
        ("GeometrySet('s')['geometries'] = {g}", "has no attributes to index"),
        ("Metadata('meta') { {'a', 'string'} }", "must be {name, type, value}"),
        ("Metadata('meta') { {'a', 'string', 5} }", "column 3 must be a string"),
        ("Metadata('meta') { {'a', 'text', 'b'} }", "no metadata type 'text'"),
    ],
)
def test_wrong_rows_and_members_end_the_reading(read: Reader, row: str, message: str) -> None:
    with pytest.raises(SceneError) as caught:
        read(SOME + row)
    assert message in caught.value.message
    assert caught.value.line == SOME.count("\n") + 1


def test_sets_are_unions_and_metadata_is_not(read: Reader) -> None:
    context = read(
        SOME
        + """
        local set = GeometrySet("set") { h, g, h }
        assert(#set == 2 and #set { g } == 2 and #GeometrySet("empty") == 0)
        local lights = LightSet("lights") { RectLight("b"), RectLight("a") }
        lights { RectLight("c"), RectLight("a") }
        assert(#lights == 3)
        ShadowReceiverSet("srs") { ["geometries"] = {g, h}, ["complement"] = true }
        TraceSet("t") { {g, {"a", "b"}}, {h, ""}, {g, "a"} }
        assert(#TraceSet("t") == 3)
        Metadata("m2") { {"a", "string", "b"}, {"c", "int", "5"} }
        Metadata("m2") { {"x", "v2f", "1 2"} }
        assert(#Metadata("m2") == 1)
        """
    )
    assert context["set"].get("geometries") == (context["h"], context["g"])
    assert [light.name for light in context["lights"].get("lights")] == ["a", "b", "c"]
    assert context["srs"].get("geometries") == (context["g"], context["h"])
    assert context["srs"].get("complement") is True
    assert context["t"].get("parts") == ("a", "b", "")
    assert context["m2"].get("type") == ("v2f",)
    assert context.warnings == []


def test_globals_with_names_that_are_no_strings(read: Reader) -> None:
    for key in ("5", "{}", "print", "true", "Vec3(1, 2, 3)"):
        with pytest.raises(SceneError, match="a global variable's name is a string"):
            read(f"return _G[{key}]")


def test_a_class_is_a_function_that_is_made_once(read: Reader) -> None:
    read("""
        assert(RectLight == RectLight and type(RectLight) == "function" and rawget(_G, "RectLight") == RectLight)
        assert(type(SceneVariables) == "userdata" and SceneVariables { ["fps"] = 25 } == SceneVariables)
        local made = Camera("c")
        assert(made == PerspectiveCamera("c") and made { } == made)
        assert(type(SceneClass("RectLight")) == "userdata" and SceneClass("Light") == nil)
    """)
