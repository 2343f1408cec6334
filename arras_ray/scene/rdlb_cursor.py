"""Reads the bytes of RDLB: integers, strings, and values of every attribute type."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from arras_ray.errors import SceneError
from arras_ray.scene.values import ValueType, frozen
from arras_ray.scene.varints import MOST_BYTES, signed_array


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

    def digest(self) -> str:
        """Of the bytes not read yet."""
        return hashlib.sha256(self._data[self.offset : self.end]).hexdigest()

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
        if self.offset >= self.end:
            raise self.fail("a byte expected, none left")
        self.offset += 1
        return self._data[self.offset - 1]

    def unsigned(self) -> int:
        """A non-negative integer of up to 64 bits."""
        value = shift = 0
        while (byte := self.byte()) > 0x7F and shift < 7 * MOST_BYTES:
            value |= (byte & 0x7F) << shift
            shift += 7
        value |= byte << shift
        if shift >= 7 * MOST_BYTES or value >= 1 << 64:
            raise self.fail("an integer is longer than 64 bits")
        return value

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
            return self._signed_array(count, value_type)
        if value_type.dtype is not None:
            return self._array(count, value_type)
        least = 1 if value_type.family == "string" else 2
        if count * least > self.left:
            raise self.fail(f"{count} elements expected, {self.left} bytes left")
        element: Callable[[], Any] = self.text if value_type.family == "string" else self.reference
        return [element() for _ in range(count)]

    def _array(self, count: int, value_type: ValueType) -> np.ndarray:
        """A view of the bytes, but for bools, of which any byte but zero is a true one."""
        dtype = np.dtype("u1") if value_type.family == "bool" else value_type.dtype
        assert dtype is not None
        components = math.prod(value_type.shape)
        array = np.frombuffer(self.take(count * components * dtype.itemsize), dtype)
        return frozen(array != 0) if value_type.family == "bool" else array.reshape(count, *value_type.shape)

    def _signed_array(self, count: int, value_type: ValueType) -> np.ndarray:
        assert value_type.dtype is not None
        if count > self.left:
            raise self.fail(f"{count} integers expected, {self.left} bytes left")
        try:
            values, used = signed_array(self._data[self.offset : self.end], count, value_type.dtype)
        except ValueError as error:
            raise self.fail(str(error)) from None
        self.offset += used
        return frozen(values)

    def _decode(self, data: memoryview) -> str:
        return str(data, "utf-8", "surrogateescape")
