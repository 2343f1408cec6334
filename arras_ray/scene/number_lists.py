"""Long lists of numbers in the text of a scene program, read without Lua.

A generated mesh is a program of one statement and millions of numbers. Lists of only decimal numbers, or of only one of
Rgb, Rgba, Vec2 .. Vec4 and Mat4 with decimal numbers, are taken out of the program before Lua sees it; a word stands
for each. number_lists.lua says what that word is. Whatever is not surely such a list stays as it is.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from arras_ray.scene.values import TUPLES

SHORTEST = 4096
"""Bytes between the braces from which on a list is taken out."""

PIECE = 1 << 20
"""Bytes of text that are read at once: it bounds the memory for what lies between text and numbers."""

WORD = b"__number_list"

SIZES = {name: len(cls._fields) for name, cls in TUPLES.items()} | {"Mat4": 16}
"""Components of one element, by kind."""


class NumberList(NamedTuple):
    """kind: `integer`, `number` or a key of SIZES. data: (n,) int32, int64 or float64, or (n, components) float64.

    text: what stands between the braces. line: where it begins, from 1.
    """

    kind: str
    data: np.ndarray
    text: memoryview
    line: int

    def numbers(self) -> list[int | float]:
        """The numbers one by one, whole ones as int: what a string or a long is made of."""
        texts = (text.strip() for text in bytes(self.text).split(b","))
        return [_number(text) for text in texts if text]


def take_out(source: bytes, first: int) -> tuple[bytes, list[NumberList]]:
    """The program with words in place of its long lists, and these lists; the first one gets the number `first`."""
    lists: list[NumberList] = []
    if len(source) < SHORTEST:
        return source, lists
    parts: list[bytes] = []
    done, line, counted = 0, 1, 0
    for start, end in _candidates(source):
        line += source.count(b"\n", counted, start)
        counted = start
        if not lists and (WORD in source or b"_ENV" in source):
            # the word would mean something else
            break
        found = _read(source, start, end, line)
        if found is None:
            continue
        number = b"%d" % (first + len(lists))
        lists.append(found)
        # an operator, because what follows could be taken for an argument of a call; all lines stay where they are
        if found.kind not in SIZES:
            parts += [source[done : start - 1], b" ", _line_breaks(source, start, end), WORD, b"^", number, b" "]
        else:
            # the constructor goes along, from where it stood: the program may have given it another meaning
            name = found.kind.encode()
            at = source.index(name, start)
            parts += [source[done : start - 1], b" ", _line_breaks(source, start, at), WORD]
            parts += [b"^{", name, b",", number, b',"', name, b'"', _line_breaks(source, at, end), b"}"]
        done = end + 1
    if not lists:
        return source, lists
    return b"".join((*parts, source[done:])), lists


_ASSIGNED = re.compile(rb"=[ \t\r\n]*\{")
_OPENER = re.compile(rb"--|[\"']|\[=*\[")
_LONG_BRACKET = re.compile(rb"\[(=*)\[")
_SPACE = re.compile(rb"[ \t\r\n\f\v]*")
_STRINGS = {
    quote: re.compile(rb"%s[^%s\\\r\n]*+(?:\\(?:\r\n|\n\r|z[ \t\r\n\f\v]*|.)[^%s\\\r\n]*+)*+%s" % ((quote,) * 4), re.S)
    for quote in (b'"', b"'")
}


def _candidates(source: bytes) -> Iterator[tuple[int, int]]:
    """Begin and end of what stands between braces, in code, after an equals sign, long, with no other brace in it."""
    code = 0
    end = -1
    for match in _ASSIGNED.finditer(source):
        start = match.end()
        if end < start:
            end = source.find(b"}", start)
            if end < 0:
                return
        if end - start < SHORTEST or source.find(b"{", start, end) >= 0:
            continue
        while opener := _OPENER.search(source, code, start):
            code = _token_end(source, opener.start())
            if code > start:
                break
        if code > match.start():
            # the brace, or the equals sign, is in a string or comment
            continue
        code = start
        after = _code_after(source, end + 1)
        if source[after : after + 1] != b"^":
            yield start, end


def _token_end(source: bytes, start: int) -> int:
    """Where the string or comment that begins at `start` ends; the end of the program where it does not."""
    if source.startswith(b"--", start):
        bracket = _LONG_BRACKET.match(source, start + 2)
        if bracket is None:
            end = source.find(b"\n", start)
            return len(source) if end < 0 else end
    elif string := _STRINGS.get(source[start : start + 1]):
        closed = string.match(source, start)
        return len(source) if closed is None else closed.end()
    else:
        bracket = _LONG_BRACKET.match(source, start)
    assert bracket is not None
    closing = b"]" + bracket[1] + b"]"
    end = source.find(closing, bracket.end())
    return len(source) if end < 0 else end + len(closing)


def _code_after(source: bytes, start: int) -> int:
    """Where the first thing after `start` is that is neither space nor comment."""
    while True:
        space = _SPACE.match(source, start)
        start = space.end() if space else start
        if not source.startswith(b"--", start):
            return start
        start = _token_end(source, start)


def _line_breaks(source: bytes, start: int, end: int) -> bytes:
    """As many line breaks as Lua counts in a stretch of text: one of two characters is one."""
    if source.find(b"\r", start, end) < 0:
        return b"\n" * source.count(b"\n", start, end)
    return b"\n" * len(re.findall(rb"\r\n|\n\r|\r|\n", source[start:end]))


_KIND = re.compile(rb"[ \t\r\n]*([A-Z][a-z0-9]+)\(")
_NUMBER_LETTERS = b"0123456789.eE+- \t\r\n"
_NO_PARENTHESES = bytes.maketrans(b"()", b"  ")
# -0 is the integer 0, where it is no float as -0.0 is
_NEGATIVE_ZERO = re.compile(rb"(?<![eE])-(0+)(?=[ \t\r\n,]|$)")


def _read(source: bytes, start: int, end: int, line: int) -> NumberList | None:
    head = _KIND.match(source, start, end)
    kind = head[1].decode() if head else "number"
    if head and kind not in SIZES:
        return None
    arrays = []
    for text in _pieces(source, start, end, b")" if head else b","):
        array = _values(text, kind) if head else _numbers(text)
        if array is None:
            return None
        arrays.append(array)
    if not arrays:
        return None
    if not head and all(array.dtype.kind == "i" for array in arrays):
        kind = "integer"
    if len({array.dtype for array in arrays}) > 1:
        widest = np.int64 if kind == "integer" else np.float64
        arrays = [array.astype(widest) for array in arrays]
    data = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return NumberList(kind, data, memoryview(source)[start:end], line)


def _pieces(source: bytes, start: int, end: int, closer: bytes) -> Iterator[bytes]:
    """The list's text in pieces of whole elements, without the comma behind the last one of each."""
    while start < end:
        cut = end
        if end - start > PIECE:
            last = source.rfind(closer, start, start + PIECE)
            cut = end if last < 0 else source.find(b",", last, end) + 1 or end
        text = source[start:cut].strip(b" \t\r\n")
        start = cut
        if text:
            yield text[:-1].rstrip(b" \t\r\n") if text.endswith(b",") else text


def _values(text: bytes, kind: str) -> np.ndarray | None:
    """(n, components) of a text like `Vec3(1, 2, 3), Vec3(4, 5, 6)`; None where it is anything else."""
    size = SIZES[kind]
    name = kind.encode() + b"("
    count = text.count(name)
    text = text.replace(name, b"(")
    skeleton = b"(" + b"," * (size - 1) + b"),"
    if text.translate(None, _NUMBER_LETTERS) != (skeleton * count)[:-1]:
        return None
    data = _floats(text.translate(_NO_PARENTHESES), count * size)
    if data is None:
        return None
    if kind in ("Rgb", "Rgba"):
        with np.errstate(over="ignore", under="ignore"):
            data = data.astype(np.float32).astype(np.float64)
    return data.reshape(count, size)


def _numbers(text: bytes) -> np.ndarray | None:
    if text.translate(None, _NUMBER_LETTERS + b","):
        return None
    count = text.count(b",") + 1
    if b"." in text or b"e" in text or b"E" in text:
        return _floats(text, count)
    data = _parse(text, np.dtype(np.int64), count)
    if data is None:
        return None
    low, high = int(data.min()), int(data.max())
    if low == -(1 << 63) or high == (1 << 63) - 1:
        # too long for an integer, and so a float to Lua
        return None
    return data.astype(np.int32) if low >= -(1 << 31) and high < 1 << 31 else data


def _floats(text: bytes, count: int) -> np.ndarray | None:
    data = _parse(text, np.dtype(np.float64), count)
    if data is not None and np.signbit(data[data == 0]).any():
        return _parse(_NEGATIVE_ZERO.sub(rb" \1", text), np.dtype(np.float64), count)
    return data


def _parse(text: bytes, dtype: np.dtype[Any], count: int) -> np.ndarray | None:
    if text.count(b"+") != text.count(b"e+") + text.count(b"E+"):
        return None
    # numpy takes a place without a number, or with a sign alone, for one
    places = b",%s," % text.translate(None, b" \t\r\n")
    if b",," in places or b"-," in places:
        return None
    with warnings.catch_warnings():
        # text that does not fit is an error to some releases of numpy and a warning to others
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            data = np.fromstring(text, dtype, sep=" ,")
        except ValueError:
            return None
    return data if data.size == count else None


def _number(text: bytes) -> int | float:
    if text.lstrip(b"-").isdigit():
        number = int(text)
        if -(1 << 63) < number < 1 << 63:
            return number
    return float(text)
