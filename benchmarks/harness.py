"""What all benchmarks share: the machine's facts, the commit, a result as JSON, a scene rendered in this process."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
COMMAND = str(Path(sys.executable).with_name("arras-ray"))
CORNELL_BOX = ROOT / "scenes" / "cornell_box.rdla"
CHUNK = 256
"""Units rendered between two additions to the film, as many as a lease may have."""


def machine_facts() -> dict[str, Any]:
    """Processor, cores, system, versions, commit."""
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
    }


def report(name: str, figures: Mapping[str, Any]) -> None:
    """Print a benchmark's figures as one JSON line on stdout."""
    print(json.dumps({"benchmark": name, **figures, "machine": machine_facts()}), flush=True)


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


class Picture:
    """A scene ready to be rendered here, whole, without Ray.

    variables: scene variables to set first. size: edge in pixels. Calling it gives the picture, (size, size, 3) f8,
    and the seconds from the first unit to the resolved film.
    """

    def __init__(self, scene: Path, size: int, threads: int, variables: Mapping[str, Any] | None = None) -> None:
        from arras_ray.scene import read_scene

        self._context = read_scene([scene])
        for name, value in (variables or {}).items():
            self._context.variables.set(name, value)
        self._size = size
        self._threads = threads

    def __call__(self, spp: int, seed: int = 0) -> tuple[np.ndarray, float]:
        from arras_ray.engine import from_context
        from arras_ray.film import Film
        from arras_ray.unit_plan import UnitPlan

        options = {"width": self._size, "height": self._size, "spp": spp, "seed": seed}
        engine = from_context(self._context, options, self._threads)
        plan = UnitPlan(self._size, self._size, spp)
        film = Film(self._size, self._size)
        began = time.perf_counter()
        for first in range(0, plan.n_units, CHUNK):
            units = plan.units(np.arange(first, min(first + CHUNK, plan.n_units)))
            done, sums, *_ = engine.render(units, np.zeros(1, "u4"))
            film.accept(done, sums)
        picture = film.image()[..., :3].astype("f8")
        seconds = time.perf_counter() - began
        engine.close()
        return picture, seconds


def alternate(runs: int, *competitors: Callable[[], float]) -> list[list[float]]:
    """Each competitor's seconds, measured in turn A B A B ... so that a machine that drifts drifts for all."""
    times: list[list[float]] = [[] for _ in competitors]
    for _ in range(runs):
        for competitor, kept in zip(competitors, times, strict=True):
            kept.append(competitor())
    return times


def same_pixels(a: Path, b: Path) -> bool:
    """Whether two EXR files hold the same float32 pixels, bit for bit."""
    from arras_ray.image import read_exr

    return bool((read_exr(a)[0].view("u4") == read_exr(b)[0].view("u4")).all())
