"""The client's end of a render on Ray: start a session, watch it, take its picture, end it.

with connect(cpus=4, memory=8 << 30) as cluster:
    with render_session(load_definition("mcrt_progressive"), message, cluster=cluster) as render:
        version = 0
        while frame := render.frame(version, timeout=60.0):
            version = frame.version
        picture = render.final()
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from arras_ray.errors import ArrasRayError, ClusterError, ComputationError, ReadyTimeout
from arras_ray.film import place_tiles
from arras_ray.messages import ProgressiveFrame, RDLMessage, RenderStatus
from arras_ray.versions import versions

if TYPE_CHECKING:
    from arras_ray.actors.cluster import Cluster
    from arras_ray.actors.supervisor import Parties
    from arras_ray.session_definition import SessionDefinition

READY_SECONDS = 30.0
"""How long a session may take to be placed."""

SILENT_SECONDS = 30.0
COMPILE_SECONDS = 120.0
"""How long one that loads may go without a sign of life from its mcrts, and while they compile kernels, which can keep
them from answering. One that answers may take any time: scenes can be large."""

CALL_SECONDS = 30.0
"""No call to an actor is waited for longer: its node may be frozen."""

KEEP_ALIVE_SECONDS = 1.0
LOOK_SECONDS = 0.05
STOP_SECONDS = 0.8
"""After a stop the leases under way get so long to end; then the picture is taken as it is."""

REASON_SECONDS = 3.0
"""A supervisor knows within so long why one of its computations ended."""

PASSING = 3
"""So many failed calls in a row are more than a moment's trouble."""

OVER = ("finished", "cancelled", "failed")

STATUS_ORDER = ("STARTED", "RENDERING", "CANCELLED", "FINISHED")


def render_session(
    definition: SessionDefinition,
    message: RDLMessage,
    *,
    cluster: Cluster,
    num_mcrt: int | None = None,
    num_cores: int | None = None,
    name: str | None = None,
    time_limit: float | None = None,
    engine: str | None = None,
    report: Callable[[str], None] | None = None,
) -> SessionRender:
    """Start a session and wait until it renders.

    num_mcrt overrides the length of the definition's mcrt array, num_cores the cores of each mcrt. name: of the
    session, unique in the cluster; made up if absent. time_limit: seconds from the first lease. engine:
    module:function that makes another engine than the package's. report(stage) is called for each stage on the way:
    placing, loading, compiling, rendering.

    Raise ResourcesError, ReadyTimeout, SceneError, ClusterError or ComputationError; nothing of the session is left.
    """
    from arras_ray.actors import launch
    from arras_ray.actors.mcrt import ENGINE
    from arras_ray.actors.supervisor import Order

    computations = definition.expand(num_mcrt)
    definition.check_render(computations)
    session = name or f"{definition.name}-{secrets.token_hex(2)}"
    order = Order(computations, message, versions(), engine or ENGINE, num_cores, time_limit)
    tell = report or (lambda stage: None)
    tell("placing")
    try:
        supervisor = launch.supervisor(session, order)
    except ValueError as error:
        raise ClusterError(
            f"a session named {session} runs already", hint="choose another name", address=cluster.address
        ) from error
    render = SessionRender(session, supervisor, cluster)
    try:
        render.start(tell)
    except BaseException:
        with suppress(Exception):  # the first error is the one to tell
            render.close()
        raise
    return render


class SessionRender:
    """A render under way on Ray. width, height: pixels; spp: samples a pixel in all."""

    def __init__(self, name: str, supervisor: Any, cluster: Cluster) -> None:
        self.name = name
        self.width = 0
        self.height = 0
        self.spp = 0
        self._cluster = cluster
        self._supervisor = supervisor
        self._parties: Parties | None = None
        self._error: ArrasRayError | None = None
        self._last: RenderStatus | None = None
        self._misses = 0  # calls for the status that failed, in a row
        self._version = 0
        self._shards: list[_Shard] = []
        self._frames: dict[Any, int] = {}  # frames asked for, by merge
        self._stopped_at: float | None = None
        self._closed = threading.Event()

    def start(self, tell: Callable[[str], None]) -> None:
        """Have the session placed, and wait until its first mcrts are ready and the render begins."""
        try:
            self._parties = self._ask(self._supervisor.create.remote(), READY_SECONDS)
        except ComputationError as error:
            if error.fields.get("how") != "silent":
                raise
            raise self._late("placing") from error
        self._shards = [_Shard() for _ in self._parties.merges]
        threading.Thread(target=self._keep_alive, name="keep-alive", daemon=True).start()
        told = ""
        while True:
            state = self._ask(self._supervisor.state.remote())
            if state.error is not None:
                raise state.error
            if state.stage != told:
                told = state.stage
                tell(told)
            if told == "rendering":
                break
            if state.silent > (COMPILE_SECONDS if told == "compiling" else SILENT_SECONDS):
                raise self._late(told)
            time.sleep(LOOK_SECONDS)
        self.width, self.height, self.spp = state.loaded.width, state.loaded.height, state.loaded.spp

    def _late(self, stage: str) -> ReadyTimeout:
        return ReadyTimeout(
            f"session {self.name} was not ready in time: it is still {stage}",
            hint="the nodes may be busy; `ray status` shows what runs",
        )

    def frame(self, since: int, timeout: float) -> ProgressiveFrame | None:
        """Tiles that changed after version `since` of an earlier frame (0: all); None when nothing did within
        `timeout` seconds, or ever will. With several merges a frame may hold the tiles of some of them."""
        if since != self._version:
            self._shards, self._frames = [_Shard() for _ in self._running.merges], {}
        deadline = time.monotonic() + timeout
        while parts := self._next_parts(max(0.0, deadline - time.monotonic())):
            news = [part for i, part in parts if self._shards[i].is_news(part)]
            for i, part in parts:
                self._shards[i].take(part)
            if news:
                self._version += 1
                return self._joined(news)
        return None

    def _next_parts(self, timeout: float) -> list[tuple[int, ProgressiveFrame]]:
        """Frames of the merges that have one, with the merges' numbers; every merge that goes on is asked by then."""
        import ray

        asked = set(self._frames.values())
        for i, merge in enumerate(self._running.merges):
            if i not in asked and not self._shards[i].over:
                self._frames[merge.frame.remote(self._shards[i].version, max(timeout, LOOK_SECONDS))] = i
        parts: list[tuple[int, ProgressiveFrame]] = []
        deadline = time.monotonic() + timeout
        while self._frames and not parts:
            left = max(0.0, deadline - time.monotonic())
            ready, waiting = ray.wait(list(self._frames), num_returns=1, timeout=left)
            if not ready:
                break
            if waiting:
                ready += ray.wait(waiting, num_returns=len(waiting), timeout=0)[0]
            for ref in ready:
                i = self._frames.pop(ref)
                part = self._ask(ref)
                if part is not None:
                    parts.append((i, part))
        return parts

    def status(self) -> RenderStatus:
        """Where the render stands, as far as known. A session that ended by itself is "failed", with its error."""
        if self._error is None:
            try:
                self._last = self._ask(self._running.dispatch.status.remote())
                self._misses = 0
                return self._last
            except ArrasRayError as error:
                self._misses += 1
                if _lasting(error, self._misses):
                    self._error = self._error or error
        last = self._last or RenderStatus("loading", 0, 0, 0.0, 0.0)
        if self._error is None:
            return last
        return replace(last, stage="failed", error=str(self._error))

    def stop(self) -> None:
        """Lease nothing more and cancel what renders. What was accepted, and what is finished by then, stays."""
        self._stopped_at = time.monotonic()
        self._ask(self._running.dispatch.stop.remote())

    def final(self) -> np.ndarray:
        """The picture of what was accepted: (height, width, 4) float32 R G B A, rows from the bottom up."""
        if self._stopped_at is not None:
            while self.status().stage not in OVER and time.monotonic() < self._stopped_at + STOP_SECONDS:
                time.sleep(LOOK_SECONDS / 5)
        picture = np.zeros((self.height, self.width, 4), "f4")
        for ref in [merge.final.remote() for merge in self._running.merges]:
            frame = self._ask(ref)
            place_tiles(picture, frame.tiles, frame.pixels)
        return picture

    def where(self) -> list[dict[str, Any]]:
        """Where each computation runs: computation, node, pid, threads, samples, and its bundle's cpus and memory."""
        rows = {row.name: row for row in self.status().mcrts}
        return [
            {
                "computation": joined.name,
                "node": joined.node,
                "node_id": joined.node_id,
                "pid": joined.pid,
                "threads": rows[joined.name].threads if joined.name in rows else 1,
                "samples": rows[joined.name].samples if joined.name in rows else 0,
                "cpus": joined.cpus,
                "memory": joined.memory,
                "group": joined.group,
            }
            for joined in self._ask(self._supervisor.state.remote()).computations
        ]

    def close(self) -> None:
        """End the session: no actor and no group of it is left. May be called twice."""
        import ray
        from ray.exceptions import RayError

        from arras_ray.actors import launch

        if self._closed.is_set():
            return
        self._closed.set()
        try:
            with suppress(RayError):  # what a supervisor made ends with it
                ray.get(self._supervisor.end.remote(), timeout=CALL_SECONDS)
        finally:
            with suppress(RayError):
                ray.kill(self._supervisor)
        deadline = time.monotonic() + CALL_SECONDS
        with suppress(RayError):
            while self.name in launch.sessions() and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS / 5)

    def __enter__(self) -> SessionRender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Exception) if error is not None else nullcontext():  # the first error is the one to tell
            self.close()

    @property
    def _running(self) -> Parties:
        assert self._parties is not None, "the session was not started"
        return self._parties

    def _keep_alive(self) -> None:
        """Tell the supervisor every second that this client lives, and hear whether the session does."""
        misses = 0
        while not self._closed.wait(KEEP_ALIVE_SECONDS):
            try:
                error = self._ask(self._supervisor.keep_alive.remote())
                misses = 0
            except ArrasRayError as lost:
                misses += 1
                error = lost if _lasting(lost, misses) else None
            if error is not None and not self._closed.is_set():
                self._error = self._error or error
                if misses:
                    return  # a session that failed is kept for its picture, one that is gone is not

    def _ask(self, ref: Any, timeout: float = CALL_SECONDS) -> Any:
        """The answer of an actor. Its own errors come as they were raised; of its death the supervisor tells why."""
        import ray
        from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError, RayTaskError

        from arras_ray.actors.reasons import ended, sentence

        try:
            return ray.get(ref, timeout=timeout)
        except RayTaskError as error:
            if isinstance(error.cause, ArrasRayError):
                raise error.cause from None
            raise ended(error, f"session {self.name}", "failed") from error
        except GetTimeoutError:
            raise ComputationError(f"session {self.name} does not answer", how="silent") from None
        except ActorUnavailableError as error:
            raise ComputationError(f"session {self.name} cannot be reached", how="unreachable") from error
        except RayActorError as error:
            raise self._why_ended(error) from error
        except RayError as error:
            raise ComputationError(f"session {self.name} failed: {sentence(error)}", how="unreachable") from error

    def _why_ended(self, error: Exception) -> ArrasRayError:
        """The supervisor's reason for the death of a computation: it may hear of it later than we do."""
        import ray
        from ray.exceptions import RayError

        from arras_ray.actors.reasons import NO_IMPORT, ended

        if NO_IMPORT in str(error):
            return ended(error, f"session {self.name}", "died")
        deadline = time.monotonic() + REASON_SECONDS
        try:
            while time.monotonic() < deadline:
                state = ray.get(self._supervisor.state.remote(), timeout=REASON_SECONDS)
                if state.error is not None:
                    known: ArrasRayError = state.error
                    return known
                time.sleep(LOOK_SECONDS)
        except RayError:
            return ComputationError(f"session {self.name} has ended: its supervisor died", how="died")
        return ComputationError(f"session {self.name} has ended: one of its processes died", how="died")

    def _joined(self, parts: list[ProgressiveFrame]) -> ProgressiveFrame:
        """One frame of the frames of several merges. It is FINISHED when all of them are."""
        status = min((shard.status for shard in self._shards), key=STATUS_ORDER.index)
        return ProgressiveFrame(
            sync_id=parts[0].sync_id,
            width=self.width,
            height=self.height,
            version=self._version,
            tiles=np.concatenate([part.tiles for part in parts]),
            pixels=np.concatenate([part.pixels for part in parts]),
            progress=sum(shard.progress for shard in self._shards),
            status="RENDERING" if status == "STARTED" else status,
        )


def _lasting(error: ArrasRayError, times: int) -> bool:
    """Whether an error is more than a moment's trouble, when it came so many times in a row."""
    return error.fields.get("how") != "unreachable" or times >= PASSING


@dataclass
class _Shard:
    """What the last frame of a merge said."""

    version: int = 0
    progress: float = 0.0
    status: str = "STARTED"

    @property
    def over(self) -> bool:
        return self.status in ("FINISHED", "CANCELLED")

    def is_news(self, part: ProgressiveFrame) -> bool:
        return bool(len(part.tiles)) or part.status != self.status

    def take(self, part: ProgressiveFrame) -> None:
        self.version, self.progress, self.status = part.version, part.progress, part.status
