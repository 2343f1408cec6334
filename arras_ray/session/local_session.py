"""Sessions on this machine, without Ray: each computation in a child process of the client's."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from arras_ray.errors import ArrasRayError, OutputError, UsageError
from arras_ray.session.computation_spec import ComputationSpec, session_routes
from arras_ray.session.endings import Stopped
from arras_ray.session.handle import INFO, ComputationStatus, LogLine, Session, SessionStatus
from arras_ray.session.host import Part
from arras_ray.session.local_supervisor import GO_SECONDS, STOP_SECONDS, Ears, LocalSupervisor, Order
from arras_ray.session.machine import usable_cores
from arras_ray.session.message import CLIENT, Envelope
from arras_ray.session.routing import Rule
from arras_ray.session.sender import Sender

THREADS = "OMP_NUM_THREADS"
"""Environment variable that numerical libraries heed."""


def start_local(
    name: str,
    computations: Sequence[ComputationSpec],
    client_rules: Mapping[str, Rule],
    *,
    cores: int | None = None,
    log_level: int = INFO,
    keep_log: Path | None = None,
    stop_seconds: float = STOP_SECONDS,
    go_seconds: float = GO_SECONDS,
) -> LocalSession:
    """Start a session; returns at once. client_rules: what the client accepts, by source.

    cores: to share between computations, by default those this process may use. log_level: what computations write is
    heard up to this level; keep_log: a file to which it is added. stop_seconds: for a computation to stop, and again
    before it is killed. go_seconds: for the others, from when one is ready. Raise OutputError if the log cannot be
    written.
    """
    return LocalSession(
        name,
        computations,
        client_rules,
        usable_cores() if cores is None else cores,
        log_level,
        keep_log,
        stop_seconds,
        go_seconds,
    )


class LocalSession(Session):
    """A session whose computations are processes below this one. They end with it, in whatever way it ends.

    What is sent waits at its receiver, up to 256 MB; whoever sends more to it waits too. Parties that both have so much
    and send to each other without taking wait until the session ends; its log tells that.
    """

    def __init__(
        self,
        name: str,
        computations: Sequence[ComputationSpec],
        client_rules: Mapping[str, Rule],
        cores: int,
        log_level: int,
        keep_log: Path | None,
        stop_seconds: float,
        go_seconds: float,
    ) -> None:
        """See `start_local`."""
        routes = session_routes(computations, client_rules)
        names = frozenset(computation.name for computation in computations)
        self._sender = Sender(lambda one: self._supervisor.post(one))
        super().__init__(
            name,
            routes.get(CLIENT, {}),
            names,
            handled=lambda envelope: self._supervisor.handled(envelope),
            posted=self._sender.forget,
        )
        self._node = socket.gethostname()
        self.warnings += _warnings(computations, cores, self._node)
        self._log = None if keep_log is None else _LogFile(keep_log)
        threads = share_cores(computations, cores)
        orders = [
            Order(
                Part(
                    session=name,
                    name=computation.name,
                    dso=computation.dso,
                    target=computation.target,
                    config=computation.block,
                    routes=routes.get(computation.name, {}),
                    parties=names | {CLIENT},
                    threads=threads[computation.name],
                    memory=computation.resources.memory,
                    unsupported=computation.unsupported,
                ),
                {**os.environ, THREADS: str(threads[computation.name]), **computation.environment},
                computation.working_directory and os.path.abspath(computation.working_directory),
            )
            for computation in computations
        ]
        ears = Ears(self._accept, self._sender.passed, self._hears, self._becomes_ready, self._over)
        self._supervisor = LocalSupervisor(
            orders, ears, log_level=log_level, stop_seconds=stop_seconds, go_seconds=go_seconds
        )

    def status(self) -> SessionStatus:
        """Where the session and each of its computations stand."""
        supervisor = self._supervisor
        running = "paused" if supervisor.is_paused else "ready" if supervisor.is_ready else "starting"
        state = "stopped" if self._ended is not None else "stopping" if supervisor.is_stopping else running
        rows = (
            ComputationStatus(
                child.name,
                self._node,
                child.pid,
                child.state,
                child.received,
                child.sent,
                supervisor.waiting(child.name),
            )
            for child in supervisor.children.values()
        )
        return SessionStatus(state, tuple(rows), self._ended)

    def pause(self) -> None:
        """Let the computations' processes, and their own children, stand still."""
        self._pause(True)

    def resume(self) -> None:
        """Let them go on."""
        self._pause(False)

    def disconnect(self) -> None:
        """Raise UsageError: the computations are processes of this client's."""
        raise UsageError(
            f"session {self.name} is local and cannot do without its client", hint="shut it down, or run it on Ray"
        )

    def _pause(self, paused: bool) -> None:
        if self._ended is not None:
            self._raise(self._ended, always=True)
        self._supervisor.pause(paused)

    def _deliver(self, receiver: str, envelope: Envelope) -> None:
        if not self._sender.let_out(receiver, envelope):
            self._raise(self.wait_stopped(), always=True)

    def _shutdown(self) -> None:
        self._supervisor.stop()
        self._supervisor.thread.join()

    def _hears(self, line: LogLine) -> None:
        if self._log is not None:
            self._log.write(line)
        super()._hears(line)

    def _over(self, stopped: Stopped, error: ArrasRayError | None) -> None:
        if self._log is not None:
            self._log.close()
        self._has_stopped(stopped, error)
        self._sender.close()


def share_cores(computations: Sequence[ComputationSpec], cores: int) -> dict[str, int]:
    """Threads of each computation: what it asks for; those that take a range share what the others leave."""
    given = {c.name: max(1, int(c.resources.min_cores)) for c in computations}
    ranged = {c.name: c.resources.max_cores for c in computations if not c.resources.fixed}
    for _ in range(cores - sum(given.values())):
        wanting = [name for name, most in ranged.items() if most is None or given[name] + 1 <= most]
        if not wanting:
            break
        given[min(wanting, key=given.__getitem__)] += 1
    return given


def _warnings(computations: Sequence[ComputationSpec], cores: int, node: str) -> list[str]:
    """What a definition asks that this machine does not give."""
    asked = sum(computation.resources.min_cores for computation in computations)
    told = [f"the session asks for {asked:g} cores, {cores} are shared"] if asked > cores else []
    for computation in computations:
        if computation.hostname_pin not in ("", node):
            told.append(f"{computation.name} is meant for {computation.hostname_pin}, and runs here")
        if computation.no_local:
            told.append(f"{computation.name} is not meant for the client's machine, and runs there")
    return told


class _LogFile:
    """Lines with the time, the computation and the level."""

    def __init__(self, path: Path) -> None:
        try:
            self._file: TextIO = path.open("a", encoding="utf-8", errors="replace")
        except OSError as error:
            raise OutputError(f"cannot write the log {path}: {error.strerror}", path=str(path)) from error
        self._lock = threading.Lock()

    def write(self, line: LogLine) -> None:
        """Add a line; a disk that is full loses it."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S")
        with self._lock, suppress(OSError, ValueError):
            self._file.write(f"{now} {line.computation} {line.level} {line.text}\n")
            self._file.flush()

    def close(self) -> None:
        """Write nothing any more."""
        with self._lock, suppress(OSError):
            self._file.close()
