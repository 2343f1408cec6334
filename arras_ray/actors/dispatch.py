"""dispatch: leases the units of a picture to the mcrts until merge has accepted each. It never holds pixels."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np

from arras_ray.actors.course import Course, restore
from arras_ray.actors.handshake import Heart, Joined, Kept, Picture, Pulse, join
from arras_ray.actors.mcrt import LeaseEnd
from arras_ray.actors.pool import ActorPool
from arras_ray.actors.reasons import sentence
from arras_ray.actors.seen import SeenMcrt, SeenMcrts
from arras_ray.failures import BadUnit
from arras_ray.ledger import Ledger
from arras_ray.messages import Lease, Receipt, RenderStatus
from arras_ray.pace import Deadlines
from arras_ray.previews import PreviewPlan
from arras_ray.unit_plan import UnitPlan

SHORT_LEASE_SECONDS = 0.1
"""The same where somebody looks on."""

LEASE_SECONDS = 0.5
"""How long a lease should take. Each costs about 6 ms of somebody's core (three calls), so 0.2 s would cost 3 %."""

WINDOW = 2
"""Leases an mcrt may hold: one that renders, one that waits, so that there is no gap between them."""

MAX_UNREAD = 8
"""Parts in a row that merge cannot read; then it never will."""

TICK_SECONDS = 0.25
"""Between two looks for leases that are late: nothing else happens when the last ones are out."""


class Dispatch:
    """Computation `name` of a session. Events come from the supervisor, the mcrts' calls and the merges' receipts.

    time_limit: seconds from the first lease after which the render ends as finished with what it has. interactive: a
    preview comes first, and leases are short.
    """

    def __init__(
        self,
        name: str,
        session: str,
        life: int,
        *,
        time_limit: float | None = None,
        deadlines: Deadlines | None = None,
        interactive: bool = False,
    ) -> None:
        self.name = name
        self.session = session
        self.life = life
        self._heart = Heart()
        self._time_limit = time_limit
        self._deadlines = deadlines or Deadlines()
        self._interactive = interactive
        self._lock = threading.RLock()
        self._stop_wanted = self._paused_sync = -1
        self._preview_ids = count(-1, -1)
        self._previews: PreviewPlan | None = None
        self._ledger: Ledger | None = None
        self._merges: list[Any] = []
        self._lives: list[int] = []
        self._early: list[Receipt] = []
        """Receipts that came before the ledger."""
        self._mcrts = SeenMcrts()
        self._warnings: list[str] = []
        self._course = Course()
        self._wanted = 0
        self._pool = ActorPool(self._next_lease, self._lease_ended, self._mcrt_died, self.fail)
        threading.Thread(target=self._tick, name="ticks", daemon=True).start()

    def __repr__(self) -> str:
        return f"{self.name} of {self.session}"

    def join(self, enforce_memory: bool = False) -> Joined:
        """Where this computation runs. enforce_memory: it is killed when it takes more than its bundle has."""
        return join(self.name, self.session, self.life, enforce_memory)

    def ping(self) -> Pulse:
        """A heartbeat, with what the supervisor has to see to."""
        with self._lock:
            ledger, lives, course = self._ledger, tuple(self._lives), self._course
            stage, seconds = course.stage, course.seconds(ledger)
            if ledger is None:
                return self._heart.beat("ready", stage=stage, wanted=self._wanted)
            hung = tuple(name for name, _ in ledger.overdue(time.monotonic())) if not self._course.is_over else ()
            drained = tuple(name for name in self._mcrts if ledger.drained(name))
            left_out = ledger.left_out
        more = {"hung": hung, "drained": drained, "left_out": left_out, "stage": stage, "seconds": seconds}
        return self._heart.beat("ready", begun=True, lives=lives, wanted=self._wanted, **more)

    def keep_wanted(self, wanted: int) -> None:
        """Remember how many mcrts there should be: heartbeats tell it to a supervisor that is started again."""
        self._wanted = wanted

    def begin(self, picture: Picture, merges: list[Any], kept: list[Kept], seconds: float) -> None:
        """Start leasing what the merges, one for each shard, have not accepted yet. seconds: since the first lease,
        where a dispatch that died has begun before."""
        with self._event():
            if self._course.is_over or self._ledger is not None:
                return
            plan = UnitPlan(picture.width, picture.height, picture.spp, picture.earlier_ends)
            ledger = Ledger(
                plan,
                sync_id=picture.sync_id,
                window=WINDOW,
                target_seconds=SHORT_LEASE_SECONDS if self._interactive else LEASE_SECONDS,
                first_lease_id=1 + self.life,
                deadlines=self._deadlines,
                region=picture.region,
            )
            for one in kept:
                restore(ledger, len(merges), one)
            self._previews = self._preview_of(picture) if not ledger.samples else None
            self._merges, self._lives = list(merges), [one.life for one in kept]
            course = self._course
            course.stage, course.earlier_seconds, course.earlier_samples = "rendering", seconds, ledger.samples
            self._ledger = ledger
            for name in self._pool.members:
                ledger.join(name, self._mcrts[name].threads)
            for receipt in self._early:
                ledger.accept(receipt, time.monotonic())
            self._settle()

    def merge_back(self, merge: Any, kept: Kept) -> None:
        """A merge took the place of one that is gone; what that one had not saved is leased again."""
        with self._event():
            assert self._ledger is not None
            self._merges[kept.shard], self._lives[kept.shard] = merge, kept.life
            again = restore(self._ledger, len(self._merges), kept)
            if again and self._course.stage == "finished" and not self._course.early_end:
                self._course.go_on()
            if self._course.is_over:
                self._finish(merge)

    def show(self, picture: Picture) -> None:
        """The scene is another from now on: what was leased and rendered of the one before is not wanted any more."""
        with self._event():
            if self._ledger is None or picture.sync_id <= self._ledger.sync_id:
                return
            plan = UnitPlan(picture.width, picture.height, picture.spp)
            self._ledger = self._ledger.renewed(plan, picture.sync_id, picture.region)
            self._previews = self._preview_of(picture)
            self._course = Course("rendering", warnings=self._course.warnings, heard=False)
            if picture.sync_id <= self._stop_wanted:
                self._end_early("cancelled")

    def mcrt_state(self, name: str, node: str, threads: int, state: str) -> None:
        """An mcrt that cannot take leases: starting, loading, compiling or absent."""
        with self._lock:
            self._mcrts[name] = SeenMcrt(node, threads, state)

    def mcrt_ready(self, name: str, node: str, threads: int, actor: Any, life: int, warnings: tuple[str, ...]) -> None:
        """An mcrt can take leases from now on. warnings: what of the scene it draws differently."""
        with self._event():
            seen = self._mcrts.get(name)
            if seen is not None and seen.life == life and seen.state == "ready":
                return
            self._mcrts[name] = SeenMcrt(node, threads, "ready", life)
            self._course.warn(*warnings)
            self._pool.remove(name)
            if self._previews is not None:
                self._previews.lost(name, time.monotonic())
            self._pool.add(name, actor)
            if self._ledger is not None:
                self._ledger.join(name, threads)

    def mcrt_lost(self, name: str, life: int) -> None:
        """A life of an mcrt is over: what it held is leased again. Told more than once it counts once."""
        with self._event():
            seen = self._mcrts.get(name)
            if seen is None or seen.life != life or seen.state == "lost":
                return
            self._pool.remove(name)
            seen.state = "lost"
            if self._previews is not None:
                self._previews.lost(name, time.monotonic())
            if self._ledger is not None:
                self._ledger.leave(name)
            self._settle()

    def blame(self, name: str, life: int, reason: str) -> None:
        """An mcrt that was lost had crashed or hung: what it was rendering may be why."""
        with self._event():
            seen = self._mcrts.get(name)
            if self._ledger is not None and seen is not None and seen.life in (life, -1):
                self._ledger.blame(name, reason)
                self._settle()

    def drain(self, name: str) -> None:
        """Lease an mcrt nothing more; heartbeats tell when it has ended what it holds."""
        with self._lock:
            if self._ledger is not None:
                self._ledger.drain(name)

    def receipts(self, batch: list[Receipt]) -> None:
        """Merge accepted parts: their units are done and their leases' credits free."""
        with self._event():
            if self._ledger is None:
                self._early += batch
                return
            self._course.unread = 0
            for receipt in batch:
                self._ledger.accept(receipt, time.monotonic())
            self._settle()

    def unread(self, lease_id: int, unit_ids: np.ndarray) -> None:
        """A part did not reach merge, or could not be read there: its units are leased again."""
        with self._event():
            if self._ledger is not None and self._ledger.release(lease_id, unit_ids):
                self._course.unread += 1
                self._warn("a part could not be read by merge; its units are rendered again")
                if self._course.unread >= MAX_UNREAD:
                    self._fail(f"merge could not read {MAX_UNREAD} parts in a row")
                self._settle()

    def fail(self, error: str) -> None:
        """The render cannot be finished. What was accepted stays."""
        with self._lock:
            self._fail(error)

    def stop(self, sync_id: int = 0) -> None:
        """Lease nothing more and cancel what renders. What is finished by then is still accepted. sync_id: of the scene
        that is not wanted; it may come later than this."""
        with self._lock:
            self._stop_wanted = max(sync_id, self._stop_wanted)
            if self._ledger is None or sync_id <= self._ledger.sync_id:
                self._end_early("cancelled")

    def pause(self, paused: bool, sync_id: int = 0) -> None:
        """Lease nothing more of this scene, which may come later than this, until told otherwise. What is leased is
        finished."""
        with self._event():
            self._paused_sync = sync_id if paused else -1

    def status(self) -> RenderStatus:
        """Where the render stands."""
        with self._lock:
            return self._course.status(self._ledger, self._mcrts, self._warnings)

    def _preview_of(self, picture: Picture) -> PreviewPlan | None:
        if not self._interactive:
            return None
        about = (picture.width, picture.height, picture.sync_id, self._preview_ids)
        return PreviewPlan(*about, now=time.monotonic(), region=picture.region, after=self._previews)

    def _pump(self) -> None:
        with self._event():
            pass

    @contextmanager
    def _event(self) -> Iterator[None]:
        """Something happens, with the lock held; afterwards whoever may have another lease gets one."""
        with self._or_fail():
            with self._lock:
                yield
            self._pool.pump()

    @contextmanager
    def _or_fail(self) -> Iterator[None]:
        """Nobody waits for the answer of an event, so what goes wrong with one ends the render."""
        try:
            yield
        except Exception as error:
            self.fail(f"{self.name} failed: {sentence(error)}")

    def _next_lease(self, name: str) -> Lease | None:
        with self._lock:
            if self._ledger is None or self._ledger.sync_id == self._paused_sync:
                return None
            if self._previews is not None and self._previews.left and not self._course.is_over:
                able = self._ledger.able
                return self._previews.lease(name, len(able), time.monotonic()) if name in able else None
            first = self._ledger.first_lease_at is None
            lease = self._ledger.lease(name, time.monotonic())
            if lease is not None and first and self._time_limit is not None:
                left = max(0.0, self._time_limit - self._course.earlier_seconds)
                _later(left, self._end_early, "finished", lease.sync_id)
            return lease

    def _lease_ended(self, name: str, end: LeaseEnd) -> None:
        with self._or_fail():
            with self._lock:
                if self._ledger is None:
                    return
                now = time.monotonic()
                if end.warnings is not None and end.sync_id == self._ledger.sync_id:
                    self._course.warn(*end.warnings)
                if end.refused and end.sync_id == self._ledger.sync_id:
                    self._ledger.stop()
                    self._previews, self._course.early_end = None, "cancelled"
                    self._course.warn(f"the scene cannot be drawn as it is now: {end.refused}")
                previews = self._previews if end.lease_id < 0 else None
                if previews is not None and previews.ended(end.lease_id, end.unfinished, now):
                    _later(previews.rest(now), self._pump)
                self._ledger.rendered(end.lease_id, now)
                if len(end.unfinished) and end.lease_id > 0:
                    self._ledger.release(end.lease_id, end.unfinished)
                for unit, reason in end.failed:
                    self._ledger.fail(end.lease_id, np.array([unit]), reason, now)
                    self._warn(f"{name} could not render a unit: {reason}")
                self._settle()
            if end.lease_id < 0 or len(end.unfinished) or end.failed:
                self._pool.pump()

    def _mcrt_died(self, name: str, reason: str) -> None:
        """The pool has noticed before the supervisor did."""
        seen = self._mcrts.get(name)
        if seen is not None:
            self.mcrt_lost(name, seen.life)

    def _tick(self) -> None:
        while True:
            time.sleep(TICK_SECONDS)
            with self._event():
                if self._ledger is not None and not self._course.is_over:
                    self._ledger.expire(time.monotonic())

    def _end_early(self, stage: str, of_sync: int | None = None) -> None:
        """Lease nothing more and cancel the leases under way; once they have ended the render is in `stage`. Nothing
        is done if it is only one state of the scene that is to end, and that is no more."""
        with self._lock:
            if self._ledger is None:
                self._over(stage)
                return
            if of_sync is not None and of_sync != self._ledger.sync_id:
                return
            self._ledger.stop()
            self._course.early_end = self._course.early_end or stage
            sync_id = self._ledger.sync_id
            self._settle()
        for actor in self._pool.members.values():
            actor.cancel.remote(sync_id)

    def _settle(self) -> None:
        """The render is over when all is accepted, or nothing is leased and nothing more will be; or cannot end."""
        if self._ledger is None:
            return
        if self._ledger.done:
            self._over("finished")
        elif self._course.early_end and not self._ledger.open_units:
            self._over(self._course.early_end)
        elif (bad := self._ledger.bad_unit) is not None:
            self._give_up(bad)

    def _give_up(self, bad: BadUnit) -> None:
        """A unit that nobody can render."""
        assert self._ledger is not None
        failed = self._course.failed = bad.pixels(self._ledger.plan)
        who = "; ".join(f"{name}: {reason}" for name, reason in bad.reasons.items())
        self._fail(f"{failed} could not be rendered by {len(bad.reasons)} mcrts ({who})")

    def _fail(self, error: str) -> None:
        if not self._course.is_over:
            self._course.error = error
            if self._ledger is not None:
                self._ledger.stop()
            self._over("failed")

    def _over(self, stage: str) -> None:
        if self._course.is_over:
            return
        self._course.end(stage)
        for merge in self._merges:
            self._finish(merge)

    def _finish(self, merge: Any) -> None:
        if self._ledger is not None:
            merge.finish.remote("FINISHED" if self._course.stage == "finished" else "CANCELLED", self._ledger.sync_id)

    def _warn(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)


def _later(seconds: float, act: Callable[..., None], *arguments: Any) -> None:
    timer = threading.Timer(seconds, act, arguments)
    timer.daemon = True
    timer.start()
