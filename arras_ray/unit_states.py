"""The states of a plan's units: queued, leased, or accepted.

Each unit is in one state, one number in one array, so losing an mcrt, a late receipt or one that comes twice cannot
lose or repeat a unit. Only near the end a second lease may hold a unit as well.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from arras_ray.unit_plan import UnitPlan

QUEUED, ACCEPTED, APART = 0, -1, -2
"""States of a unit; a number above 0 is the lease that holds it. APART: queued, but to be leased alone."""

NOBODY = QUEUED
"""Holds no second lease."""

_SCAN = 8192
"""States looked at in one step while searching for queued units."""


class UnitStates:
    """All units are queued at first. left: units not accepted. samples: of the accepted ones; queued_samples likewise.

    Unit numbers that are not in the plan raise ValueError.
    """

    def __init__(self, plan: UnitPlan) -> None:
        self._plan = plan
        self.left = plan.n_units
        self.samples = 0
        self.queued_samples = plan.total_samples
        self._state = np.full(plan.n_units, QUEUED, "i8")
        self._second = np.full(plan.n_units, NOBODY, "i8")
        self._first_queued = 0  # no unit below it is queued
        self._apart: set[int] = set()

    @property
    def leased(self) -> int:
        """Units that are held by a lease."""
        return int(np.count_nonzero(self._state > 0))

    @property
    def apart(self) -> list[int]:
        """Units that wait to be leased alone, rising. Neither `queued` nor queued_samples has them."""
        return sorted(self._apart)

    def leave_out(self, ids: np.ndarray) -> None:
        """These units, which nobody has leased yet, are not wanted: they count as accepted, without samples."""
        self.queued_samples -= int(self._plan.samples(ids).sum())
        self.left -= len(ids)
        self._state[ids] = ACCEPTED

    def accepted(self, ids: np.ndarray) -> np.ndarray:
        """Which of these units are accepted: (n,) bool."""
        accepted: np.ndarray = self._state[ids] == ACCEPTED
        return accepted

    def queued(self, n: int) -> np.ndarray:
        """The first n queued units, fewer if there are not as many: (<= n,) i8, rising."""
        found: list[np.ndarray] = [np.empty(0, "i8")]
        begin = self._first_queued
        while n > 0 and begin < len(self._state):
            ids = begin + np.flatnonzero(self._state[begin : begin + _SCAN] == QUEUED)[:n]
            found.append(ids)
            n -= len(ids)
            begin += _SCAN
        return np.concatenate(found)

    def hold(self, lease_id: int, ids: np.ndarray) -> None:
        """A lease takes units that are apart, or the first that are queued. ids: (n,) i8, rising."""
        apart = self._state[ids] == APART
        self._apart.difference_update(ids[apart].tolist())
        queued = ids[~apart]
        if len(queued):
            self.queued_samples -= int(self._plan.samples(queued).sum())
            self._first_queued = int(queued[-1]) + 1
        self._state[ids] = lease_id

    def set_apart(self, ids: np.ndarray) -> None:
        """Those of the units that are queued shall be leased alone."""
        queued = ids[self._state[ids] == QUEUED]
        self.queued_samples -= int(self._plan.samples(queued).sum())
        self._state[queued] = APART
        self._apart.update(queued.tolist())

    def held_alone(self, lease_id: int, ids: np.ndarray) -> np.ndarray:
        """Those of the units that this lease holds and no other: (<= n,) i8."""
        alone: np.ndarray = ids[(self._state[ids] == lease_id) & (self._second[ids] == NOBODY)]
        return alone

    def hold_too(self, lease_id: int, ids: np.ndarray) -> None:
        """A second lease takes units that one other holds alone."""
        self._second[ids] = lease_id

    def accept(self, ids: np.ndarray) -> tuple[np.ndarray, dict[int, int]]:
        """Units were accepted: (those that are new, rising; how many of them each lease held)."""
        ids = np.unique(np.asarray(ids, "i8"))
        samples = self._plan.samples(ids)
        new = self._state[ids] != ACCEPTED
        ids, samples = ids[new], samples[new]
        states = self._state[ids]
        self.queued_samples -= int(samples[states == QUEUED].sum())
        self._apart.difference_update(ids[states == APART].tolist())
        self._state[ids] = ACCEPTED
        seconds = self._second[ids]
        self._second[ids] = NOBODY
        self.left -= len(ids)
        self.samples += int(samples.sum())
        holders, counts = np.unique(np.concatenate([states[states > 0], seconds[seconds > 0]]), return_counts=True)
        return ids, dict(zip(holders.tolist(), counts.tolist(), strict=True))

    def unaccept(self, ids: np.ndarray) -> None:
        """Accepted units were lost: they are queued again."""
        samples = int(self._plan.samples(ids).sum())
        self.left += len(ids)
        self.samples -= samples
        self._queue(ids, samples)

    def give_back(self, lease_id: int, ids: np.ndarray, is_suspect: Callable[[int], bool]) -> tuple[int, int]:
        """A lease lets go of units: (how many it held, how many of those are now queued, suspects apart).

        Those it did not hold are left as they are, and those another lease holds too stay with that one.
        """
        ids = np.unique(np.asarray(ids, "i8"))
        self._plan.samples(ids)  # refuses numbers outside the plan
        second = ids[self._second[ids] == lease_id]
        self._second[second] = NOBODY
        first = ids[self._state[ids] == lease_id]
        other = self._second[first]
        self._state[first] = other  # NOBODY is QUEUED
        self._second[first] = NOBODY
        free = first[other == NOBODY]
        apart = np.array([is_suspect(unit) for unit in free.tolist()], "?")
        self._state[free[apart]] = APART
        self._apart.update(free[apart].tolist())
        queued = free[~apart]
        self._queue(queued, int(self._plan.samples(queued).sum()))
        return len(first) + len(second), len(free)

    def _queue(self, ids: np.ndarray, samples: int) -> None:
        if len(ids):
            self._state[ids] = QUEUED
            self.queued_samples += samples
            self._first_queued = min(self._first_queued, int(ids.min()))
