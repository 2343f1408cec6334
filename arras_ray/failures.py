"""Failures: which units could not be rendered, on which mcrts, and which mcrts are to be left out for it.

An mcrt that raises names the units. One that crashed or hung took a whole lease with it: each unit of that lease is
suspect until one is found that takes down an mcrt alone, or all have been rendered; then it was the mcrt's own fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from arras_ray.messages import TILE, FailedPixels, tile_grid
from arras_ray.unit_plan import UnitPlan

MAX_FAILED_UNITS = 3
"""An mcrt that failed so many units gets no more: others can render them, so it is the machine."""

MAX_FAILED_MCRTS = 3
"""A unit that failed on so many mcrts is not tried again: it is the scene."""


@dataclass(frozen=True)
class BadUnit:
    """A unit that cannot be rendered: its number, tile, samples [begin, end), and what each mcrt said."""

    unit: int
    tile: int
    begin: int
    end: int
    reasons: dict[str, str]

    def pixels(self, plan: UnitPlan) -> FailedPixels:
        """What of a picture it is."""
        across = tile_grid(plan.width, plan.height)[0]
        x, y = self.tile % across * TILE, self.tile // across * TILE
        right, top = min(x + TILE, plan.width) - 1, min(y + TILE, plan.height) - 1
        return FailedPixels(x, y, right, top, self.begin, self.end)


class Failures:
    """Units by number, mcrts by name. Names outlive their processes: a replaced mcrt has the failures of the last."""

    def __init__(self) -> None:
        self._reasons: dict[int, dict[str, str]] = {}
        self._suspects: set[int] = set()
        self._crashes: list[tuple[str, set[int]]] = []
        self._failed: dict[str, set[int]] = {}
        self._own_faults: Counter[str] = Counter()

    @property
    def left_out(self) -> tuple[str, ...]:
        """Mcrts that failed too often, by name."""
        return tuple(sorted(m for m in {*self._failed, *self._own_faults} if self.is_left_out(m)))

    @property
    def has_units(self) -> bool:
        """Whether there are units that failed and were not rendered since."""
        return bool(self._reasons)

    def is_left_out(self, mcrt: str) -> bool:
        """Whether an mcrt failed too often."""
        return len(self._failed.get(mcrt, ())) + self._own_faults[mcrt] >= MAX_FAILED_UNITS

    def is_suspect(self, unit: int) -> bool:
        """Whether a unit is to be leased alone."""
        return unit in self._suspects

    def may_try(self, mcrt: str, unit: int) -> bool:
        """Whether a unit did not fail on this mcrt before."""
        return mcrt not in self._reasons.get(unit, ())

    def fail(self, mcrt: str, units: Iterable[int], reason: str) -> None:
        """An mcrt could not render these units, and certainly these."""
        for unit in units:
            self._reasons.setdefault(unit, {})[mcrt] = reason
            self._failed.setdefault(mcrt, set()).add(unit)
            self._suspects.add(unit)

    def crash(self, mcrt: str, units: Collection[int]) -> None:
        """One of these units took an mcrt down, or the mcrt fell by itself; by itself if there are none."""
        self._suspects.update(units)
        self._crashes.append((mcrt, set(units)))
        self._judge()

    def clear(self, units: Iterable[int]) -> None:
        """These units were rendered after all."""
        cleared = self._suspects.intersection(units)
        if cleared:
            self._suspects -= cleared
            for unit in cleared:
                self._reasons.pop(unit, None)
            for _, suspects in self._crashes:
                suspects -= cleared
            self._judge()

    def bad_unit(self, mcrts: Collection[str]) -> tuple[int, dict[str, str]] | None:
        """The first unit that failed on MAX_FAILED_MCRTS mcrts, or on all of these, and the reason on each."""
        for unit, reasons in sorted(self._reasons.items()):
            if len(reasons) >= MAX_FAILED_MCRTS or (mcrts and all(mcrt in reasons for mcrt in mcrts)):
                return unit, dict(reasons)
        return None

    def _judge(self) -> None:
        self._own_faults.update(mcrt for mcrt, suspects in self._crashes if not suspects)
        self._crashes = [crash for crash in self._crashes if crash[1]]
