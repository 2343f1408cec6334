"""Broken scene files: whatever the bytes are, they make a scene or a SceneError, in bounded time and memory.

Small valid files are mutated by a seeded generator: bytes flipped, cut, doubled, moved, numbers made huge, nesting. The
fast tier takes 20,000 cases together, the slow one ten times as many.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable

import pytest

from arras_ray.errors import ArrasRayError, SceneError
from arras_ray.scene import Limits, SceneContext, rdla_writer, rdlb
from arras_ray.scene.rdla import RdlaReader
from arras_ray.scene.values import TYPES, ValueType, convert

LIMITS = Limits(instructions=100_000, memory=16 << 20)

# --- RDLA

RDLA_SEEDS = [
    b"""GeometrySet("s") { SphereGeometry("g") { ["radius"] = 2.5, ["label"] = "a\\n\\065" } }
Layer("l") { {SphereGeometry("g"), "p", DwaBaseMaterial("m"), undef()} }""",
    b"""DwaBaseMaterial("m") { ["albedo"] = bind(ImageMap("i"), Rgb(1, 0.5, 0)), ["roughness"] = 0x10 }
Camera("c") { ["node_xform"] = blur(translate(0, 0, 1), rotate(90, 0, 1, 0) * scale(1, 2, 3)), ["focal"] = 30 }""",
    b"""UserData("u") { ["int_values"] = {1, 2, 3}, ["string_values"] = {"a", ""}, ["rate"] = "part",
["color_values_0"] = {Rgb(1, 2, 3)}, ["float_values_0"] = {0/0, 1/0, -0.0}, ["bool_values"] = {true} }""",
    b"""Metadata("h") { {"a", "string", "b"} } TraceSet("t") { {BoxGeometry("b"), "x"} }
SceneVariables { ["camera"] = undef(), ["motion_steps"] = {-1, 0}, ["exr_header_attributes"] = Metadata("h") }""",
    b"""local t = {} for i = 1, 3 do t[i] = SphereGeometry("s" .. i) end
local v = Vec3(1, 2, 3) * Vec3(2, 2, 2) GeometrySet("all")(t) assert(#t == 3 and v.x == 2)
t[1]["node_xform"] = Mat4(1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1) print(pcall(error, t[2]["radius"]))""",
]
RDLA_WORDS = [
    b"{", b"}", b"(", b")", b'"', b"\\", b"\n", b"--", b"--[[", b"1e999", b"-9223372036854775808", b"0/0", b"nil",
    b"undef()", b"bind(", b"blur(", b"Rgb(1, 1)", b"function() end", b"{{{{", b"SceneVariables", b"[[", b"\0", b"\xff",
    b'Layer("l")', b"1e308 * 10", b"0xffffffffffffffffff", b"setmetatable({}, {})", b"while true do end", b"goto x",
    b'("x"):rep(1e9)', b"SceneVariables[1]", b'{["k"] = 1}', b"#", b"..", b"//0", b"% 0", b"<close>", b"::x::",
    b'local t = {} t[1] = t Layer("l")(t) ', b"math.random(0)", b"string.format('%99d', 1)",
]  # fmt: skip
HUGE = [b"99999999999999999999", b"-1", b"1e400", b"2147483648", b"9223372036854775807", b"0", b"1e-400", b"0.1"]

VALUE_SEEDS = ["1", "-2.5e3", "0x1F", "true", "(1, 2, 3)", "1,2,3", "[1, 2, 3]", '"a b"', "nan", "", "[(1,2), (3,4)]"]
VALUE_LETTERS = "0123456789eExX+-.,()[]{}\"' \t\n\0abnfi\u00e9\u0660\udcff\ud800\U0001f600"


def mutated(data: bytes, random: random.Random, words: list[bytes]) -> bytes:
    """Between one and four changes of a file."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        at = random.randrange(len(changed) + 1)
        end = min(len(changed), at + random.choice((1, 2, 4, 8, 40)))
        kind = random.randrange(8)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << random.randrange(8)
        elif kind == 1 and at < len(changed):
            changed[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
        elif kind == 2:
            del changed[at:end]
        elif kind == 3:
            changed[at:at] = changed[at:end] * random.choice((1, 2, 30))
        elif kind == 4:
            del changed[at:]
        elif kind == 5:
            to = random.randrange(len(changed) + 1)
            changed[to:to] = changed[at:end]
        else:
            changed[at : random.choice((at, end))] = random.choice(words)
    return bytes(changed)


def with_numbers_changed(source: bytes, random: random.Random) -> bytes:
    """A text with one of its numbers replaced."""
    numbers = list(re.finditer(rb"\d+\.?\d*", source))
    found = random.choice(numbers)
    return source[: found.start()] + random.choice(HUGE) + source[found.end() :]


def nested(source: bytes, random: random.Random) -> bytes:
    """A text with something deep in it."""
    depth = random.choice((10, 190, 250, 5000))
    opening, closing = random.choice(((b"{", b"}"), (b"(", b")"), (b"-", b""), (b"bind(undef(), ", b")"), (b"#", b"")))
    at = random.randrange(len(source) + 1)
    return source[:at] + opening * depth + b"1" + closing * depth + source[at:]


def fails(case: Callable[[], object], seed: object) -> bool:
    """Whether the case ended in an error of ours; any other is the test's failure."""
    try:
        case()
    except ArrasRayError as error:
        if not error.message or not str(error):
            raise AssertionError(f"case {seed}: an error that says nothing") from error
        return True
    except Exception as error:
        raise AssertionError(f"case {seed} raised {error!r}") from error
    return False


def fuzz_rdla(cases: int, seed: int) -> int:
    """Mutated programs; gives how many failed. Fifty run in one Lua state, as those of a scene do."""
    rng = random.Random(seed)
    failed, left = 0, 0
    for number in range(cases):
        source = rng.choice(RDLA_SEEDS)
        kind = rng.randrange(10)
        if kind == 0:
            source = nested(source, rng)
        elif kind < 3:
            source = with_numbers_changed(source, rng)
        else:
            source = mutated(source, rng, RDLA_WORDS)
        if left == 0:
            reader, left = RdlaReader(SceneContext(), LIMITS, lambda line: None), 50
        left -= 1
        if fails(lambda: reader.run(source, "fuzz.rdla"), (seed, number, source)):  # noqa: B023
            failed += 1
            # a state that has used up what it may is of no further use
            left = left if fails(lambda: reader.run(b"", "alive.rdla"), seed) is False else 0  # noqa: B023
    return failed


# --- RDLB


def _unsigned(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def packed(records: list[bytes]) -> bytes:
    """A file of these records, given without their sizes; all sizes are right."""
    whole = [struct.pack("<Q", len(record) + 8) + record for record in records]
    manifest = _unsigned(len(records)) + b"".join(b"\2" + _unsigned(len(record)) for record in whole)
    payload = b"".join(whole)
    return (
        struct.pack(">QQ", len(manifest) + 8, len(payload)) + struct.pack("<Q", len(manifest) + 8) + manifest + payload
    )


def records_of(context: SceneContext) -> list[bytes]:
    """The records of a scene, one for each object, without their sizes."""
    data = rdlb.encode(context)
    (manifest_size,) = struct.unpack_from(">Q", data)
    at, records = 16 + manifest_size, []
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        records.append(data[at + 8 : at + size])
        at += size
    return records


RDLB_WORDS = [
    b"\0", b"\1", b"\2", b"\0\0", b"\xff" * 9 + b"\1", b"\xff" * 10, b"\x80\x80\x80\x80\x08", b"\xff" * 8,
    b"\x23", b"\x21\0", b"\x22\0", b"\4\0", b"\7\1\0", b"\x0b\0", b"\5Layer", b"\x0eSphereGeometry", b"\1g",
    b"\x00\x00\xc0\x7f", b"\x12__SceneVariables__", b"\xf0" + b"\7" * 8, b"\x1f\0", b"\x80\0",
]  # fmt: skip


def fuzz_rdlb(cases: int, seed: int) -> int:
    """Mutated files and, in every second case, mutated records with sizes that are right; gives how many failed."""
    rng = random.Random(seed)
    files = []
    for source in RDLA_SEEDS:
        context = SceneContext()
        RdlaReader(context, Limits(), lambda line: None).run(source, "seed.rdla")
        files.append(records_of(context))
    failed = 0
    for number in range(cases):
        records = list(rng.choice(files))
        if number % 2:
            index = rng.randrange(len(records))
            records[index] = mutated(records[index], rng, RDLB_WORDS)
            data = packed(records)
        else:
            data = mutated(packed(records), rng, RDLB_WORDS)
        failed += fails(lambda: rdlb.decode(data), (seed, number, data))  # noqa: B023
    return failed


# --- the text of values

VALUE_READERS: list[Callable[[str, ValueType], object]] = [convert]
"""What takes the text of a value that stands for itself, outside of any program."""


def fuzz_values(read: Callable[[str, ValueType], object], cases: int, seed: int) -> int:
    """Mutated texts for values of every type that holds no objects; gives how many failed."""
    rng = random.Random(seed)
    types = [value_type for value_type in TYPES.values() if value_type.family != "object"]
    failed = 0
    for number in range(cases):
        value = rng.choice(VALUE_SEEDS)
        for _ in range(rng.randrange(4)):
            at, end = sorted(rng.choices(range(len(value) + 1), k=2))
            letter = rng.choice(VALUE_LETTERS) * rng.choice((1, 1, 1, 2, 400))
            value = value[:at] + rng.choice((letter, "", value[at:end] * 2)) + value[rng.choice((at, end)) :]
        value_type = rng.choice(types)
        failed += fails(lambda: read(value, value_type), (seed, number, value, value_type.name))  # noqa: B023
    return failed


# --- the tests: 20,000 cases


@pytest.mark.parametrize("seed", [1, 2])
def test_broken_programs(seed: int) -> None:
    failed = fuzz_rdla(2000, seed)
    assert 400 < failed < 1900


@pytest.mark.parametrize("seed", [1, 2])
def test_broken_bytes(seed: int) -> None:
    failed = fuzz_rdlb(5000, seed)
    assert 1000 < failed < 4900


@pytest.mark.parametrize("read", VALUE_READERS)
def test_broken_values(read: Callable[[str, ValueType], object]) -> None:
    failed = fuzz_values(read, 6000, 1)
    assert 600 < failed < 5900


@pytest.mark.slow
def test_ten_times_as_many() -> None:
    for seed in range(100, 110):
        fuzz_rdla(4000, seed)
        fuzz_rdlb(10_000, seed)
        for read in VALUE_READERS:
            fuzz_values(read, 6000, seed)


# --- what fuzzing does not find by chance


@pytest.mark.parametrize("source", [b"RectLight('x') { ['label'] = %s }", b"RectLight(%s)"])
@pytest.mark.parametrize("depth", [150, 250, 100_000])
def test_deep_nesting(source: bytes, depth: int) -> None:
    for opening, closing in ((b"{", b"}"), (b"(", b")"), (b"blur(1, ", b")"), (b"-", b"")):
        program = source.replace(b"%s", opening * depth + b"1" + closing * depth)
        reader = RdlaReader(SceneContext(), LIMITS, lambda line: None)
        fails(lambda: reader.run(program, "deep.rdla"), (opening, depth))  # noqa: B023


@pytest.mark.parametrize(
    "source",
    [
        b"while true do end",
        b"local function f() return f() end f()",
        b"for i = 1, math.huge do SphereGeometry('s' .. i) end",
        b"local s = 'x' while true do s = s .. s end",
        b"local t = {} while true do t[#t + 1] = {} end",
        b"Layer('l') { {SphereGeometry('g'), 'a', [1 << 62] = undef()} }",
        b"setmetatable(_G, nil)",
        b"error(setmetatable({}, {__tostring = function() while true do end end}))",
        b"UserData('u') { ['string_values'] = {('x'):rep(1 << 40)} }",
        b"table.concat(setmetatable({}, {__len = function() return 1 << 62 end, __index = function() return 'x' end}))",
    ],
)
def test_programs_that_would_not_end(source: bytes) -> None:
    with pytest.raises(SceneError):
        RdlaReader(SceneContext(), LIMITS, lambda line: None).run(source, "long.rdla")


@pytest.mark.parametrize("write", [rdla_writer.encode, rdlb.encode])
def test_text_that_has_no_bytes_cannot_be_written(write: Callable[[SceneContext], bytes]) -> None:
    context = SceneContext()
    context.create("RectLight", "light").set("label", "\ud800")
    with pytest.raises(SceneError) as caught:
        write(context)
    assert caught.value.object == "light"
