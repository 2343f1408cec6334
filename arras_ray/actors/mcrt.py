"""mcrt: renders leases. One process with an engine of its own, warm, and as many threads as its bundle has cores."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

from arras_ray.actors.handshake import Heart, Joined, Loaded, Pulse, join
from arras_ray.actors.parts import Parts
from arras_ray.actors.reasons import sentence
from arras_ray.errors import ArrasRayError
from arras_ray.film import shard_of_tile
from arras_ray.messages import BadSample, CoarseTiles, Lease, PartialFrame, PreviewFrame, RDLMessage
from arras_ray.unit_plan import UnitPlan

ENGINE = "arras_ray.engine:load"
"""module:function that makes an engine of an RDLMessage: `load(message, threads=n)`."""

EDIT_SECONDS = 2.0
"""So much later than dispatch an mcrt may hear that the scene is another."""

LOWEST = 19
"""As nice as a thread can be. Ray's processes are at 15."""

Rendered = tuple[np.ndarray, np.ndarray, int, int, BadSample | None]
"""Units, their sums, samples, bad samples, the first bad one."""


@dataclass(frozen=True)
class LeaseEnd:
    """What became of a lease at its mcrt. unfinished: (n,) i8 units that were not rendered, because the lease was
    cancelled. failed: units that could not be, each with the reason. refused: why the scene of this sync_id cannot be
    drawn. warnings: what of the scene of this sync_id is drawn differently; None if that is not known."""

    lease_id: int
    unfinished: np.ndarray
    sync_id: int
    failed: tuple[tuple[int, str], ...] = ()
    refused: str = ""
    warnings: tuple[str, ...] | None = None


class Mcrt:
    """Computation `name` of a session.

    `load`, `attach` to the others, then `render` one lease after the other (leases wait in the actor's queue, so there
    is no gap between them). `cancel`, `attach` and `ping` are answered on another thread while a lease renders.
    """

    def __init__(self, name: str, session: str, life: int, threads: int, engine: str = ENGINE) -> None:
        self.name = name
        self.session = session
        self.life = life
        self.threads = threads
        self._heart = Heart()
        self._factory = engine
        self._state = "starting"
        self._engine: Any = None
        self._loaded: Loaded | None = None
        self._parts = Parts()
        self._lock = threading.Lock()
        self._cancelled = -1  # leases up to this sync_id are not wanted any more
        self._running = -1  # sync_id of the lease that renders
        self._word = np.zeros(1, "u4")
        self._newest = -1  # sync_id of the scene, with all edits that have come
        self._edits: list[RDLMessage] = []  # that the engine does not have
        self._edited = threading.Condition(self._lock)
        self._refused = ""
        self._warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{self.name} of {self.session}: {self.threads} threads"

    def join(self, enforce_memory: bool = False) -> Joined:
        """Where this computation runs. enforce_memory: it is killed when it takes more than its bundle has."""
        return join(self.name, self.session, self.life, enforce_memory, self.threads)

    def load(self, message: RDLMessage) -> Loaded:
        """Make the scene's engine, compile what was never compiled on this node, and warm up. Raise SceneError."""
        _give_way()
        self._state = "loading"
        try:
            return self._load(message)
        except BaseException:
            self._state = "failed"
            raise

    def attach(self, merges: list[Any], lives: tuple[int, ...], dispatch: Any) -> None:
        """Send parts to these merges from now on, one for each shard, and tell this dispatch of parts that were lost.

        Parts that went to a merge of another life, and may not have arrived there, are sent again.
        """
        self._parts.attach(merges, lives, dispatch)

    def edit(self, messages: list[RDLMessage], after: int) -> None:
        """Change the scene before the next lease; what renders is cancelled. after: sync_id of the scene before the
        first of them. Edits that are known are ignored, and all of them where one before them did not come: they are
        sent again."""
        with self._lock:
            new = [message for message in messages if message.sync_id > self._newest]
            if not new or after > self._newest:
                return
            self._edits += new
            self._newest = new[-1].sync_id
            self._edited.notify_all()
        self.cancel(self._newest - 1)

    def render(self, lease: Lease) -> LeaseEnd:
        """Render a lease and hand the sums to the merges that keep its tiles. Returns before they have read them."""
        _give_way()
        refused = self._catch_up(lease.sync_id)
        with self._lock:
            if refused or lease.sync_id <= self._cancelled or lease.sync_id > self._newest:
                return LeaseEnd(lease.lease_id, lease.units["id"].copy(), lease.sync_id, refused=refused)
            self._word = np.zeros(1, "u4")
            self._running = lease.sync_id
        if lease.stride > 1:
            return self._preview(lease)
        begin = time.perf_counter()
        failed: tuple[tuple[int, str], ...] = ()
        try:
            rendered = self._engine.render(lease.units, self._word)
        except Exception:  # one unit may be to blame: the others are as good as ever
            rendered, failed = self._one_by_one(lease.units)
        done, sums, samples, bad_samples, first_bad = rendered
        seconds, rendered_at = time.perf_counter() - begin, time.monotonic()
        with self._lock:
            self._running = -1
            stale = lease.sync_id < self._newest
        if stale:  # nobody wants it, and putting it would only keep the next lease waiting
            return LeaseEnd(lease.lease_id, lease.units["id"].copy(), lease.sync_id)
        if len(done):
            of_lease = (lease.sync_id, lease.lease_id, self.name, done, sums, seconds, samples, bad_samples, first_bad)
            whole = PartialFrame(*of_lease, life=self.life, rendered_at=rendered_at)
            for shard, part in self._split(whole):
                self._parts.send(shard, part)
        not_done = np.setdiff1d(lease.units["id"], done["id"])
        unfinished = np.setdiff1d(not_done, [unit for unit, _ in failed])
        return LeaseEnd(lease.lease_id, unfinished, lease.sync_id, failed, warnings=self._warnings)

    def locate(self, across: float, up: float) -> tuple[float, ...] | None:
        """What is seen of the newest scene there, as Engine.locate has it; waits for leases that came before. None also
        while the scene cannot be drawn."""
        return None if self._catch_up(self._newest) else self._engine.locate(across, up)

    def cancel(self, sync_id: int) -> None:
        """Stop rendering leases up to `sync_id`, the running one included; its finished units are kept."""
        with self._lock:
            self._cancelled = max(self._cancelled, sync_id)
            if self._running <= self._cancelled:
                self._word[0] = 1

    def ping(self) -> Pulse:
        """A heartbeat, answered while it works."""
        return self._heart.beat(self._state, loaded=self._loaded)

    def _load(self, message: RDLMessage) -> Loaded:
        module, _, function = self._factory.partition(":")
        room = import_module(module)
        engine = self._engine = getattr(room, function)(message, threads=self.threads)
        warm: Callable[[Callable[[str], None]], None] | None = getattr(room, "warm", None)
        if warm is not None:
            warm(self._compiling)
        self._render_one_unit()
        warnings = tuple(getattr(engine, "warnings", ()))
        with self._lock:
            self._newest = message.sync_id
        self._loaded = Loaded(message.sync_id, engine.width, engine.height, engine.spp, warnings)
        self._state = "ready"
        return self._loaded

    def _catch_up(self, sync_id: int) -> str:
        """Bring the engine's scene to the newest state, which is `sync_id` or comes in a moment; why it cannot be drawn
        as it is then."""
        with self._lock:
            self._edited.wait_for(lambda: self._newest >= sync_id, EDIT_SECONDS)
            edits, self._edits = self._edits, []
        if edits:
            try:
                self._engine.edit(edits)
                self._refused = ""
            except MemoryError:  # this node's trouble, and not the scene's
                raise
            except Exception as error:  # an mcrt that raised would be taken for lost
                self._refused = str(error) if isinstance(error, ArrasRayError) else sentence(error)
            self._warnings = tuple(getattr(self._engine, "warnings", ()))
        return self._refused

    def _preview(self, lease: Lease) -> LeaseEnd:
        try:
            tiles, pixels = self._engine.preview(lease.units["tile"], lease.stride, self._word)
        except Exception as error:  # its samples may be as good as ever, and are tried one by one
            warnings = (*self._warnings, f"a preview could not be rendered: {sentence(error)}")
            return LeaseEnd(lease.lease_id, lease.units["tile"][:0], lease.sync_id, warnings=warnings)
        finally:
            with self._lock:
                self._running = -1
        n_shards = self._parts.n_shards
        shards = shard_of_tile(tiles, self._engine.width, self._engine.height, n_shards)
        for shard in range(n_shards):
            mine = shards == shard
            if mine.any():
                coarse = CoarseTiles(lease.stride, tiles[mine], pixels[mine])
                self._parts.show(shard, PreviewFrame(lease.sync_id, coarse))
        unfinished = np.setdiff1d(lease.units["tile"], tiles)
        return LeaseEnd(lease.lease_id, unfinished, lease.sync_id, warnings=self._warnings)

    def _compiling(self, text: str) -> None:
        self._state = "compiling"

    def _render_one_unit(self) -> None:
        """And drop it: compiled kernels are now in memory, and the first lease measures the speed of all others."""
        engine = self._engine
        self._engine.render(UnitPlan(engine.width, engine.height, engine.spp).units(np.zeros(1, "i8")), self._word)

    def _one_by_one(self, units: np.ndarray) -> tuple[Rendered, tuple[tuple[int, str], ...]]:
        """Render what can be rendered, and say of each other unit why not."""
        good: list[Rendered] = []
        failed: list[tuple[int, str]] = []
        for i in range(len(units)):
            try:
                good.append(self._engine.render(units[i : i + 1], self._word))
            except Exception as error:
                failed.append((int(units["id"][i]), sentence(error)))
        if not good:
            return (units[:0], np.zeros(0), 0, 0, None), tuple(failed)
        done, sums = (np.concatenate([one[k] for one in good]) for k in (0, 1))
        bad = [one[4] for one in good if one[4] is not None]
        first_bad = min(bad, key=lambda b: (b.sample, b.y, b.x), default=None)
        return (done, sums, sum(one[2] for one in good), sum(one[3] for one in good), first_bad), tuple(failed)

    def _split(self, whole: PartialFrame) -> list[tuple[int, PartialFrame]]:
        """The part of each merge that keeps some of the tiles, by shard. What is bad is told with the first."""
        n_shards = self._parts.n_shards
        if n_shards == 1:
            return [(0, whole)]
        shards = shard_of_tile(whole.units["tile"], self._engine.width, self._engine.height, n_shards)
        parts: list[tuple[int, PartialFrame]] = []
        for shard in range(n_shards):
            mine = np.flatnonzero(shards == shard)
            if not len(mine):
                continue
            share = len(mine) / len(whole.units)
            part = replace(
                whole,
                units=whole.units[mine],
                sums=whole.sums[mine],
                samples=round(whole.samples * share),
                seconds=whole.seconds * share,
            )
            parts.append((shard, replace(part, bad_samples=0, first_bad=None) if parts else part))
        return parts


def _give_way() -> None:
    """This thread, and those it starts, compute with the time that others leave: answers, merges and processes that
    replace lost ones are soon done, and waited for."""
    if sys.platform == "linux":  # where a thread has a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST)
