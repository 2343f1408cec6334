"""Values of every attribute type as the bytes of RDLB; `rdlb_cursor` reads them.

Integers are of 7 bits a byte, as `varints` says; everything else is packed little-endian.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from arras_ray.errors import SceneError
from arras_ray.scene.scene_object import SceneObject
from arras_ray.scene.values import ValueType
from arras_ray.scene.varints import signed, signed_blocks, unsigned

Piece = bytes | memoryview
"""Some bytes of a file. Those of an array are not copied."""


def text(value: str) -> bytes:
    """A string: its length in bytes, then its bytes. Raises SceneError where it has none."""
    data = _text_bytes(value)
    return unsigned(len(data)) + data


def reference(target: SceneObject | None) -> bytes:
    """An object by class and name, both lengths first; none is two empty strings."""
    if target is None:
        return b"\0\0"
    class_name, name = _text_bytes(target.scene_class.name), _text_bytes(target.name)
    return unsigned(len(class_name)) + unsigned(len(name)) + class_name + name


def value_pieces(value: Any, value_type: ValueType) -> list[Piece]:
    """A stored value (see `values`) of a type."""
    if value_type.vector:
        count = unsigned(len(value))
        if value_type.family == "int":
            return [count, *signed_blocks(value)]
        if value_type.dtype is not None:
            return [count, np.ascontiguousarray(value).reshape(-1).view(np.uint8).data]
        element: Callable[[Any], bytes] = text if value_type.family == "string" else reference
        return [count, *map(element, value)]
    if value_type.family == "int":
        return [signed(value)]
    if value_type.family == "string":
        return [text(value)]
    if value_type.family == "object":
        return [reference(value)]
    return [np.asarray(value, value_type.dtype).tobytes()]


def _text_bytes(value: str) -> bytes:
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise SceneError(
            f"a string that cannot be written: its character {error.start + 1} is half of a surrogate pair",
            hint="only strings that can be UTF-8, or come from bytes, are stored",
        ) from None
