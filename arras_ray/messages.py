"""What travels between client, dispatch, mcrt and merge. Plain data: no Ray, no numba, no behaviour beyond checks.

A picture is cut into tiles of TILE x TILE pixels, numbered row by row from the bottom-left corner (MoonRay's raster
origin); inside a tile, pixels go row by row from the bottom. A *unit* is one tile, a range of sample numbers and a
mask of 8x8 blocks: the grain of acceptance. A *lease* is a run of units an mcrt may render.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from arras_ray.ended import Ended

TILE = 64
"""Edge of a tile, pixels."""

BLOCK = 8
"""Edge of a block, pixels; one bit of a unit's mask stands for one block, row by row from the bottom-left."""

FULL_MASK = 0xFFFF_FFFF_FFFF_FFFF

CHANNELS = ("R", "G", "B", "A", "count")
"""The sums a pixel holds: float64 multiples of a power of two, so adding them is exact in any order."""

N_CHANNELS = len(CHANNELS)

UNIT = np.dtype([("id", "i8"), ("tile", "i4"), ("begin", "i4"), ("end", "i4"), ("mask", "u8")])
"""A unit: its number in the plan, its tile, samples [begin, end), mask of blocks."""


@dataclass(frozen=True)
class RDLMessage:
    """A scene, or a change of one. `payload` is RDLB; sync_id rises with each message."""

    sync_id: int
    payload: bytes
    delta: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    """Overrides of the command line: width, height (pixels), spp (samples a pixel in all), seed. Of a delta also
    region: raster pixels (left, bottom, right, top), the last two not included, from the bottom left; only tiles that
    it touches are rendered; None is all."""
    sets: frozenset[tuple[str, str]] = frozenset()
    """What a delta sets, as `rdlb.touched` tells; filled in by who sends it on."""


@dataclass(frozen=True)
class Lease:
    """A run of units for one mcrt. units: (n,) UNIT. stride: above 1 it is for a preview, every so many pixels."""

    lease_id: int
    sync_id: int
    mcrt: str
    units: np.ndarray
    stride: int = 1


@dataclass(frozen=True)
class BadSample:
    """A sample that was NaN or infinite: raster pixel (origin bottom-left), sample number. It was left out."""

    x: int
    y: int
    sample: int


@dataclass(frozen=True)
class PartialFrame:
    """What an mcrt made of a lease, or of the part of it that one merge shard keeps.

    units: (n,) UNIT that were finished. sums: (n, TILE * TILE, N_CHANNELS) float64, or a list holding one object ref
    to them. A lease that was cancelled halfway has fewer units.
    """

    sync_id: int
    lease_id: int
    mcrt: str
    units: np.ndarray
    sums: Any
    seconds: float
    samples: int
    bad_samples: int = 0
    first_bad: BadSample | None = None
    life: int = 0
    """Of the mcrt."""
    rendered_at: float = 0.0
    """By its monotonic clock."""


@dataclass(frozen=True)
class Receipt:
    """Merge tells dispatch what became of a PartialFrame.

    unit_ids: (n,) i8, all units of it that the film has now, new or not. bad_samples: in those that are new.
    """

    sync_id: int
    lease_id: int
    mcrt: str
    unit_ids: np.ndarray
    seconds: float
    samples: int
    bad_samples: int = 0
    first_bad: BadSample | None = None
    shard: int = 0
    """Which of the merges it was."""
    life: int = 0
    """Another one when that merge was replaced: what the one before accepted and did not save counts no more."""


@dataclass(frozen=True)
class Tally:
    """What is known of accepted units apart from their sums. samples: camera samples by mcrt."""

    samples: dict[str, int] = field(default_factory=dict)
    bad_samples: int = 0
    first_bad: BadSample | None = None


@dataclass(frozen=True)
class FilmState:
    """A film, or the tiles of it that one merge keeps, as it was at some moment: each unit is wholly in it or not.

    tiles: (n,) i4. sums: (n, TILE * TILE, N_CHANNELS) float64. order: (n_passes, n) i4, for each pass and tile the
    rank at which its unit was accepted, from 1; 0 for one that was not.
    """

    sync_id: int
    width: int
    height: int
    tiles: np.ndarray
    sums: np.ndarray
    order: np.ndarray
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class CoarseTiles:
    """Tiles of which every `stride` by `stride` pixels have one value: a preview, never added to anything.

    tiles: (n,) i4 tile numbers. pixels: (n, TILE / stride, TILE / stride, 4) float32 R G B A, rows from the bottom up.
    """

    stride: int
    tiles: np.ndarray
    pixels: np.ndarray


@dataclass(frozen=True)
class PreviewFrame:
    """A preview on its way from an mcrt to the merge that keeps these tiles."""

    sync_id: int
    coarse: CoarseTiles


@dataclass(frozen=True)
class ProgressiveFrame:
    """Tiles that changed since the receiver's last frame, resolved.

    tiles: (n,) i4 tile numbers. pixels: (n, TILE * TILE, 4) float32, R G B A, mean over the samples so far.
    version: hand it back to get only what came after. progress: accepted samples / all samples, 0 to 1.
    """

    sync_id: int
    width: int
    height: int
    version: int
    tiles: np.ndarray
    pixels: np.ndarray
    progress: float
    status: str
    """STARTED, RENDERING, FINISHED or CANCELLED, as Arras has them."""
    coarse: tuple[CoarseTiles, ...] = ()
    """Tiles that have no sample yet, and a preview; of one tile the newest."""
    ages: dict[str, float] = field(default_factory=dict)
    """Of mcrts with new samples in it: seconds since the newest of those were rendered, when the frame was made."""

    is_image: ClassVar[bool] = True


@dataclass(frozen=True)
class McrtRow:
    """One mcrt as a user sees it: where it runs, how much it did and how fast (samples a second)."""

    name: str
    node: str
    threads: int
    samples: int
    rate: float
    open_leases: int
    state: str
    """starting, loading, compiling, ready, rendering, draining (it gets no more leases), drained (and has left), left
    out (it failed too often) or lost."""


@dataclass(frozen=True)
class FailedPixels:
    """Raster pixels (left, bottom) to (right, top), both included, and samples [begin, end) that cannot be rendered."""

    left: int
    bottom: int
    right: int
    top: int
    begin: int
    end: int

    def __str__(self) -> str:
        pixels = f"pixels ({self.left}, {self.bottom}) to ({self.right}, {self.top})"
        return f"{pixels}, samples {self.begin} to {self.end - 1}"


@dataclass(frozen=True)
class RenderStatus:
    """Where a render stands. seconds count from the first lease; samples are camera samples of all pixels."""

    stage: str
    """placing, loading, compiling, rendering, finished, cancelled or failed."""
    samples: int
    total_samples: int
    seconds: float
    rate: float
    mcrts: tuple[McrtRow, ...] = ()
    warnings: tuple[str, ...] = ()
    """Everything worth telling once, oldest first: stand-ins, lost mcrts, bad samples."""
    bad_samples: int = 0
    first_bad: BadSample | None = None
    error: str = ""
    failed: FailedPixels | None = None
    """What no mcrt could render, if that is why it failed."""
    ends: tuple[Ended, ...] = ()
    """How computations ended that were not meant to, oldest first."""
    sync_id: int = 0
    """Of the scene that this is about."""


def tile_grid(width: int, height: int) -> tuple[int, int]:
    """Tiles across and up that cover width x height pixels."""
    return -(-width // TILE), -(-height // TILE)
