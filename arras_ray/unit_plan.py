"""The table of units of a picture, in the order of work: every computation has the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from arras_ray.film import morton_tiles
from arras_ray.messages import FULL_MASK, TILE, UNIT, tile_grid

FIRST_ENDS = (1, 4, 16)
"""Where the first passes end, samples: the whole picture is seen early, then gets better quickly."""

PASS_STEP = 16
"""Samples of every later pass: enough that a unit's sums cost little beside its samples."""


class UnitPlan:
    """Passes over all tiles along the Morton curve, computed when asked for.

    A unit's number is pass * n_tiles + rank of its tile on the curve. The plan is a function of width, height (pixels),
    spp (samples a pixel in all) and earlier_ends: where the passes of a run ended that this one goes on from. Those
    stay as they are, so that its unit numbers stay valid; passes after them end at 1, 4, 16, 32, 48, ... spp samples.
    """

    def __init__(self, width: int, height: int, spp: int, earlier_ends: Sequence[int] = ()) -> None:
        """Raise ValueError for a plan of nothing, and for earlier ends that do not rise or go beyond spp."""
        if width < 1 or height < 1 or spp < 1:
            raise ValueError(f"a plan needs pixels and samples, not {width} x {height} at {spp} spp")
        earlier = [0, *(int(end) for end in earlier_ends)]
        if any(end <= begin for begin, end in pairwise(earlier)):
            raise ValueError(f"passes end at rising numbers of samples, not at {earlier[1:]}")
        if earlier[-1] > spp:
            raise ValueError(f"a run of {earlier[-1]} spp cannot go on to only {spp}")
        self.width = width
        self.height = height
        self.spp = spp
        usual = (*FIRST_ENDS, *range(FIRST_ENDS[-1] + PASS_STEP, spp, PASS_STEP))
        later = [end for end in usual if earlier[-1] < end < spp]
        last = [spp] if earlier[-1] < spp else []
        self._ends = np.array([*earlier, *later, *last], "i4")
        self._tiles = morton_tiles(width, height)
        across, up = tile_grid(width, height)
        columns = np.minimum(TILE, width - np.arange(across) * TILE)
        rows = np.minimum(TILE, height - np.arange(up) * TILE)
        self._pixels = np.outer(rows, columns).ravel()

    @property
    def ends(self) -> tuple[int, ...]:
        """The number of samples each pass ends at, rising; the last is spp."""
        ends: list[int] = self._ends[1:].tolist()
        return tuple(ends)

    @property
    def n_tiles(self) -> int:
        """Tiles of the picture, and units of one pass."""
        return len(self._tiles)

    @property
    def n_units(self) -> int:
        """Units in all."""
        return (len(self._ends) - 1) * self.n_tiles

    @property
    def total_samples(self) -> int:
        """Camera samples of all pixels inside the picture."""
        return self.width * self.height * self.spp

    def units(self, ids: np.ndarray) -> np.ndarray:
        """Units of these numbers, (n,) UNIT. Raise ValueError for a number outside the plan."""
        ids = self._known(ids)
        units = np.empty(len(ids), UNIT)
        n_pass, rank = np.divmod(ids, self.n_tiles)
        units["id"] = ids
        units["tile"] = self._tiles[rank]
        units["begin"] = self._ends[n_pass]
        units["end"] = self._ends[n_pass + 1]
        units["mask"] = FULL_MASK
        return units

    def of_tiles(self, tiles: np.ndarray) -> np.ndarray:
        """Numbers of all units of some tiles, rising: (n,) i8. tiles: (n_tiles,) bool."""
        first = np.arange(len(self._ends) - 1) * self.n_tiles
        return np.add.outer(first, np.flatnonzero(tiles[self._tiles])).ravel()

    def samples(self, ids: np.ndarray) -> np.ndarray:
        """Camera samples each of these units has inside the picture, (n,) i8. Raise ValueError as `units` does."""
        n_pass, rank = np.divmod(self._known(ids), self.n_tiles)
        samples: np.ndarray = self._pixels[self._tiles[rank]] * np.diff(self._ends)[n_pass]
        return samples

    def _known(self, ids: np.ndarray) -> np.ndarray:
        ids = np.asarray(ids, "i8")
        if len(ids) and (ids.min() < 0 or ids.max() >= self.n_units):
            raise ValueError(f"units {ids.min()} to {ids.max()} are not all in a plan of {self.n_units}")
        return ids
