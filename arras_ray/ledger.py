"""The ledger: which unit is queued, leased to whom, or accepted; and how much to lease next.

Pure decisions. It has no clock (`now`, in seconds, is passed in), no pixels and no Ray. Each unit is in one state, one
number in one array, so losing an mcrt, a late receipt or one that comes twice cannot lose or repeat a unit.

Lease sizes follow guided self-scheduling (Polychronopoulos and Kuck, 1987), weighted by each mcrt's measured speed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from arras_ray.credit import Credit
from arras_ray.messages import BadSample, Lease, McrtRow, Receipt
from arras_ray.unit_plan import UnitPlan

MAX_LEASE_UNITS = 256
"""Bounds the sums of a lease (40 MB), whatever the speed of an mcrt."""

MAX_GROWTH = 4
"""A lease has at most this many times the samples of the mcrt's last one: a first measurement can be far off."""

QUEUED, ACCEPTED = 0, -1
"""States of a unit; a number above 0 is the lease that holds it."""

_SCAN = 8192
"""States looked at in one step while searching for queued units."""


@dataclass
class _Mcrt:
    """What the ledger knows of one mcrt. rate: samples a second while rendering, 0 until measured."""

    name: str
    threads: int
    credit: Credit
    rate: float = 0.0
    samples: int = 0
    last_lease: int = 0
    here: bool = True


@dataclass
class _OpenLease:
    mcrt: _Mcrt
    unit_ids: np.ndarray
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = len(self.unit_ids)


class Ledger:
    """Leases the units of a plan to mcrts until each has been accepted once.

    window: leases an mcrt may hold. target_seconds: how long a lease should take an mcrt.
    """

    def __init__(self, plan: UnitPlan, *, sync_id: int, window: int = 2, target_seconds: float = 0.2) -> None:
        self.plan = plan
        self.sync_id = sync_id
        self.window = window
        self.target_seconds = target_seconds
        self.samples = 0
        self.bad_samples = 0
        self.first_bad: BadSample | None = None
        self.first_lease_at: float | None = None
        self.last_accept_at: float | None = None
        self.stopped = False
        self._state = np.full(plan.n_units, QUEUED, "i4")
        self._first_queued = 0  # no unit below it is queued
        self._queued_samples = plan.total_samples
        self._left = plan.n_units
        self._mcrts: dict[str, _Mcrt] = {}
        self._leases: dict[int, _OpenLease] = {}
        self._last_lease_id = 0

    @property
    def done(self) -> bool:
        """Every unit has been accepted."""
        return self._left == 0

    @property
    def total_samples(self) -> int:
        """Camera samples of the whole plan; `samples` counts those accepted."""
        return self.plan.total_samples

    @property
    def open_units(self) -> int:
        """Units that are leased and neither accepted nor put back."""
        return sum(lease.left for lease in self._leases.values())

    def join(self, mcrt: str, threads: int) -> None:
        """An mcrt is ready for leases. One that joins again has lost what it held, but keeps its counts."""
        if threads < 1:
            raise ValueError(f"{mcrt} needs at least one thread, not {threads}")
        self.leave(mcrt)
        known = self._mcrts.get(mcrt)
        fresh = _Mcrt(mcrt, threads, Credit(self.window))
        fresh.samples = known.samples if known else 0
        self._mcrts[mcrt] = fresh

    def leave(self, mcrt: str) -> int:
        """An mcrt is gone: its units go back to the front of the queue. Returns how many; 0 for an unknown one."""
        member = self._mcrts.get(mcrt)
        if member is None:
            return 0
        member.here = False
        return sum(self._put_back(lease_id, self._leases[lease_id].unit_ids) for lease_id in member.credit.open)

    def stop(self) -> None:
        """Lease nothing more. What is leased may still be accepted or put back."""
        self.stopped = True

    def lease(self, mcrt: str, now: float) -> Lease | None:
        """The next run of units for an mcrt; None when its window is full, nothing is queued, or it is not here."""
        member = self._mcrts.get(mcrt)
        if member is None or not member.here or not member.credit.left or self.stopped or not self._queued_samples:
            return None
        ids = self._take(member)
        self._last_lease_id += 1
        lease_id = self._last_lease_id
        member.credit.spend(lease_id)
        self._state[ids] = lease_id
        self._leases[lease_id] = _OpenLease(member, ids)
        if self.first_lease_at is None:
            self.first_lease_at = now
        return Lease(lease_id, self.sync_id, mcrt, self.plan.units(ids))

    def accept(self, receipt: Receipt, now: float) -> int:
        """Count what merge accepted; returns how many units are new.

        A unit counts once, whoever's lease it came from. Every lease whose units are all accepted or put back is
        closed, and its credit returns. Receipts of another sync_id are ignored. seconds and samples of the receipt
        measure the mcrt: where a lease is split over merge shards, its seconds are split like its samples.
        """
        if receipt.sync_id != self.sync_id:
            return 0
        ids = np.unique(np.asarray(receipt.unit_ids, "i8"))
        samples = self.plan.samples(ids)
        new = self._state[ids] != ACCEPTED
        ids, samples = ids[new], samples[new]
        states = self._state[ids]
        self._state[ids] = ACCEPTED
        self._left -= len(ids)
        self.samples += int(samples.sum())
        self._queued_samples -= int(samples[states == QUEUED].sum())
        holders, counts = np.unique(states[states != QUEUED], return_counts=True)
        for lease_id, count in zip(holders.tolist(), counts.tolist(), strict=True):
            self._account(lease_id, count)
        if len(ids):
            self.last_accept_at = now
            self._note_bad(receipt)
        member = self._mcrts.get(receipt.mcrt)
        if member is not None:
            member.samples += int(samples.sum())
            if receipt.seconds > 0 and receipt.samples > 0:
                rate = receipt.samples / receipt.seconds
                member.rate = (member.rate + rate) / 2 if member.rate else rate
        return len(ids)

    def release(self, lease_id: int, unit_ids: np.ndarray) -> int:
        """Put units a lease did not finish back to the front of the queue; returns how many.

        Units it does not hold, and leases that are closed, are ignored.
        """
        ids = np.unique(np.asarray(unit_ids, "i8"))
        self.plan.samples(ids)  # refuses numbers outside the plan
        return self._put_back(lease_id, ids) if lease_id in self._leases else 0

    def rows(self) -> tuple[McrtRow, ...]:
        """Every mcrt that ever joined, in the order of joining. The ledger does not know nodes: they are empty."""
        return tuple(
            McrtRow(m.name, "", m.threads, m.samples, m.rate, len(m.credit.open), self._state_of(m))
            for m in self._mcrts.values()
        )

    def _state_of(self, member: _Mcrt) -> str:
        if not member.here:
            return "lost"
        return "rendering" if member.credit.open else "ready"

    def _take(self, member: _Mcrt) -> np.ndarray:
        """Take the next units for an mcrt off the queue: (n,) i8, n >= 1."""
        ids = self._queued(member.threads if not member.rate else MAX_LEASE_UNITS)
        samples = np.cumsum(self.plan.samples(ids))
        limit = self._guided(member)
        if member.rate:
            limit = min(limit, member.rate * self.target_seconds, MAX_GROWTH * member.last_lease)
        n = max(1, int(np.searchsorted(samples, limit, side="right")))
        member.last_lease = int(samples[n - 1])
        self._queued_samples -= member.last_lease
        self._first_queued = int(ids[n - 1]) + 1
        return ids[:n]

    def _guided(self, member: _Mcrt) -> float:
        """Half of an mcrt's share, by speed, of the queued samples: leases shrink so that all end together."""
        here = [m for m in self._mcrts.values() if m.here]
        measured = [m.rate for m in here if m.rate]
        typical = sum(measured) / len(measured) if measured else 1.0
        total = sum(m.rate or typical for m in here)
        return self._queued_samples * (member.rate or typical) / total / 2

    def _queued(self, n: int) -> np.ndarray:
        """The first n queued units, fewer if there are not as many: (<= n,) i8."""
        found: list[np.ndarray] = []
        begin = self._first_queued
        while n > 0 and begin < len(self._state):
            ids = begin + np.flatnonzero(self._state[begin : begin + _SCAN] == QUEUED)[:n]
            found.append(ids)
            n -= len(ids)
            begin += _SCAN
        return np.concatenate(found)

    def _put_back(self, lease_id: int, unit_ids: np.ndarray) -> int:
        ids = unit_ids[self._state[unit_ids] == lease_id]
        if len(ids):
            self._state[ids] = QUEUED
            self._queued_samples += int(self.plan.samples(ids).sum())
            self._first_queued = min(self._first_queued, int(ids.min()))
            self._account(lease_id, len(ids))
        return len(ids)

    def _account(self, lease_id: int, n_units: int) -> None:
        lease = self._leases[lease_id]
        lease.left -= n_units
        if lease.left == 0:
            del self._leases[lease_id]
            lease.mcrt.credit.refund(lease_id)

    def _note_bad(self, receipt: Receipt) -> None:
        self.bad_samples += receipt.bad_samples
        if receipt.first_bad is not None:
            # The lowest one, not the first to arrive: the same report every time.
            bad = [b for b in (self.first_bad, receipt.first_bad) if b is not None]
            self.first_bad = min(bad, key=lambda b: (b.sample, b.y, b.x))
