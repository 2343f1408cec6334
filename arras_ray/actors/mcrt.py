"""mcrt: renders leases. One process with an engine of its own, warm, and as many threads as its bundle has cores."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from arras_ray.actors.deliveries import Deliveries
from arras_ray.actors.handshake import Joined, join
from arras_ray.film import shard_of_tile
from arras_ray.ledger import UnitPlan
from arras_ray.messages import Lease, PartialFrame, RDLMessage

ENGINE = "arras_ray.engine:load"
"""module:function that makes an engine of an RDLMessage: `load(message, threads=n)`."""


@dataclass(frozen=True)
class Loaded:
    """An mcrt that is ready: width, height (pixels), spp of its scene, and what there is to say about it once."""

    joined: Joined
    sync_id: int
    width: int
    height: int
    spp: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeaseEnd:
    """What became of a lease at its mcrt. unfinished: (n,) i8 units that were not rendered."""

    lease_id: int
    unfinished: np.ndarray


class Mcrt:
    """Computation `name` of a session.

    `load`, then `render` one lease after the other (leases wait in the actor's queue, so there is no gap between
    them). `cancel` and `ping` are answered on another thread while a lease renders.
    """

    def __init__(self, name: str, session: str, threads: int, engine: str = ENGINE) -> None:
        self.name = name
        self.session = session
        self.threads = threads
        self._factory = engine
        self._state = "starting"
        self._engine: Any = None
        self._merges: list[Any] = []
        self._dispatch: Any = None
        self._deliveries = Deliveries()
        self._lock = threading.Lock()
        self._cancelled = -1  # leases up to this sync_id are not wanted any more
        self._running = -1  # sync_id of the lease that renders
        self._word = np.zeros(1, "u4")

    def __repr__(self) -> str:
        return f"{self.name} of {self.session}: {self.threads} threads"

    def join(self) -> Joined:
        """Where this computation runs."""
        return join(self.name)

    def load(self, message: RDLMessage, merges: list[Any], dispatch: Any) -> Loaded:
        """Make the scene's engine, compile what was never compiled on this node, and warm up. Raise SceneError.

        Parts go to `merges`; those that did not arrive there are given back to `dispatch`.
        """
        self._state = "loading"
        self._merges = merges
        self._dispatch = dispatch
        module, _, function = self._factory.partition(":")
        room = import_module(module)
        self._engine = getattr(room, function)(message, threads=self.threads)
        warm: Callable[[Callable[[str], None]], None] | None = getattr(room, "warm", None)
        if warm is not None:
            warm(self._compiling)
        self._render_one_unit()
        self._state = "ready"
        engine = self._engine
        return Loaded(
            self.join(),
            message.sync_id,
            engine.width,
            engine.height,
            engine.spp,
            tuple(getattr(engine, "warnings", ())),
        )

    def render(self, lease: Lease) -> LeaseEnd:
        """Render a lease and hand the sums to the merges that keep its tiles. Returns before they have read them."""
        with self._lock:
            if lease.sync_id <= self._cancelled:
                return LeaseEnd(lease.lease_id, lease.units["id"].copy())
            self._word = np.zeros(1, "u4")
            self._running = lease.sync_id
        begin = time.perf_counter()
        done, sums, samples, bad_samples, first_bad = self._engine.render(lease.units, self._word)
        seconds = time.perf_counter() - begin
        with self._lock:
            self._running = -1
        if len(done):
            whole = PartialFrame(
                lease.sync_id, lease.lease_id, self.name, done, sums, seconds, samples, bad_samples, first_bad
            )
            for merge, part in zip(self._merges, self._split(whole), strict=True):
                if part is not None:
                    self._send(merge, part)
        return LeaseEnd(lease.lease_id, np.setdiff1d(lease.units["id"], done["id"]))

    def cancel(self, sync_id: int) -> None:
        """Stop rendering leases up to `sync_id`, the running one included; its finished units are kept."""
        with self._lock:
            self._cancelled = max(self._cancelled, sync_id)
            if self._running <= self._cancelled:
                self._word[0] = 1

    def ping(self) -> str:
        """The state this computation is in: starting, loading, compiling or ready. Answered while it works."""
        return self._state

    def _send(self, merge: Any, part: PartialFrame) -> None:
        lease_id, unit_ids = part.lease_id, part.units["id"].copy()
        ref = merge.accept.remote([part])
        self._deliveries.watch(ref, lambda: self._dispatch.unread.remote(lease_id, unit_ids))

    def _compiling(self, text: str) -> None:
        self._state = "compiling"

    def _render_one_unit(self) -> None:
        """And drop it: compiled kernels are now in memory, and the first lease measures the speed of all others."""
        engine = self._engine
        self._engine.render(UnitPlan(engine.width, engine.height, engine.spp).units(np.zeros(1, "i8")), self._word)

    def _split(self, whole: PartialFrame) -> list[PartialFrame | None]:
        """The part of each merge, its sums in an object of their own; None for a merge that keeps none of the tiles."""
        n_merges = len(self._merges)
        if n_merges == 1:
            return [_put(whole, whole.units, whole.sums, whole.samples)]
        width, height = self._engine.width, self._engine.height
        shards = shard_of_tile(whole.units["tile"], width, height, n_merges)
        parts: list[PartialFrame | None] = []
        told_bad = False
        for shard in range(n_merges):
            mine = np.flatnonzero(shards == shard)
            if not len(mine):
                parts.append(None)
                continue
            samples = round(whole.samples * len(mine) / len(whole.units))
            parts.append(_put(whole, whole.units[mine], whole.sums[mine], samples, with_bad=not told_bad))
            told_bad = True
        return parts


def _put(whole: PartialFrame, units: np.ndarray, sums: np.ndarray, samples: int, with_bad: bool = True) -> PartialFrame:
    """A part of `whole` with its sums in Ray's object store. The call that carries the part keeps the object alive."""
    import ray

    return PartialFrame(
        sync_id=whole.sync_id,
        lease_id=whole.lease_id,
        mcrt=whole.mcrt,
        units=units,
        sums=[ray.put(sums)],
        seconds=whole.seconds * (samples / whole.samples if whole.samples else 1.0),
        samples=samples,
        bad_samples=whole.bad_samples if with_bad else 0,
        first_bad=whole.first_bad if with_bad else None,
    )
