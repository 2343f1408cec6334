"""What packing.lua makes of lists, read back."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any


def to_text(data: bytes) -> str:
    """Text of Lua; bytes that are no UTF-8 survive."""
    return data.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """The bytes that `to_text` made a text of."""
    return text.encode("utf-8", "surrogateescape")


_FIXED = {b"integer": struct.Struct("<q"), b"number": struct.Struct("<d"), b"boolean": struct.Struct("<?")}
_FIXED[b"object"] = _FIXED[b"integer"]


def items(payload: bytes) -> Iterator[tuple[bytes, Any]]:
    """Kinds and payloads of a mixed list, as packing.lua wrote them."""
    offset = 0
    while offset < len(payload):
        start = offset + 1
        offset = start + payload[offset]
        kind = payload[start:offset]
        if fixed := _FIXED.get(kind):
            (value,) = fixed.unpack_from(payload, offset)
            offset += fixed.size
        else:
            (length,) = struct.unpack_from("<I", payload, offset)
            value = payload[offset + 4 : offset + 4 + length]
            offset += 4 + length
        yield (b"number" if kind == b"integer" else kind), value


def texts(payload: bytes) -> list[str]:
    """The strings of Lua's `string.pack` format s4."""
    found, offset = [], 0
    while offset < len(payload):
        (length,) = struct.unpack_from("<I", payload, offset)
        found.append(to_text(payload[offset + 4 : offset + 4 + length]))
        offset += 4 + length
    return found
