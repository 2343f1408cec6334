"""What a scene program can reach and how long it can live."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from scene_reader import Reader

from arras_ray.errors import SceneError
from arras_ray.scene import Limits

SHORT = Limits(instructions=3_000_000)
SMALL = Limits(memory=32 << 20)


@pytest.mark.parametrize(
    "name",
    ["io", "require", "package", "load", "loadstring", "loadfile", "debug", "coroutine", "python"]
    + ["collectgarbage", "warn"],
)
def test_names_a_scene_does_not_have(read: Reader, name: str) -> None:
    assert read(f"local value = rawget(_G, '{name}') assert(value == nil)").warnings == []


def test_os_is_only_getenv(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SCENE_VARIABLE", "here")
    lines: list[str] = []
    read("for name in pairs(os) do print(name, os[name]('A_SCENE_VARIABLE')) end", print_line=lines.append)
    assert lines == ["getenv\there"]


def test_no_python_object_is_among_the_globals_and_errors(read: Reader) -> None:
    source = """
        local seen = {}
        local function walk(value)
            local kind = type(value)
            assert(kind ~= "userdata" or tostring(value):find("SceneVariables"), tostring(value))
            if kind == "table" and not seen[value] then
                seen[value] = true
                for k, v in next, value do walk(k) walk(v) end
            end
        end
        walk(_G)
        local fine, problem = pcall(RectLight, 5)
        assert(not fine and type(problem) == "string")
        fine, problem = pcall(function() RectLight("a") SphereLight("a") end)
        assert(not fine and type(problem) == "string")
        assert(getmetatable(Vec3(1, 2, 3)) == "Vec3" and getmetatable(SceneVariables) == "SceneObject")
        assert(getmetatable("") == false and getmetatable(_G) == false)
        assert(string.dump == nil)
    """
    read(source)


@pytest.mark.parametrize(
    "loop",
    [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() pcall(f) return f() end f()",
        "pcall(pcall, pcall, function() while true do end end) while true do end",
        "xpcall(function() while true do end end, function() while true do end end)",
        "local x <close> = setmetatable({}, {__close = function() while true do end end}) while true do end",
        "while true do pcall(error, 'x') end",
        "local t = setmetatable({}, {__index = function(t, k) return t[k] end})"
        " while true do pcall(function() return t.x end) end",
        # where the C stack is nearly used up, the hook itself cannot run
        "local function dive(n) return setmetatable({}, {__index = function()"
        " if n > 0 then dive(n - 1) end while true do end end}).x end"
        " while true do for n = 170, 200 do pcall(dive, n) end end",
        "while true do pcall(string.rep, 'x', 1 << 40) end",
        "local function f() while true do end end RectLight('x')['intensity'] = f()",
        "for _ in function() return 1 end do end",
        "table.sort({3, 1, 2}, function() while true do end end)",
        "string.gsub('x', '.', function() while true do end end)",
        "print(setmetatable({}, {__tostring = function() while true do end end}))",
        "::again:: goto again",
        "local t = {} for i = 1, 2000 do t[i] = i end while true do table.sort(t) end",
        "while true do print(('x'):rep(100)) end",
        "while true do string.rep('x', 10000) end",
        "while true do ('x'):rep(1000):upper():lower():reverse() end",
        # in the built-in functions these would run for ages, where no hook looks
        "string.rep('', 1 << 60, '') while true do end",
        "table.move({}, 1, 1 << 60, 1)",
        "table.insert(setmetatable({}, {__len = function() return 1 << 60 end}), 1, 5)",
        "table.remove(setmetatable({}, {__len = function() return 1 << 60 end}), 1)",
        "table.concat(setmetatable({}, {__index = tostring}), '', 1, 1 << 60)",
        "table.sort(setmetatable({}, {__len = function() return 1 << 30 end}), rawequal)",
        "string.find(('a'):rep(60), ('a?'):rep(60) .. ('a'):rep(61))",
        "string.match(('a'):rep(100000), '.-.-.-.-b')",
        "for _ in string.gmatch(('a'):rep(3000), '(a*)(a*)(a*)b') do end",
        "string.gsub(('a'):rep(3000), 'a*a*a*b', '')",
        "string.find(('('):rep(100000), '%b()')",
        "string.find(('a'):rep(1 << 20), ('a'):rep(1 << 19) .. 'b', 1, true)",
    ],
)  # fmt: skip
def test_an_endless_program_ends_with_file_and_line(read: Reader, loop: str) -> None:
    with pytest.raises(SceneError, match=r"did not end within 3,000,000 Lua instructions") as caught:
        read(f"\n\n{loop}", limits=SHORT)
    assert caught.value.place.endswith("1.rdla:3")
    assert "endless loop" in caught.value.hint


def test_the_limit_counts_what_a_list_of_numbers_becomes(read: Reader) -> None:
    numbers = ", ".join(["1.5"] * 5000)
    with pytest.raises(SceneError, match="did not end"):
        read(f"while true do local list = {{{numbers}}} list[1] = 2 end", limits=SHORT)


def test_the_limit_is_shared_by_the_files_of_a_scene(read: Reader) -> None:
    busy = "for i = 1, 700000 do local x = i * 2 end"
    read(busy, limits=SHORT)
    with pytest.raises(SceneError, match="did not end"):
        read(busy, busy, busy, limits=SHORT)


@pytest.mark.parametrize(
    "source",
    [
        "local t = {} for i = 1, 1 << 40 do t[i] = {i} end",
        "local s = string.rep('x', 1 << 30)",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = Vec3(1, 2, 3) end",
        "local t = {} for i = 1, 2000000 do t[i] = 'ab' end table.concat(t, ('x'):rep(1000))",
        "string.gsub(('x'):rep(1000000), '.', ('y'):rep(1000))",
        "string.pack('c100000000', '')",
    ],
)
def test_memory_is_bounded(read: Reader, source: str) -> None:
    with pytest.raises(SceneError, match="needs more than 32 MB of memory") as caught:
        read(source, limits=SMALL)
    assert caught.value.place.endswith("1.rdla")


def test_a_finalizer_is_refused(read: Reader) -> None:
    # Lua runs it with hooks off: an endless one could not be stopped
    with pytest.raises(SceneError, match="__gc is not available"):
        read("setmetatable({}, {__gc = function() while true do end end})")


def test_xpcall_and_pcall_work(read: Reader) -> None:
    source = """
        local fine, a, b = xpcall(function(x) return x, 2 end, print, 1)
        assert(fine and a == 1 and b == 2)
        local failed, handled = xpcall(function() error("oh", 0) end, function(m) return "handled " .. m end)
        assert(not failed and handled == "handled oh")
        local ok, message = pcall(function() local x = nil; return x.y end)
        assert(not ok and string.find(message, "attempt to index a nil value"))
    """
    read(source)


@pytest.mark.parametrize(
    "attempt",
    [
        "debug = {traceback = 1}",
        "rawset(_G, 'debug', {})",
        "setmetatable(_G, nil)",
        "setmetatable('', {})",
        "string.dump(print)",
        "getmetatable('').__index = {}",
        "local s = SceneVariables; rawset(s, 'x', 1); setmetatable(s, {})",
    ],
)
def test_attempts_on_the_walls_fail_as_ordinary_errors(read: Reader, attempt: str) -> None:
    with pytest.raises(SceneError):
        read(attempt)


def test_pulling_at_string_functions_does_not_hurt_the_reader(read: Reader) -> None:
    context = read("""
        string.pack, string.format, table.concat, table.unpack, math.type = nil, nil, nil, nil, nil
        setmetatable, type, error, next = nil, nil, nil, nil
        RdlMeshGeometry("m") { ["vertex_list_0"] = {Vec3(1, 2, 3)} }
    """)
    assert context["m"].get("vertex_list_0").tolist() == [[1, 2, 3]]


def test_the_same_program_makes_the_same_scene_every_time(read: Reader) -> None:
    source = """
        local colors = {}
        for i = 1, 30 do colors["light" .. i] = Rgb(math.random(), math.random(), math.random()) end
        for name, color in pairs(colors) do SphereLight(name) { ["color"] = color } end
        for object in pairs({[RectLight("b")] = 1, [RectLight("a")] = 2}) do
            LightSet("set of " .. tostring(object))
        end
    """
    names = [item.name for item in read(source)]
    assert names[1:31] == sorted(f"light{i}" for i in range(1, 31))
    assert names[-2:] == ['set of RectLight("b")', 'set of RectLight("a")']
    assert read(source) == read(source)


def test_pairs_order_and_changes_on_the_way(read: Reader) -> None:
    lines: list[str] = []
    source = """
        local t = {10, 20, nil, 40, b = 1, a = 2, [2.5] = 3, [-1] = 4, [true] = 5, [false] = 6}
        for k, v in pairs(t) do
            if k == "a" then t.b = nil end
            print(k, v)
        end
        local custom = setmetatable({}, {__pairs = function() return next, {x = 1}, nil end})
        for k in pairs(custom) do print(k) end
    """
    read(source, print_line=lines.append)
    assert lines == ["1\t10", "2\t20", "4\t40", "-1\t4", "2.5\t3", "a\t2", "false\t6", "true\t5", "x"]


@pytest.mark.parametrize(
    "loop", ["while true do end", "while true do pcall(function() while true do end end) end"]
)  # fmt: skip
def test_ctrl_c_ends_a_program(read: Reader, loop: str) -> None:
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        read(f"print('runs') {loop}", limits=Limits(instructions=1 << 60), print_line=lambda _: timer.start())
    timer.join()


@pytest.mark.parametrize("source", ["print(1)", "pcall(print, 1) while true do end", "xpcall(print, print, 1)"])
def test_what_a_function_of_the_caller_raises_comes_out(read: Reader, source: str) -> None:
    def refuse(_: str) -> None:
        raise BrokenPipeError("gone")

    with pytest.raises(BrokenPipeError, match="gone"):
        read(source, print_line=refuse)

    def starve(_: str) -> None:
        raise MemoryError

    with pytest.raises(SceneError, match="needs more than"):
        read(source, print_line=starve)


def test_print_goes_to_stderr(read: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    read("print('hello', 1, nil, Vec3(1, 2.5, 3))")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "hello\t1\tnil\tVec3(1, 2.5, 3)\n"


def test_an_unset_environment_variable_is_named(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_FOLDER", raising=False)
    with pytest.raises(SceneError, match="attempt to concatenate a nil value") as caught:
        read("local folder = os.getenv('NO_SUCH_FOLDER')\nlocal path = folder .. '/x.exr'")
    assert caught.value.place.endswith("1.rdla:2")
    assert caught.value.hint == "these environment variables were asked for and are not set: NO_SUCH_FOLDER"


# --- what Lua's own limit of memory does not see


@pytest.mark.parametrize(
    "loop",
    [
        "for i = 1, 1 << 40 do RectLight('light ' .. i) end",
        "for i = 1, 1 << 40 do pcall(RectLight, 'light ' .. i) end",
        "local light = RectLight('l') while true do light['bad'] = 1 end",
        "local text = ('x'):rep(1 << 20) for i = 1, 1 << 40 do RectLight(i .. '')['label'] = text end",
        "local name = ('x'):rep(1 << 20) while true do pcall(function() RectLight('l')[name] = 1 end) end",
        "local text = {('x'):rep(1 << 20)} while true do UserData('u')['string_values'] = text end",
    ],
)
def test_what_a_scene_takes_is_bounded(read: Reader, loop: str) -> None:
    with pytest.raises(SceneError, match=r"needs more than 8 MB of memory|did not end"):
        read(loop, limits=Limits(instructions=300_000_000, memory=8 << 20))


@pytest.mark.parametrize(
    "calls",
    [
        "t[#t + 1] = RectLight('x').label .. #t",
        "pcall(function() t[#t + 1] = RectLight('x').label .. #t end)",
        "pcall(function() t[#t + 1] = UserData('u').float_values_0 end)",
        "pcall(function() UserData('u').string_values = {1, 2.5, #t} t[#t + 1] = UserData('u').string_values end)",
        "pcall(RectLight, 'light ' .. #t) pcall(function() return _G['x' .. #t] end) t[#t + 1] = {}",
    ],
)
def test_python_hands_nothing_to_a_full_memory(read: Reader, calls: str) -> None:
    # lupa would jump out of Python's own functions: the process would hang or end
    source = f"""
        RectLight("x").label = ("x"):rep(1 << 20)
        UserData("u").float_values_0 = {{1, 2, 3}}
        local t, text = {{}}, ("x"):rep(100)
        local function fill(n) while pcall(function() t[#t + 1] = text:rep(n) .. #t end) do end end
        fill(10000) fill(1000) fill(10)
        while true do {calls} end
    """
    with pytest.raises(SceneError, match="needs more than 32 MB of memory"):
        read(source, limits=SMALL)
    with pytest.raises(SceneError, match="needs more than 32 MB of memory"):
        read(b"--" + b" " * (33 << 20), limits=SMALL)
    assert "after" in read("RectLight('after')")


# --- errors of all kinds


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("local function dive() return 1 + dive() end dive()", "stack overflow"),
        ("local function dive() return (('x'):gsub('x', dive)) end dive()", "stack overflow"),
        ("error(setmetatable({}, {__tostring = function() while true do end end}))", "raised a table as its error"),
        ("error(setmetatable({}, {__index = function() while true do end end}))", "raised a table as its error"),
        ("error(Vec3(1, 2, 3))", "raised a table as its error"),
        ("error()", "raised a nil as its error"),
        ("error('given', 2)", "given"),
        ("table.sort({3, 1, 2, 5, 4, 9, 7, 8}, function() return true end)", "invalid order function"),
        ("table.sort({1, 'a'})", "attempt to compare"),
        ("table.concat({}, '', 1, 5)", "invalid value"),
        ("table.unpack({}, 1, 1 << 30)", "too many results to unpack"),
        ("string.format('%1000000d', 5)", "invalid conversion"),
        ("string.format('%d', 1.5)", "number has no integer representation"),
        ("select(-5)", "bad argument #1 to 'select'"),
        ("utf8.char(-1)", "value out of range"),
        ("utf8.codepoint('\\xff')", "invalid UTF-8 code"),
        ("for _ in utf8.codes('\\xff') do end", "invalid UTF-8 code"),
        ("utf8.offset('abc', 1, 9)", "position out of bounds"),
        ("string.rep('x', -5, 3, 1)() ", "attempt to call a string value"),
        ("table.sort(5)", "bad argument #1 to 'sort' (table expected, got number)"),
        ("('x'):rep({})", "bad argument #2 to 'rep' (number expected, got table)"),
        ("string.find('a', '[a')", "malformed pattern (missing ']')"),
        ("string.find({}, 'a')", "bad argument #1 to 'find' (string expected, got table)"),
    ],
)
def test_an_error_has_a_message_and_a_line(read: Reader, source: str, message: str) -> None:
    with pytest.raises(SceneError) as caught:
        read("\n" + source)
    assert message in caught.value.message
    assert ".lua" not in caught.value.message
    assert caught.value.place.endswith("1.rdla:2")


@pytest.mark.parametrize(
    "source",
    ["local t = " + "{" * 10_000 + "}" * 10_000, "f(" * 10_000 + ")" * 10_000, "local t = 1" + " .. 1" * 10_000],
    ids=["tables", "calls", "concatenations"],
)
def test_a_program_that_is_too_deep_is_no_program(read: Reader, source: str) -> None:
    with pytest.raises(SceneError, match="Lua syntax error: C stack overflow"):
        read(source)


def test_counting_functions_count(read: Reader) -> None:
    read("""
        assert(select("#") == 0 and select("#", nil, nil) == 2 and select(-1, 1, 2) == 2)
        assert(utf8.len("é") == 1 and utf8.char(233) == "é" and utf8.len("\\xff") == nil)
        assert(string.rep("ab", 3, "-") == "ab-ab-ab" and ("x"):rep(0) == "" and ("x"):rep(2.0) == "xx")
        local t = {1, 2, 3}
        table.insert(t, 2, 9)
        assert(table.concat(t, ",") == "1,9,2,3" and table.remove(t, 2) == 9 and table.remove(t) == 3 and #t == 2)
        assert(table.concat(table.move({1, 2, 3}, 2, 3, 1), ",") == "2,3,3" and table.concat({}, ",") == "")
        assert(table.concat({1, 2, 3}, ",", 2) == "2,3" and table.concat({1, 2, 3}, ",", 2, 2) == "2")
    """)
