"""A render in this one process, without Ray: the ledger leases, the engine renders, the film adds.

The same plan, kernels and exact sums as on a cluster, so the same picture bit for bit.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from arras_ray.film import Film
from arras_ray.ledger import Ledger
from arras_ray.messages import (
    BadSample,
    FilmState,
    Lease,
    McrtRow,
    ProgressiveFrame,
    Receipt,
    RenderStatus,
    Tally,
)
from arras_ray.unit_plan import UnitPlan

if TYPE_CHECKING:
    from arras_ray.checkpoint import Checkpoint

MCRT = "mcrt_i0"
"""The name of the only one that renders, as the first mcrt of a session has it."""

SYNC_ID = 1

FRAME_STATUS = {"finished": "FINISHED", "cancelled": "CANCELLED", "failed": "CANCELLED"}


class LeaseEngine(Protocol):
    """What renders leases: `engine.Engine`."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def spp(self) -> int: ...

    def render(
        self, units: np.ndarray, cancel: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, int, int, BadSample | None]:
        """(done units, sums, samples, bad samples, first bad); returns early once cancel[0] is not 0."""


class LocalRender:
    """Renders the engine's picture on a thread of its own, from construction on.

    time_limit: seconds from the first lease after which it ends as finished with what it has; None for all samples.
    resume: go on from its samples, which must be of this engine's scene. Raise CheckpointError if it has more than
    engine.spp of them, ValueError if its picture has another size. All methods may be called from any thread.
    """

    def __init__(
        self,
        engine: LeaseEngine,
        threads: int,
        *,
        name: str = "local",
        time_limit: float | None = None,
        resume: Checkpoint | None = None,
    ) -> None:
        self.name = name
        self.width = engine.width
        self.height = engine.height
        self.spp = engine.spp
        self._engine = engine
        self._threads = threads
        self._time_limit = time_limit
        self._film = Film(engine.width, engine.height)
        if resume is not None:
            resume.refuse_fewer(engine.spp)
            self._film.restore(resume.state)
        plan = UnitPlan(engine.width, engine.height, engine.spp, resume.begun if resume is not None else ())
        # Nobody else asks for work and adding is quick, so a window of one lease loses nothing.
        self._ledger = Ledger(plan, sync_id=SYNC_ID, window=1)
        self._earlier = resume.state.tally if resume is not None else Tally()
        self._ledger.restore(0, 1, self._film.accepted, self._earlier)
        self._earlier_samples = self._ledger.samples
        self._ledger.join(MCRT, threads)
        self._keeping = threading.Lock()  # held while a unit is in the film and not yet in the ledger
        self._cancel = np.zeros(1, "u4")
        self._stage = "rendering"
        self._error: BaseException | None = None
        self._stopped = False
        self._end_told = False
        self._changed = threading.Condition()
        self._driver = threading.Thread(target=self._drive, name="local-render", daemon=True)
        self._driver.start()

    def __enter__(self) -> LocalRender:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def frame(self, since: int, timeout: float) -> ProgressiveFrame | None:
        """What changed after version `since`; None when nothing did within `timeout` seconds, or ever will.

        That the render has ended is told once, by a frame without tiles if nothing else is new.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._film.version > since or self._stage != "rendering", timeout)
            over = self._stage != "rendering"
            if self._film.version <= since and (self._end_told or not over):
                return None
            self._end_told |= over
            progress = self._ledger.samples / self._ledger.total_samples
            status = FRAME_STATUS.get(self._stage, "RENDERING")
        return self._film.frame(since, SYNC_ID, progress, status)

    def status(self) -> RenderStatus:
        """Where the render stands."""
        with self._changed:
            seconds = seconds_of(self._ledger, self._stage == "rendering")
            rate = (self._ledger.samples - self._earlier_samples) / seconds if seconds > 0 else 0.0
            node = socket.gethostname()
            (row,) = self._ledger.rows()
            state = "rendering" if self._stage == "rendering" else "ready"
            return RenderStatus(
                stage=self._stage,
                samples=self._ledger.samples,
                total_samples=self._ledger.total_samples,
                seconds=seconds,
                rate=rate,
                mcrts=(McrtRow(MCRT, node, self._threads, row.samples, rate, row.open_leases, state),),
                bad_samples=self._ledger.bad_samples,
                first_bad=self._ledger.first_bad,
                error=f"{type(self._error).__name__}: {self._error}" if self._error else "",
            )

    @property
    def error(self) -> BaseException | None:
        """What a render that failed, failed of."""
        return self._error

    def save(self) -> list[FilmState]:
        """The film and what is known of its samples, now or once the render has ended: one state, of all tiles."""
        with self._keeping:
            with self._changed:
                (row,) = self._ledger.rows()
                samples = self._earlier.samples | {MCRT: row.samples}
                tally = Tally(samples, self._ledger.bad_samples, self._ledger.first_bad)
            return [self._film.save(sync_id=SYNC_ID, tally=tally)]

    def stop(self) -> None:
        """Lease nothing more and end the lease under way early. What it finished counts. Returns when it has ended."""
        with self._changed:
            self._stopped = True
            self._ledger.stop()
            self._cancel[0] = 1
        self._driver.join()

    def final(self) -> np.ndarray:
        """The picture once the render has ended: (height, width, 4) float32, rows from the bottom up."""
        self._driver.join()
        return self._film.image()

    def where(self) -> list[dict[str, Any]]:
        """One row: this process."""
        (row,) = self._ledger.rows()
        return [own_place(self._threads, row.samples)]

    def usage(self) -> dict[str, tuple[float, int]]:
        """Seconds of processor time and bytes of memory of each mcrt, by name."""
        return {MCRT: own_usage()}

    def close(self) -> None:
        """End the render."""
        self.stop()

    def _drive(self) -> None:
        timer = threading.Timer(self._time_limit, self._time_is_up) if self._time_limit is not None else None
        try:
            if timer:
                timer.daemon = True
                timer.start()
            while (lease := self._next_lease()) is not None:
                self._render(lease)
        except BaseException as error:
            self._error = error
        finally:
            if timer:
                timer.cancel()
            with self._changed:
                self._stage = "failed" if self._error else "cancelled" if self._was_stopped() else "finished"
                self._changed.notify_all()

    def _was_stopped(self) -> bool:
        return self._stopped and not self._ledger.done

    def _next_lease(self) -> Lease | None:
        with self._changed:
            return self._ledger.lease(MCRT, time.monotonic())

    def _render(self, lease: Lease) -> None:
        began = time.monotonic()
        units, sums, samples, bad_samples, first_bad = self._engine.render(lease.units, self._cancel)
        ended = time.monotonic()
        with self._keeping:
            ids = self._film.accept(units, sums)
            with self._changed:
                self._ledger.accept(
                    Receipt(SYNC_ID, lease.lease_id, MCRT, ids, ended - began, samples, bad_samples, first_bad), ended
                )
                self._ledger.release(lease.lease_id, np.setdiff1d(lease.units["id"], ids))
                self._changed.notify_all()

    def _time_is_up(self) -> None:
        with self._changed:
            self._ledger.stop()
            self._cancel[0] = 1


def seconds_of(ledger: Ledger, renders: bool) -> float:
    """Seconds from the first lease to now, or to the last acceptance where nothing renders any more."""
    began = ledger.first_lease_at
    if began is None:
        return 0.0
    ended = time.monotonic() if renders else ledger.last_accept_at
    return (ended or began) - began


def own_usage() -> tuple[float, int]:
    """Seconds of processor time and bytes of memory of this process."""
    import psutil

    process = psutil.Process()
    times = process.cpu_times()
    return times.user + times.system, process.memory_info().rss


def own_place(threads: int, samples: int) -> dict[str, Any]:
    """Where the only mcrt runs: this process."""
    return {
        "computation": MCRT,
        "node": socket.gethostname(),
        "pid": os.getpid(),
        "threads": threads,
        "samples": samples,
    }
