"""Nursery of a Ray node: a process that has imported what Ray's workers import, and forks one whenever one is wanted.

A worker of Ray's is a Python of its own, which takes a second of processor time before it can do anything. Its parent
(see parent.py, nursery_client.py) asks the nursery for one instead, and hands over the arguments, environment, folder
and open files. The first parent on a node starts the nursery; it ends with its raylet. Where there is none, or the
worker is to have another environment than the raylet, which may change what imports do, the parent starts a worker by
itself.

A request is one packet: JSON, with descriptors of stdin, stdout, stderr and the pipe for introductions. Answers are
numbers: the worker's process id, 0 for none, and later its wait status. Who hangs up takes the worker along.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from arras_ray.actors.nursery_client import user_of
from arras_ray.actors.parent import VARIABLE, die_with, run_script
from arras_ray.actors.preloaded import Preloaded

ALWAYS_IMPORTED = (
    "ray._private.workers.default_worker",
    "ray._private.arrow_serialization",
    "ray._common.usage.usage_lib",
    "ray._common.pydantic_compat",
    "pydantic.v1",
    "numpy",
    "arras_ray.actors.launch",
)
"""What workers import before they do anything, or soon after."""

OWN_VARIABLES = ("RAY_JOB_ID", "RAY_RAYLET_PID", "SHLVL", "PWD", "OLDPWD", "_")
"""Of one worker, and without meaning for what it imports, but for Ray's job: a nursery has none."""

MOST_BYTES = 1 << 20
N_DESCRIPTORS = 4


class Nursery:
    """Forks workers for those who ask on `listening`, until the raylet has ended and the last worker too."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._workers: dict[socket.socket, int] = {}
        """By the connection of its parent; 0 before it was asked for."""
        self._environment = _lasting(os.environ)
        self._raylet = os.pidfd_open(int(os.environ["RAY_RAYLET_PID"]))
        self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector = selectors.DefaultSelector()

    def prepare(self) -> Preloaded:
        """Import what every worker will have; returns what they may have of this package."""
        import gc
        import importlib

        for name in ALWAYS_IMPORTED:
            with suppress(ImportError):  # of another Ray; a worker will tell if it misses it
                importlib.import_module(name)
        with suppress(ImportError):
            import ray._raylet

            ray._raylet.setproctitle("arras-ray nursery")  # type: ignore[attr-defined]
        preloaded = Preloaded()
        gc.collect()
        gc.freeze()  # or each worker's collector would copy all of its pages
        return preloaded

    def serve(self) -> dict[str, Any] | None:
        """Serve until the end. In a forked worker: returns the request for it, to which it then conforms."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakes[1], warn_on_full_buffer=False)
        self._listening.setblocking(False)
        for watched in (self._listening, self._raylet, self._wakes[0]):
            self._selector.register(watched, selectors.EVENT_READ)
        raylet_lives = True
        while raylet_lives or self._workers:
            for key, _ in self._selector.select():
                source: Any = key.fileobj
                if source is self._listening:
                    self._accept()
                elif source == self._wakes[0]:
                    self._reap()
                elif source == self._raylet:
                    self._selector.unregister(source)
                    raylet_lives = False
                elif source in self._workers and (request := self._hear(source)) is not None:
                    return request
        return None

    def _accept(self) -> None:
        with suppress(OSError):
            connection, _ = self._listening.accept()
            if user_of(connection) != os.getuid():
                connection.close()
                return
            self._workers[connection] = 0
            self._selector.register(connection, selectors.EVENT_READ)

    def _hear(self, connection: socket.socket) -> dict[str, Any] | None:
        """Hear what a parent has to say. In the worker that it wanted: the request."""
        packet, descriptors = b"", list[int]()
        with suppress(OSError):
            packet, descriptors, _, _ = socket.recv_fds(connection, MOST_BYTES, N_DESCRIPTORS)
        if pid := self._workers[connection]:  # the parent has gone
            os.kill(pid, signal.SIGKILL)
            self._selector.unregister(connection)
            return None
        request: dict[str, Any] = json.loads(packet or b"{}")
        forked = None
        if _lasting(request.get("environment", {})) == self._environment and len(descriptors) == N_DESCRIPTORS:
            nursery = os.getpid()
            forked = os.fork()
            if not forked:
                self._conform(request, descriptors, nursery)
                return request
            self._workers[connection] = forked
        self._answer(connection, forked or 0)
        if not forked:
            self._forget(connection)
        for descriptor in descriptors:
            os.close(descriptor)
        return None

    def _conform(self, request: dict[str, Any], descriptors: list[int], nursery: int) -> None:
        """In the child: be as the worker that was asked for."""
        die_with(nursery)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setpgid(0, 0)  # Ray ends a worker's group with it
        self._selector.close()
        for other in (*self._workers, self._listening):
            other.close()
        for descriptor in (self._raylet, *self._wakes):
            os.close(descriptor)
        for standard, descriptor in enumerate(descriptors[:3]):
            os.dup2(descriptor, standard)
            os.close(descriptor)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.environ[VARIABLE] = f"{descriptors[3]}:{nursery}"
        os.chdir(request["folder"])
        if random := sys.modules.get("numpy.random"):
            random.seed()  # Python's own does this by itself

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wakes[0], 4096)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                for connection in [one for one, pid in self._workers.items() if pid == ended[0]]:
                    self._answer(connection, ended[1])
                    self._forget(connection)

    def _answer(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError):  # it has gone
            connection.send(str(number).encode())

    def _forget(self, connection: socket.socket) -> None:
        with suppress(KeyError):
            self._selector.unregister(connection)
        del self._workers[connection]
        connection.close()


def _lasting(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in OWN_VARIABLES}


def main() -> None:
    """Be a nursery, on the socket and with the folder to import from that the arguments say; in a worker, be that."""
    listening, folder = int(sys.argv[1]), sys.argv[2]
    if not sys.flags.safe_path:
        sys.path[0] = folder
    nursery = Nursery(socket.socket(fileno=listening))
    preloaded = nursery.prepare()
    request = nursery.serve()
    if request is not None:
        preloaded.offer()
        run_script(request["script"], request["arguments"])


if __name__ == "__main__":
    main()
