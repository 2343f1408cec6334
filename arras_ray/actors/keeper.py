"""The keeper of a node: one small process a session has there, which sees what the supervisor cannot see from afar.

It tells that the node lives when a computation on it does not answer, how a process ended, and ends one that hangs.
The supervisor does this by itself for its own node.
"""

from __future__ import annotations

import sys
from pathlib import Path

from arras_ray.actors import parent, worker_log
from arras_ray.actors.ends import End, end_process, find_end, signal_process
from arras_ray.actors.handshake import Heart, Joined, Pulse, join


class Keeper:
    """The keeper `name` of a session, on one node."""

    def __init__(self, name: str, session: str) -> None:
        self.name = name
        self.session = session
        self._heart = Heart()

    def __repr__(self) -> str:
        return f"{self.name} of {self.session}"

    def join(self) -> Joined:
        """Where it runs."""
        return join(self.name, self.session)

    def ping(self) -> Pulse:
        """A heartbeat: the node's."""
        return self._heart.beat("ready")

    def find_end(self, computation: str, pid: int, told: str) -> End:
        """How the process of a computation ended. told: what Ray says of it."""
        return find_end(computation, pid, told)

    def end_process(self, pid: int, started: float) -> bool:
        """End a process that does not answer; True once it is gone. started: as it told when it joined."""
        return end_process(pid, started)

    def signal_process(self, pid: int, started: float, number: int) -> None:
        """Send a process a signal."""
        signal_process(pid, started, number)

    def log(self, pid: int, at: tuple[int, int]) -> tuple[worker_log.Lines, tuple[int, int]]:
        """What a process wrote after `at` (at first 0, 0), and what to ask with for more."""
        return worker_log.read_process(Path(parent.logs_folder(sys.argv)), pid, at)
