"""Cuts RDLA into strings, numbers, words and signs, for the reader of the tests: written from the format alone."""

from __future__ import annotations

import re
from typing import Any

from plain_scene import Wrong

_BLANK = re.compile(r"(?:[ \t\r\n\f\v]|--\[\[.*?\]\]|--(?!\[=*\[)[^\n]*)+", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(
    r"(0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![A-Za-z0-9_.])"
)  # fmt: skip
_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34, "'": 39, "\n": 10}
_HUGE, _WRAP = float("inf"), 1 << 64


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


class Scanner:
    """Words, numbers, strings and signs of a text, one at a time. The text has one character for each byte."""

    def __init__(self, source: bytes) -> None:
        self._source = source.decode("latin-1")
        self._at = 0
        self.kind, self.payload = "", None  # type: tuple[str, Any]
        self.next()

    def wrong(self, problem: str) -> Wrong:
        line = self._source.count("\n", 0, self._at) + 1
        return Wrong(f"line {line}: {problem}; found {self.kind} {self.payload!r}")

    def next(self) -> Any:
        """Step over the present token, whose payload is returned."""
        passed = self.payload
        if blank := _BLANK.match(self._source, self._at):
            self._at = blank.end()
        if self._at == len(self._source):
            self.kind, self.payload = "end", None
        elif name := _NAME.match(self._source, self._at):
            self.kind, self.payload, self._at = "name", name[0], name.end()
        elif number := _NUMBER.match(self._source, self._at):
            self.kind, self.payload, self._at = "number", _number(number[0]), number.end()
        elif self._source[self._at] in "\"'":
            self.kind, self.payload = "string", self._string(self._source[self._at])
        elif self._source[self._at] in "(){}[]=,;-/.":
            self.kind, self.payload = "sign", self._source[self._at]
            self._at += 1
        else:
            raise self.wrong(f"unexpected {self._source[self._at]!r}")
        return passed

    def is_sign(self, sign: str) -> bool:
        return self.kind == "sign" and self.payload == sign

    def take(self, sign: str) -> bool:
        """Step over a sign if it stands here."""
        found = self.is_sign(sign)
        if found:
            self.next()
        return found

    def expect(self, kind: str, sign: str | None = None) -> Any:
        """Step over a token that has to be here."""
        if self.kind != kind or (sign is not None and self.payload != sign):
            raise self.wrong(f"expected {sign or kind}")
        return self.next()

    def _string(self, quote: str) -> str:
        out = bytearray()
        self._at += 1
        while True:
            char = self._source[self._at : self._at + 1]
            self._at += 1
            if char in ("", "\n", "\r"):
                raise self.wrong("a string that does not end in its line")
            if char == quote:
                return _text(bytes(out))
            if char == "\\":
                self._escape(out)
            else:
                out.append(ord(char))

    def _escape(self, out: bytearray) -> None:
        rest = self._source[self._at : self._at + 16]
        if match := re.match(r"[0-9]{1,3}", rest):
            if int(match[0]) > 255:
                raise self.wrong("an escape beyond 255")
            out.append(int(match[0]))
        elif match := re.match(r"x([0-9a-fA-F]{2})", rest):
            out.append(int(match[1], 16))
        elif match := re.match(r"u\{([0-9a-fA-F]{1,6})\}", rest):
            out += chr(int(match[1], 16)).encode()
        elif match := re.match(r"z[ \t\r\n\f\v]*", rest):
            pass
        elif (match := re.match(r"(?s).", rest)) and match[0] in _ESCAPES:
            out.append(_ESCAPES[match[0]])
        else:
            raise self.wrong("an escape that Lua does not know")
        self._at += match.end()


def _number(text: str) -> int | float:
    """A numeral: decimal integers that do not fit into 64 bits are floats, hexadecimal ones wrap."""
    if text[:2] in ("0x", "0X"):
        return wrapped(int(text, 16))
    if text.isdigit() and int(text) < 1 << 63:
        return int(text)
    return float(text)


def wrapped(value: int) -> int:
    value %= _WRAP
    return value - _WRAP if value >= _WRAP // 2 else value


def quotient(a: float, b: float) -> float:
    if float(b) != 0.0:
        return float(a) / float(b)
    if float(a) == 0.0 or a != a:
        return float("nan")
    return _HUGE if (a > 0) == (str(float(b))[0] != "-") else -_HUGE
