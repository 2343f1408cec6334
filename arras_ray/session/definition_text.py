"""The text of a session definition: JSON as Arras takes it, and where in it things are.

Beside strict JSON it takes // and /* */ comments, a comma after the last element, line breaks in strings, and a name
written twice, of which the last counts. What follows the root value is not looked at. Reading takes linear time and no
stack, whatever the text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from arras_ray.errors import DefinitionError

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 1000
"""Levels of braces and brackets, as in Arras."""

MAX_DIGITS = 4000
"""Of an integer: reading one takes quadratic time."""

_TOKEN = re.compile(
    r'(?P<string>"(?:[^"\\]++|\\.)*+")|(?P<open_string>".*+)'
    r"|(?P<comment>//[^\r\n]*+|/\*.*?\*/)|(?P<open_comment>/\*.*+)"
    r'|(?P<sign>[{}\[\]:,])|(?P<word>[^ \t\r\n{}\[\]:,"/]++|/)',
    re.DOTALL,
)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<fraction>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_WORDS = {"true": True, "false": False, "null": None}
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")

_VALUE, _ELEMENT, _NAME, _COLON, _NEXT = range(5)
"""What the text may go on with: a value; a value or `]`; a name or `}`; a colon; a comma, `}` or `]`."""

HINT = "Session definitions are JSON; // and /* */ comments and trailing commas are allowed."

Path = Sequence[str | int]
"""Names of fields and indexes in lists that lead from the root to a value."""


class Source:
    """The text of a definition. file: where it was read, for errors."""

    def __init__(self, text: str, file: str = "") -> None:
        self.text = text
        self.file = file

    def parse(self) -> Any:
        """The root value. Raise DefinitionError with the place of what is wrong."""
        if len(self.text) > MAX_CHARACTERS:
            raise DefinitionError(
                f"a session definition may have {MAX_CHARACTERS:,} characters at most", file=self.file or None
            )
        inside: list[tuple[Any, int]] = []
        name, awaited = "", _VALUE
        for at, token in self._tokens():
            container = inside[-1][0] if inside else None
            if awaited != _VALUE and awaited != _COLON and token == _end(container):
                inside.pop()
                if not inside:
                    return container
                awaited = _NEXT
            elif awaited == _NEXT:
                if token != ",":
                    self._refuse(at, token, f'a comma or "{_end(container)}"')
                awaited = _NAME if isinstance(container, dict) else _ELEMENT
            elif awaited == _NAME:
                if not token.startswith('"'):
                    self._refuse(at, token, 'a name in double quotes or "}"')
                name, awaited = self._string(at, token), _COLON
            elif awaited == _COLON:
                if token != ":":
                    self._refuse(at, token, "a colon")
                awaited = _VALUE
            else:
                value = {} if token == "{" else [] if token == "[" else self._scalar(at, token)
                if isinstance(container, dict):
                    container[name] = value
                elif isinstance(container, list):
                    container.append(value)
                if token in ("{", "["):
                    inside.append((value, at))
                    if len(inside) > MAX_DEPTH:
                        self.fail(f"nested deeper than {MAX_DEPTH} levels", at)
                    awaited = _NAME if token == "{" else _ELEMENT
                elif not inside:
                    return value
                else:
                    awaited = _NEXT
        return self._refuse_end(inside)

    def error(self, path: Path, message: str, hint: str = "") -> DefinitionError:
        """An error about a value. It points at the innermost part of its path that is written."""
        computation, field = None, path
        if len(path) > 1 and path[0] == "computations":
            computation, field = str(path[1]), path[2:]
        return self._error(
            message,
            self.offset_of(path),
            hint,
            computation=computation,
            field=".".join(map(str, field)) or None,
        )

    def fail(self, message: str, offset: int | None = None, hint: str = "") -> NoReturn:
        """Raise DefinitionError with the line and column of an offset."""
        raise self._error(message, offset, hint)

    def offset_of(self, path: Path) -> int | None:
        """Where the innermost part of a path that is written begins: its name, or its value in a list.

        None if not even the first is. Only for a text that `parse` has read.
        """
        found: list[int] = []
        """Of the first parts of the path, as far as they were met."""
        inside: list[str | int | None] = []
        """In each open brace and bracket: the name or index that is at hand, None in braces before the first."""
        here = 0
        """So many of them lead along the path."""
        before = (0, "")

        def meet(part: str | int, at: int) -> int:
            inside[-1] = part
            level = len(inside)
            if here < level - 1 or level > len(path) or path[level - 1] != part:
                return min(here, level - 1)
            found[level - 1 :] = [at]
            return level

        for at, token in self._tokens():
            index = inside[-1] if inside else None
            if isinstance(index, int) and token not in (",", "]") and before[1] in ("[", ","):
                here = meet(index + 1, at)
            if token == ":":
                here = meet(json.loads(before[1], strict=False), before[0])
            elif token in ("{", "["):
                inside.append(None if token == "{" else -1)
            elif token in ("}", "]"):
                inside.pop()
                here = min(here, len(inside))
            if not inside:
                break
            before = (at, token)
        return found[-1] if found else None

    def _tokens(self) -> Iterator[tuple[int, str]]:
        for match in _TOKEN.finditer(self.text):
            if match.lastgroup == "open_string":
                self.fail("this string is not closed", match.start())
            if match.lastgroup == "open_comment":
                self.fail("this comment is not closed", match.start())
            if match.lastgroup != "comment":
                yield match.start(), match[0]

    def _scalar(self, at: int, token: str) -> Any:
        if token.startswith('"'):
            return self._string(at, token)
        if token in _WORDS:
            return _WORDS[token]
        number = _NUMBER.fullmatch(token)
        if number is None:
            self._refuse(at, token, "a value")
        if len(token) > MAX_DIGITS:
            self.fail(f"not valid JSON: a number of {len(token):,} characters", at)
        if not number["fraction"]:
            return int(token)
        value = float(token)
        if math.isinf(value):
            self.fail(f"{token[:40]} is too large a number", at)
        return value

    def _string(self, at: int, token: str) -> str:
        if "\\" not in token:
            return token[1:-1]
        try:
            value: str = json.loads(token, strict=False)
        except json.JSONDecodeError as error:
            self.fail(f"not valid JSON: {error.msg}", at + error.pos, HINT)
        if _HALF_CHARACTER.search(value):
            self.fail("not valid JSON: half of a pair of \\u escapes", at, HINT)
        return value

    def _refuse(self, at: int, token: str, awaited: str) -> NoReturn:
        shown = token if len(token) <= 40 else f"{token[:40]}..."
        self.fail(f"not valid JSON: {awaited} should stand here, not {shown}", at, HINT)

    def _refuse_end(self, inside: Sequence[tuple[Any, int]]) -> NoReturn:
        end = len(self.text.rstrip())
        if not inside:
            self.fail("not valid JSON: there is nothing", end, HINT)
        container, at = inside[-1]
        line, column = self._line_and_column(at)
        opening = "{" if isinstance(container, dict) else "["
        self.fail(f'not valid JSON: the "{opening}" at line {line}, column {column} is not closed', end, HINT)

    def _error(self, message: str, offset: int | None, hint: str, **fields: str | None) -> DefinitionError:
        line, column = (None, None) if offset is None else self._line_and_column(offset)
        message = "".join(c if c.isprintable() else "?" for c in message)  # it may quote what a terminal would obey
        return DefinitionError(message, hint=hint, file=self.file or None, line=line, column=column, **fields)

    def _line_and_column(self, offset: int) -> tuple[int, int]:
        """Both counted from 1."""
        return self.text.count("\n", 0, offset) + 1, offset - self.text.rfind("\n", 0, offset)


def _end(container: Any) -> str:
    return "}" if isinstance(container, dict) else "]" if isinstance(container, list) else ""
