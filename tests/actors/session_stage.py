"""Sessions for tests: short ways to describe and start them, and a look at what is left when they have ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import ray
from size_of_ray import CPUS, MEMORY
from waiting import PATIENCE, until

from arras_ray.actors import names
from arras_ray.actors.cluster import Cluster
from arras_ray.actors.names import NAMESPACE
from arras_ray.actors.nodes import nodes
from arras_ray.errors import ArrasRayError
from arras_ray.overview import Sessions
from arras_ray.ray_session import RaySession
from arras_ray.session import dso
from arras_ray.session.computation_spec import MB, ComputationSpec, Resources
from arras_ray.session.log_line import DEBUG, LogLine
from arras_ray.session.message import CLIENT
from arras_ray.session.routing import EVERYTHING, Rule
from arras_ray.session_start import start_session

FAULTS = "arras_ray.computations.fault_computation:FaultComputation"


def spec(
    name: str,
    target: str = "session_parts:Script",
    *,
    accepts: Iterable[str] | Mapping[str, Rule] = (CLIENT,),
    cores: float = 0,
    memory: int = 64,
    fields: Mapping[str, Any] | None = None,
    **block: Any,
) -> ComputationSpec:
    """A computation that runs the Python in its block, or another one. memory: MB; fields: others of the spec."""
    rules = accepts if isinstance(accepts, Mapping) else dict.fromkeys(accepts, EVERYTHING)
    resources = Resources(cores, cores, memory * MB)
    return ComputationSpec(
        name, "python", resources, block=block, dso=f"python:{target}", target=target, rules=rules, **(fields or {})
    )


def faulty(name: str = "testcomp", **options: Any) -> ComputationSpec:
    """A computation that forwards, and fails where it is told to."""
    return spec(name, FAULTS, forward=True, **options)


class Stage:
    """Starts sessions on a cluster; those that a test leaves are ended by `clear`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.sessions: list[RaySession] = []
        self.lines: list[LogLine] = []
        """What all computations wrote."""

    def __call__(
        self, *specs: ComputationSpec, client: Mapping[str, Rule] | None = None, name: str = "", **options: Any
    ) -> RaySession:
        """Start a session; its client accepts everything, unless said otherwise."""
        rules = {one.name: EVERYTHING for one in specs} if client is None else client
        session = start_session(self.cluster, name, specs, rules, log_level=DEBUG, **options)
        session.listen(log=self.lines.append)
        self.sessions.append(session)
        return session

    @property
    def text(self) -> str:
        """What all computations wrote."""
        return "\n".join(line.text for line in self.lines)

    def clear(self) -> None:
        """End what was started; nothing of it is left."""
        for session in self.sessions:
            with suppress(ArrasRayError):
                session.shutdown()
        there = left()
        for name in names.sessions():  # of a test that failed
            Sessions(self.cluster).stop(name)
        assert there == []


def left() -> list[str]:
    """Actors and groups of sessions."""
    actors = [a["name"] for a in ray.util.list_named_actors(all_namespaces=True) if a["namespace"] == NAMESPACE]
    table: dict[str, dict[str, Any]] = ray.util.placement_group_table()
    return actors + [group["name"] for group in table.values() if group["state"] != "REMOVED"]


def nothing_is_left() -> bool:
    """No actor and no group, and all cores and memory are free (Ray counts them a moment later)."""
    return not left() and [(n.cpus, n.memory) for n in nodes()] == [(CPUS, MEMORY)]


@contextmanager
def parts_may_be_named() -> Iterator[None]:
    """Processes of a Ray that starts now may run the computations of session_parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(dso.MODULES, "session_parts")
        yield


@contextmanager
def staging(cluster: Cluster) -> Iterator[Stage]:
    """A stage that is cleared; everything is given back."""
    stage = Stage(cluster)
    try:
        yield stage
    finally:
        stage.clear()
    until(nothing_is_left, f"the resources to be given back: {left()}")


def pid_of(session: RaySession, computation: str) -> int:
    """The process of a computation, or of the supervisor, once it is there."""
    supervisor: Any = ray.get_actor(f"{session.name}/supervisor", NAMESPACE)

    def joined() -> int:
        _, _, rows = ray.get(supervisor.report.remote(), timeout=PATIENCE)
        return next((row.pid for row in rows if row.name == computation), 0)

    found: int = until(joined, f"{computation} to join")
    return found


def take(session: RaySession, count: int) -> list[Any]:
    """The content of the next messages."""
    messages = session.messages(PATIENCE)
    return [next(messages).content for _ in range(count)]
