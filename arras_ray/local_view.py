"""An interactive render in this one process, without Ray: previews first, and its scene may be changed at any time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from arras_ray.edits import edit, kept
from arras_ray.film import Film
from arras_ray.ledger import Ledger
from arras_ray.local_render import FRAME_STATUS, MCRT, own_place, own_usage, seconds_of
from arras_ray.messages import (
    CoarseTiles,
    FilmState,
    Lease,
    McrtRow,
    ProgressiveFrame,
    RDLMessage,
    Receipt,
    RenderStatus,
)
from arras_ray.previews import PreviewPlan, Previews
from arras_ray.snapshots import Snapshots
from arras_ray.unit_plan import UnitPlan

if TYPE_CHECKING:
    from arras_ray.engine import Engine

LEASE_SECONDS = 0.1


class LocalView:
    """Renders the engine's picture on a thread of its own, from construction on; as SessionRender, where both can.

    All methods may be called from any thread. sync_id: of the scene as it is now.
    """

    def __init__(self, engine: Engine, threads: int, *, options: Mapping[str, Any] | None = None) -> None:
        self.name = "local"
        self.sync_id = 1
        self._engine = engine
        self._threads = threads
        self._options = dict(options or {})
        self._changed = threading.Condition()
        self._edits: list[RDLMessage] = []
        self._asked: list[tuple[float, float, Future[tuple[float, ...] | None]]] = []
        """Parts of the picture whose place in the scene somebody waits for."""
        self._word = np.zeros(1, "u4")
        self._preview_ids = count(-1, -1)
        self._warnings = list(engine.warnings)
        self._error: BaseException | None = None
        self._paused = self._closed = False
        self._stopped_sync = 0
        """The newest scene that is not to be rendered."""
        self._previews_left: PreviewPlan | None = None
        self._film = Film(1, 1)
        self._snapshots = Snapshots()
        self._ledger = Ledger(UnitPlan(1, 1, 1), sync_id=0, window=1, target_seconds=LEASE_SECONDS)
        self._ledger.join(MCRT, threads)
        self._begin(self.sync_id)
        self._driver = threading.Thread(target=self._drive, name="local-view", daemon=True)
        self._driver.start()

    @property
    def width(self) -> int:
        """Of the picture that is rendered, pixels."""
        return self._film.width

    @property
    def height(self) -> int:
        """Of the picture that is rendered, pixels."""
        return self._film.height

    @property
    def spp(self) -> int:
        """Samples a pixel in all."""
        return self._ledger.plan.spp

    @property
    def error(self) -> BaseException | None:
        """What the render failed of."""
        return self._error

    def edit(
        self,
        delta: bytes,
        options: Mapping[str, Any] | None = None,
        sync_id: int = 0,
    ) -> int:
        """Change the scene, as SessionRender.edit does."""
        with self._changed:
            known = {"width": self.width, "height": self.height, "spp": self.spp}
            message = edit(max(sync_id, self.sync_id + 1), delta, known | self._options | dict(options or {}))
            self._options, self.sync_id = message.options, message.sync_id
            self._edits = kept(self._edits, message)
            self._paused = False
            self._word[0] = 1
            self._changed.notify_all()
            return self.sync_id

    def pause(self, paused: bool = True) -> None:
        """Render nothing more, or go on; what was rendered stays."""
        with self._changed:
            self._paused = paused
            if paused:
                self._word[0] = 1
            self._changed.notify_all()

    def locate(self, across: float, up: float) -> tuple[float, ...] | None:
        """The place in world space that is seen at these parts of the picture from its bottom left; None where there is
        none."""
        place: Future[tuple[float, ...] | None] = Future()
        with self._changed:
            if self._closed or self._error is not None:
                return None
            self._asked.append((across, up, place))
            self._word[0] = 1
            self._changed.notify_all()
        return place.result()

    def frame(self, since: int, timeout: float) -> ProgressiveFrame | None:
        """What changed after version `since`; None when nothing did within `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._film.version > since or self._closed, timeout):
                return None
            film, previews, sync_id = self._film, self._previews, self._shown
            progress, status = self._ledger.samples / self._ledger.total_samples, FRAME_STATUS.get(self._stage)
        frame = film.frame(since, sync_id, progress, status or "RENDERING")
        with self._changed:  # a preview is marked and put under it
            coarse = previews.between(since, frame.version, film.begun)
            return replace(frame, coarse=coarse, ages=self._snapshots.ages(since, frame.version))

    def status(self) -> RenderStatus:
        """Where the render stands."""
        with self._changed:
            ledger = self._ledger
            seconds = seconds_of(ledger, self._stage == "rendering")
            rate = ledger.samples / seconds if seconds > 0 else 0.0
            (row,) = ledger.rows()
            state = "rendering" if self._stage == "rendering" and not self._paused else "ready"
            own = McrtRow(MCRT, socket.gethostname(), self._threads, row.samples, row.rate, row.open_leases, state)
            return RenderStatus(
                stage=self._stage,
                samples=ledger.samples,
                total_samples=ledger.total_samples,
                seconds=seconds,
                rate=rate,
                mcrts=(own,),
                warnings=tuple(self._warnings),
                bad_samples=ledger.bad_samples,
                first_bad=ledger.first_bad,
                error=f"{type(self._error).__name__}: {self._error}" if self._error else "",
                sync_id=self._shown,
            )

    def final(self) -> np.ndarray:
        """The picture so far: (height, width, 4) float32, rows from the bottom up."""
        return self._film.image()

    def usage(self) -> dict[str, tuple[float, int]]:
        """Seconds of processor time and bytes of memory of each mcrt, by name."""
        return {MCRT: own_usage()}

    def save(self) -> list[FilmState]:
        """The film as it is now."""
        return [self._film.save(sync_id=self._shown)]

    def where(self) -> list[dict[str, Any]]:
        """One row: this process."""
        return [own_place(self._threads, self.status().samples)]

    def stop(self) -> None:
        """Render nothing more until the next edit; what was rendered stays."""
        with self._changed:
            self._stopped_sync = self.sync_id
            if not self._edits:
                self._end_early()
            self._word[0] = 1

    def close(self) -> None:
        """End the render. May be called twice."""
        with self._changed:
            self._closed = True
            self._word[0] = 1
            self._changed.notify_all()
        self._driver.join()

    def __enter__(self) -> LocalView:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def _stage(self) -> str:
        if self._error is not None:
            return "failed"
        if self._edits:
            return "rendering"
        if self._ledger.done:
            return "finished"
        return "cancelled" if self._ledger.stopped else "rendering"

    def _begin(self, sync_id: int) -> None:
        """An empty film for the scene as the engine has it now."""
        engine = self._engine
        self._film = Film(engine.width, engine.height, self._film.version)
        self._previews = Previews(self._film.n_tiles)
        region, size = self._options.get("region"), (engine.width, engine.height)
        about = (*size, sync_id, self._preview_ids)
        self._previews_left = PreviewPlan(*about, now=time.monotonic(), region=region, after=self._previews_left)
        self._ledger = self._ledger.renewed(UnitPlan(*size, engine.spp), sync_id, region)
        self._shown = sync_id

    def _drive(self) -> None:
        try:
            while (lease := self._next()) is not None:
                if lease.stride > 1:
                    self._preview(lease)
                else:
                    self._render(lease)
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()
        finally:
            with self._changed:
                for *_, place in self._asked:
                    place.set_result(None)

    def _next(self) -> Lease | None:
        """The next lease, waited for; None at the end."""
        with self._changed:
            while not self._closed:
                if self._edits:
                    self._apply()
                self._answer()
                now, previews, lease = time.monotonic(), self._previews_left, None
                rest = previews.rest(now) if previews is not None else 0.0
                if not self._paused and previews is not None and previews.left:
                    lease = previews.lease(MCRT, 1, now)
                elif not self._paused:
                    lease = self._ledger.lease(MCRT, now)
                if lease is not None:
                    self._word[0] = 0
                    return lease
                self._changed.wait(rest or None)
        return None

    def _answer(self) -> None:
        """Tell those who wait for it what is seen. Called with the lock held."""
        while self._asked:
            across, up, place = self._asked.pop()
            try:
                place.set_result(self._engine.locate(across, up))
            except BaseException as error:
                place.set_exception(error)

    def _apply(self) -> None:
        """Bring the engine's scene up to date. Called with the lock held: nobody else has anything to do meanwhile."""
        edits, self._edits = self._edits, []
        try:
            self._engine.edit(edits)
        except Exception as error:  # whatever is wrong with it, the next edit may mend it
            self._warnings = [f"the scene cannot be drawn as it is now: {error}"]
            self._end_early()
            return
        self._warnings = list(self._engine.warnings)
        self._begin(edits[-1].sync_id)
        if edits[-1].sync_id <= self._stopped_sync:
            self._end_early()

    def _end_early(self) -> None:
        self._ledger.stop()
        self._previews_left = None

    def _preview(self, lease: Lease) -> None:
        tiles, pixels = self._engine.preview(lease.units["tile"], lease.stride, self._word)
        with self._changed:
            if self._previews_left is not None:
                self._previews_left.ended(lease.lease_id, np.setdiff1d(lease.units["tile"], tiles), time.monotonic())
            if len(tiles) and lease.sync_id == self._shown:
                self._previews.put(CoarseTiles(lease.stride, tiles, pixels), self._film.mark())
                self._changed.notify_all()

    def _render(self, lease: Lease) -> None:
        began = time.monotonic()
        units, sums, samples, bad, first_bad = self._engine.render(lease.units, self._word)
        ended = time.monotonic()
        ids = self._film.accept(units, sums)
        with self._changed:
            receipt = Receipt(lease.sync_id, lease.lease_id, MCRT, ids, ended - began, samples, bad, first_bad)
            self._ledger.accept(receipt, ended)
            self._ledger.release(lease.lease_id, np.setdiff1d(lease.units["id"], ids))
            self._ledger.rendered(lease.lease_id, ended)
            self._snapshots.took(MCRT, 0, ended, self._film.version)
            self._changed.notify_all()
