"""Scenes from strangers: read in a process of their own, which has little memory, little time and nothing to take.

The Lua sandbox bounds instructions and its own memory; here the operating system bounds the rest. The process knows no
environment variables but those it is given, can start no other and write no file, and ends with the one that asked.
What comes back are bytes that are checked as any RDLB is. The child's side is apart_child.py.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from arras_ray.errors import SceneError
from arras_ray.scene import rdlb
from arras_ray.scene.context import SceneContext, SceneWarning
from arras_ray.scene.lua_sandbox import Limits, print_to_stderr

HEADER = struct.Struct("<cQ")
"""What stands before each part of what the child sends: its kind and its length."""

PRINTED, FAILED, READ, SCENE = b"p", b"f", b"r", b"s"
"""Kinds of parts: a printed line; a SceneError, as JSON; files and warnings, as JSON; the scene, as RDLB."""

_CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from arras_ray.scene.apart_child import main
main()
"""
_CHUNK = 1 << 16


def read_scene_apart(
    sources: Sequence[str | Path | tuple[str, bytes]],
    *,
    seconds: float = 60.0,
    memory: int = 4 << 30,
    strict: bool = False,
    variables: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    environment: Mapping[str, str] | None = None,
    print_line: Callable[[str], None] = print_to_stderr,
) -> SceneContext:
    """`read_scene` in a process of its own.

    sources: paths, or names (ending in .rdla or .rdlb) with the bytes that would be in such a file; a program of the
    latter has no folder and so no dofile. seconds: of real time, start and way back included. memory: bytes the process
    may take on top of what it needs to start; the scene has to come back in as many. environment: what the programs'
    os.getenv finds. Memory is not bounded where the system has no RLIMIT_AS. Raises SceneError.
    """
    if not sources:
        raise SceneError("no scene file was given")
    limits = limits or Limits()
    blobs = [source[1] for source in sources if isinstance(source, tuple)]
    request = {
        "sources": [
            {"name": source[0], "size": len(source[1])} if isinstance(source, tuple) else {"name": str(source)}
            for source in sources
        ],
        "strict": strict,
        "variables": dict(variables or {}),
        "instructions": limits.instructions,
        "lua_memory": min(limits.memory, memory),
        "memory": memory,
        "seconds": seconds,
        "environment": dict(environment or {}),
    }
    text = json.dumps(request).encode()
    first = sources[0]
    file = str(first[0] if isinstance(first, tuple) else first)
    conversation = _Conversation(file, seconds, memory, print_line)
    with _child() as child:
        conversation.hold(child, [struct.pack("<Q", len(text)), text, *blobs])
    return conversation.result()


@contextmanager
def _child() -> Iterator[subprocess.Popen[bytes]]:
    """A child that has begun; it is dead when the block is left."""
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", _CHILD, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    try:
        yield child
    finally:
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        child.wait()


class _Conversation:
    """What goes to one child and comes back, up to its end or a deadline."""

    def __init__(self, file: str, seconds: float, memory: int, print_line: Callable[[str], None]) -> None:
        self._file = file
        self._seconds = seconds
        self._memory = memory
        self._print_line = print_line
        self._deadline = time.monotonic() + seconds
        self._parts: dict[bytes, bytes] = {}
        self._came = bytearray()

    def hold(self, child: subprocess.Popen[bytes], pieces: list[bytes]) -> None:
        """Send all pieces and take what comes until the child ends. Raises SceneError."""
        assert child.stdin is not None
        assert child.stdout is not None
        views = [memoryview(piece) for piece in reversed(pieces) if piece]
        to_child, from_child = child.stdin.fileno(), child.stdout.fileno()
        os.set_blocking(to_child, False)
        with selectors.DefaultSelector() as selector:
            selector.register(from_child, selectors.EVENT_READ)
            selector.register(to_child, selectors.EVENT_WRITE)
            while SCENE not in self._parts and FAILED not in self._parts:
                left = self._deadline - time.monotonic()
                ready = {key.fd for key, _ in selector.select(max(left, 0.0))}
                if left <= 0:
                    raise self._too_slow()
                if to_child in ready and not self._send(to_child, views):
                    # the pipe stays open: the child takes its end for the end of this process
                    selector.unregister(to_child)
                if from_child in ready:
                    data = os.read(from_child, 16 * _CHUNK)
                    if not data:
                        raise self._ended(child)
                    self._take(data)

    def result(self) -> SceneContext:
        """The scene that came, committed. Raises the SceneError that came."""
        if FAILED in self._parts:
            failed = json.loads(self._parts[FAILED])
            raise SceneError(failed["message"], hint=failed["hint"], **failed["fields"])
        read = json.loads(self._parts[READ])
        context = rdlb.decode(self._parts[SCENE], file=self._file)
        context.warnings[:] = [SceneWarning(*fields) for fields in read["warnings"]]
        context.files[:] = read["files"]
        context.commit()
        return context

    def _send(self, pipe: int, views: list[memoryview]) -> bool:
        """Send some; False when there is no more to send."""
        if views:
            view = views.pop()
            try:
                sent = os.write(pipe, view[:_CHUNK])
            except BlockingIOError:
                sent = 0
            except BrokenPipeError:
                views.clear()
                return False
            if sent < len(view):
                views.append(view[sent:])
        return bool(views)

    def _take(self, data: bytes) -> None:
        self._came += data
        while len(self._came) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._came)
            if length > self._memory:
                raise SceneError(f"the scene is larger than {self._megabytes()}", file=self._file)
            end = HEADER.size + length
            if len(self._came) < end:
                return
            part = bytes(memoryview(self._came)[HEADER.size : end])
            del self._came[:end]
            if kind == PRINTED:
                self._print_line(part.decode("utf-8", "replace"))
            else:
                self._parts[kind] = part

    def _megabytes(self) -> str:
        return f"{self._memory / (1 << 20):,.0f} MB"

    def _too_slow(self) -> SceneError:
        return SceneError(
            f"the scene was not read within {self._seconds:g} s",
            hint="look for an endless loop, or allow more seconds",
            file=self._file,
        )

    def _ended(self, child: subprocess.Popen[bytes]) -> SceneError:
        """What is said when the child ended without a word."""
        code = child.wait()
        if -code in (signal.SIGXCPU, signal.SIGALRM):
            return self._too_slow()
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return SceneError(
            f"the process that read the scene ended {how}",
            hint=f"it may have needed more than the {self._megabytes()} of memory it was allowed",
            file=self._file,
        )


def error_fields(error: SceneError) -> dict[str, Any]:
    """What of an error goes over the pipe."""
    fields = {name: value for name, value in error.fields.items() if isinstance(value, str | int)}
    return {"message": error.message, "hint": error.hint, "fields": fields}
