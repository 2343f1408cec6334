"""The counting engine behind a gate: an mcrt that has come there shows its process id and waits until it is opened."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from counting_engine import CountingEngine

from arras_ray.messages import BadSample, RDLMessage

PATIENCE = 60.0


class Gate:
    """A gate in a folder that both sides know."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)

    @property
    def message(self) -> RDLMessage:
        """The scene of mcrts that come to this gate."""
        return RDLMessage(1, str(self.folder).encode())

    def hold(self, cancelled: Callable[[], bool]) -> None:
        """In an mcrt: wait here until it is open, or until its lease is cancelled."""
        (self.folder / str(os.getpid())).touch()
        while not (self.folder / "open").exists() and not cancelled():
            time.sleep(0.005)

    def wait_for(self, n: int) -> list[int]:
        """In a test: wait until so many mcrts are here; returns their process ids."""
        deadline = time.monotonic() + PATIENCE
        while len(here := [int(file.name) for file in self.folder.iterdir()]) < n:
            assert time.monotonic() < deadline, f"{len(here)} mcrts came to the gate, not {n}"
            time.sleep(0.01)
        return here

    def open(self) -> None:
        """In a test: let them all go on."""
        (self.folder / "open").touch()


class GatedEngine(CountingEngine):
    """Its first call, when an mcrt gets ready, does not come to the gate."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate = gate

    def render(
        self, units: np.ndarray, cancel: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, int, int, BadSample | None]:
        if self.calls:
            self.gate.hold(lambda: bool(cancel[0]))
        return super().render(units[: 0 if cancel[0] else len(units)], cancel)


def load(message: RDLMessage, threads: int) -> GatedEngine:
    return GatedEngine(Gate(message.payload.decode()))
