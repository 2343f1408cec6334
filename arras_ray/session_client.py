"""The client: makes sessions, on this machine or on a Ray cluster.

    with Client("local:") as client:
        session = client.create("simple_test").wait_ready()
        print(session.call(GenericMessage("hello")).content.value)

Leaving the block ends the sessions.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Self

from arras_ray.errors import UsageError
from arras_ray.session.definition import SessionDefinition, load_definition, read_definition
from arras_ray.session.handle import Session
from arras_ray.session.local_session import start_local
from arras_ray.session.log_line import INFO
from arras_ray.session.options import SessionOptions

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


class Client:
    """Makes sessions, several at once if wanted; leaving its block ends them. May be used from any thread.

    address: "local:", or that of a Ray cluster, HOST:PORT; None for the cluster the usual look-up finds, or one of our
    own where there is none.
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = address
        self._sessions: list[Session] = []
        self._lock = threading.Lock()
        self._closed = False

    def create(
        self,
        definition: SessionDefinition | str | Path,
        *,
        name: str | None = None,
        num_mcrt: int | None = None,
        dso: Mapping[str, str] | None = None,
        options: SessionOptions | None = None,
        log_level: int = INFO,
        ready_timeout: float | None = None,
    ) -> Session:
        """Start a session; returns at once, or once it is ready if `ready_timeout` seconds are given for that.

        definition: one that was read, a path, or the name of one that is looked up. num_mcrt: length of its mcrt array.
        dso: other targets for its libraries, {name: "python:package.module:Class"}. log_level: what its computations
        write is heard up to this level, 0 to 5. Raise DefinitionError; ResourcesError and ClusterError on Ray;
        and with `ready_timeout` what `Session.wait_ready` raises, after the session has been ended.
        """
        order = Order(_read(definition), name or "", num_mcrt, dso or {}, options or SessionOptions(), log_level)
        session = _start(self.address, order)
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


def _start(address: str | None, order: Order) -> Session:
    """Start a session where the address says."""
    if address != LOCAL:
        session: Session = import_module("arras_ray.ray_session").start(address, order)
        return session
    definition = order.definition
    session = start_local(
        order.name or definition.name or "session",
        definition.expand(order.num_mcrt, order.dso),
        definition.client_rules,
        log_level=order.log_level,
    )
    session.options = order.options
    session.warnings += definition.notes
    return session
