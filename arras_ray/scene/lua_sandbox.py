"""A Lua 5.4 state in which scene programs run: closed off, bounded in memory and in instructions.

A program has the base functions, `math`, `string`, `table`, `utf8`, `os.getenv` and a `dofile` for what its owner lets
it open; no io, require, load, debug, coroutine, finalizers or `python`. Two things differ from plain Lua so that a
scene is the same every time: `pairs` goes in a fixed order and `math.random` starts from a fixed seed. The limits hold
inside pcall too, and library functions that can work long are charged for it. What is not bounded is time: copying a
string of a gigabyte is one instruction. A program from a stranger belongs in a process of its own (apart.py).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from arras_ray.errors import SceneError

CHECK_EVERY = 100_000
"""VM instructions between two looks at the limit (and at Ctrl-C)."""


ROOM = 1 << 16
"""Bytes of Lua's memory that have to be free when Python hands something over, besides its own size."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the programs of one scene may use together.

    instructions: of the Lua VM; memory: bytes in Lua, and again as many that become part of the scene.
    """

    instructions: int = 2_000_000_000
    memory: int = 8 << 30


def print_to_stderr(line: str) -> None:
    """Where a scene's `print` goes: standard output may carry events."""
    print(line, file=sys.stderr)


class LuaSandbox:
    """One closed Lua state. Text goes in and out as bytes.

    open_file(path): the source and chunk number of a file for `dofile`, or None and what is wrong. list_text(number):
    text, chunk and line of a list that number_lists.py took out.
    """

    def __init__(
        self,
        limits: Limits,
        print_line: Callable[[str], None],
        open_file: Callable[[bytes], tuple[bytes | None, int | bytes]],
        list_text: Callable[[int], tuple[bytes, int, int]],
    ) -> None:
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
        self._raised: BaseException | None = None
        self._kept: Any = None
        settle, *self._lists = self._library("number_lists.lua")(self._safe(list_text))
        self._run, self._check, self._guarded, *self._tools = self._library("sandbox.lua")(
            _tick,
            self._safe(lambda line: print_line(_readable(line))),
            self._safe(open_file),
            self._again,
            limits.instructions,
            min(CHECK_EVERY, limits.instructions),
            settle,
            self._library("patterns.lua"),
            self._library("c_functions.lua"),
        )
        self._tools.append(settle)

    def _library(self, name: str) -> Any:
        """One of this package's own Lua files as a function; what it does is outside the limits."""
        return self._runtime.compile(_library_source(name), name=b"=" + name.encode(), mode=b"t")

    def _safe(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, giving False where its results cannot go to Lua, or where it raised (see `_again`)."""

        def safe(*args: Any) -> Any:
            try:
                results = function(*args)
            except BaseException as error:
                self._raised = error
                return False
            if results is None or self._has_room(results):
                return results
            self._kept = results
            return False

        return safe

    def _again(self) -> Any:
        """0 and the results of the last function that gave False; 1 if there is no memory for them, 2 if it raised."""
        if self._raised is not None:
            return 2
        results, self._kept = self._kept, None
        if not self._has_room(results):
            return 1
        return (0, *results) if isinstance(results, tuple) else (0, results)

    def _has_room(self, results: Any) -> bool:
        """Whether Lua's memory can take these. Where it is short, lupa would jump out of Python's own functions."""
        if not isinstance(results, tuple):
            results = (results,)
        size = sum(len(result) for result in results if isinstance(result, bytes))
        return bool(self._runtime.get_memory_used() + size + ROOM < self.limits.memory)

    def add_words(self, functions: dict[str, Callable[..., Any]]) -> None:
        """Give programs the words of RDLA; what they do to a scene is done by these functions.

        What they raise ends the program and comes out of `run`.
        """
        table = self._runtime.table_from(
            {key.encode(): self._guarded(self._safe(function)) for key, function in functions.items()}
        )
        values = self._library("rdla_values.lua")(self._tools[1], self._tools[4])
        self._library("rdla.lua")(*self._tools, *self._lists, values, self._library("packing.lua"), table)

    def check(self, source: bytes) -> str:
        """What keeps a text from being a Lua program; empty if it is one."""
        problem = _readable(self._check(source) or b"")
        return re.sub(r"^#\d+:\d+: ", "", problem)

    def run(self, source: bytes, chunk: int, file: str) -> None:
        """Run a scene program as chunk number `chunk`. Raises SceneError with file and line."""
        if not self._has_room(source):
            self._runtime.gccollect()
        if not self._has_room(source):
            raise self.out_of_memory(file=file)
        self._raised = None
        try:
            status, message, failed_chunk, line, unset = self._status(source, chunk)
        except self._lupa.LuaMemoryError:
            raise self.out_of_memory(file=file) from None
        if status == "done":
            return
        if status == "interrupted":
            raise KeyboardInterrupt
        if status == "memory" or isinstance(self._raised, MemoryError):
            raise self.out_of_memory(file=file)
        if status == "raised" and self._raised is not None:
            raise self._raised
        # a function of an earlier file may have been called; its chunk number then differs
        place: dict[str, Any] = {"chunk": failed_chunk or chunk, "line": line or None}
        if status == "limit":
            raise SceneError(
                f"the scene program did not end within {self.limits.instructions:,} Lua instructions",
                hint="look for an endless loop at this line or around it",
                **place,
            )
        if "not enough memory" in message and not line:
            raise self.out_of_memory(file=file)
        message = _LIBRARY_PLACE.sub("", message)
        if match := re.match(r"#(\d+):(\d+): ", message):
            message = message[match.end() :]
            place = {"chunk": int(match[1]), "line": int(match[2])}
        if status == "syntax":
            message = f"Lua syntax error: {message}"
        hint = "RDLA scenes are Lua 5.4 programs" if message.startswith("Lua syntax error: ") else ""
        if unset and "nil value" in message:
            hint = f"these environment variables were asked for and are not set: {unset}"
        raise SceneError(message, hint=hint, **place)

    def _status(self, source: bytes, chunk: int) -> tuple[str, str, int, int, str]:
        status, message, failed_chunk, line, unset = self._run(source, chunk)
        return status.decode(), _readable(message), failed_chunk, line, _readable(unset)

    def out_of_memory(self, **place: Any) -> SceneError:
        """What is said where a program needs more memory than it may have."""
        return SceneError(
            f"the scene program needs more than {self.limits.memory / (1 << 20):,.0f} MB of memory",
            hint="look for a table or string that grows without end",
            **place,
        )


# what Lua puts before the message of an error in a function of this package's own Lua files
_LIBRARY_PLACE = re.compile(r"^\w+\.lua:\d+: ")


@cache
def _library_source(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


def _readable(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _tick() -> None:
    """Called while a program runs: lets Python raise KeyboardInterrupt."""


def _deny(_obj: object, _name: object, _is_setting: bool) -> Any:
    raise AttributeError("not available")
