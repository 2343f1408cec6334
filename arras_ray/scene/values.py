"""The value types of scene attributes: what they are, how they are stored, what may become what.

    type                          stored as
    bool, int, long               bool, int
    float, double                 float (a float is rounded to 32 bits)
    string                        str (bytes that are no UTF-8 survive as surrogates)
    Rgb, Rgba, Vec2 .. Vec4       named tuple of floats
    Mat4f, Mat4d                  (4, 4) float64, row vectors: p' = p * M, translation in row 3
    number vectors                (n,) bool, int32, int64, float32 or float64
    Rgb, Rgba, VecN vectors       (n, 2 .. 4) float32 or float64
    Mat4 vectors                  (n, 4, 4) float32 or float64
    stringVector                  tuple of str
    SceneObject and its vectors   the object or None; a tuple of them

Arrays are read-only. No range is checked: a value outside its useful range is the renderer's matter.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from arras_ray.errors import SceneError
from arras_ray.scene.lua_numbers import number_text, parse_number


class Rgb(NamedTuple):
    """A linear colour."""

    r: float
    g: float
    b: float


class Rgba(NamedTuple):
    """A linear colour with alpha."""

    r: float
    g: float
    b: float
    a: float


class Vec2(NamedTuple):
    """Two components."""

    x: float
    y: float


class Vec3(NamedTuple):
    """Three components."""

    x: float
    y: float
    z: float


class Vec4(NamedTuple):
    """Four components."""

    x: float
    y: float
    z: float
    w: float


TUPLES: dict[str, type[Any]] = {"Rgb": Rgb, "Rgba": Rgba, "Vec2": Vec2, "Vec3": Vec3, "Vec4": Vec4}


class ConversionError(SceneError):
    """A value that does not fit its attribute."""


class Packed(NamedTuple):
    """A list whose elements were all of one kind: `number`, `boolean`, `Rgb`, `Rgba`, `Vec2` .. `Vec4` or `Mat4`.

    data: (n,), (n, components) or (n, 4, 4).
    """

    kind: str
    data: np.ndarray


@dataclass(frozen=True, slots=True)
class ValueType:
    """One attribute type. code: its number in RDLB. family: bool, int, float, string, tuple, matrix or object.

    kind is what a value of it is called in RDLA (`Vec3` for Vec3f and Vec3d). dtype and shape are those of one
    element in an array; dtype is None for strings and objects.
    """

    name: str
    code: int
    family: str
    kind: str
    vector: bool
    dtype: np.dtype[Any] | None
    shape: tuple[int, ...]


def _build_types() -> dict[str, ValueType]:
    bases: list[tuple[str, str, str, str | None, tuple[int, ...]]] = [
        ("bool", "bool", "boolean", "?", ()),
        ("int", "int", "number", "<i4", ()),
        ("long", "int", "number", "<i8", ()),
        ("float", "float", "number", "<f4", ()),
        ("double", "float", "number", "<f8", ()),
        ("string", "string", "string", None, ()),
        ("Rgb", "tuple", "Rgb", "<f4", (3,)),
        ("Rgba", "tuple", "Rgba", "<f4", (4,)),
        ("Vec2f", "tuple", "Vec2", "<f4", (2,)),
        ("Vec2d", "tuple", "Vec2", "<f8", (2,)),
        ("Vec3f", "tuple", "Vec3", "<f4", (3,)),
        ("Vec3d", "tuple", "Vec3", "<f8", (3,)),
        ("Vec4f", "tuple", "Vec4", "<f4", (4,)),
        ("Vec4d", "tuple", "Vec4", "<f8", (4,)),
        ("Mat4f", "matrix", "Mat4", "<f4", (4, 4)),
        ("Mat4d", "matrix", "Mat4", "<f8", (4, 4)),
        ("SceneObject", "object", "object", None, ()),
    ]
    types = {}
    for index, (name, family, kind, dtype, shape) in enumerate(bases):
        for vector in (False, True):
            full = name + "Vector" if vector else name
            element = None if dtype is None else np.dtype(dtype)
            types[full] = ValueType(full, 2 * index + 1 + vector, family, kind, vector, element, shape)
    types["SceneObjectIndexable"] = ValueType("SceneObjectIndexable", 35, "object", "object", True, None, ())
    return types


TYPES = _build_types()
"""All 35 value types by their name."""

TYPES_BY_CODE = {value_type.code: value_type for value_type in TYPES.values()}


def convert(value: object, value_type: ValueType, labels: Mapping[str, int] | None = None) -> Any:
    """The stored form of `value` for an attribute of `value_type` that holds no objects; `labels` makes it an enum.

    Takes what a scene program can give (numbers, text, the tuples above, Packed) and what Python code would write
    (lists, arrays). Raises ConversionError.
    """
    if value_type.vector:
        if value_type.family == "string":
            return tuple(_each(value, _to_string))
        return _to_array(value, value_type)
    if value_type.family == "bool":
        return _to_bool(value)
    if value_type.family == "int":
        return _to_label(value, labels) if labels and isinstance(value, str) else _to_int(value, value_type)
    if value_type.family == "float":
        return round_float(_to_number(value), value_type)
    if value_type.family == "string":
        return _to_string(value)
    if value_type.family == "tuple":
        return _to_tuple(value, value_type)
    return _to_matrix(value, value_type)


def round_float(value: float, value_type: ValueType) -> float:
    """`value` as the type's precision holds it; infinite where it is too large for that."""
    try:
        return float(ctypes.c_float(value).value) if value_type.dtype == np.dtype("<f4") else float(value)
    except OverflowError:  # an int of hundreds of digits
        return math.inf if value > 0 else -math.inf


def kind_of(value: object) -> str:
    """What a value is called in a message."""
    if isinstance(value, tuple(TUPLES.values())):
        return type(value).__name__
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", type(None): "nothing"}
    if isinstance(value, np.ndarray):
        return "a Mat4" if value.shape == (4, 4) else "an array"
    if isinstance(value, list | tuple):
        return "a list"
    return names.get(type(value), "an object")


def same(a: object, b: object) -> bool:
    """Equal to the last bit, but that one NaN is as good as another; objects are equal by class and name."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return (
            isinstance(a, np.ndarray)
            and isinstance(b, np.ndarray)
            and a.dtype == b.dtype
            and a.shape == b.shape
            and (a is b or np.array_equal(_bytes_of(a), _bytes_of(b)) or _same_but_for_nan(a, b))
        )
    if isinstance(a, tuple) and isinstance(b, tuple):
        # in order of what is cheap to find out: sets grow by one object after the other
        return (
            len(a) == len(b)
            and type(a) is type(b)
            and all(x is y or repr(x) == repr(y) for x, y in zip(a, b, strict=True))
        )
    return a is b or repr(a) == repr(b)


def _same_but_for_nan(a: np.ndarray, b: np.ndarray) -> bool:
    """Text has no signs and payloads for what is no number, and processors differ in what they give it."""
    if a.dtype.kind != "f":
        return False
    missing = np.isnan(a)
    return np.array_equal(missing, np.isnan(b)) and np.array_equal(_bytes_of(a[~missing]), _bytes_of(b[~missing]))


def _bytes_of(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def lerp(begin: Any, end: Any, fraction: float) -> Any:
    """Linear blend of two stored values; what cannot be blended keeps `begin` until fraction 1."""
    if fraction == 0.0 or same(begin, end):
        return begin
    if fraction == 1.0:
        return end
    if isinstance(begin, float):
        return begin + (end - begin) * fraction
    if type(begin) in TUPLES.values():
        return type(begin)(*(x + (y - x) * fraction for x, y in zip(begin, end, strict=True)))
    if isinstance(begin, np.ndarray) and begin.shape == end.shape and begin.dtype.kind == "f":
        return frozen((begin + (end - begin) * fraction).astype(begin.dtype))
    return begin if fraction < 1.0 else end


def frozen(array: np.ndarray) -> np.ndarray:
    """The same array, read-only."""
    array.setflags(write=False)
    return array


def _refuse(value: object, wanted: str) -> ConversionError:
    return ConversionError(f"expected {wanted}, got {kind_of(value)}")


def _to_bool(value: object) -> bool:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise _refuse(value, "true or false")


def _to_number(value: object) -> int | float:
    if isinstance(value, bool):
        raise _refuse(value, "a number")
    if isinstance(value, int | float):
        return value
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating):
        return float(value)
    number = parse_number(value) if isinstance(value, str) else None
    if number is not None:
        return number
    raise _refuse(value, "a number")


def _to_int(value: object, value_type: ValueType) -> int:
    number = _to_number(value)
    if isinstance(number, float):
        if not math.isfinite(number):
            raise ConversionError(f"expected a whole number, got {number}")
        number = math.trunc(number)
    _check_range(number, number, value_type)
    return number


def _check_range(low: int, high: int, value_type: ValueType) -> None:
    assert value_type.dtype is not None
    bounds = np.iinfo(value_type.dtype)
    if low < bounds.min or high > bounds.max:
        outside = low if low < bounds.min else high
        if abs(outside) >= 1 << 64:
            raise ConversionError(f"the number does not fit in {bounds.bits} bits")
        raise ConversionError(f"{outside} does not fit in {bounds.bits} bits")


def _to_label(value: str, labels: Mapping[str, int]) -> int:
    if value in labels:
        return labels[value]
    raise ConversionError(f"'{value}' is none of the labels {', '.join(map(repr, labels))}")


def _to_string(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number_text(value)
    raise _refuse(value, "a string")


def _to_tuple(value: object, value_type: ValueType) -> Any:
    cls = TUPLES[value_type.kind]
    named = isinstance(value, tuple(TUPLES.values()))
    if named and not isinstance(value, cls):
        raise _refuse(value, value_type.kind)
    if isinstance(value, list | tuple | np.ndarray) and len(value) == value_type.shape[0]:
        return cls(*(round_float(_to_number(component), value_type) for component in value))
    raise _refuse(value, value_type.kind)


def _to_matrix(value: object, value_type: ValueType) -> np.ndarray:
    if isinstance(value, tuple(TUPLES.values())) or not isinstance(value, list | tuple | np.ndarray):
        raise _refuse(value, "Mat4")
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise _refuse(value, "Mat4") from None
    if matrix.size != 16:
        raise _refuse(value, "Mat4")
    assert value_type.dtype is not None
    return frozen(_narrow(matrix.reshape(4, 4), value_type.dtype).astype(np.float64))


def _to_array(value: object, value_type: ValueType) -> np.ndarray:
    assert value_type.dtype is not None
    if isinstance(value, Packed):
        if value.kind != value_type.kind:
            raise ConversionError(f"bad element #1 in table: expected {value_type.kind}, got {value.kind}")
        data = value.data
    elif isinstance(value, np.ndarray):
        data = value
    else:
        element = _ELEMENTS[value_type.family]
        data = np.array(_each(value, lambda item: element(item, value_type)))
    if data.size == 0:
        return frozen(np.empty((0, *value_type.shape), value_type.dtype))
    if data.shape[1:] != value_type.shape:
        raise ConversionError(
            f"expected an array of shape (n, {', '.join(map(str, value_type.shape))}), got {data.shape}"
        )
    if (data.dtype.kind == "b") != (value_type.family == "bool") or data.dtype.kind not in "biuf":
        raise ConversionError(f"expected elements of kind {value_type.kind}, got {data.dtype}")
    if value_type.family == "int" and data.dtype != value_type.dtype:
        data = _whole_numbers(data, value_type)
    narrow = _narrow(data, value_type.dtype)
    if narrow is data and (data.flags.writeable or not data.flags.owndata):
        # so that the caller's array can change without changing the scene
        narrow = np.array(data)
    return frozen(narrow)


def _whole_numbers(data: np.ndarray, value_type: ValueType) -> np.ndarray:
    """`data` without fractions, if all of it fits the type. Raises ConversionError that tells the first that does not,
    as it would tell it of a list.
    """
    if data.dtype.kind == "f":
        data = np.trunc(data)
    bounds = np.iinfo(value_type.dtype) if value_type.dtype is not None else np.iinfo("i8")
    low, high = data.min(), data.max()
    if not (low >= bounds.min and high < bounds.max + 1):  # false for NaN, too
        first = int(np.argmin((data >= bounds.min) & (data < bounds.max + 1)))
        try:
            _to_int(data[first], value_type)
        except ConversionError as error:
            raise ConversionError(f"bad element #{first + 1} in table: {error.message}") from None
    return data


def _narrow(data: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return data.astype(dtype, copy=False)


_ELEMENTS: dict[str, Any] = {
    "bool": lambda item, _: _to_bool(item),
    "int": _to_int,
    "float": lambda item, value_type: round_float(_to_number(item), value_type),
    "tuple": _to_tuple,
    "matrix": _to_matrix,
}


def _each(value: object, element: Any) -> list[Any]:
    """`element` of every item of a list; an error names the item, counted from 1 as Lua does."""
    if isinstance(value, Packed):
        value = value.data.tolist()
    if isinstance(value, tuple(TUPLES.values())) or not isinstance(value, Sequence) or isinstance(value, str):
        raise _refuse(value, "a list")
    items = []
    for index, item in enumerate(value, start=1):
        try:
            items.append(element(item))
        except ConversionError as error:
            raise ConversionError(f"bad element #{index} in table: {error.message}") from None
    return items
