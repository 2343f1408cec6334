"""The ledger: which unit is queued, leased to whom, or accepted; and how much to lease next.

Pure decisions. It has no clock (`now`, in seconds, is passed in), no pixels and no Ray. What it knows can be told anew
at any time: `restore` says what merges have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from arras_ray.credit import Credit
from arras_ray.failures import BadUnit, Failures
from arras_ray.film import shard_of_tile, tiles_in
from arras_ray.messages import BadSample, Lease, McrtRow, Receipt, Tally
from arras_ray.pace import Deadlines, OpenLease, PacedMcrt, typical_rate
from arras_ray.tallies import Tallies
from arras_ray.unit_plan import UnitPlan
from arras_ray.unit_states import UnitStates

MAX_LEASE_UNITS = 256
"""Bounds the sums of a lease (40 MB), whatever the speed of an mcrt."""


class Ledger:
    """Leases the units of a plan to mcrts until each has been accepted once.

    window: leases an mcrt may hold. target_seconds: how long a lease should take an mcrt. first_lease_id: above those
    of the ledger before this one, whose receipts may still come. region: what of the picture is wanted, as
    `film.tiles_in` has it.
    """

    def __init__(
        self,
        plan: UnitPlan,
        *,
        sync_id: int,
        window: int = 2,
        target_seconds: float = 0.2,
        first_lease_id: int = 1,
        deadlines: Deadlines | None = None,
        region: Sequence[int] | None = None,
    ) -> None:
        self.plan = plan
        self.sync_id = sync_id
        self.window = window
        self.target_seconds = target_seconds
        self.deadlines = deadlines if deadlines is not None else Deadlines()
        self.first_lease_at: float | None = None
        self.last_accept_at: float | None = None
        self.stopped = False
        self._states = UnitStates(plan)
        self._wanted = tiles_in(region, plan.width, plan.height)
        if region is not None:
            self._states.leave_out(plan.of_tiles(~self._wanted))
        self._tallies = Tallies()
        self._failures = Failures()
        self._lives: dict[int, int] = {}
        self._mcrts: dict[str, PacedMcrt] = {}
        self._leases: dict[int, OpenLease] = {}
        self._calls: dict[int, OpenLease] = {}
        self._last_run: dict[str, np.ndarray] = {}
        """What an mcrt that left was rendering."""
        self._next_lease_id = first_lease_id

    def renewed(self, plan: UnitPlan, sync_id: int, region: Sequence[int] | None = None) -> Ledger:
        """The ledger of a scene that was changed: nothing is accepted or leased; the same mcrts, as fast as they were,
        and the same merges."""
        new = Ledger(
            plan,
            sync_id=sync_id,
            window=self.window,
            target_seconds=self.target_seconds,
            first_lease_id=self._next_lease_id,
            deadlines=self.deadlines,
            region=region,
        )
        new._lives = dict(self._lives)
        for mcrt in self._mcrts.values():
            new._mcrts[mcrt.name] = replace(mcrt, credit=Credit(self.window), calls=[])
        return new

    @property
    def done(self) -> bool:
        """Every unit has been accepted."""
        return self._states.left == 0

    @property
    def samples(self) -> int:
        """Camera samples of the accepted units."""
        return self._states.samples

    @property
    def total_samples(self) -> int:
        """Camera samples of the whole plan."""
        return self.plan.total_samples

    @property
    def open_units(self) -> int:
        """Units that are leased and neither accepted nor put back."""
        return self._states.leased

    @property
    def bad_samples(self) -> int:
        """Samples of accepted units that were left out because they were NaN or infinite."""
        return self._tallies.bad_samples

    @property
    def first_bad(self) -> BadSample | None:
        """The lowest of them."""
        return self._tallies.first_bad

    @property
    def left_out(self) -> tuple[str, ...]:
        """Mcrts that failed too often and get no more leases."""
        return self._failures.left_out

    @property
    def able(self) -> tuple[str, ...]:
        """Mcrts that are here and may get leases. Without any, nothing moves until another joins."""
        return tuple(m.name for m in self._mcrts.values() if self._is_able(m))

    @property
    def bad_unit(self) -> BadUnit | None:
        """A unit that failed on so many mcrts, or on all that are present, that it is not worth another try."""
        if not self._failures.has_units:
            return None
        present = tuple(m.name for m in self._mcrts.values() if m.here and not m.draining)
        bad = self._failures.bad_unit(self.able or present)
        if bad is None:
            return None
        unit = self.plan.units(np.array(bad[:1]))[0]
        return BadUnit(bad[0], int(unit["tile"]), int(unit["begin"]), int(unit["end"]), bad[1])

    def join(self, mcrt: str, threads: int) -> None:
        """An mcrt is ready for leases. One that joins again has lost what it held, but keeps counts and failures."""
        if threads < 1:
            raise ValueError(f"{mcrt} needs at least one thread, not {threads}")
        self.leave(mcrt)
        self._mcrts[mcrt] = PacedMcrt(mcrt, threads, Credit(self.window))

    def leave(self, mcrt: str, blame: str = "") -> int:
        """An mcrt is gone: its units go back to the front of the queue. Returns how many; 0 for an unknown one.

        blame: as `blame` has it, if the reason is known already.
        """
        member = self._mcrts.get(mcrt)
        if member is None or not member.here:
            return 0
        member.here = False
        self._last_run[mcrt] = member.calls[0].unit_ids if member.calls else np.empty(0, "i8")
        for lease in member.calls:
            del self._calls[lease.lease_id]
        member.calls.clear()
        n_units = sum(self._put_back(self._leases[held], self._leases[held].unit_ids) for held in member.credit.open)
        if blame:
            self.blame(mcrt, blame)
        return n_units

    def blame(self, mcrt: str, reason: str) -> None:
        """An mcrt that left had crashed, or hung: what it rendered may be at fault. Known later than that it is gone.

        A unit that ran alone has failed on this mcrt; of several that ran together each is leased alone from now on.
        """
        running = self._last_run.pop(mcrt, np.empty(0, "i8"))
        if not len(running):
            return
        suspects = running[~self._states.accepted(running)]
        if len(suspects) and len(running) == 1:
            self._failures.fail(mcrt, suspects.tolist(), reason)
        else:
            self._failures.crash(mcrt, suspects.tolist())
        self._states.set_apart(suspects)

    def drain(self, mcrt: str) -> None:
        """Lease an mcrt nothing more: it is to leave without losing anything."""
        member = self._mcrts.get(mcrt)
        if member is not None:
            member.draining = True

    def drained(self, mcrt: str) -> bool:
        """Whether an mcrt that drains, or is gone, or never was here, holds nothing any more."""
        member = self._mcrts.get(mcrt)
        return member is None or not member.here or (member.draining and not member.credit.open)

    def stop(self) -> None:
        """Lease nothing more. What is leased may still be accepted or put back."""
        self.stopped = True

    def lease(self, mcrt: str, now: float) -> Lease | None:
        """The next run of units for an mcrt; None when its window is full, nothing is queued, or it may have none.

        Suspects come first, one by one. When nothing is queued an idle mcrt gets the units of a late lease as well.
        """
        member = self._mcrts.get(mcrt)
        if member is None or not self._is_able(member) or not member.credit.left or self.stopped:
            return None
        lease_id = self._next_lease_id
        suspect = next((unit for unit in self._states.apart if self._failures.may_try(mcrt, unit)), None)
        if suspect is not None or self._states.queued_samples:
            ids = self._next(member) if suspect is None else np.array([suspect])
            self._states.hold(lease_id, ids)
        else:
            ids = self._late(member, now)
            if not len(ids):
                return None
            self._states.hold_too(lease_id, ids)
        self._next_lease_id += 1
        member.credit.spend(lease_id)
        lease = OpenLease(lease_id, member, ids, int(self.plan.samples(ids).sum()), now)
        member.calls.append(lease)
        self._leases[lease_id] = self._calls[lease_id] = lease
        if self.first_lease_at is None:
            self.first_lease_at = now
        return Lease(lease_id, self.sync_id, mcrt, self.plan.units(ids))

    def rendered(self, lease_id: int, now: float) -> None:
        """The call that rendered a lease returned, whatever came of it: the mcrt's next lease runs now."""
        lease = self._calls.get(lease_id)
        if lease is None:
            return
        for ended in lease.mcrt.returned(lease, now):
            del self._calls[ended.lease_id]

    def accept(self, receipt: Receipt, now: float) -> int:
        """Count what merge accepted; returns how many units are new.

        A unit counts once, whoever's lease it came from. Every lease whose units are all accepted or put back is
        closed, and its credit returns. Receipts of another sync_id or of another life of their merge are ignored.
        seconds and samples of the receipt measure the mcrt: where a lease is split over merge shards, its seconds are
        split like its samples.
        """
        if receipt.sync_id != self.sync_id or receipt.life != self._lives.setdefault(receipt.shard, receipt.life):
            return 0
        new = self._accept(receipt.unit_ids)
        if len(new):
            self.last_accept_at = now
            samples = int(self.plan.samples(new).sum())
            self._tallies.add(receipt.shard, receipt.mcrt, samples, receipt.bad_samples, receipt.first_bad)
        if receipt.lease_id not in self._leases:
            self.rendered(receipt.lease_id, now)
        member = self._mcrts.get(receipt.mcrt)
        if member is not None:
            member.measure(receipt.samples, receipt.seconds)
        return len(new)

    def restore(self, shard: int, n_shards: int, accepted: np.ndarray, tally: Tally, life: int = 0) -> int:
        """What one of n_shards merges has accepted, now and in all; returns how many units are queued again for it.

        accepted: (n,) i8 unit numbers. Units of that shard which were accepted before and are not among them were lost
        with another life of that merge, whose receipts count no more. Raise ValueError for units that are not of the
        shard.
        """
        accepted = np.asarray(accepted, "i8")
        everything = np.arange(self.plan.n_units)
        tiles = self.plan.units(everything)["tile"]
        mine = shard_of_tile(tiles, self.plan.width, self.plan.height, n_shards) == shard
        present = np.zeros(self.plan.n_units, "?")
        self.plan.samples(accepted)  # refuses numbers outside the plan
        present[accepted] = True
        if (present & ~mine).any():
            raise ValueError(f"unit {everything[present & ~mine][0]} is not one of shard {shard} of {n_shards}")
        self._lives[shard] = life
        self._accept(accepted)
        lost = everything[mine & ~present & self._wanted[tiles] & self._states.accepted(everything)]
        self._states.unaccept(lost)
        self._tallies.put(shard, tally)
        return len(lost)

    def release(self, lease_id: int, unit_ids: np.ndarray) -> int:
        """Put units a lease did not finish back to the front of the queue; returns how many.

        Units it does not hold, and leases that are closed, are ignored.
        """
        lease = self._leases.get(lease_id)
        if lease is None:
            return 0
        self.plan.samples(unit_ids)  # refuses numbers outside the plan
        return self._put_back(lease, unit_ids)

    def fail(self, lease_id: int, unit_ids: np.ndarray, reason: str, now: float) -> int:
        """The call of a lease returned without these units, which could not be rendered: others shall try them.

        Returns how many went back to the queue. Units it does not have, and leases that are closed, are ignored.
        """
        lease = self._leases.get(lease_id)
        if lease is None:
            return 0
        self.plan.samples(unit_ids)  # refuses numbers outside the plan
        ids = np.intersect1d(lease.unit_ids, np.asarray(unit_ids, "i8"))
        self._failures.fail(lease.mcrt.name, ids.tolist(), reason)
        self._failures.clear(ids[self._states.accepted(ids)].tolist())
        self.rendered(lease_id, now)
        return self._put_back(lease, ids)

    def expire(self, now: float) -> int:
        """Put back what was rendered long ago and not accepted; returns how many units. They may still be accepted."""
        lost = [
            lease
            for lease in self._leases.values()
            if lease.ended is not None and now - lease.ended > self.deadlines.receipt
        ]
        return sum(self._put_back(lease, lease.unit_ids) for lease in lost)

    def overdue(self, now: float) -> tuple[tuple[str, int], ...]:
        """Mcrts that hang in a lease by its deadline: (mcrt, lease id), in the order of joining."""
        return tuple(
            (m.name, m.calls[0].lease_id)
            for m in self._mcrts.values()
            if m.calls and now - m.calls[0].began > self.deadlines.hangs_after(m.calls[0].expected(m.rate))
        )

    def rows(self) -> tuple[McrtRow, ...]:
        """Every mcrt that ever joined, in the order of joining. The ledger does not know nodes: they are empty."""
        return tuple(
            McrtRow(
                m.name, "", m.threads, self._tallies.samples_of(m.name), m.rate, len(m.credit.open), self._state_of(m)
            )
            for m in self._mcrts.values()
        )

    def _is_able(self, member: PacedMcrt) -> bool:
        return member.here and not member.draining and not self._failures.is_left_out(member.name)

    def _state_of(self, member: PacedMcrt) -> str:
        if self._failures.is_left_out(member.name):
            return "left out"
        if not member.here:
            return "drained" if member.draining else "lost"
        if member.draining:
            return "draining"
        return "rendering" if member.credit.open else "ready"

    def _next(self, member: PacedMcrt) -> np.ndarray:
        """The next units for an mcrt from the front of the queue, which is not empty: (n,) i8, n >= 1."""
        ids = self._states.queued(member.threads if not member.rate else MAX_LEASE_UNITS)
        samples = np.cumsum(self.plan.samples(ids))
        able = [m for m in self._mcrts.values() if self._is_able(m)]
        typical = typical_rate(self._mcrts.values()) or 1.0
        limit = member.share(self._states.queued_samples, able, typical, self.target_seconds)
        n = max(1, int(np.searchsorted(samples, limit, side="right")))
        member.last_lease = int(samples[n - 1])
        return ids[:n]

    def _late(self, member: PacedMcrt, now: float) -> np.ndarray:
        """Units for an idle mcrt that another one holds alone and is latest with: (n,) i8, none if nobody is late.

        Where one lease runs late the one behind it does too.
        """
        latest = 1.0
        found = np.empty(0, "i8")
        if member.credit.open or member.calls:
            return found
        typical = typical_rate(self._mcrts.values())
        for other in self._mcrts.values():
            expected = other.calls[0].expected(other.rate or typical) if other.calls else None
            if expected is None:
                continue
            late = (now - other.calls[0].began) / self.deadlines.late_after(expected)
            if late <= latest:
                continue
            for lease in other.calls:
                ids = self._states.held_alone(lease.lease_id, lease.unit_ids)
                ids = np.array([unit for unit in ids.tolist() if self._failures.may_try(member.name, unit)], "i8")
                if len(ids):
                    latest, found = late, ids
                    break
        return found

    def _accept(self, unit_ids: np.ndarray) -> np.ndarray:
        new, held = self._states.accept(unit_ids)
        for lease_id, count in held.items():
            self._account(self._leases[lease_id], count)
        self._failures.clear(new.tolist())
        return new

    def _put_back(self, lease: OpenLease, unit_ids: np.ndarray) -> int:
        held, queued = self._states.give_back(lease.lease_id, unit_ids, self._failures.is_suspect)
        self._account(lease, held)
        return queued

    def _account(self, lease: OpenLease, n_units: int) -> None:
        lease.left -= n_units
        if lease.left == 0:
            del self._leases[lease.lease_id]
            lease.mcrt.credit.refund(lease.lease_id)
