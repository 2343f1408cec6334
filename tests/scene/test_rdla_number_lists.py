"""Long lists of numbers: a program makes the same scene whether Lua reads them or not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from arras_ray.errors import SceneError
from arras_ray.scene import Limits, SceneContext, number_lists
from arras_ray.scene.rdla import RdlaReader

Outcome = tuple[SceneContext, list[str], list[str], str]


def outcome(source: bytes, shortest: int) -> Outcome:
    """The scene, what is printed, the warnings, and how the reading ends, with lists of `shortest` bytes taken out."""
    context, lines = SceneContext(), []
    ending = "done"
    before, number_lists.SHORTEST = number_lists.SHORTEST, shortest
    try:
        RdlaReader(context, Limits(instructions=10_000_000), lines.append).run(source, "scene.rdla")
    except SceneError as error:
        ending = str(error)
    finally:
        number_lists.SHORTEST = before
    return context, lines, [str(warning) for warning in context.warnings], ending


def both(source: str | bytes, *, taken: int | None = None) -> Outcome:
    """What the program does, after a look that it does the same without; `taken`: how many lists have to be taken."""
    data = source.encode() if isinstance(source, str) else source
    fast, plain = outcome(data, 4), outcome(data, 1 << 60)
    assert fast == plain
    if taken is not None:
        before, number_lists.SHORTEST = number_lists.SHORTEST, 4
        assert len(number_lists.take_out(data, 1)[1]) == taken
        number_lists.SHORTEST = before
    return fast


KEEPS = """
UserData("floats") { ["float_values_0"] = list }
UserData("ints") { ["int_values"] = list }
UserData("strings") { ["string_values"] = list }
UserData("points") { ["vec3f_values_0"] = list }
UserData("colors") { ["color_values_0"] = list }
UserData("matrices") { ["mat4f_values_0"] = list }
UserData("bools") { ["bool_values"] = list }
UserData("single") { ["label"] = list }
LightSet("lights") { ["lights"] = {} }
"""

NUMERALS = st.one_of(
    st.integers(-(1 << 66), 1 << 66).map(str),
    st.integers(-3, 3).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, width=16).map(lambda value: f"{value:g}".replace("inf", "1e999")),
    st.sampled_from(
        ["-0", "-0.0", "0", "007", "-00", "0x10", "-0x1p4", "1e999", "-1e999", "1e-400", "5.", ".5", "1E+3", "1e-0"]
        + ["9223372036854775807", "9223372036854775808", "-9223372036854775808", "9007199254740993", "1e0", "- 1"]
        + ["+1", "1 2", "--1\n", "1.2.3", ".", "1e", "1e5.5", "nan", "inf", "1-1", "", "{}", "'1'", "1/2", "x", "5Vec3"]
    ),
)
GAPS = st.sampled_from(["", " ", "\n", "\r\n", "\t", "\r", " \n ", "--[[,]]", "\f"])
FEW = ["-0", "1", "2.5", "1e3", "-0.0", "3"]


@st.composite
def lists(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        elements = draw(st.lists(draw(st.sampled_from([NUMERALS, st.sampled_from(FEW)])), max_size=8))
    else:
        name = draw(st.sampled_from(["Vec2", "Vec3", "Vec4", "Rgb", "Rgba", "Mat4", "Vec5"]))
        size = number_lists.SIZES.get(name, 3) + draw(st.sampled_from([0, 0, 0, 0, 0, 0, 1, -1]))
        texts = st.lists(draw(st.sampled_from([NUMERALS, st.sampled_from(FEW)])), min_size=size, max_size=size)
        elements = [f"{name}({', '.join(draw(texts))})" for _ in range(draw(st.integers(1, 4)))]
    gap = draw(GAPS)
    separator = draw(st.sampled_from([",", ",", ",", ";"])) + draw(GAPS)
    return gap + separator.join(elements) + draw(st.sampled_from(["", ",", ", ", ",,", ";"])) + gap


@settings(max_examples=80, deadline=None)
@given(lists())
@example("1, 2, 3, -0, 4.5")
@example("9223372036854775807, 9223372036854775808")
@example("Vec3(1, 2, 3), Vec3(-0, 1e999, 9007199254740993),\n")
@example("1, 9007199254740993, 2.5")
@example("1,2,\n")
@example("Vec2(0, )")
@example("Vec3(0, , 5), Vec3( , 1, 2), Vec3(0, 1, )")
@example("1, 2, -")
@example("3, -, 4")
@example("3, , 4")
@example("1, 2, ,")
def test_a_list_is_what_lua_makes_of_it(text: str) -> None:
    source = f"""
        local list = {{{text}}}
        {KEEPS}
        for index, value in ipairs(list) do print(index, math.type(value), type(value) ~= 'table' and value) end
        print(#list)
        RectLight("line")["bad"] = 1
    """
    both(source)


def test_lists_are_taken_out() -> None:
    context, _, warnings, ending = both(
        """
        UserData("u") {
            ["int_values"] = {1, 2, 3},
            ["float_values_0"] = {1, 2.5, 1e3,},
            ["vec3f_values_0"] = { Vec3(1, 2, 3), Vec3(4, 5, 6) } ,
            ["color_values_0"] ={Rgb(0.1, 2, 1e300)} ; ["mat4f_values_0"] = {
                Mat4(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)},
        }
        UserData("v")["vec2f_values_0"] = {Vec2(1, 2)} RectLight("l")
        """,
        taken=6,
    )
    assert (warnings, ending) == ([], "done")
    data = context["u"]
    assert data.get("int_values").tolist() == [1, 2, 3]
    assert data.get("vec3f_values_0").tolist() == [[1, 2, 3], [4, 5, 6]]
    assert data.get("color_values_0").tolist() == [[float(np.float32(0.1)), 2, float("inf")]]


LIST = "{10, 20, 30, 40}"


@pytest.mark.parametrize(
    "use",
    [
        "print(#t, t[1], t[5], t.x)",
        "for i, v in ipairs(t) do print(i, v) end",
        "for k, v in pairs(t) do print(k, v) end",
        "for k, v in next, t do print(k, v) end",
        "print(next(t))",
        "print(rawlen(t), rawget(t, 2), rawequal(t, t), t == u)",
        "rawset(t, 1, 5) print(t[1], #t)",
        "t[2] = 7 print(t[1], t[2], #t)",
        "t[#t + 1] = 50 print(#t, t[5])",
        "t.name = 'x' print(t.name, #t)",
        "table.insert(t, 5) table.insert(t, 1, 6) print(table.concat(t, ' '))",
        "print(table.remove(t), table.remove(t, 1), #t)",
        "table.sort(t, function(a, b) return a > b end) print(t[1])",
        "print(table.unpack(t)) print(table.unpack(t, 2, 3))",
        "print(table.concat(t, ','), select('#', table.unpack(t)))",
        "print(table.concat(table.move(t, 1, 3, 2), ' '))",
        "print(getmetatable(t), type(t))",
        "setmetatable(t, {__index = function() return 'd' end}) print(t[9], t[1])",
        "setmetatable(t, {__call = function() return 'c' end}) print(t(), t[1])",
        "setmetatable(u, t) u.x = 1 print(getmetatable(u) == t)",
        "print((string.gsub('a', 'a', setmetatable({}, {__index = t})))) print(setmetatable({}, {__index = t})[2])",
        "local keys = {[t] = 1} print(keys[t])",
        "print(pcall(function() return t + 1 end))",
        "print(pcall(function() return t() end))",
        "print(pcall(function() return t .. 'x' end))",
        "print(pcall(function() return t < u end))",
        "t[2] = nil UserData('x') { ['float_values_0'] = t }",
        "print(#Layer('l') { }) TraceSet('s') { t }",
        "RectLight('l')(t)",
        "GeometrySet('g')(t)",
        "local a, b = udim(t) print(#a, b[4])",
        "UserData('x')['float_values_0'] = t t[1] = 99 UserData('y')['float_values_0'] = t",
        "local function make() local own = {1, 2, 3, 4} own[1] = own[1] + 1 return own end print(make()[1], make()[1])",
        "ImageMap('i') DwaBaseMaterial('d') { ['albedo'] = bind(ImageMap('i'), t) }",
        "UserData('x')['float_values_0'] = blur(t, t)",
        "print(tostring(t):match('^table: ') ~= nil)",
    ],
)
def test_a_list_is_a_table_wherever_a_program_looks(use: str) -> None:
    both(f"local t = {LIST}\nlocal u = {LIST}\n{use}")
    both(f"local t = {{Vec3(1, 2, 3), Vec3(3, 4, 5)}}\nlocal u = {{1, 2.5}}\n{use}")


@pytest.mark.parametrize(
    ("source", "taken"),
    [
        ("local s = 'x = {1, 2, 3}' print(s)", 0),
        ('local s = "x = {1, 2, 3}" print(s)', 0),
        ("local s = [[x = {1, 2, 3}]] print(s)", 0),
        ("local s = [==[ ]] x = {1, 2, 3}]==] print(s) y = {4, 5, 6} print(y[1])", 1),
        ("-- x = {1, 2, 3}\nlocal t = {4, 5, 6} print(t[1])", 1),
        ("--[[ x = {1, 2, 3} ]] local t = {4, 5, 6} print(t[1])", 1),
        ("--[==[ x = {1, 2, 3} ]] ]==] local t = {4, 5, 6} print(t[1])", 1),
        ("--[ x\nlocal t = {4, 5, 6} print(t[1])", 1),
        ("local s = 'it\\'s' local t = {4, 5, 6} print(s, t[1])", 1),
        ("local s = '\\z  \n x = {1, 2, 3}' print(s)", 0),
        ("local s = 'a\\\n x = {1, 2, 3}' print(s)", 0),
        ("local s = 'a\\\r\n x = {1, 2, 3}' print(s)", 0),
        ("local s = 'unfinished x = {1, 2, 3}\n", 0),
        ("local s = [[unfinished x = {1, 2, 3}\n", 0),
        ("rawlen -- x =\n {1, 2, 3}", 0),
        ("print 'x ='\n print(#{1, 2, 3})", 0),
        ("local a = {} a[ [[x = {1, 2}]] ] = {1, 2, 3} print(a['x = {1, 2}'][3])", 1),
        ("local t = {1, 2, 3}\n(print)('no call')", 1),
        ("local t = {1, 2, 3}\n;('x'):rep(2)", 1),
        ("local t = {1, 2, 3}.x", 1),
        ("local t = {1, 2, 3}[1]", 1),
        ("local t = {1, 2, 3}'x'", 1),
        ("local t = {1, 2, 3} or 5 print(t[1])", 1),
        ("print(pcall(function() local t = {1, 2, 3} ^ 2 end))", 0),
        ("print(pcall(function() local t = {1, 2, 3} --[[ x ]] ^ 2 end))", 0),
        ("print(pcall(function() local t = {1, 2, 3} .. 'x' end))", 1),
        ("print(({1} == {2, 3, 4}))", 1),
        ("local t = {1, 2, 3", 0),
        ("local t = {{1, 2, 3}, {4, 5, 6}} print(t[2][1])", 0),
        ("local t = {[1] = 5, 6} print(t[1])", 0),
        ("local t = {n = 5, 6, 7} print(t[1])", 0),
        ("local _ENV = {print = print} t = {1, 2, 3} print(t[1])", 0),
        ("__number_list = 5 t = {1, 2, 3} print(t[1])", 0),
    ],
)
def test_what_only_looks_like_a_list_stays(source: str, taken: int) -> None:
    both(source, taken=taken)


@pytest.mark.parametrize(
    "source",
    [
        "Vec3 = function(a, b, c) return a + b + c end",
        "function Vec3(a) return Vec2(a, a) end",
        "local Vec3 = Rgb",
        "local function Vec3(...) return select('#', ...) end",
        "local Vec3 = Vec2\n(print)('x')",
        "_G['Ve' .. 'c3'] = Vec2 Vec3 = nil",
        "Vec3 = 5",
        "Vec3 = nil",
        "for _, Vec3 in ipairs({print}) do local t = {Vec3(1, 2, 3), Vec3(4, 5, 6)} print(#t) end",
    ],
)
def test_a_constructor_with_another_meaning(source: str) -> None:
    both(source + "\nlocal t = {Vec3(1, 2, 3),\nVec3(4, 5, 6)}\nprint(#t, t[1], t[2])")


def test_a_list_keeps_its_constructor_when_that_is_changed_later() -> None:
    _, lines, _, _ = both("local t = {Vec3(1, 2, 3)} Vec3 = Rgb print(t[1]) Vec3 = nil print(t[1].x)", taken=1)
    assert lines == ["Vec3(1, 2, 3)", "1"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\n\r"])
def test_lines_stay_where_they_are(newline: str) -> None:
    text = (
        "x = {1,@2,@@3}@RectLight('l')['bad'] = 1@y = {Vec3(1,@2, 3)@}@@"
        "RectLight('l') { ['z'] = {@4, 5@} }@error('end')"
    )
    *_, warnings, ending = both(text.replace("@", newline), taken=3)
    assert [warning.split(":")[1] for warning in warnings] == ["5", "10"]
    assert ending.startswith("scene.rdla:13:")


def test_several_pieces_of_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_lists, "PIECE", 16)
    points = ", ".join(f"Vec3({i}, {i / 4}, -0)" for i in range(50))
    both(f'UserData("u")["vec3f_values_0"] = {{{points}}}', taken=1)
    mixed = ", ".join([*map(str, range(50)), "0.5", *map(str, range(50)), str(1 << 60)])
    both(f'local t = {{{mixed},}} UserData("u")["float_values_0"] = t print(table.concat(t, " "))', taken=1)
    both(f'local t = {{{mixed},,}} UserData("u")["float_values_0"] = t', taken=0)
    both(f'local t = {{{mixed}}} UserData("u")["string_values"] = t UserData("u")["int_values"] = t', taken=1)


def test_whole_numbers_stay_exact() -> None:
    numbers = "1, 2.9, 9007199254740993"
    context, *_ = both(f'UserData("u")["string_values"] = {{{numbers}}}', taken=1)
    assert context["u"].get("string_values") == ("1", "2.9", "9007199254740993")


def test_short_lists_and_small_files_are_left_alone() -> None:
    source = b"x = {" + b"1, " * 100 + b"}"
    assert number_lists.take_out(source, 1) == (source, [])
    long = b"x = {" + b"1, " * 2000 + b"}"
    program, (found,) = number_lists.take_out(long, 7)
    assert program == b"x =  __number_list^7 "
    assert found.data.tolist() == [1] * 2000


def test_a_list_counts_against_the_memory_of_the_scene() -> None:
    source = b"x = {" + b"1.5, " * 100_000 + b"}"
    with pytest.raises(SceneError, match="needs more than 0 MB of memory"):
        RdlaReader(SceneContext(), Limits(memory=500_000)).run(source, "scene.rdla")


@pytest.mark.slow
def test_a_large_mesh_takes_little_memory(tmp_path: Path) -> None:
    count = 200_000
    rng = np.random.default_rng(1)
    points = ",\n".join(f"Vec3({x:.7g}, {y:.7g}, {z:.7g})" for x, y, z in rng.normal(size=(count, 3)).tolist())
    quads = ", ".join(map(str, rng.integers(0, count, 4 * count).tolist()))
    path = tmp_path / "mesh.rdla"
    path.write_text(f'RdlMeshGeometry("m") {{ ["vertex_list_0"] = {{{points}}}, ["vertices_by_index"] = {{{quads}}} }}')
    code = """if True:
        import resource, sys
        from arras_ray.scene import read_scene
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert len(read_scene([sys.argv[1]])["m"].get("vertices_by_index")) == 800_000
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    grown = int(subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True).stdout)
    unit = 1 if sys.platform == "darwin" else 1024
    assert grown * unit < 5 * path.stat().st_size
