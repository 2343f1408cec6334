"""supervisor: owns a session. It places it, starts its computations, hears whether they live, and ends it.

A detached actor that Ray starts again when it dies. Everything of the session is detached too and found by its name, so
a new supervisor goes on where the last one was; a session without a client is taken down after some seconds. What a
session does about computations that start, speak and end is for the classes derived from this one.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any

from arras_ray.actors import groups
from arras_ray.actors.calls import Calls
from arras_ray.actors.ends import End
from arras_ray.actors.handshake import Pulse, use_of_this_process
from arras_ray.actors.health import Health
from arras_ray.actors.names import NAMESPACE
from arras_ray.actors.orders import AnyOrder, ComputationRow, SessionState
from arras_ray.actors.reasons import sentence
from arras_ray.actors.roster import READY, Member, Roster
from arras_ray.errors import ArrasRayError, ComputationError

LOOK_SECONDS = 0.1
"""The longest pause between two looks at everything."""

END_SECONDS = 3.0

LEAVE_SECONDS = END_SECONDS + 2.0
"""After a session's end its client removes the supervisor; one that did not in so long is gone."""

SETTLE_SECONDS = 2.0

STOP_SECONDS = 10.0
"""The supervisor's thread may be making something that has to be given back."""


class Supervisor(ABC):
    """The supervisor of `session`. It begins by itself; `keep_alive` every second, then `end`."""

    def __init__(self, session: str, order: AnyOrder) -> None:
        import ray

        self.session = session
        self._began_at = time.time()
        self._heard_at = time.monotonic()
        self._client_seconds = order.client_seconds
        self._placed = False
        self._error: ArrasRayError | None = None
        self._warnings: list[str] = []
        context = ray.get_runtime_context()
        self._again: bool = context.was_current_actor_reconstructed
        self._calls = Calls()
        self._roster = Roster(session, order.computations, order.num_cores, order.client_node)
        self._health = Health(
            self._roster,
            self._calls,
            context.get_node_id(),
            keep=self._keep,
            beats=self._beats,
            gone=self._gone,
            told=self._told,
        )
        self._ended = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def __repr__(self) -> str:
        return f"supervisor of {self.session}"

    def state(self) -> SessionState:
        """Where the session stands."""
        joined = tuple(m.joined for m in list(self._roster.members.values()) if m.joined is not None)
        return SessionState(self._stage(), joined, error=self._error, warnings=tuple(self._warnings))

    def keep_alive(self) -> SessionState:
        """The client is there. Tells it where the session stands."""
        self._heard_at = time.monotonic()
        return self.state()

    def settle(self) -> SessionState:
        """The state once everybody has been heard from, and it is known how those ended who cannot be: within
        SETTLE_SECONDS. What happened last is worth telling when a render is over."""
        import ray

        members = [(m, m.actor) for m in list(self._roster.members.values()) if m.actor is not None]
        asked = {actor.ping.remote(): (member, actor) for member, actor in members}
        deadline = time.monotonic() + SETTLE_SECONDS
        heard, _ = ray.wait(list(asked), num_returns=len(asked), timeout=SETTLE_SECONDS / 2)
        for ref in heard:
            member, actor = asked[ref]
            try:
                ray.get(ref)
            except Exception:  # the supervisor's own thread will find out as well
                while member.actor is actor and time.monotonic() < deadline:
                    time.sleep(LOOK_SECONDS / 5)
        while self._health.n_unknown and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS / 5)
        return self.state()

    def report(self) -> tuple[str, float, tuple[ComputationRow, ...]]:
        """Stage, age of the session in seconds, and a row for each computation, this one included."""
        now = time.time()
        memory, cpu = use_of_this_process()
        name, node = "supervisor", socket.gethostname()
        rows = [ComputationRow(name, node, os.getpid(), READY, 0.0, memory, cpu, now - self._began_at)]
        began = self._began_at
        for member in list(self._roster.members.values()):
            joined, pulse, place = member.joined, member.pulse, member.place
            began = min(began, joined.began if joined else began)
            rows.append(
                ComputationRow(
                    member.name,
                    member.node,
                    joined.pid if joined else 0,
                    "draining" if member.draining else member.state,
                    place.cores if place else 0.0,
                    pulse.memory if pulse else 0,
                    pulse.cpu if pulse else 0.0,
                    now - joined.began if joined else 0.0,
                )
            )
        return self._stage(), now - began, tuple(rows)

    def end(self) -> None:
        """Kill the computations and give everything back; returns once Ray has forgotten them. The caller ends this
        actor afterwards; if it does not, the actor does so itself."""
        self._ended.set()
        self._stopped.wait(STOP_SECONDS)
        take_down(self.session)

    @abstractmethod
    def dismiss(self, reason: str) -> bool:
        """Somebody else ends the session. Whether its client will hear of it, take what there is, and end it."""

    @abstractmethod
    def _stage(self) -> str:
        """Where the session stands, in a word."""

    @abstractmethod
    def _begin(self) -> None:
        """Reserve the session's places, or find those that are there. Raise ResourcesError."""

    @abstractmethod
    def _step(self) -> None:
        """Do what can be done now, after everybody was heard."""

    @abstractmethod
    def _beats(self, member: Member, pulse: Pulse) -> None:
        """A heartbeat has come."""

    @abstractmethod
    def _gone(self, member: Member, wait: bool) -> None:
        """A member's process has ended; with `wait` it may hang still, and `_told` will say when it does not."""

    @abstractmethod
    def _told(self, before: Member, end: End) -> None:
        """How the process of a member ended, as it was before."""

    def _run(self) -> None:
        """Hear everything until the session ends; then leave, whatever happened."""
        try:
            while not self._ended.is_set():
                try:
                    self._look()
                except ArrasRayError as error:
                    self._fail(error)
                except Exception as error:  # a supervisor that sees nothing would let its client wait for ever
                    self._fail(ComputationError(f"the supervisor failed: {sentence(error)}", how="failed"))
                if self._error is not None:
                    self._ended.wait(LOOK_SECONDS)
                if time.monotonic() - self._heard_at > self._client_seconds:
                    self._stopped.set()
                    self.end()
                    return
            self._stopped.set()
            time.sleep(LEAVE_SECONDS)
        finally:
            _leave()

    def _look(self) -> None:
        if self._placed:
            self._calls.hear(LOOK_SECONDS)
        else:
            self._begin()
            self._placed = True
        if self._error is not None or self._ended.is_set():
            return
        self._health.look()
        self._step()

    def _keep(self, node_id: str) -> Any:
        from arras_ray.actors import launch

        return launch.keeper(self.session, node_id)

    def _tell(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)

    def _fail(self, error: ArrasRayError) -> None:
        self._error = self._error or error


def take_down(session: str) -> None:
    """End everything a session has but its supervisor; returns once Ray has forgotten it."""
    import ray

    mine = f"{session}/"

    def left() -> list[str]:
        actors = [actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)]
        return [name for name in actors if name.startswith(mine) and name != f"{session}/supervisor"]

    deadline = time.monotonic() + END_SECONDS
    while (names := left()) and time.monotonic() < deadline:
        for name in names:
            with suppress(ValueError):  # it ended meanwhile
                ray.kill(ray.get_actor(name, NAMESPACE))
        time.sleep(0.02)
    groups.remove(session)
    while groups.find(session) and time.monotonic() < deadline:
        time.sleep(0.02)


def _leave() -> None:
    """End this actor for good."""
    import ray

    with suppress(Exception):  # Ray is not there any more, or does not know us
        ray.kill(ray.get_runtime_context().current_actor)
