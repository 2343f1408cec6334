"""Which values become what."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arras_ray.scene.values import TYPES, ConversionError, Packed, Rgb, Rgba, Vec2, Vec3, Vec4, convert, lerp, same

MATRIX = np.arange(16.0).reshape(4, 4)


@pytest.mark.parametrize(
    ("type_name", "value", "stored"),
    [
        ("bool", True, True),
        ("int", 7, 7),
        ("int", -2.9, -2),
        ("int", "12", 12),
        ("int", "0x10", 16),
        ("int", " -3.7e1 ", -37),
        ("long", 1 << 40, 1 << 40),
        ("float", 1, 1.0),
        ("float", "2.5", 2.5),
        ("double", 0.1, 0.1),
        ("float", 1e39, math.inf),
        ("string", "x", "x"),
        ("string", 3, "3"),
        ("string", 3.0, "3.0"),
        ("string", 0.25, "0.25"),
        ("Rgb", Rgb(1, 2, 3), Rgb(1.0, 2.0, 3.0)),
        ("Rgba", Rgba(1, 2, 3, 4), Rgba(1.0, 2.0, 3.0, 4.0)),
        ("Vec2f", Vec2(1, 2), Vec2(1.0, 2.0)),
        ("Vec3d", Vec3(0.1, 2, 3), Vec3(0.1, 2.0, 3.0)),
        ("Vec4f", (1, 2, 3, 4), Vec4(1.0, 2.0, 3.0, 4.0)),
        ("stringVector", ["a", 1], ("a", "1")),
        ("stringVector", Packed("number", np.array([1, 2])), ("1", "2")),
    ],
)
def test_scalar_values(type_name: str, value: object, stored: object) -> None:
    result = convert(value, TYPES[type_name])
    assert result == stored
    assert type(result) is type(stored)


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("bool", 1),
        ("bool", "true"),
        ("int", True),
        ("int", "1_000"),
        ("int", "nan"),
        ("int", math.nan),
        ("int", 1 << 31),
        ("int", -(1 << 31) - 1),
        ("long", 1 << 63),
        ("float", "abc"),
        ("float", Rgb(1, 1, 1)),
        ("string", True),
        ("string", None),
        ("Rgb", Vec3(1, 2, 3)),
        ("Vec3f", Rgb(1, 2, 3)),
        ("Vec3f", (1, 2)),
        ("Vec3f", 1.0),
        ("Mat4d", Vec4(1, 2, 3, 4)),
        ("Mat4d", [1, 2, 3]),
        ("Mat4d", "identity"),
        ("floatVector", 1.0),
        ("floatVector", Vec3(1, 2, 3)),
        ("stringVector", "abc"),
        ("stringVector", [None]),
        ("RgbVector", Packed("Vec3", np.zeros((2, 3)))),
        ("boolVector", Packed("number", np.zeros(2))),
        ("floatVector", Packed("boolean", np.zeros(2, bool))),
        ("intVector", Packed("number", np.array([1.0, math.inf]))),
        ("intVector", Packed("number", np.array([0, 1 << 31]))),
        ("Vec3fVector", np.zeros((4, 2))),
        ("floatVector", np.array(["a"])),
    ],
)
def test_values_that_do_not_fit(type_name: str, value: object) -> None:
    with pytest.raises(ConversionError):
        convert(value, TYPES[type_name])


@pytest.mark.parametrize(
    ("type_name", "value", "dtype", "shape"),
    [
        ("boolVector", [True, False], "bool", (2,)),
        ("intVector", [1, 2.9, "3"], "int32", (3,)),
        ("longVector", [1 << 40], "int64", (1,)),
        ("floatVector", Packed("number", np.array([1.0, 2.0])), "float32", (2,)),
        ("doubleVector", [1, "2"], "float64", (2,)),
        ("RgbVector", [Rgb(1, 2, 3)], "float32", (1, 3)),
        ("RgbaVector", [Rgba(1, 2, 3, 4)], "float32", (1, 4)),
        ("Vec2fVector", [Vec2(1, 2), Vec2(3, 4)], "float32", (2, 2)),
        ("Vec3fVector", np.zeros((5, 3)), "float32", (5, 3)),
        ("Vec4dVector", [(1, 2, 3, 4)], "float64", (1, 4)),
        ("Mat4fVector", [MATRIX, MATRIX], "float32", (2, 4, 4)),
        ("Mat4d", list(range(16)), "float64", (4, 4)),
        ("Mat4f", MATRIX, "float64", (4, 4)),
        ("Vec3fVector", [], "float32", (0, 3)),
        ("Mat4dVector", (), "float64", (0, 4, 4)),
    ],
)
def test_arrays_are_typed_and_read_only(type_name: str, value: object, dtype: str, shape: tuple[int, ...]) -> None:
    array = convert(value, TYPES[type_name])
    assert array.dtype == dtype
    assert array.shape == shape
    assert not array.flags.writeable


def test_an_array_is_copied() -> None:
    mine = np.zeros((2, 3), np.float32)
    stored = convert(mine, TYPES["Vec3fVector"])
    mine[0, 0] = 5
    assert stored[0, 0] == 0


def test_a_bad_element_is_named() -> None:
    with pytest.raises(ConversionError, match=r"bad element #2 in table: expected a number, got a string"):
        convert([1, "x"], TYPES["intVector"])


def test_an_enum_takes_labels_and_any_number() -> None:
    labels = {"box": 0, "cubic b-spline": 1}
    assert convert("cubic b-spline", TYPES["int"], labels) == 1
    assert convert(77, TYPES["int"], labels) == 77
    with pytest.raises(ConversionError, match="'Box' is none of the labels 'box', 'cubic b-spline'"):
        convert("Box", TYPES["int"], labels)
    with pytest.raises(ConversionError):
        convert("1", TYPES["int"], labels)


@given(st.floats(width=64))
def test_a_float_is_rounded_to_32_bits(value: float) -> None:
    with np.errstate(over="ignore"):
        assert same(convert(value, TYPES["float"]), float(np.float32(value)))


def test_same_tells_bits_apart() -> None:
    assert same(math.nan, math.nan)
    assert not same(0.0, -0.0)
    assert not same(1, 1.0)
    assert not same(np.zeros(3, np.float32), np.zeros(3))
    assert not same(np.zeros(3), (0.0, 0.0, 0.0))


def test_lerp() -> None:
    assert lerp(1.0, 3.0, 0.5) == 2.0
    assert lerp(Vec2(0, 0), Vec2(2, 4), 0.25) == Vec2(0.5, 1.0)
    assert lerp("a", "b", 0.9) == "a"
    assert lerp("a", "b", 1.0) == "b"
    assert lerp(1.0, 3.0, 2.0) == 5.0
    np.testing.assert_array_equal(lerp(np.zeros((4, 4)), MATRIX, 0.5), MATRIX / 2)


@pytest.mark.parametrize(
    ("type_name", "value", "stored"),
    [
        ("double", "9" * 400, math.inf),
        ("float", "-" + "9" * 4400, -math.inf),
        ("float", 10**400, math.inf),
        ("floatVector", [-(10**400)], [-math.inf]),
        ("long", "9223372036854775807", (1 << 63) - 1),
        ("long", "-9223372036854775808", -(1 << 63)),
        ("int", "0xffffffffffffffff", -1),
        ("double", "0x" + "f" * 5000, -1.0),
    ],
)
def test_numbers_too_long_for_64_bits_are_read_as_lua_reads_them(type_name: str, value: object, stored: object) -> None:
    converted = convert(value, TYPES[type_name])
    assert (converted.tolist() if isinstance(converted, np.ndarray) else converted) == stored


@pytest.mark.parametrize(
    "value",
    ["9" * 400, 10**5000, "9223372036854775808", "\u0661", "1_0", "0x"],
    ids=["text", "int", "just too large", "other digits", "underscore", "no digits"],
)
def test_numbers_that_no_integer_holds(value: object) -> None:
    with pytest.raises(ConversionError):
        convert(value, TYPES["long"])


def test_any_nan_is_the_same() -> None:
    quiet, other = (np.frombuffer(struct.pack("<QQ", 1 << 62, bits), "f8") for bits in (0x7FF8 << 48, 0xFFF9 << 48))
    assert same(quiet, other)
    assert not same(quiet, other[::-1])
    assert not same(np.array([0.0, math.nan]), np.array([-0.0, math.nan]))
