"""The bytes of RDLB: variable-length integers, strings, and values of every attribute type.

Integers are 7 bits a byte, low bits first, a high bit says that more follow (LEB128); signed ones are zig-zag coded
before that (0, -1, 1, -2 ... become 0, 1, 2, 3 ...). Everything else is packed little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from arras_ray.errors import SceneError
from arras_ray.scene.scene_object import SceneObject
from arras_ray.scene.values import ValueType

_MAX_VARINT = 10
"""Bytes a 64-bit integer takes at most."""


def unsigned(value: int) -> bytes:
    """A non-negative integer."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value: int) -> bytes:
    """A signed integer of up to 64 bits."""
    return unsigned(value << 1 if value >= 0 else ~(value << 1))


def text(value: str) -> bytes:
    """A string: its length in bytes, then its bytes."""
    data = value.encode("utf-8", "surrogateescape")
    return unsigned(len(data)) + data


def reference(target: SceneObject | None) -> bytes:
    """An object by class and name, both lengths first; none is two empty strings."""
    if target is None:
        return b"\0\0"
    class_name = target.scene_class.name.encode()
    name = target.name.encode("utf-8", "surrogateescape")
    return unsigned(len(class_name)) + unsigned(len(name)) + class_name + name


def value_bytes(value: Any, value_type: ValueType) -> bytes:
    """A stored value (see `values`) of a type."""
    if value_type.vector:
        if value_type.family == "int":
            return unsigned(len(value)) + _signed_array(value)
        if value_type.dtype is not None:
            array: np.ndarray = value
            return unsigned(len(array)) + array.tobytes()
        element: Callable[[Any], bytes] = text if value_type.family == "string" else reference
        return unsigned(len(value)) + b"".join(map(element, value))
    if value_type.family == "int":
        return signed(value)
    if value_type.family == "string":
        return text(value)
    if value_type.family == "object":
        return reference(value)
    return np.asarray(value, value_type.dtype).tobytes()


def _signed_array(values: np.ndarray) -> bytes:
    """`signed` of each element, one after the other."""
    wide = values.astype(np.int64)
    codes = (wide.view(np.uint64) << np.uint64(1)) ^ (wide >> np.int64(63)).view(np.uint64)
    lengths = np.ones(len(codes), np.int64)
    for k in range(1, _MAX_VARINT):
        lengths += codes >= np.uint64(1 << 7 * k)
    starts = np.cumsum(lengths) - lengths
    out = np.zeros(int(lengths.sum()), np.uint8)
    for k in range(int(lengths.max(initial=0))):
        has = lengths > k
        low = (codes[has] >> np.uint64(7 * k)) & np.uint64(0x7F)
        more = np.where(lengths[has] > k + 1, np.uint64(0x80), np.uint64(0))
        out[starts[has] + k] = low | more
    return out.tobytes()


class Cursor:
    """Reads a stretch of bytes from its begin. Everything raises SceneError where the bytes end or make no sense.

    No count is believed before that many elements can be in the bytes that are left.
    """

    def __init__(self, data: memoryview, begin: int, end: int) -> None:
        self._data = data
        self.offset = begin
        """Where the next byte is read, counted from the begin of the whole file."""
        self.end = end

    def fail(self, problem: str) -> SceneError:
        """An error that says where."""
        return SceneError(
            f"broken binary scene: {problem} at byte {self.offset}",
            hint="the data was cut short or changed on its way; write it again",
            offset=self.offset,
        )

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return self.end - self.offset

    def take(self, count: int) -> memoryview:
        """The next `count` bytes."""
        if count > self.left:
            raise self.fail(f"{count} bytes expected, {self.left} left")
        self.offset += count
        return self._data[self.offset - count : self.offset]

    def stretch(self, count: int) -> Cursor:
        """A cursor over the next `count` bytes, which this one steps over."""
        begin = self.offset
        self.take(count)
        return Cursor(self._data, begin, begin + count)

    def container(self) -> None:
        """Check the size that stands at the begin of a container: it must be all of this stretch."""
        size = self.left
        if size < 8:
            raise self.fail("a container is shorter than its own size field")
        (told,) = struct.unpack_from("<Q", self._data, self.offset)
        if told != size:
            raise self.fail(f"a container says {told} bytes and has {size}")
        self.offset += 8

    def byte(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def unsigned(self) -> int:
        """A non-negative integer of up to 64 bits."""
        value = 0
        for k in range(_MAX_VARINT):
            byte = self.byte()
            value |= (byte & 0x7F) << 7 * k
            if byte < 0x80:
                if value >= 1 << 64:
                    break
                return value
        raise self.fail("an integer is longer than 64 bits")

    def signed(self) -> int:
        """A signed integer of up to 64 bits."""
        code = self.unsigned()
        return code >> 1 ^ -(code & 1)

    def text(self) -> str:
        """A string."""
        return self._decode(self.take(self.unsigned()))

    def reference(self) -> tuple[str, str]:
        """Class and name of an object; both empty where there is none."""
        class_length, name_length = self.unsigned(), self.unsigned()
        return self._decode(self.take(class_length)), self._decode(self.take(name_length))

    def value(self, value_type: ValueType) -> Any:
        """A value of a type, fit to be set; objects as (class, name)."""
        if value_type.vector:
            return self._vector(value_type)
        if value_type.family == "int":
            return self.signed()
        if value_type.family == "string":
            return self.text()
        if value_type.family == "object":
            return self.reference()
        if value_type.family == "bool":
            return self.byte() != 0
        array = self._array(1, value_type)[0]
        return array if array.ndim else array.item()

    def _vector(self, value_type: ValueType) -> Any:
        count = self.unsigned()
        if value_type.family == "int":
            return self._signed_array(count)
        if value_type.dtype is not None:
            return self._array(count, value_type)
        least = 1 if value_type.family == "string" else 2
        if count * least > self.left:
            raise self.fail(f"{count} elements expected, {self.left} bytes left")
        element: Callable[[], Any] = self.text if value_type.family == "string" else self.reference
        return [element() for _ in range(count)]

    def _array(self, count: int, value_type: ValueType) -> np.ndarray:
        dtype = np.dtype("u1") if value_type.family == "bool" else value_type.dtype
        assert dtype is not None
        components = int(np.prod(value_type.shape, dtype=np.int64))
        array = np.frombuffer(self.take(count * components * dtype.itemsize), dtype)
        return array != 0 if value_type.family == "bool" else array.reshape(count, *value_type.shape)

    def _signed_array(self, count: int) -> np.ndarray:
        if count > self.left:
            raise self.fail(f"{count} integers expected, {self.left} bytes left")
        if count == 0:
            return np.empty(0, np.int64)
        window = np.frombuffer(self._data[self.offset : min(self.end, self.offset + count * _MAX_VARINT)], np.uint8)
        ends = np.flatnonzero(window < 0x80)[:count]
        if len(ends) < count:
            raise self.fail(f"{count} integers expected, {len(ends)} found")
        starts = np.concatenate(([0], ends[:-1] + 1))
        lengths = ends - starts + 1
        if lengths.max() > _MAX_VARINT:
            raise self.fail("an integer is longer than 64 bits")
        codes = np.zeros(count, np.uint64)
        for k in range(int(lengths.max())):
            has = lengths > k
            codes[has] |= (window[starts[has] + k] & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * k)
        self.offset += int(ends[-1]) + 1
        return (codes >> np.uint64(1)).view(np.int64) ^ -(codes & np.uint64(1)).view(np.int64)

    def _decode(self, data: memoryview) -> str:
        return bytes(data).decode("utf-8", "surrogateescape")
