"""The sessions of a cluster, for whoever is not their client: what runs with how much, more or fewer mcrts, the end.

with join_cluster() as cluster:
    sessions = Sessions(cluster)
    for session in sessions.report():
        print(session.name, session.stage)
    sessions.scale("shot-1a2b", 4)
    sessions.stop("shot-1a2b")
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arras_ray.errors import ClusterError, ComputationError, UsageError
from arras_ray.session.log_line import STDERR_LEVEL, LogLine

if TYPE_CHECKING:
    from arras_ray.actors.cluster import Cluster

ANSWER_SECONDS = 3.0
"""A supervisor that is there answers at once."""

LEAVE_SECONDS = 10.0
"""The client of a session that is stopped gets so long to take the picture so far and to end the session itself. One
that does not exist any more is noticed by the supervisor in the same time."""

LOOK_SECONDS = 0.05
FOLLOW_SECONDS = 0.5


@dataclass(frozen=True)
class ComputationUse:
    """A computation and what it uses. cpus: of its bundle; cpu_seconds: since its process began, age seconds ago.

    memory: its private bytes; memory_limit: of its bundle, 0 where that is not known. node: a name, node_id Ray's, both
    empty where they are not known; pid 0 likewise.
    """

    name: str
    node: str
    node_id: str
    pid: int
    state: str
    """absent, starting, loading, compiling, ready, draining or left out."""
    cpus: float
    cpu_seconds: float
    memory: int
    memory_limit: int
    age: float

    @property
    def cpu_percent(self) -> float:
        """Of one core, on average since its process began."""
        return 100 * self.cpu_seconds / self.age if self.age > 0 else 0.0


@dataclass(frozen=True)
class SessionUse:
    """A session. stage: placing, loading, compiling, rendering or failed. age: seconds.

    One whose supervisor does not answer has an empty stage and no computations; it may be back within seconds.
    """

    name: str
    stage: str = ""
    age: float = 0.0
    computations: tuple[ComputationUse, ...] = ()

    @property
    def answers(self) -> bool:
        """Whether its supervisor did."""
        return bool(self.stage)


@dataclass(frozen=True)
class NodeUse:
    """A node of the cluster; memory in bytes. A dead one has none of anything."""

    id: str
    name: str
    alive: bool
    cpus: float
    free_cpus: float
    memory: int
    free_memory: int


def join_cluster(address: str | None = None) -> Cluster:
    """Join the cluster the look-up finds; unlike `connect` never start a Ray. address: as `connect` has it.

    Raise ClusterError.
    """
    from arras_ray.actors.cluster import connect, find

    found = find(address)
    if found is None:
        raise ClusterError(
            "no Ray cluster was found",
            hint="give its --address HOST:PORT or set RAY_ADDRESS; a Ray that a render starts for itself belongs to"
            " that render and cannot be looked at",
        )
    return connect("auto" if found.source == "machine" else address)


class Sessions:
    """The sessions of a cluster this process has joined."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def names(self) -> list[str]:
        """Of all sessions, sorted."""
        from arras_ray.actors import names

        return names.sessions()

    def report(self) -> list[SessionUse]:
        """All sessions, by name."""
        import ray

        asked: dict[str, tuple[Any, Any]] = {}
        for name in self.names():
            with suppress(UsageError):  # it ended just now
                supervisor = self._supervisor(name)
                asked[name] = (supervisor.report.remote(), supervisor.state.remote())
        refs = [ref for pair in asked.values() for ref in pair]
        if refs:
            ray.wait(refs, num_returns=len(refs), timeout=ANSWER_SECONDS)
        found = [_session(name, report, state) for name, (report, state) in asked.items()]
        there = self.names() if not all(session.answers for session in found) else list(asked)
        return [session for session in found if session.name in there]

    def nodes(self) -> list[NodeUse]:
        """All nodes, the living first, by name; dead ones as long as Ray knows them."""
        import ray

        from arras_ray.actors.nodes import nodes

        free = {node.id: node for node in nodes()}
        all_nodes: Any = ray.nodes
        found = []
        for node in all_nodes():
            here, total = free.get(node["NodeID"]), node["Resources"] if node["Alive"] else {}
            found.append(
                NodeUse(
                    id=node["NodeID"],
                    name=node["NodeManagerHostname"],
                    alive=node["Alive"],
                    cpus=total.get("CPU", 0.0),
                    free_cpus=here.cpus if here else 0.0,
                    memory=int(total.get("memory", 0)),
                    free_memory=here.memory if here else 0,
                )
            )
        return sorted(found, key=lambda node: (not node.alive, node.name, node.id))

    def scale(self, name: str, num_mcrt: int, *, drain: bool = False) -> str:
        """Let a session have so many mcrts from now on; returns a sentence on what happens.

        More come as there is room. Too many end at once, and what they were at is rendered again, or with `drain` when
        they have finished their leases. Raise UsageError for a session that is not there, ComputationError for one
        that does not answer.
        """
        if num_mcrt < 1:
            raise UsageError(f"a session needs an mcrt at least, not {num_mcrt}")
        sentence: str = self._ask(name, self._supervisor(name).scale.remote(num_mcrt, drain))
        return sentence

    def log(self, name: str, computation: str | None = None, *, follow: bool = False) -> Iterator[LogLine]:
        """Lines that a session's computations wrote (one of them, if named), as far as their nodes keep them; of those
        that ended unasked the last ones. follow: go on until the session ends.

        Raise UsageError for a session or a computation that is not there, ComputationError for one that does not
        answer.
        """
        import ray
        from ray.exceptions import RayError

        from arras_ray.actors import launch

        supervisor = self._supervisor(name)
        places: dict[tuple[str, int], tuple[int, int]] = {}
        told: set[str] = set()
        while True:
            try:
                state = self._ask(name, supervisor.state.remote())
            except ComputationError:
                if follow and places and name not in self.names():
                    return
                raise
            known = {joined.name for joined in state.computations} | {end.computation for end in state.ends}
            if computation is not None and computation not in known and not places:
                raise UsageError(f"session {name} has no computation {computation}", hint=f"it has {', '.join(known)}")
            for end in state.ends:
                if computation in (None, end.computation) and end.computation not in told:
                    told.add(end.computation)
                    yield from (LogLine(end.computation, STDERR_LEVEL, text) for text in end.log)
            asked = []
            for joined in state.computations:
                if computation in (None, joined.name):
                    place = (joined.name, joined.pid)
                    log = launch.keeper(name, joined.node_id).log.remote(joined.pid, places.get(place, (0, 0)))
                    asked.append((place, log))
            for place, log in asked:
                with suppress(RayError):  # its node is lost
                    lines, places[place] = ray.get(log, timeout=ANSWER_SECONDS)
                    yield from (LogLine(place[0], level, text) for level, text in lines)
            if not follow:
                return
            time.sleep(FOLLOW_SECONDS)

    def stop(self, name: str) -> None:
        """End a session. Its client is told first and gets LEAVE_SECONDS to take the picture so far.

        Raise UsageError for a session that is not there, ComputationError for one that does not end.
        """
        import ray

        from arras_ray.session_link import SessionLink

        supervisor = self._supervisor(name)
        with suppress(ComputationError):  # it would not hear that it is to end: what it has made is found by its name
            reason = f"session {name} was ended by somebody else (arras-ray stop)"
            told = self._ask(name, supervisor.dismiss.remote(reason))
            deadline = time.monotonic() + (LEAVE_SECONDS if told else 0.0)
            while name in self.names() and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)
        if name in self.names():
            try:
                self._ask(name, supervisor.state.remote())
            except ComputationError:
                ray.kill(supervisor)
            SessionLink(name, supervisor, self._cluster).end()
        if name in self.names():
            raise ComputationError(
                f"session {name} does not end", hint="the head may hang: `ray status` tells", how="silent"
            )

    def _supervisor(self, name: str) -> Any:
        from arras_ray.actors.names import find_actor

        try:
            return find_actor(name, "supervisor")
        except ValueError:
            names = ", ".join(self.names())
            hint = f"there are {names}" if names else "there are no sessions in this cluster"
            raise UsageError(f"there is no session {name}", hint=hint) from None

    def _ask(self, name: str, ref: Any) -> Any:
        """The answer of a supervisor. Raise ComputationError if there is none."""
        import ray
        from ray.exceptions import RayError

        try:
            return ray.get(ref, timeout=ANSWER_SECONDS)
        except RayError:
            raise ComputationError(
                f"the supervisor of session {name} does not answer",
                hint="one that died is back within seconds: try again",
                computation="supervisor",
                how="silent",
            ) from None


def _session(name: str, report: Any, state: Any) -> SessionUse:
    """What a supervisor has answered, if it has."""
    import ray
    from ray.exceptions import RayError

    try:
        (stage, age, rows), there = ray.get([report, state], timeout=0)
    except RayError:
        return SessionUse(name)
    joined = {one.name: one for one in there.computations}
    return SessionUse(
        name,
        stage,
        age,
        tuple(
            ComputationUse(
                name=row.name,
                node=row.node,
                node_id=joined[row.name].node_id if row.name in joined else "",
                pid=row.pid,
                state=row.state,
                cpus=row.cpus,
                cpu_seconds=row.cpu,
                memory=row.memory,
                memory_limit=joined[row.name].memory if row.name in joined else 0,
                age=row.age,
            )
            for row in rows
        ),
    )
