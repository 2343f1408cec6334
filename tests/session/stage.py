"""Local sessions for tests: short ways to describe them, gates for their computations, and a look at what is left."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from arras_ray.session.computation_spec import ComputationSpec, Resources
from arras_ray.session.local_session import LocalSession, start_local
from arras_ray.session.message import CLIENT
from arras_ray.session.routing import EVERYTHING, Rule

PATIENCE = 60.0
"""Seconds that nothing in these tests should take."""

GIGABYTE = 1 << 30
MEGABYTE = 1 << 20


def spec(
    name: str,
    target: str = "Script",
    *,
    accepts: Iterable[str] | Mapping[str, Rule] = (CLIENT,),
    cores: tuple[float, float | None] = (1, 1),
    environment: Mapping[str, str] | None = None,
    folder: str = "",
    **block: Any,
) -> ComputationSpec:
    """A computation of small_computations, or of another module: "module:Class"."""
    rules = accepts if isinstance(accepts, Mapping) else dict.fromkeys(accepts, EVERYTHING)
    return ComputationSpec(
        name,
        "python",
        Resources(*cores, GIGABYTE),
        block=block,
        dso=f"python:{target}",
        target=target if ":" in target else f"small_computations:{target}",
        rules=rules,
        environment=environment or {},
        working_directory=folder,
    )


class Stage:
    """Starts sessions, and knows what there was before."""

    def __init__(self) -> None:
        self.sessions: list[LocalSession] = []
        self._before = traces()

    def __call__(
        self, *specs: ComputationSpec, client: Mapping[str, Rule] | None = None, **options: Any
    ) -> LocalSession:
        """Start a session; its client accepts everything, unless said otherwise."""
        rules = {one.name: EVERYTHING for one in specs} if client is None else client
        session = start_local(options.pop("name", "test"), specs, rules, **options)
        self.sessions.append(session)
        return session

    def clear(self) -> None:
        """End what was started; nothing of it is left."""
        while self.sessions:
            self.sessions.pop().shutdown()
        eventually(lambda: traces() <= self._before, lambda: f"left: {traces() - self._before}")


def traces() -> set[str]:
    """What a session might leave: processes, threads, open files, memory."""
    gc.collect()
    found = {f"process {child.pid}" for child in psutil.Process().children(recursive=True)}
    found |= {f"thread {thread.name}" for thread in threading.enumerate() if not thread.name.startswith("asyncio")}
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found.add(f"file {descriptor} {os.readlink(f'/proc/self/fd/{descriptor}')}")
        except FileNotFoundError:  # that of the list itself
            continue
    found |= {line for line in Path("/proc/self/maps").read_text().splitlines() if "arras-ray" in line}
    return found


class Gate:
    """Where a computation waits (`wait_at`) until it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        os.mkfifo(path)

    def open(self) -> None:
        """Wait until somebody is there, and let it through."""
        with open(self.path, "wb"):
            pass


def eventually(holds: Callable[[], bool], otherwise: Callable[[], str] = lambda: "it did not happen") -> None:
    """Return once something holds; fail if it never does."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.005)
