"""dispatch: leases the units of a picture to the mcrts until merge has accepted each. It never holds pixels."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from arras_ray.actors.handshake import Joined, join
from arras_ray.actors.mcrt import LeaseEnd
from arras_ray.actors.pool import ActorPool
from arras_ray.actors.reasons import sentence
from arras_ray.ledger import Ledger
from arras_ray.messages import Lease, McrtRow, Receipt, RenderStatus
from arras_ray.unit_plan import UnitPlan

LEASE_SECONDS = 0.5
"""How long a lease should take. Each costs about 6 ms of somebody's core (three calls), so 0.2 s would cost 3 %."""

WINDOW = 2
"""Leases an mcrt may hold: one that renders, one that waits, so that there is no gap between them."""

MAX_UNREAD = 8
"""Parts in a row that merge cannot read; then it never will."""


@dataclass
class _Seen:
    """What is known of an mcrt apart from its leases."""

    node: str
    threads: int
    state: str


class Dispatch:
    """Computation `name` of a session. Events come from the supervisor, the mcrts' calls and the merges' receipts.

    time_limit: seconds from the first lease after which the render ends as finished with what it has.
    """

    def __init__(self, name: str, session: str, *, time_limit: float | None = None) -> None:
        self.name = name
        self.session = session
        self._time_limit = time_limit
        self._lock = threading.RLock()
        self._ledger: Ledger | None = None
        self._merges: list[Any] = []
        self._mcrts: dict[str, _Seen] = {}
        self._warnings: list[str] = []
        self._stage = "loading"
        self._error = ""
        self._unread = 0  # parts in a row
        self._early_end = ""
        self._over_at: float | None = None
        self._pool = ActorPool(self._next_lease, self._lease_ended, self.mcrt_lost, self.fail)

    def __repr__(self) -> str:
        return f"{self.name} of {self.session}"

    def join(self) -> Joined:
        """Where this computation runs."""
        return join(self.name)

    def ping(self) -> str:
        """The state this computation is in."""
        return "ready"

    def begin(self, sync_id: int, width: int, height: int, spp: int, merges: list[Any]) -> None:
        """Start leasing a picture of width x height pixels and spp samples a pixel. Merges: one for each shard."""
        with self._lock:
            if self._over_at is not None:
                return
            self._merges = merges
            plan = UnitPlan(width, height, spp)
            self._ledger = Ledger(plan, sync_id=sync_id, window=WINDOW, target_seconds=LEASE_SECONDS)
            self._stage = "rendering"
            for name in self._pool.members:
                self._ledger.join(name, self._mcrts[name].threads)
        self._pool.pump()

    def mcrt_state(self, name: str, node: str, threads: int, state: str) -> None:
        """An mcrt that cannot take leases yet: starting, loading or compiling."""
        with self._lock:
            self._mcrts[name] = _Seen(node, threads, state)

    def mcrt_ready(self, name: str, node: str, threads: int, actor: Any, warnings: tuple[str, ...]) -> None:
        """An mcrt can take leases from now on. `warnings` that were not heard before are kept."""
        with self._or_fail():
            with self._lock:
                self._mcrts[name] = _Seen(node, threads, "ready")
                for text in warnings:
                    self._warn(text)
                self._pool.add(name, actor)
                if self._ledger is not None:
                    self._ledger.join(name, threads)
            self._pool.pump()

    def mcrt_lost(self, name: str, reason: str) -> None:
        """An mcrt is gone: what it held is leased again. Told more than once it counts once."""
        with self._or_fail():
            self._pool.remove(name)
            with self._lock:
                seen = self._mcrts.get(name)
                if seen is None or seen.state == "lost" or self._over_at is not None:
                    return
                seen.state = "lost"
                units = self._ledger.leave(name) if self._ledger is not None else 0
                again = f"; its {units} units are rendered by others" if units else ""
                self._warn(f"{name} on {seen.node} was lost: {reason}{again}")
                if all(other.state == "lost" for other in self._mcrts.values()):
                    self._fail(f"no mcrt is left; the last one was {name}: {reason}")
                else:
                    self._settle()
            self._pool.pump()

    def receipts(self, batch: list[Receipt]) -> None:
        """Merge accepted parts: their units are done and their leases' credits free."""
        with self._or_fail():
            with self._lock:
                if self._ledger is None:
                    return
                self._unread = 0
                for receipt in batch:
                    self._ledger.accept(receipt, time.monotonic())
                self._settle()
            self._pool.pump()

    def unread(self, lease_id: int, unit_ids: np.ndarray) -> None:
        """A part did not reach merge, or could not be read there: its units are leased again."""
        with self._or_fail():
            with self._lock:
                if self._ledger is not None and self._ledger.release(lease_id, unit_ids):
                    self._unread += 1
                    self._warn("a part could not be read by merge; its units are rendered again")
                    if self._unread >= MAX_UNREAD:
                        self._fail(f"merge could not read {MAX_UNREAD} parts in a row")
                    self._settle()
            self._pool.pump()

    def fail(self, error: str) -> None:
        """The render cannot be finished. What was accepted stays."""
        with self._lock:
            self._fail(error)

    def stop(self) -> None:
        """Lease nothing more and cancel what renders. What is finished by then is still accepted."""
        self._end_early("cancelled")

    def status(self) -> RenderStatus:
        """Where the render stands."""
        with self._lock:
            ledger = self._ledger
            if ledger is None or ledger.first_lease_at is None:
                seconds = 0.0
            else:
                seconds = (self._over_at or time.monotonic()) - ledger.first_lease_at
            samples = ledger.samples if ledger is not None else 0
            compiling = any(seen.state == "compiling" for seen in self._mcrts.values())
            return RenderStatus(
                stage="compiling" if self._stage == "loading" and compiling else self._stage,
                samples=samples,
                total_samples=ledger.total_samples if ledger is not None else 0,
                seconds=seconds,
                rate=samples / seconds if seconds > 0 else 0.0,
                mcrts=self._rows(),
                warnings=tuple(self._warnings),
                bad_samples=ledger.bad_samples if ledger is not None else 0,
                first_bad=ledger.first_bad if ledger is not None else None,
                error=self._error,
            )

    @contextmanager
    def _or_fail(self) -> Iterator[None]:
        """Nobody waits for the answer of an event, so what goes wrong with one ends the render."""
        try:
            yield
        except Exception as error:
            self.fail(f"{self.name} failed: {sentence(error)}")

    def _rows(self) -> tuple[McrtRow, ...]:
        leased = {row.name: row for row in self._ledger.rows()} if self._ledger is not None else {}
        rows = []
        for name, seen in self._mcrts.items():
            row = leased.get(name)
            if row is None:
                rows.append(McrtRow(name, seen.node, seen.threads, 0, 0.0, 0, seen.state))
            else:
                rows.append(McrtRow(name, seen.node, seen.threads, row.samples, row.rate, row.open_leases, row.state))
        return tuple(rows)

    def _next_lease(self, name: str) -> Lease | None:
        with self._lock:
            if self._ledger is None:
                return None
            first = self._ledger.first_lease_at is None
            lease = self._ledger.lease(name, time.monotonic())
            if lease is not None and first and self._time_limit is not None:
                timer = threading.Timer(self._time_limit, self._end_early, ("finished",))
                timer.daemon = True
                timer.start()
            return lease

    def _lease_ended(self, name: str, end: LeaseEnd) -> None:
        if not len(end.unfinished):
            return
        with self._lock:
            if self._ledger is not None:
                self._ledger.release(end.lease_id, end.unfinished)
                self._settle()
        self._pool.pump()

    def _end_early(self, stage: str) -> None:
        """Lease nothing more and cancel the leases under way; once they have ended the render is in `stage`."""
        with self._lock:
            if self._ledger is None:
                self._over(stage)
                return
            self._ledger.stop()
            self._early_end = self._early_end or stage
            sync_id = self._ledger.sync_id
            self._settle()
        for actor in self._pool.members.values():
            actor.cancel.remote(sync_id)

    def _settle(self) -> None:
        """The render is over when all is accepted, or nothing is leased and nothing more will be."""
        if self._ledger is None:
            return
        if self._ledger.done:
            self._over("finished")
        elif self._early_end and not self._ledger.open_units:
            self._over(self._early_end)

    def _fail(self, error: str) -> None:
        if self._over_at is None:
            self._error = error
            if self._ledger is not None:
                self._ledger.stop()
            self._over("failed")

    def _over(self, stage: str) -> None:
        if self._over_at is not None:
            return
        self._over_at = time.monotonic()
        self._stage = stage
        for merge in self._merges:
            merge.finish.remote("FINISHED" if stage == "finished" else "CANCELLED")

    def _warn(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)
