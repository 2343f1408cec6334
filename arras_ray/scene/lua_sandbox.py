"""A Lua 5.4 state in which scene programs run: closed off, bounded in memory and in instructions.

A program has the base functions, `math`, `string`, `table`, `utf8` and `os.getenv`; no io, require, load, debug,
coroutine, finalizers or `python`. Two things differ from plain Lua so that a scene is the same every time: `pairs`
goes in a fixed order and `math.random` starts from a fixed seed. The limits hold inside pcall too. What they do not
bound is the time of one call into C (a pattern that backtracks): a program from a stranger belongs in a process of its
own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arras_ray.errors import SceneError

CHECK_EVERY = 100_000
"""VM instructions between two looks at the limit (and at Ctrl-C)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the programs of one scene may use together. instructions: of the Lua VM; memory: bytes."""

    instructions: int = 2_000_000_000
    memory: int = 8 << 30


def print_to_stderr(line: str) -> None:
    """Where a scene's `print` goes: standard output may carry events."""
    print(line, file=sys.stderr)


class LuaSandbox:
    """One closed Lua state. Text goes in and out as bytes."""

    def __init__(self, limits: Limits, print_line: Callable[[str], None] = print_to_stderr) -> None:
        # here and not at the top: reading a scene is what needs Lua, not importing the package
        import lupa.lua54

        self.limits = limits
        self._lupa = lupa.lua54
        self._runtime = lupa.lua54.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_deny,
            max_memory=limits.memory,
        )
        self._run, *self._tools = self._library(
            "sandbox.lua",
            _tick,
            lambda line: print_line(_readable(line)),
            limits.instructions,
            min(CHECK_EVERY, limits.instructions),
        )

    def _library(self, name: str, *args: Any) -> Any:
        """Run one of this package's own Lua files with arguments, outside the limits; gives what it returns."""
        source = Path(__file__).with_name(name).read_bytes()
        return self._runtime.execute(source, *args, name=b"=" + name.encode(), mode=b"t")

    def add_words(self, functions: dict[str, Callable[..., Any]]) -> None:
        """Give programs the words of RDLA; what they do to a scene is done by these functions, which must not raise."""
        table = self._runtime.table_from({key.encode(): function for key, function in functions.items()})
        values = self._library("rdla_values.lua", self._tools[1])
        self._library("rdla.lua", *self._tools, values, table)

    def list_of(self, items: list[Any]) -> Any:
        """A Lua table of these items."""
        return self._runtime.table_from(items, recursive=True)

    def run(self, source: bytes, chunk: int, file: str) -> None:
        """Run a scene program as chunk number `chunk`. Raises SceneError with file and line."""
        try:
            status, message, failed_chunk, line, unset = self._status(source, chunk)
        except self._lupa.LuaMemoryError:
            raise self._out_of_memory(file) from None
        if status == "done":
            return
        if status == "interrupted":
            raise KeyboardInterrupt
        # a function of an earlier file may have been called; its chunk number then differs
        place: dict[str, Any] = {"chunk": failed_chunk or chunk, "line": line or None}
        if status == "limit":
            raise SceneError(
                f"the scene program did not end within {self.limits.instructions:,} Lua instructions",
                hint="look for an endless loop at this line or around it",
                **place,
            )
        if "not enough memory" in message and not line:
            raise self._out_of_memory(file)
        if match := re.match(r"#(\d+):(\d+): ", message):
            message = message[match.end() :]
            place = {"chunk": int(match[1]), "line": int(match[2])}
        if status == "syntax":
            raise SceneError(f"Lua syntax error: {message}", hint="RDLA scenes are Lua 5.4 programs", **place)
        hint = ""
        if unset and "nil value" in message:
            hint = f"these environment variables were asked for and are not set: {unset}"
        raise SceneError(message, hint=hint, **place)

    def _status(self, source: bytes, chunk: int) -> tuple[str, str, int, int, str]:
        status, message, failed_chunk, line, unset = self._run(source, chunk)
        return status.decode(), _readable(message), failed_chunk, line, _readable(unset)

    def _out_of_memory(self, file: str) -> SceneError:
        return SceneError(
            f"the scene program needs more than {self.limits.memory / (1 << 20):,.0f} MB of memory",
            hint="look for a table or string that grows without end",
            file=file,
        )


def _readable(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _tick() -> None:
    """Called while a program runs: lets Python raise KeyboardInterrupt."""


def _deny(_obj: object, _name: object, _is_setting: bool) -> Any:
    raise AttributeError("not available")
