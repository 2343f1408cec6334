"""The engine, which also writes down each lease it begins: what an mcrt of a benchmark renders with.

Each process has a file of its own in the folder $LEASE_LOG; a line is a moment of the monotonic clock and the numbers
of the lease's units.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arras_ray import engine as engine_room
from arras_ray.messages import RDLMessage

VARIABLE = "LEASE_LOG"

warm = engine_room.warm


class LoggedEngine:
    """An engine whose calls of `render` are written down, but for the first, in which an mcrt warms up."""

    def __init__(self, engine: engine_room.Engine) -> None:
        self.width, self.height, self.spp = engine.width, engine.height, engine.spp
        self.warnings = engine.warnings
        self._engine = engine
        self._warm = False
        self._log = open(Path(os.environ[VARIABLE], str(os.getpid())), "w", buffering=1)  # noqa: SIM115

    def render(self, units: np.ndarray, cancel: np.ndarray) -> Any:
        if not self._warm:
            self._warm = True
            return self._engine.render(units, cancel)
        self._log.write(f"{time.monotonic()} {' '.join(map(str, units['id'].tolist()))}\n")
        return self._engine.render(units, cancel)


def load(message: RDLMessage, threads: int) -> LoggedEngine:
    return LoggedEngine(engine_room.load(message, threads))


@dataclass(frozen=True)
class LoggedLease:
    """A lease that began to render in process `pid` at a moment of the monotonic clock."""

    pid: int
    began: float
    units: frozenset[int]


def leases(folder: Path) -> list[LoggedLease]:
    """All that was begun so far, in the order of time."""
    found: list[LoggedLease] = []
    for path in folder.iterdir():
        for line in path.read_text().splitlines(keepends=True):
            if not line.endswith("\n"):
                continue  # it is being written
            moment, *units = line.split()
            found.append(LoggedLease(int(path.name), float(moment), frozenset(map(int, units))))
    return sorted(found, key=lambda lease: lease.began)
