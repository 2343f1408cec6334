"""The process that reads a scene for apart.py: it closes itself in, reads, answers and ends."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import struct
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

# Lua is loaded before this process may start nothing more
import lupa.lua54  # noqa: F401

from arras_ray.errors import SceneError
from arras_ray.scene.apart import FAILED, HEADER, PRINTED, READ, SCENE, error_fields
from arras_ray.scene.context import SceneContext
from arras_ray.scene.files import Source, load, read_sources
from arras_ray.scene.lua_sandbox import Limits


def main() -> None:
    """Read a request from standard input and answer on standard output."""
    answers = sys.stdout.buffer
    requests = sys.stdin.buffer
    (length,) = struct.unpack("<Q", requests.read(8))
    request = json.loads(requests.read(length))
    os.environ.clear()
    os.environ.update(request["environment"])
    threading.Thread(target=_end_with_parent, args=(requests, started := threading.Event()), daemon=True).start()
    _close_in(request["memory"], request["seconds"])
    try:
        context = _read(request, requests, started, answers)
        read = {"files": context.files, "warnings": [_warning(warning) for warning in context.warnings]}
        _answer(answers, READ, json.dumps(read).encode())
        _answer(answers, SCENE, context.to_bytes())
    except SceneError as error:
        _answer(answers, FAILED, json.dumps(error_fields(error)).encode())
    except MemoryError:
        problem = SceneError(
            f"the scene needs more than {request['memory'] / (1 << 20):,.0f} MB of memory",
            hint="look for a table or string that grows without end, or allow more memory",
            file=request["sources"][0]["name"],
        )
        _answer(answers, FAILED, json.dumps(error_fields(problem)).encode())
    # no thread is waited for
    os._exit(0)


def _read(request: dict[str, Any], requests: BinaryIO, started: threading.Event, answers: BinaryIO) -> SceneContext:
    sources = []
    for source in request["sources"]:
        name = source["name"]
        if "size" in source:
            sources.append(Source(name, load(Path(name), requests.read(source["size"]))))
        else:
            sources.append(Source(name, load(Path(name)), Path(name).parent))
    started.set()
    context = SceneContext()
    limits = Limits(request["instructions"], request["lua_memory"])
    read_sources(
        context,
        sources,
        request["strict"],
        request["variables"],
        limits,
        lambda line: _answer(answers, PRINTED, line.encode("utf-8", "replace")),
    )
    return context


def _warning(warning: Any) -> list[Any]:
    return [warning.message, warning.file, warning.line, warning.object, warning.attribute]


def _answer(answers: BinaryIO, kind: bytes, data: bytes) -> None:
    answers.write(HEADER.pack(kind, len(data)))
    answers.write(data)
    answers.flush()


def _end_with_parent(requests: BinaryIO, started: threading.Event) -> None:
    """End this process when its standard input ends, which is when the process that asked is gone."""
    started.wait()
    requests.read(1)
    os._exit(1)


def _close_in(memory: int, seconds: float) -> None:
    # ends the process whatever it is busy with, should the one that asked be gone
    signal.alarm(math.ceil(seconds) + 1)
    bounds = {
        resource.RLIMIT_CPU: math.ceil(seconds) + 1,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
    }
    if occupied := _address_space():
        bounds[resource.RLIMIT_AS] = occupied + memory
    for kind, bound in bounds.items():
        _, hard = resource.getrlimit(kind)
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (bound, bound))


def _address_space() -> int:
    """Bytes of address space this process has now; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 0
    return pages * resource.getpagesize()
