"""The client's end of a render on Ray: watch it, change its scene, take its picture, end it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from arras_ray.edits import edit, kept
from arras_ray.ended import Ended
from arras_ray.errors import ArrasRayError, ComputationError, ReadyTimeout
from arras_ray.film import place_tiles
from arras_ray.messages import FilmState, ProgressiveFrame, RDLMessage, RenderStatus
from arras_ray.session_link import ASK_SECONDS, SessionLink
from arras_ray.shards import Shards

if TYPE_CHECKING:
    from arras_ray.actors.cluster import Cluster
    from arras_ray.actors.orders import Parties, SessionState

READY_SECONDS = 30.0
"""How long a session may take to be placed."""

SILENT_SECONDS = 30.0
COMPILE_SECONDS = 120.0
"""How long one that loads may go without a sign of life from its mcrts, and while they compile kernels, which can keep
them from answering. One that answers may take any time: scenes can be large."""

KEEP_ALIVE_SECONDS = 1.0
LOOK_SECONDS = 0.05
STOP_SECONDS = 0.8
"""After a stop the leases under way get so long to end; then the picture is taken as it is."""

ASKED = 3
"""Mcrts that are asked what is seen at a place; the first answer counts."""

BACK_SECONDS = 60.0
"""So long a picture is waited for whose merge has to be replaced."""

OVER = ("finished", "cancelled", "failed")


class SessionRender:
    """A render under way on Ray. width, height: pixels; spp: samples a pixel in all.

    error: what the session has failed of, as far as is known. Whatever of the session dies, its methods go on once it
    was replaced; only a session that has ended as a whole makes them raise.
    """

    def __init__(self, name: str, supervisor: Any, cluster: Cluster, options: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self._options = dict(options or {})
        self.width = 0
        self.height = 0
        self.spp = 0
        self.error: ArrasRayError | None = None
        self._link = SessionLink(name, supervisor, cluster)
        self._state: SessionState | None = None
        self._told: list[str] = []
        """Warnings of all supervisors there were."""
        self._ends: list[Ended] = []
        self._last: RenderStatus | None = None
        self._shards = Shards()
        self._version = 0
        self.sync_id = 0
        """Of the scene as it is now."""
        self._edits: list[RDLMessage] = []
        self._editing = threading.Lock()
        self._stopped_at: float | None = None
        self._paused = False
        self._telling = threading.Lock()
        self._told_stop: tuple[int, int] | None = None
        self._told_pause: tuple[int, int, bool] | None = None
        """What the dispatch of which life knows, of which scene."""
        self._settled = False
        self._closed = threading.Event()

    def start(self, tell: Callable[[str], None], ready_seconds: float | None = None) -> None:
        """Wait until the session is placed, its first mcrts are ready and the render begins."""
        began = time.monotonic()
        told: list[str] = []
        while True:
            state = self.hear()
            if self.error is not None:
                raise self.error
            if state is not None and state.stage not in told:
                told.append(state.stage)
                tell(state.stage)
            stage = told[-1] if told else "placing"
            if state is not None and stage == "rendering":
                break
            silent = state.silent if state is not None and stage != "placing" else time.monotonic() - began
            limits = {"placing": READY_SECONDS, "compiling": COMPILE_SECONDS}
            late = ready_seconds is not None and time.monotonic() - began > ready_seconds
            if late or (ready_seconds is None and silent > limits.get(stage, SILENT_SECONDS)):
                raise ReadyTimeout(
                    f"session {self.name} was not ready in time: it is still {stage}",
                    hint="the nodes may be busy; `ray status` shows what runs",
                )
            time.sleep(LOOK_SECONDS)
        self.begin(state)

    def begin(self, state: SessionState, options: Mapping[str, Any] | None = None) -> None:
        """It renders, as the supervisor tells in `state`. options: those of the scene, where it came only now."""
        assert state.loaded is not None
        self._options |= options or {}
        self.width, self.height, self.spp = state.loaded.width, state.loaded.height, state.loaded.spp
        self.sync_id = state.loaded.sync_id
        threading.Thread(target=self._keep_alive, name="keep-alive", daemon=True).start()

    def hear(self) -> SessionState | None:
        """Keep the session alive, and hear where it stands; None while its supervisor is not reached.

        What ends the session is in `error`.
        """
        state = self._link.keep_alive()
        if state is not None:
            self._take(state)
        elif not self._closed.is_set():
            self.error = self.error or self._link.error
        return state

    def frame(self, since: int, timeout: float) -> ProgressiveFrame | None:
        """Tiles that changed after version `since` of an earlier frame (0: all); None when nothing did within
        `timeout` seconds, or ever will. With several merges a frame may hold the tiles of some of them."""
        if since != self._version:
            self._shards = Shards()
            self._shards.sync_id = self.sync_id
        deadline = time.monotonic() + timeout
        while True:
            parties = self._parties
            left = deadline - time.monotonic()
            news = self._shards.news(parties.merges, parties.lives[1:], max(0.0, left)) if parties else []
            if news:
                self._version += 1
                return self._shards.joined(news, self._version)
            if left <= 0 or self._shards.over or self.error is not None:
                return None
            if parties is None or self._shards.away:
                time.sleep(LOOK_SECONDS)

    def status(self) -> RenderStatus:
        """Where the render stands, as far as known. A session that ended by itself is "failed", with its error."""
        parties = self._parties
        if self.error is None and parties is not None:
            with suppress(ArrasRayError):  # a dispatch that is gone is replaced; until then the last word stands
                status = self._link.ask(parties.dispatch.status.remote(), ASK_SECONDS)
                begins = status.stage == "loading" and self._last is not None
                self._last = status if not begins else self._last
        last = self._last or RenderStatus("loading", 0, 0, 0.0, 0.0)
        if last.sync_id < self.sync_id and last.stage in OVER:  # dispatch has not heard of the last edit
            last = replace(last, stage="rendering", samples=0, error="", failed=None)
        if last.stage in OVER and not self._settled:
            self._settled = True
            with suppress(ArrasRayError):
                self._take(self._link.ask(self._link.supervisor.settle.remote(), ASK_SECONDS))
        told = (*last.warnings, *(text for text in self._told if text not in last.warnings))
        last = replace(last, warnings=told, ends=tuple(self._ends))
        if self.error is None or last.stage == "failed":
            return last
        return replace(last, stage="failed", error=str(self.error))

    def edit(
        self,
        delta: bytes,
        options: Mapping[str, Any] | None = None,
        sync_id: int = 0,
    ) -> int:
        """Change the scene by a delta in RDLB, empty for none; returns the sync_id that frames of it have.

        What is rendered of the scene before it is cancelled. options: those of RDLMessage that are to be others than
        before. sync_id: a number of one's own, if it is above those before. A scene that cannot be drawn is told by a
        warning. Raise SceneError for bytes that are not RDLB.
        """
        with self._editing:
            known = {"width": self.width, "height": self.height, "spp": self.spp}
            message = edit(max(sync_id, self.sync_id + 1), delta, self._options | known | dict(options or {}))
            self._options = message.options
            self.width, self.height, self.spp = (self._options[name] for name in known)
            before = self.sync_id
            self._edits = kept(self._edits, message)
            self._stopped_at, self._settled = None, False
            self._paused = False
            self.sync_id = self._shards.sync_id = message.sync_id
            self._link.supervisor.edit.remote([message], before)
        return message.sync_id

    def stop(self) -> None:
        """Lease nothing more and cancel what renders. What was accepted, and what is finished by then, stays.

        A dispatch that is being replaced, now or later, hears of it once it is there.
        """
        self._stopped_at = time.monotonic()
        self._tell_wishes()

    def pause(self, paused: bool = True) -> None:
        """Lease nothing more, or go on; what was accepted stays. The next edit goes on, too.

        A dispatch that is being replaced, now or later, hears of it once it is there.
        """
        self._paused = paused
        self._tell_wishes()

    def locate(self, across: float, up: float) -> tuple[float, ...] | None:
        """The place in world space that is seen at these parts of the picture from its bottom left; None where there is
        none. Raise ArrasRayError while no mcrt can tell.
        """
        import ray

        from arras_ray.actors import names

        calls: list[Any] = []
        for row in self.status().mcrts:
            if row.state in ("ready", "rendering") and len(calls) < ASKED:
                with suppress(ValueError):  # it is lost
                    calls.append(names.find_actor(self.name, row.name).locate.remote(across, up))
        deadline = time.monotonic() + ASK_SECONDS
        while calls:
            done, calls = ray.wait(calls, timeout=max(0.0, deadline - time.monotonic()))
            if not done:
                break
            with suppress(ArrasRayError):  # another one may know
                place: tuple[float, ...] | None = self._link.ask(done[0], ASK_SECONDS)
                return place
        raise ComputationError(f"no mcrt of session {self.name} tells what is seen there", how="silent")

    def usage(self) -> dict[str, tuple[float, int]]:
        """Seconds of processor time and private bytes of each mcrt, by name."""
        _, _, rows = self._link.ask(self._link.supervisor.report.remote(), ASK_SECONDS)
        return {row.name: (row.cpu, row.memory) for row in rows}

    def final(self) -> np.ndarray:
        """The picture of what was accepted: (height, width, 4) float32 R G B A, rows from the bottom up.

        Of a finished render it is whole, also when a merge dies now: then its replacement is waited for.
        """
        if self._stopped_at is not None:
            while self.status().stage not in OVER and time.monotonic() < self._stopped_at + STOP_SECONDS:
                time.sleep(LOOK_SECONDS / 5)
        deadline = time.monotonic() + BACK_SECONDS
        whole = self.status().stage == "finished" and self._last is not None
        whole = whole and self._last is not None and self._last.samples == self._last.total_samples
        while True:
            try:
                frames = self._of_all_merges("final")
                if not whole or sum(frame.progress for frame in frames) >= 1.0 - 1e-9:
                    break
            except ArrasRayError as error:
                if self.error is not None or time.monotonic() > deadline:
                    raise self.error or error from None
            if time.monotonic() > deadline:
                break
            time.sleep(LOOK_SECONDS)
        picture = np.zeros((self.height, self.width, 4), "f4")
        for frame in frames:
            place_tiles(picture, frame.tiles, frame.pixels)
        return picture

    def save(self) -> list[FilmState]:
        """What was accepted, exactly: the film of each merge, as it is now or, of one that is gone, was saved."""
        try:
            states = self._of_all_merges("save")
        except ArrasRayError:
            states = self._link.ask(self._link.supervisor.saved.remote())
        return [state for state in states if state is not None]

    def log(self) -> np.ndarray:
        """All accepted units in the order in which each merge accepted them: (n,) i8."""
        return np.concatenate(self._of_all_merges("log"))

    def where(self) -> list[dict[str, Any]]:
        """Where each computation runs: computation, node, pid, threads, samples, and its bundle's cpus and memory."""
        samples = {row.name: row.samples for row in self.status().mcrts}
        return [
            {
                "computation": joined.name,
                "node": joined.node,
                "node_id": joined.node_id,
                "pid": joined.pid,
                "threads": joined.threads,
                "samples": samples.get(joined.name, 0),
                "cpus": joined.cpus,
                "memory": joined.memory,
                "group": joined.group,
            }
            for joined in self._link.ask(self._link.supervisor.state.remote()).computations
        ]

    def close(self) -> None:
        """End the session: no actor and no group of it is left. May be called twice."""
        if not self._closed.is_set():
            self._closed.set()
            self._link.end()

    def __enter__(self) -> SessionRender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Exception) if error is not None else nullcontext():  # the first error is the one to tell
            self.close()

    @property
    def _parties(self) -> Parties | None:
        return self._state.parties if self._state is not None else None

    def _of_all_merges(self, method: str) -> list[Any]:
        """The answers of all merges. Raise ArrasRayError if one is not there."""
        parties = self._parties
        if parties is None:
            raise ComputationError(f"session {self.name} has no merge at the moment", how="unreachable")
        return [self._link.ask(ref) for ref in [getattr(merge, method).remote() for merge in parties.merges]]

    def _keep_alive(self) -> None:
        """Tell the supervisor every second that this client lives, and hear where the session stands."""
        while not self._closed.wait(KEEP_ALIVE_SECONDS if self._parties is not None else LOOK_SECONDS):
            self.hear()
            if self.error is not None and self._state is None:
                return
            self._tell_wishes()

    def _tell_wishes(self) -> None:
        """Tell the dispatch whether it is to stop or to pause, if it has not heard it yet."""
        with self._telling, suppress(ArrasRayError):
            parties = self._parties
            if parties is None:
                return
            with self._editing:  # an edit ends both before it counts the sync_id up
                life, sync_id, stopped, paused = parties.lives[0], self.sync_id, self._stopped_at, self._paused
            if stopped is not None and self._told_stop != (life, sync_id):
                self._link.ask(parties.dispatch.stop.remote(sync_id), ASK_SECONDS)
                self._told_stop = life, sync_id
            was_paused = self._told_pause is not None and self._told_pause[2]
            if (paused or was_paused) and self._told_pause != (life, sync_id, paused):
                self._link.ask(parties.dispatch.pause.remote(paused, sync_id), ASK_SECONDS)
                self._told_pause = life, sync_id, paused

    def _take(self, state: SessionState) -> None:
        if state.loaded is not None and state.sync_id < self.sync_id:  # a supervisor that has not heard of all edits
            with self._editing:
                missing = [message for message in self._edits if message.sync_id > state.sync_id]
                self._link.supervisor.edit.remote(missing, state.sync_id)
        self._state = state
        self._told += [text for text in state.warnings if text not in self._told]
        self._ends += [end for end in state.ends if end not in self._ends]
        self.error = self.error or state.error
