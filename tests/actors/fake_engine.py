"""An engine with the real one's interface and no renderer: each sample is a hash of pixel, sample number and channel.

The payload is JSON: width, height, spp; and for faults: "stages": a folder of files that make moments visible and
hold them (see `Stage`), from unit "hold_from" on, and for ever with "hangs"; "error": a message to fail with while
loading; "pause": seconds a unit takes at least; "bad": units that raise, in the process that came to the stage first
if there is one, else in all; "crash": units that end their process.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from arras_ray.errors import SceneError
from arras_ray.messages import N_CHANNELS, TILE, RDLMessage, tile_grid


def scene(width: int = 200, height: int = 150, spp: int = 40, sync_id: int = 1, **settings: Any) -> RDLMessage:
    """A scene of this engine."""
    payload = json.dumps({"width": width, "height": height, "spp": spp, **settings})
    return RDLMessage(sync_id, payload.encode())


class Stage:
    """A moment in one mcrt, held until a test lets it go: a gate in a folder that both sides know."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def hold(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        """In the engine: the first process to come here says so and waits for the test, or until it is cancelled."""
        try:
            fd = os.open(self.folder / "taken", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return
        os.close(fd)
        (self.folder / "half").write_text(str(os.getpid()))
        os.rename(self.folder / "half", self.folder / "reached")
        while not (self.folder / "open").exists() and not cancelled():
            time.sleep(0.002)

    def is_first(self) -> bool:
        """In the engine: whether this process is the one that came here first."""
        with suppress(FileExistsError):
            os.close(os.open(self.folder / f"first-{os.getpid()}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            with suppress(FileExistsError):
                os.link(self.folder / f"first-{os.getpid()}", self.folder / "first")
        return os.path.samefile(self.folder / f"first-{os.getpid()}", self.folder / "first")

    def reached(self, timeout: float = 30.0) -> int:
        """In the test: wait until a process is there; returns its id."""
        deadline = time.monotonic() + timeout
        while not (self.folder / "reached").exists():
            assert time.monotonic() < deadline, "no mcrt came to the gate"
            time.sleep(0.005)
        return int((self.folder / "reached").read_text())

    def open(self) -> None:
        """In the test: let it go on."""
        (self.folder / "open").touch()


class FakeEngine:
    def __init__(self, settings: dict[str, Any], threads: int) -> None:
        self.width: int = settings["width"]
        self.height: int = settings["height"]
        self.spp: int = settings["spp"]
        self.threads = threads
        self.warnings = tuple(settings.get("warnings", ()))
        self._stage = Stage(settings["stages"]) if "stages" in settings else None
        self._hold_from: int = settings.get("hold_from", 0)
        self._pause: float = settings.get("pause", 0.0)
        self._hangs: bool = settings.get("hangs", False)
        self._bad = set(settings.get("bad", ()))
        self._crash = set(settings.get("crash", ()))

    def render(self, units: np.ndarray, cancel: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int, None]:
        sums = np.zeros((len(units), TILE * TILE, N_CHANNELS))
        samples = 0
        for i, unit in enumerate(units):
            if self._stage is not None and unit["id"] >= self._hold_from:
                if not self._bad:
                    self._stage.hold(lambda: bool(cancel[0]) and not self._hangs)
                elif unit["id"] in self._bad and self._stage.is_first():
                    raise RuntimeError(f"unit {unit['id']} cannot be rendered here")
            elif unit["id"] in self._bad:
                raise RuntimeError(f"unit {unit['id']} cannot be rendered")
            if unit["id"] in self._crash:
                signal.raise_signal(signal.SIGSEGV)
            if self._pause:
                time.sleep(self._pause)
            if cancel[0]:
                return units[:i].copy(), sums[:i], samples, 0, None
            sums[i] = self._unit(unit)
            samples += int(sums[i, :, -1].sum())
        return units, sums, samples, 0, None

    def _unit(self, unit: np.ndarray) -> np.ndarray:
        across = tile_grid(self.width, self.height)[0]
        pixel = np.arange(TILE * TILE)
        x = int(unit["tile"]) % across * TILE + pixel % TILE
        y = int(unit["tile"]) // across * TILE + pixel // TILE
        sample = np.arange(int(unit["begin"]), int(unit["end"]))
        seed = x[:, None, None] * 73856093 ^ y[:, None, None] * 19349663 ^ sample[None, :, None] * 83492791
        values = ((seed * 2654435761 + np.arange(4) * 40503) >> 5 & 0xFFFFFF) * 2.0**-24
        inside = (x < self.width) & (y < self.height)
        sums = np.zeros((TILE * TILE, N_CHANNELS))
        sums[inside, :4] = values[inside].sum(axis=1)
        sums[inside, 4] = len(sample)
        return sums


def load(message: RDLMessage, threads: int) -> FakeEngine:
    settings = json.loads(message.payload)
    if "error" in settings:
        raise SceneError(settings["error"], file="fake.rdla", line=7)
    return FakeEngine(settings, threads)
