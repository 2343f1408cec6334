"""Pace: how fast each mcrt is, how much it should get at once, since when it is busy with it, and how long it may be.

Lease sizes follow guided self-scheduling (Polychronopoulos and Kuck, 1987), weighted by each mcrt's measured speed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from arras_ray.credit import Credit

MAX_GROWTH = 4
"""A lease has at most this many times the samples of the mcrt's last one: a first measurement can be far off."""


@dataclass(frozen=True)
class Deadlines:
    """How long a lease may run, seconds. An expected time is the lease's samples by its mcrt's measured speed."""

    minimum: float = 30.0
    factor: float = 20.0
    """After so many times the expected time, and the minimum, the mcrt hangs."""
    first: float = 300.0
    """For an mcrt that was never measured."""
    receipt: float = 10.0
    """From the return of a lease's call to merge's receipt; then either got lost on its way."""
    late: float = 1.0
    late_factor: float = 2.0
    """Near the end, after so many times the expected time, and `late`, another mcrt may render the same units."""

    def hangs_after(self, expected: float | None) -> float:
        """Seconds after which an mcrt is taken to hang; expected: seconds, or None if it was never measured."""
        return self.first if expected is None else max(self.minimum, self.factor * expected)

    def late_after(self, expected: float) -> float:
        """Seconds after which a lease is late."""
        return max(self.late, self.late_factor * expected)


@dataclass(eq=False)
class OpenLease:
    """A lease that is not closed, or whose call has not returned. unit_ids: (n,) i8; samples: of all of them."""

    lease_id: int
    mcrt: PacedMcrt
    unit_ids: np.ndarray
    samples: int
    began: float
    """When it began to run; when it was leased, if others run before it."""
    ended: float | None = None
    """When its call returned."""
    left: int = field(init=False)
    """Units that are neither accepted nor put back."""

    def __post_init__(self) -> None:
        self.left = len(self.unit_ids)

    def expected(self, rate: float) -> float | None:
        """Seconds it should take at so many samples a second; None for 0, which is not known."""
        return self.samples / rate if rate else None


@dataclass(eq=False)
class PacedMcrt:
    """An mcrt with its leases. rate: samples a second while rendering, 0 until measured."""

    name: str
    threads: int
    credit: Credit
    rate: float = 0.0
    last_lease: int = 0
    """Samples of its last lease off the queue."""
    here: bool = True
    draining: bool = False
    calls: list[OpenLease] = field(default_factory=list)
    """Leases whose calls did not return yet, in their order: the first one runs, even if others have done its units."""

    def measure(self, samples: int, seconds: float) -> None:
        """It rendered so many samples in so many seconds. Nothing is learned from none."""
        if samples > 0 and seconds > 0:
            rate = samples / seconds
            self.rate = (self.rate + rate) / 2 if self.rate else rate

    def returned(self, lease: OpenLease, now: float) -> list[OpenLease]:
        """The call of a lease returned; those before it have too, as an mcrt renders in order. Returns all of them."""
        n = self.calls.index(lease) + 1
        ended, self.calls = self.calls[:n], self.calls[n:]
        for call in ended:
            call.ended = now
        if self.calls:
            self.calls[0].began = now
        return ended

    def share(self, queued_samples: int, able: Iterable[PacedMcrt], typical: float, target_seconds: float) -> float:
        """Samples its next lease should have at most: half its share, by speed, of what is queued.

        So leases shrink and all of the able mcrts end together. typical: the speed of one that was not measured.
        """
        total = sum(mcrt.rate or typical for mcrt in able)
        guided = queued_samples * (self.rate or typical) / total / 2
        if not self.rate:
            return guided
        return min(guided, self.rate * target_seconds, MAX_GROWTH * self.last_lease)


def typical_rate(mcrts: Iterable[PacedMcrt]) -> float:
    """Mean of what was measured of the mcrts that are here; 0 if nothing was."""
    measured = [mcrt.rate for mcrt in mcrts if mcrt.rate and mcrt.here]
    return sum(measured) / len(measured) if measured else 0.0
