"""The client: makes sessions, on this machine or on a Ray cluster.

    with Client("local:") as client:
        session = client.create("simple_test").wait_ready()
        print(session.call(GenericMessage("hello")).content.value)

Leaving the block ends the sessions.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from arras_ray.errors import UsageError
from arras_ray.session.definition import SessionDefinition, load_definition, read_definition
from arras_ray.session.dso import RENDER_KINDS
from arras_ray.session.handle import Session
from arras_ray.session.local_session import start_local
from arras_ray.session.log_line import INFO
from arras_ray.session.machine import machine_memory, usable_cores
from arras_ray.session.options import SessionOptions
from arras_ray.session.waiting_line import Queue

if TYPE_CHECKING:
    from arras_ray.actors.cluster import Cluster
    from arras_ray.session.computation_spec import ComputationSpec

PYTHON = "python"
"""Kind of users' computations; the others render."""

LOCAL = "local:"
"""Address of sessions whose computations are child processes of this one, without Ray."""


@dataclass(frozen=True)
class Order:
    """A session as it is asked for. name: empty for that of the definition."""

    definition: SessionDefinition
    name: str = ""
    num_mcrt: int | None = None
    dso: Mapping[str, str] = field(default_factory=dict)
    options: SessionOptions = field(default_factory=SessionOptions)
    log_level: int = INFO
    keep: bool = False
    enforce_memory: bool = False
    queue: Queue | None = None


class Client:
    """Makes sessions, several at once if wanted; leaving its block ends them. May be used from any thread.

    address: "local:", or that of a Ray cluster, HOST:PORT; None for the cluster the usual look-up finds, or one of our
    own where there is none.
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = address
        self._home: _Local | _Ray = _Local() if address == LOCAL else _Ray(address)
        self._sessions: list[Session] = []
        self._lock = threading.Lock()
        self._closed = False
        self._told_of_queue = False

    def create(
        self,
        definition: SessionDefinition | str | Path,
        *,
        name: str | None = None,
        num_mcrt: int | None = None,
        dso: Mapping[str, str] | None = None,
        options: SessionOptions | None = None,
        log_level: int | None = None,
        ready_timeout: float | None = None,
        keep: bool = False,
        enforce_memory: bool = False,
        queue: Queue | bool = False,
    ) -> Session:
        """Start a session; returns at once, or once it is ready if `ready_timeout` seconds are given for that.

        definition: one that was read, a path, or the name of one that is looked up. num_mcrt: length of its mcrt array.
        dso: other targets for its libraries, {name: "python:package.module:Class"}. log_level: what its computations
        write is heard up to this level, 0 to 5; None for the definition's, else 3. keep: the session goes on when its
        client is gone, until one that comes back, or `arras-ray stop`, ends it. enforce_memory: on Ray, computations
        that take more than their memoryMB are ended. queue: wait for machines of a cluster that are in use, in order; a
        Queue hears meanwhile how it stands. A render then begins with an mcrt at least, others join as there is room.

        Raise DefinitionError; UsageError for a render that is to be local; ResourcesError and ClusterError on Ray; and
        with `ready_timeout` what `Session.wait_ready` raises, after the session has been ended.
        """
        if self._closed:
            raise UsageError("the client is closed", hint="make a new one")
        options = options or SessionOptions()
        line = Queue() if queue is True else queue or None
        read = _read(definition)
        level = next((level for level in (log_level, read.log_level) if level is not None), INFO)
        order = Order(read, name or "", num_mcrt, dso or {}, options, level, keep, enforce_memory, line)
        session = self._home.start(order)
        session.options = options
        session.warnings += order.definition.notes
        if queue and (self.cluster is None or self.cluster.embedded) and not self._told_of_queue:
            self._told_of_queue = True
            session.warnings.append("there is nobody to wait for (queue): this machine is the session's alone")
        with self._lock:
            self._sessions.append(session)
            closed = self._closed
        try:
            if closed:
                raise UsageError("the client is closed", hint="make a new one")
            if ready_timeout is not None:
                session.wait_ready(ready_timeout)
        except BaseException:
            session.shutdown()
            raise
        return session

    @property
    def cluster(self) -> Cluster | None:
        """The cluster it is connected to; None without Ray, and until the first session."""
        return self._home.cluster

    def attach(self, name: str, *, watch: bool = False, log_level: int = INFO) -> Session:
        """Come back to a session of the cluster as its client, or `watch` it beside its client, who goes on.

        Raise UsageError where there is none; ClusterError.
        """
        session = self._home.attach(name, watch=watch, log_level=log_level)
        with self._lock:
            self._sessions.append(session)
        return session

    def sessions(self) -> tuple[Session, ...]:
        """Those it has made that have not ended, in that order."""
        with self._lock:
            self._sessions = [session for session in self._sessions if session.stopped is None]
            return tuple(self._sessions)

    def close(self) -> None:
        """End all sessions, at the same time. Nothing can be made with it any more."""
        with self._lock:
            self._closed = True
        sessions = self.sessions()
        if sessions:
            with ThreadPoolExecutor(len(sessions), "shutdown") as pool:
                list(pool.map(lambda session: session.shutdown(), sessions))
        self._home.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _read(definition: SessionDefinition | str | Path) -> SessionDefinition:
    if isinstance(definition, SessionDefinition):
        return definition
    return read_definition(definition) if isinstance(definition, Path) else load_definition(definition)


class _Local:
    """Where sessions without Ray come from."""

    cluster: Cluster | None = None

    def start(self, order: Order) -> Session:
        definition = order.definition
        computations = definition.expand(order.num_mcrt, order.dso)
        if renderers := [one.name for one in computations if one.kind in RENDER_KINDS.values()]:
            raise UsageError(
                f"{', '.join(renderers[:3])} of {definition.name} render, and no local session can",
                hint="a render without Ray is one process: arras-ray render --engine local",
            )
        return start_local(
            order.name or definition.name or "session",
            computations,
            definition.client_rules,
            log_level=order.log_level,
        )

    def attach(self, name: str, *, watch: bool, log_level: int) -> Session:
        raise UsageError("sessions without Ray are their client's alone", hint="give the client a cluster's address")

    def close(self) -> None:
        return


class _Ray:
    """Where sessions on Ray come from: a cluster that is joined, or made, for the first of them."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self.cluster: Cluster | None = None
        self._lock = threading.Lock()

    def start(self, order: Order) -> Session:
        from arras_ray.session_start import start_render, start_session

        computations = order.definition.expand(order.num_mcrt, order.dso)
        name = order.name or f"{order.definition.name or 'session'}-{secrets.token_hex(2)}"
        if any(spec.kind != PYTHON for spec in computations):
            order.definition.check_render(computations)
        cluster = self._joined(computations)
        queue = None if cluster.embedded else order.queue
        if any(spec.kind != PYTHON for spec in computations):
            return start_render(cluster, name, order.definition, computations, queue=queue)
        return start_session(
            cluster,
            name,
            computations,
            order.definition.client_rules,
            log_level=order.log_level,
            keep=order.keep,
            enforce_memory=order.enforce_memory,
            queue=queue,
        )

    def attach(self, name: str, *, watch: bool, log_level: int) -> Session:
        from arras_ray.session_start import attach_session

        return attach_session(self._joined(()), name, watch=watch, log_level=log_level)

    def close(self) -> None:
        if self.cluster is not None:
            self.cluster.close()

    def _joined(self, computations: Sequence[ComputationSpec]) -> Cluster:
        from arras_ray.actors.cluster import connect
        from arras_ray.session.placement import embedded_size

        with self._lock:
            if self.cluster is None:
                size = embedded_size(computations, usable_cores(), machine_memory())
                self.cluster = connect(self._address, cpus=size.cpus, memory=max(size.memory, machine_memory()))
            return self.cluster
