"""supervisor: owns a session. It places it, starts its computations, hears whether they live, and ends it.

A detached actor: it outlives its client by some seconds and then takes the session down, so nothing is left when a
client is killed. Everything of the session is made here and therefore dies with it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from arras_ray.actors.handshake import Joined, refuse_other_versions
from arras_ray.actors.mcrt import Loaded
from arras_ray.actors.nodes import nodes
from arras_ray.actors.reasons import ended, sentence
from arras_ray.errors import ArrasRayError, ComputationError, ResourcesError
from arras_ray.messages import RDLMessage
from arras_ray.placement import Placement, place
from arras_ray.session_definition import Computation

PING_SECONDS = 1.0
LOADING_PING_SECONDS = 0.25
"""Between two questions to a computation, and while some load: their states are what the user watches then."""

START_SECONDS = 1.0
"""After the first mcrt is ready the others get so long to be ready too, then the render begins."""

FREED_SECONDS = 1.0
"""Ray's count of what is free is at most so old."""

PLACE_SECONDS = 5.0
"""A group that was checked to fit is there at once, unless another session was quicker."""

BEGIN_SECONDS = 15.0
"""Merges and dispatch may still be starting when the first mcrt is ready."""

END_SECONDS = 3.0

LEAVE_SECONDS = END_SECONDS + 2.0
"""After a session's end its client removes the supervisor; one that did not in so long is gone."""


@dataclass(frozen=True)
class Order:
    """What a client asks of a session. versions: its own. engine: module:function that makes an mcrt's engine.

    client_seconds: a client tells every second that it is there; one that is silent for so long is gone.
    """

    computations: tuple[Computation, ...]
    message: RDLMessage
    versions: dict[str, str]
    engine: str
    num_cores: int | None = None
    time_limit: float | None = None
    client_seconds: float = 10.0


@dataclass(frozen=True)
class Parties:
    """The computations a client talks to: actor handles."""

    dispatch: Any
    merges: list[Any]


@dataclass(frozen=True)
class SessionState:
    """Where a session stands: placing, loading, compiling, rendering or failed; loaded once an mcrt is ready.

    silent: seconds since an mcrt last said that it is loading or compiling.
    """

    stage: str
    computations: tuple[Joined, ...]
    loaded: Loaded | None = None
    error: ArrasRayError | None = None
    silent: float = 0.0


@dataclass
class _Member:
    name: str
    kind: str
    actor: Any
    threads: int
    node: str
    state: str = "starting"
    pinged: bool = False


class Supervisor:
    """The supervisor of `session`. `create`, then `keep_alive` every second, then `end`."""

    def __init__(self, session: str, order: Order) -> None:
        self.session = session
        self._order = order
        self._lock = threading.RLock()
        self._stage = "placing"
        self._error: ArrasRayError | None = None
        self._group: Any = None
        self._members: dict[str, _Member] = {}
        self._joined: dict[str, Joined] = {}
        self._loaded: Loaded | None = None
        self._first_ready_at = 0.0
        self._heard_at = time.monotonic()
        self._answered_at = self._heard_at  # by an mcrt that loads
        self._next_ping = 0.0
        self._ended = threading.Event()
        self._creating = threading.Lock()
        self._waiting: dict[Any, tuple[str, str]] = {}
        """Calls under way: which (join, load, ping) to whom."""
        threading.Thread(target=self._run, name="supervisor", daemon=True).start()

    def __repr__(self) -> str:
        return f"supervisor of {self.session}"

    def create(self) -> Parties:
        """Place the session and start its computations, which then load the scene by themselves.

        Raise ResourcesError when it does not fit; nothing is left then but this actor.
        """
        with self._creating:
            return self._create()

    def _create(self) -> Parties:
        import ray

        from arras_ray.actors import launch

        self._heard_at = time.monotonic()
        members = {}
        for number, placed in enumerate(self._place().placed):
            self._refuse_if_ended()
            name, kind = placed.computation.name, placed.computation.kind
            options: dict[str, Any] = {}
            if kind == "mcrt":
                options = {"threads": placed.threads, "engine": self._order.engine}
            elif kind == "dispatch":
                options = {"time_limit": self._order.time_limit}
            actor = launch.computation(
                kind,
                self.session,
                name,
                group=self._group,
                bundle=number,
                cores=placed.cores,
                memory=placed.memory,
                **options,
            )
            members[name] = _Member(name, kind, actor, placed.threads, placed.node.name)
        self._members = members
        scene = ray.put(self._order.message)
        for name, member in self._members.items():
            self._waiting[member.actor.join.remote()] = ("join", name)
            if member.kind == "mcrt":
                self._waiting[member.actor.load.remote(scene, self._merges, self._dispatch)] = ("load", name)
                self._dispatch.mcrt_state.remote(name, member.node, member.threads, "starting")
        self._stage = "loading"
        self._heard_at = self._answered_at = time.monotonic()
        return Parties(self._dispatch, self._merges)

    def state(self) -> SessionState:
        """Where the session stands."""
        with self._lock:
            stage = self._stage
            if stage == "loading" and any(m.state == "compiling" for m in self._members.values()):
                stage = "compiling"
            silent = time.monotonic() - self._answered_at
            return SessionState(stage, tuple(self._joined.values()), self._loaded, self._error, silent)

    def keep_alive(self) -> ArrasRayError | None:
        """The client is there. Tells it when the session has failed."""
        self._heard_at = time.monotonic()
        with self._lock:
            return self._error

    def end(self) -> None:
        """Kill the computations and give everything back; returns once Ray has forgotten them. The caller ends this
        actor afterwards; if it does not, the actor does so itself."""
        import ray
        from ray.util.placement_group import remove_placement_group

        self._ended.set()
        with self._creating:  # what is just being made has to be given back too
            actors = [member.actor for member in self._members.values()]
            for actor in actors:
                ray.kill(actor)
            if self._group is None:
                return
            remove_placement_group(self._group)
        deadline = time.monotonic() + END_SECONDS
        while not self._forgotten() and time.monotonic() < deadline:
            time.sleep(0.02)

    @property
    def _dispatch(self) -> Any:
        return next(m.actor for m in self._members.values() if m.kind == "dispatch")

    @property
    def _merges(self) -> list[Any]:
        return [m.actor for m in self._members.values() if m.kind == "merge"]

    @property
    def _mcrts(self) -> list[_Member]:
        return [m for m in self._members.values() if m.kind == "mcrt"]

    def _place(self) -> Placement:
        """Check that the session fits, and make its placement group: one bundle a computation, each on its node."""
        from ray.util.placement_group import placement_group

        placement = self._fitting()
        self._refuse_if_ended()
        self._group = placement_group(
            placement.bundles,
            name=self.session,
            bundle_label_selector=[{"ray.io/node-id": placed.node.id} for placed in placement.placed],
        )
        deadline = time.monotonic() + PLACE_SECONDS
        while not self._group.wait(LOADING_PING_SECONDS):
            self._refuse_if_ended()
            if time.monotonic() > deadline:
                raise ResourcesError(
                    "the session would fit, but somebody else was quicker",
                    hint="try again, or look with `ray status` at what is in use",
                )
        return placement

    def _refuse_if_ended(self) -> None:
        if self._ended.is_set():
            raise ComputationError(f"session {self.session} was ended while it was being placed", how="ended")

    def _fitting(self) -> Placement:
        """Where the session fits. What another one gave back is counted a moment later, so a no is asked again."""
        deadline = time.monotonic() + FREED_SECONDS
        while True:
            try:
                return place(self._order.computations, nodes(), self._order.num_cores)
            except ResourcesError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def _forgotten(self) -> bool:
        import ray
        from ray.util.placement_group import placement_group_table

        mine = f"{self.session}/"
        actors = [actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)]
        left = [name for name in actors if name.startswith(mine) and name != f"{self.session}/supervisor"]
        return not left and placement_group_table(self._group).get("state") == "REMOVED"

    def _run(self) -> None:
        """Hear everything until the session ends; then leave, whatever happened."""
        try:
            while not self._ended.is_set():
                try:
                    self._look()
                except Exception as error:  # a supervisor that sees nothing would let its client wait for ever
                    self._fail(ComputationError(f"the supervisor failed: {sentence(error)}", how="failed"))
                    self._ended.wait(PING_SECONDS)
                if time.monotonic() - self._heard_at > self._order.client_seconds:
                    self.end()
                    return
            time.sleep(LEAVE_SECONDS)
        finally:
            _leave()

    def _look(self) -> None:
        """Ask who has to be asked, and take the answers that are there."""
        import ray

        if time.monotonic() >= self._next_ping:
            self._ping()
            self._next_ping = time.monotonic() + (LOADING_PING_SECONDS if self._stage == "loading" else PING_SECONDS)
        if self._waiting:
            ready, _ = ray.wait(list(self._waiting), num_returns=1, timeout=LOADING_PING_SECONDS)
            for ref in ready:
                self._hear(ref)
        else:
            self._ended.wait(LOADING_PING_SECONDS)
        if self._stage == "loading" and self._enough_ready():
            self._begin()

    def _ping(self) -> None:
        for name, member in self._members.items():
            if not member.pinged and member.state != "lost":
                member.pinged = True
                self._waiting[member.actor.ping.remote()] = ("ping", name)

    def _hear(self, ref: Any) -> None:
        """Take the answer of a call; an error of Ray or of the computation is one too."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        hear: dict[str, Callable[[_Member, Any], None]] = {
            "join": self._has_joined,
            "load": self._has_loaded,
            "ping": self._has_state,
        }
        what, name = self._waiting.pop(ref)
        member = self._members[name]
        member.pinged = member.pinged and what != "ping"
        try:
            answer = ray.get(ref)
        except RayTaskError as error:
            self._failed(member, error)
        except RayError as error:
            self._died(member, error)
        else:
            hear[what](member, answer)

    def _has_joined(self, member: _Member, joined: Joined) -> None:
        member.node = joined.node
        self._joined[joined.name] = joined
        try:
            refuse_other_versions(self._order.versions, joined)
        except ArrasRayError as error:
            self._fail(error)

    def _has_state(self, member: _Member, state: str) -> None:
        """A state on the way to being ready; that one is told by the result of loading."""
        if member.kind == "mcrt" and state in ("loading", "compiling"):
            self._answered_at = time.monotonic()
        if member.kind == "mcrt" and state != "ready" and member.state not in (state, "ready", "lost"):
            member.state = state
            self._dispatch.mcrt_state.remote(member.name, member.node, member.threads, state)

    def _has_loaded(self, member: _Member, loaded: Loaded) -> None:
        self._has_joined(member, loaded.joined)
        if self._error is not None:
            return
        if self._loaded is None:
            self._loaded = loaded
            self._first_ready_at = time.monotonic()
        member.state = "ready"
        self._dispatch.mcrt_ready.remote(loaded.joined.name, member.node, member.threads, member.actor, loaded.warnings)

    def _enough_ready(self) -> bool:
        if self._loaded is None:
            return False
        late = time.monotonic() - self._first_ready_at > START_SECONDS
        return late or all(m.state in ("ready", "lost") for m in self._mcrts)

    def _begin(self) -> None:
        import ray
        from ray.exceptions import RayError

        assert self._loaded is not None
        picture = (self._loaded.sync_id, self._loaded.width, self._loaded.height, self._loaded.spp)
        try:
            n_merges = len(self._merges)
            begun = [merge.begin.remote(*picture, self._dispatch, i, n_merges) for i, merge in enumerate(self._merges)]
            ray.get(begun, timeout=BEGIN_SECONDS)
            ray.get(self._dispatch.begin.remote(*picture, self._merges), timeout=BEGIN_SECONDS)
        except RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, ArrasRayError):
                self._fail(cause)
            else:
                self._fail(ComputationError(f"the render did not begin: {sentence(error)}", how="failed"))
            return
        with self._lock:
            if self._error is None:
                self._stage = "rendering"

    def _died(self, member: _Member, error: Exception) -> None:
        if member.state == "lost" or self._ended.is_set():
            return
        member.state = "lost"
        told = ended(error, f"{member.name} on {member.node}", "died", computation=member.name, node=member.node)
        if member.kind != "mcrt" or not isinstance(told, ComputationError):
            self._fail(told)
            return
        self._dispatch.mcrt_lost.remote(member.name, f"its process died: {sentence(error)}")
        if all(m.state == "lost" for m in self._mcrts):
            told.message = f"no mcrt is left, {told.message}"
            self._fail(told)

    def _failed(self, member: _Member, error: Any) -> None:
        """A computation raised: the scene's own errors are the user's to read, all others end the session."""
        cause = getattr(error, "cause", error)
        if isinstance(cause, ArrasRayError):
            self._fail(cause)
        else:
            who = f"{member.name} on {member.node}"
            self._fail(ended(error, who, "failed", computation=member.name, node=member.node))

    def _fail(self, error: ArrasRayError) -> None:
        with self._lock:
            if self._error is None:
                self._error = error
                self._stage = "failed"
        for member in self._members.values():
            if member.kind == "dispatch":
                member.actor.fail.remote(str(error))


def _leave() -> None:
    """End this actor; what it made ends with it."""
    import ray

    try:
        ray.kill(ray.get_runtime_context().current_actor)
    except Exception:  # Ray is not there any more, or does not know us
        os._exit(1)
