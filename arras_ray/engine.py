"""One process that renders leases: a scene's arrays, its BVH and a pool of threads. No Ray, no network."""

from __future__ import annotations

import fcntl
import gc
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from arras_ray.errors import SceneError
from arras_ray.flatten import FlatScene, Flattener, Scope
from arras_ray.kernels import accumulate
from arras_ray.kernels.config import DISABLE_JIT, cache_folder, numba
from arras_ray.kernels.embree import RayRecord
from arras_ray.kernels.layout import (
    EVENT_BSDF,
    EVENT_EMISSION,
    EVENT_HIT,
    EVENT_LIGHT,
    EVENT_LIGHT_SAMPLE,
    EVENT_MISS,
    EVENT_ROULETTE,
    PATH_VERTEX,
)
from arras_ray.kernels.parcels import LOG_LINES, Parcel
from arras_ray.kernels.story import NO_LOG
from arras_ray.messages import BLOCK, FULL_MASK, N_CHANNELS, TILE, UNIT, BadSample, RDLMessage, tile_grid
from arras_ray.scene import SceneContext, rdlb

STRIPES = TILE // BLOCK
"""A unit is cut into so many rows of blocks when several threads share it."""

EVENTS = {
    EVENT_HIT: "hit",
    EVENT_MISS: "miss",
    EVENT_LIGHT: "light met",
    EVENT_LIGHT_SAMPLE: "light sample",
    EVENT_EMISSION: "emission",
    EVENT_BSDF: "scatter",
    EVENT_ROULETTE: "roulette",
}

LOBES = ("diffuse", "glossy", "mirror")


class Engine:
    """Renders units of one scene on `threads` threads.

    All methods are for one thread at a time, except that anyone may write the cancel word of a render under way.
    """

    def __init__(self, flattener: Flattener, threads: int = 1) -> None:
        self._flattener = flattener
        self._threads = max(1, threads)
        self._parcel = Parcel(flattener.flat.scene, self._threads)
        self._rays = [RayRecord() for _ in range(self._threads)]
        self._pool = ThreadPoolExecutor(self._threads, "kernel") if self._threads > 1 else None

    @property
    def flat(self) -> FlatScene:
        """The scene as kernels see it."""
        return self._flattener.flat

    @property
    def width(self) -> int:
        """Of the picture, pixels."""
        return int(self.flat.scene.settings[0]["width"])

    @property
    def height(self) -> int:
        """Of the picture, pixels."""
        return int(self.flat.scene.settings[0]["height"])

    @property
    def spp(self) -> int:
        """Samples a pixel in all."""
        return self.flat.spp

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was drawn differently than the scene asks."""
        return self.flat.warnings

    def edit(self, messages: Sequence[RDLMessage]) -> None:
        """Change the scene by deltas, one or more, and make anew what they touch. The options of the last hold.

        An empty payload changes nothing but them.

        Raises SceneError; what was rendered before can be rendered still, and the next edit makes up for it.
        """
        broken: SceneError | None = None
        for message in messages:
            try:
                if message.payload:
                    rdlb.decode(message.payload, self._flattener.context)
            except SceneError as error:  # those after it hold nevertheless, as if they had come by themselves
                broken = broken or error
        if broken is not None:
            raise broken
        if self._flattener.again(messages[-1].options) is Scope.GEOMETRY:
            parcel = Parcel(self.flat.scene, self._threads)
            self._parcel.close()
            self._parcel = parcel
        else:
            self._parcel.show(self.flat.scene)

    def render(
        self, units: np.ndarray, cancel: np.ndarray, stride: int = 1
    ) -> tuple[np.ndarray, np.ndarray, int, int, BadSample | None]:
        """Render units: (done units, their sums (n, TILE * TILE, N_CHANNELS) f8, samples, bad samples, first bad).

        units: (n,) UNIT. cancel: (1,) uint32; once it is not 0, the call returns within a block's time with the units
        that were finished. stride: 2, 4 or 8 to render of so many by so many pixels the middle one only. Bad samples,
        NaN or infinite, are left out of sums and counts.
        """
        sums = np.zeros((len(units), TILE * TILE, N_CHANNELS))
        tasks = self._tasks(units)
        reports = np.zeros((len(tasks), accumulate.REPORT_WORDS), "i8")
        finished = np.zeros(len(tasks), bool)
        # list.pop is atomic: each thread takes the next task when it is free, so none waits for a slow one.
        waiting = list(range(len(tasks) - 1, -1, -1))

        def work(ray: RayRecord) -> None:
            while waiting:
                try:
                    i = waiting.pop()
                except IndexError:
                    return
                index, mask = tasks[i]
                unit = units[index]
                finished[i] = accumulate.render_unit(
                    self._parcel.record,
                    ray.address,
                    NO_LOG,
                    np.int64(accumulate.ALL_PIXELS),
                    np.int64(unit["tile"]),
                    np.int64(unit["begin"]),
                    np.int64(unit["end"]),
                    np.uint64(mask),
                    np.int64(stride),
                    cancel,
                    sums[index],
                    reports[i],
                )

        if self._pool is None:
            work(self._rays[0])
        else:
            for done in [self._pool.submit(work, ray) for ray in self._rays]:
                done.result()

        complete = np.ones(len(units), bool)
        for (index, _), whole in zip(tasks, finished, strict=True):
            complete[index] &= bool(whole)
        if not complete.all():
            kept = [i for i, (index, _) in enumerate(tasks) if complete[index]]
            units, sums, reports = units[complete], sums[complete], reports[kept]
        samples = int(reports[:, accumulate.REPORT_SAMPLES].sum())
        bad = int(reports[:, accumulate.REPORT_BAD].sum())
        return units, sums, samples, bad, self._first_bad(reports)

    def preview(self, tiles: np.ndarray, stride: int, cancel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first sample of the middle pixel of each stride x stride pixels of some tiles.

        tiles: (n,) integers. stride: 2, 4 or 8. cancel: as in `render`. Returns the tiles that were finished and their
        pixels, (n, TILE / stride, TILE / stride, 4) f4 R G B A, 0 outside the picture and where a sample was left out.
        """
        units = np.zeros(len(tiles), UNIT)
        units["id"], units["tile"], units["end"], units["mask"] = np.arange(len(tiles)), tiles, 1, FULL_MASK
        units, sums, *_ = self.render(units, cancel, stride)
        whole = sums.reshape(len(units), TILE, TILE, N_CHANNELS)
        return units["tile"].copy(), whole[:, stride // 2 :: stride, stride // 2 :: stride, :4].astype("f4")

    def trace_pixel(self, x: int, y: int, sample: int) -> list[dict[str, Any]]:
        """The story of one sample of raster pixel (x, y), origin bottom-left: an entry an event, in the order of the
        path. Positions in world space; radiance is what the event adds to the pixel."""
        log = np.zeros(LOG_LINES, PATH_VERTEX)
        sums = np.zeros((TILE * TILE, N_CHANNELS))
        accumulate.render_unit(
            self._parcel.record,
            self._rays[0].address,
            np.uint64(log.ctypes.data),
            np.int64(y * self.width + x),
            np.int64(y // TILE * tile_grid(self.width, self.height)[0] + x // TILE),
            np.int64(sample),
            np.int64(sample + 1),
            np.uint64(FULL_MASK),
            np.int64(1),
            np.zeros(1, "u4"),
            sums,
            np.zeros(accumulate.REPORT_WORDS, "i8"),
        )
        story = [self._told(line) for line in log[1 : 1 + int(log[0]["depth"])]]
        total = sums.sum(axis=0)
        left_out = {} if total[4] else {"left_out": True}
        return [*story, {"event": "sample", "radiance": total[:3].tolist(), "alpha": float(total[3]), **left_out}]

    def locate(self, across: float, up: float) -> tuple[float, ...] | None:
        """The place in world space of the surface or light that is seen in the picture, whatever its size: at these
        parts of it from its bottom left. None where there is none."""
        x, y = math.floor(across * self.width), math.floor(up * self.height)
        if not (0 <= x < self.width and 0 <= y < self.height):
            return None
        story = [line for line in self.trace_pixel(x, y, 0) if line.get("depth", 1) <= 0 and "t" in line]
        lights = [line for line in story if line["event"] == "light met" and line["depth"] < 0]
        hits = [line for line in story if line["event"] == "hit"]
        if lights:  # they are met on the way to the surface
            nearest = min(lights, key=lambda line: float(line["t"]))
            place = np.array(nearest["position"]) + nearest["t"] * np.array(nearest["direction"])
        elif hits:
            place = np.array(hits[0]["position"])
        else:
            return None
        return tuple(place.tolist()) if np.isfinite(place).all() else None

    def close(self) -> None:
        """End the threads and give the BVH back."""
        if self._pool is not None:
            self._pool.shutdown()
        self._parcel.close()

    def _tasks(self, units: np.ndarray) -> list[tuple[int, int]]:
        """(index of a unit, mask of blocks): whole units, or stripes of them where threads have to share."""
        if self._threads == 1:
            return [(i, int(mask)) for i, mask in enumerate(units["mask"])]
        row = (1 << STRIPES) - 1
        return [
            (i, stripe)
            for i, mask in enumerate(units["mask"])
            for stripe in (int(mask) & (row << (STRIPES * k)) for k in range(STRIPES))
            if stripe
        ]

    def _first_bad(self, reports: np.ndarray) -> BadSample | None:
        """The bad sample of the least number, and of those the one of the lowest pixel, whoever rendered it."""
        bad = reports[reports[:, accumulate.REPORT_BAD] > 0]
        if not len(bad):
            return None
        sample, pixel = min((int(r[accumulate.REPORT_BAD_SAMPLE]), int(r[accumulate.REPORT_BAD_PIXEL])) for r in bad)
        return BadSample(pixel % self.width, pixel // self.width, sample)

    def _told(self, line: np.void) -> dict[str, Any]:
        event = EVENTS[int(line["event"])]
        told: dict[str, Any] = {"depth": int(line["depth"]), "event": event}
        if line["geometry"] >= 0:
            told["object"] = self.flat.geometry_names[line["geometry"]]
        if line["material"] >= 0:
            told["material"] = self.flat.material_names[line["material"]]
        if event == "scatter":
            told["lobe"] = LOBES[line["light"]]
        elif line["light"] >= 0:
            told["light"] = self.flat.light_names[line["light"]]
        told["position"] = [float(c) for c in line["position"]]
        told["normal" if event in ("hit", "emission") else "direction"] = [float(c) for c in line["normal"]]
        for name in ("t", "pdf"):
            if np.isfinite(line[name]) and line[name] > 0.0:
                told[name] = float(line[name])
        told["throughput"] = [float(c) for c in line["throughput"]]
        if line["radiance"].any() or event in ("light met", "light sample", "emission"):
            told["radiance"] = [float(c) for c in line["radiance"]]
        return told


def load(message: RDLMessage, threads: int = 1) -> Engine:
    """An engine for a scene as it travels. Raises SceneError."""
    return from_context(SceneContext.from_bytes(message.payload), message.options, threads)


def from_context(context: SceneContext, options: Mapping[str, Any] | None = None, threads: int = 1) -> Engine:
    """An engine for a scene. options: see `flatten`. Raises SceneError."""
    return Engine(Flattener(context, options), threads)


def warm(report: Callable[[str], None] | None = None) -> bool:
    """Compile the kernels if this machine never did, and tell `report` so before; return whether it was needed.

    A file lock lets one process of a machine compile while others wait. What is compiled stays in `cache_folder()`.
    """
    if DISABLE_JIT:
        return False
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / f"ready-{platform.python_version()}-{numba.__version__}-{_cpu_name()}"
    if marker.exists():
        return False
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if marker.exists():
            return False
        if report is not None:
            report("compiling kernels for the first time")
        # The compiler makes millions of objects and no garbage to speak of: looking for it would cost a tenth more.
        gc.disable()
        try:
            _render_once()
        finally:
            gc.enable()
        marker.touch()
    return True


def _cpu_name() -> str:
    import llvmlite.binding

    return str(numba.config.CPU_NAME or llvmlite.binding.get_host_cpu_name())


def _render_once() -> None:
    """Call every cached kernel: a sphere under a sky, one pixel."""
    context = SceneContext()
    sphere = context.create("SphereGeometry", "sphere")
    material = context.create("DwaBaseMaterial", "material")
    lights = context.create("LightSet", "lights")
    lights.set("lights", [context.create("EnvLight", "sky")])
    context.create("PerspectiveCamera", "camera")
    layer = context.create("Layer", "layer")
    layer.assign(sphere, "", [material, lights])  # type: ignore[attr-defined]
    engine = from_context(context, {"width": 1, "height": 1, "spp": 1})
    unit = np.zeros(1, UNIT)
    unit["end"], unit["mask"] = 1, FULL_MASK
    engine.render(unit, np.zeros(1, "u4"))
    engine.close()
