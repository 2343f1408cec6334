"""Integers of 7 bits a byte, low bits first, where a high bit says that more follow (LEB128); signed ones are zig-zag
coded before that: 0, -1, 1, -2 ... become 0, 1, 2, 3 ...

Arrays are coded block by block, so that what is computed stays in the processor's cache. All bytes of an integer are
computed at once, in a word that holds them; integers of a block that all take the same number of bytes, as they mostly
do in a mesh, are then rows of a table.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

MOST_BYTES = 10
"""Bytes a 64-bit integer takes at most."""

_BLOCK = 1 << 15
"""Integers coded at a time."""

_LONGEST_WORD = 8
"""Bytes; longer integers are coded byte by byte."""


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


def signed_blocks(values: np.ndarray) -> list[memoryview]:
    """`signed` of each element of an int32 or int64 array, in order; each stretch of bytes codes some of them."""
    return [_encoded(values[begin : begin + _BLOCK]).data for begin in range(0, len(values), _BLOCK)]


def signed_array(data: memoryview, count: int, dtype: np.dtype[Any]) -> tuple[np.ndarray, int]:
    """The `count` signed integers at the begin of `data`, and how many bytes they take.

    The array is of `dtype` (int32 or int64), or of int64 where one of them does not fit. Raises ValueError where the
    bytes end too early or an integer is longer than 64 bits.
    """
    source = np.frombuffer(data, np.uint8)
    values = np.empty(count, dtype)
    done = used = 0
    while done < count:
        if used == len(source):
            raise ValueError(f"{count} integers expected, {done} found")
        codes, length = _decoded(source[used:], min(count - done, _BLOCK))
        if codes.itemsize > values.itemsize and codes.max() >> (8 * values.itemsize):
            values = values.astype(np.int64)
        part = values[done : done + len(codes)].view(f"u{values.itemsize}")
        np.copyto(part, codes, casting="same_kind")
        sign = part & 1
        part >>= 1
        part ^= np.negative(sign, out=sign)
        done += len(codes)
        used += length
    return values, used


def _encoded(values: np.ndarray) -> np.ndarray:
    """(bytes,) u1."""
    size = values.itemsize
    codes = ((values << 1) ^ (values >> (8 * size - 1))).view(f"u{size}")
    shortest, longest = len(unsigned(int(codes.min()))), len(unsigned(int(codes.max())))
    if longest > _LONGEST_WORD:
        return _encoded_by_bytes(codes, longest)
    words = _spread(codes.astype(_word(longest)))
    if shortest == longest:
        words |= _each(0x80, longest - 1)
        table = np.empty((len(words), longest), np.uint8)
        for k in range(longest):
            table[:, k] = _bytes(words)[:, k]
        return table.reshape(-1)
    # the high bit of every byte that is not zero or comes before one that is not
    used = words.copy()
    for k in range(words.itemsize.bit_length() - 1):
        used |= used >> (8 << k)
    used += _each(0x7F, words.itemsize)
    used &= _each(0x80, words.itemsize)
    words |= used >> 8
    used |= 0x80  # a zero takes a byte too
    used >>= 7
    return _bytes(words).reshape(-1).take(np.flatnonzero(_bytes(used).view(np.bool_)))


def _encoded_by_bytes(codes: np.ndarray, longest: int) -> np.ndarray:
    """(bytes,) u1."""
    table = np.empty((len(codes), longest), np.uint8)
    used = np.ones(table.shape, np.bool_)
    for k in range(longest):
        more = codes > 0x7F
        table[:, k] = (codes & 0x7F) | (more.astype(np.uint8) << 7)
        used[:, k + 1 : k + 2] = more[:, None]
        codes = codes >> 7
    return table.reshape(-1).take(np.flatnonzero(used))


def _decoded(source: np.ndarray, count: int) -> tuple[np.ndarray, int]:
    """Up to `count` codes, at least one, and how many bytes they take."""
    length = int(np.argmax(source[:MOST_BYTES] < 0x80)) + 1
    rows = min(count, len(source) // length)
    if length <= _LONGEST_WORD:
        # a word that is longer than its integer has bytes of the next one
        words = _words(_padded(source[: rows * length]), length, length) & _each(0xFF, length)
        if ((words & _each(0x80, length)) == _each(0x80, length - 1)).all():
            words &= _each(0x7F, length)
            return _compact(words), rows * length
    return _decoded_mixed(source[: 3 * count + MOST_BYTES], count)


def _decoded_mixed(source: np.ndarray, count: int) -> tuple[np.ndarray, int]:
    """The same where integers take different numbers of bytes."""
    padded = _padded(source)
    # an integer begins at the first byte and after every byte without a high bit
    begins = np.flatnonzero(padded[: len(source) + 1] < 0x80)[: count + 1]
    lengths = np.diff(begins)
    longest = int(lengths.max(initial=0))
    if longest > MOST_BYTES or (not longest and len(source) >= MOST_BYTES):
        raise ValueError("an integer is longer than 64 bits")
    if not longest:
        raise ValueError("an integer is cut")
    words = _words(padded, min(longest, _LONGEST_WORD), 1).take(begins[:-1])
    # all up to the first byte without a high bit
    ending = ~words & _each(0x80, words.itemsize)
    words &= ending ^ (ending - 1)
    words &= _each(0x7F, words.itemsize)
    codes = _compact(words)
    for k in range(_LONGEST_WORD, longest):
        longer = np.flatnonzero(lengths > k)
        part = source[begins[longer] + k].astype(np.uint64) & 0x7F
        if k == MOST_BYTES - 1 and (part > 1).any():
            raise ValueError("an integer is longer than 64 bits")
        codes[longer] |= part << (7 * k)
    return codes, int(begins[-1])


def _padded(source: np.ndarray) -> np.ndarray:
    """The bytes with one zero before them, and after them zeros for a word."""
    padded = np.zeros(len(source) + 9, np.uint8)
    padded[1:-8] = source
    return padded


def _words(padded: np.ndarray, length: int, step: int) -> np.ndarray:
    """The words at every `step` bytes that hold at least `length` bytes."""
    return np.ndarray((len(padded) - 9) // step, _word(length), padded, 1, (step,))


def _spread(words: np.ndarray) -> np.ndarray:
    """Codes as words of 7 bits a byte, in place."""
    for shift, low, high in reversed(_steps(words.itemsize)):
        moved = words & high
        moved <<= shift
        words &= low
        words |= moved
    return words


def _compact(words: np.ndarray) -> np.ndarray:
    """What was spread, in place."""
    for shift, low, high in _steps(words.itemsize):
        moved = words >> shift
        moved &= high
        words &= low
        words |= moved
    return words


@cache
def _steps(size: int) -> tuple[tuple[int, int, int], ...]:
    """How groups of 7 bits in a word of so many bytes become groups of 14, 28, 56: what is beyond the lower half of
    each group (mask) moves down by some bits, next to it (mask afterwards)."""
    steps = []
    for k in range(size.bit_length() - 1):
        half = (1 << (7 << k)) - 1
        low = sum(half << begin for begin in range(0, 8 * size, 16 << k))
        steps.append((1 << k, low, low << (7 << k)))
    return tuple(steps)


def _each(byte: int, count: int) -> int:
    """A byte, so many times."""
    return int.from_bytes(bytes([byte]) * count)


def _word(length: int) -> np.dtype[Any]:
    """The unsigned integer that holds so many bytes, the first one lowest."""
    return np.dtype(f"<u{1 << (length - 1).bit_length()}")


def _bytes(words: np.ndarray) -> np.ndarray:
    """(n, bytes of a word) u1."""
    return words.view(np.uint8).reshape(len(words), words.itemsize)
