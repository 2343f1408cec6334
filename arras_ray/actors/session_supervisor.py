"""The supervisor of a session of users' computations: one that ends by itself ends the session, with its reason.

Computations are started, initialised, and run once all are ready. To stop, each may finish in its own way; who has not
after STOP_SECONDS is told to by SIGTERM, and after as long again killed.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from arras_ray.actors.ends import End
from arras_ray.actors.handshake import Joined, Pulse, refuse_other_versions
from arras_ray.actors.orders import SessionOrder, SessionState
from arras_ray.actors.reasons import sentence
from arras_ray.actors.roster import ABSENT, LOADING, READY, STARTING, Member
from arras_ray.actors.supervisor import LEAVE_SECONDS, Supervisor
from arras_ray.errors import ArrasRayError, ComputationError
from arras_ray.session.endings import CLIENT_SHUTDOWN, Stopped, computation_ended, exit_words
from arras_ray.session.routing import Rule

STOP_SECONDS = 5.0
"""For each step of the stop sequence."""


class SessionSupervisor(Supervisor):
    """Sees a session through its states: placing, starting, ready, stopping, stopped."""

    def __init__(self, session: str, order: SessionOrder) -> None:
        super().__init__(session, order)
        self._order = order
        self._ends: list[End] = []
        self._started = False
        self._ran: set[str] = set()
        """Computations that were told to run."""
        self._done: set[str] = set()
        """Those that have stopped, or ended."""
        self._stopping: Stopped | None = None
        self._stop_at = 0.0
        self._signalled: dict[str, int] = {}
        """The last step of the stop sequence each was brought to."""
        self._thread.start()

    def state(self) -> SessionState:
        """Where the session stands."""
        told = super().state()
        over = self._stage() == "stopped"
        return replace(told, ends=tuple(self._ends), stopped=self._stopping if over else None)

    def terms(self) -> tuple[frozenset[str], Mapping[str, Rule]]:
        """For a client that comes later: all computations, and who accepts what from the client."""
        return frozenset(self._order.parts), self._order.client_routes

    def stop(self, reason: str = CLIENT_SHUTDOWN) -> None:
        """Begin to stop. The state tells when everybody has."""
        self._stop(Stopped(exec_stopped_reason=reason, disconnect_reason=reason))

    def dismiss(self, reason: str) -> bool:
        """Begin to stop, for this reason."""
        self.stop(reason)
        return True

    def keep(self, seconds: float) -> None:
        """From now on the session may be without a client for so long."""
        self._client_seconds = seconds

    def _stage(self) -> str:
        if self._error is not None:
            return "failed"
        if self._stopping is not None:
            return "stopped" if self._done >= set(self._roster.members) else "stopping"
        if not self._placed:
            return "placing"
        return "ready" if self._all_ready else "starting"

    @property
    def _all_ready(self) -> bool:
        return self._started and all(m.state == READY for m in self._roster.members.values())

    def _begin(self) -> None:
        if self._again and self._roster.adopt():
            for member in self._roster.members.values():
                if member.actor is not None:
                    self._ask_to_join(member)
            return
        self._roster.reserve_now(self._ended.is_set)
        for name in self._roster.leave_without_place():
            self._tell(f"{name} found no place, and its array may be shorter: the session goes without it")

    def _step(self) -> None:
        if self._stopping is not None:
            self._bring_to_a_stop()
            return
        members = self._roster.members.values()
        if not self._started:
            for member in members:
                if member.state == ABSENT:
                    self._start(member)
            self._started = all(member.actor is not None for member in members)
        for member in members:
            if member.present and member.state == STARTING and not member.busy:
                self._initialize(member)
        if self._all_ready:
            for member in members:
                if member.name not in self._ran:
                    self._run_member(member)

    def _start(self, member: Member) -> None:
        from arras_ray.actors import launch

        if time.monotonic() < member.not_before or member.place is None:
            return
        part = self._order.parts[member.name]
        part = replace(part, threads=member.place.threads, memory=member.place.memory)
        try:
            member.actor = launch.executor(
                self.session, member.name, part, spec=member.computation, place=member.place, life=member.life
            )
        except ValueError:  # the name is not free yet
            member.not_before = time.monotonic() + 0.3
            return
        member.become(STARTING)
        self._ask_to_join(member)

    def _ask_to_join(self, member: Member) -> None:
        def heard(joined: Joined) -> None:
            member.life, member.node, member.joined = joined.life, joined.node, joined
            try:
                refuse_other_versions(self._order.versions, joined)
            except ArrasRayError as error:
                self._fail(error)

        # Who does not join has no heartbeat either, and that is looked after.
        self._calls.ask(member.actor.join.remote(self._order.enforce_memory), heard, lambda _: None, float("inf"))

    def _initialize(self, member: Member) -> None:
        member.become(LOADING)
        member.busy = True
        self._calls.ask(
            member.actor.initialize.remote(), lambda _: None, lambda error: self._failed(member, error), float("inf")
        )

    def _run_member(self, member: Member) -> None:
        self._ran.add(member.name)
        partners = {m.name: m.actor for m in self._roster.members.values() if m is not member}
        self._calls.ask(
            member.actor.run.remote(partners),
            lambda _: self._done.add(member.name),
            lambda error: self._failed(member, error),
            float("inf"),
        )

    def _failed(self, member: Member, error: Exception) -> None:
        from ray.exceptions import RayTaskError

        if isinstance(error, RayTaskError):  # else it died: the heartbeats tell
            self._fail(
                ComputationError(f"{member.name} failed: {sentence(error)}", computation=member.name, how="failed")
            )

    def _beats(self, member: Member, pulse: Pulse) -> None:
        member.pulse = pulse
        if pulse.state in ("ready", "running", "stopping", "stopped"):
            member.become(READY)
        elif pulse.state == LOADING:
            member.become(LOADING)
        if pulse.state in ("running", "stopping", "stopped"):  # also of a run that an earlier supervisor began
            self._ran.add(member.name)
        if pulse.state == "stopped":
            self._done.add(member.name)

    def _gone(self, member: Member, wait: bool) -> None:
        self._done.add(member.name)
        member.leave()
        member.not_before = float("inf")

    def _told(self, before: Member, end: End) -> None:
        end = replace(end, computation=before.name)
        self._ends.append(end)
        if self._stopping is None:
            words = exit_words(end.code, end.signal) if end.how in ("exited", "killed", "crashed") else end.sentence
            self._stop(computation_ended(before.name, words, local=False, detail=end.log[-1] if end.log else ""))

    def _stop(self, stopped: Stopped) -> None:
        if self._stopping is None:
            self._stop_at = time.monotonic()
            self._stopping = stopped

    def _bring_to_a_stop(self) -> None:
        waited = time.monotonic() - self._stop_at
        if waited > 3 * STOP_SECONDS + LEAVE_SECONDS:  # no client has come to take the session down
            self._client_seconds = 0.0
        step = min(2, int(waited / STOP_SECONDS))
        for member in list(self._roster.members.values()):
            if member.name in self._done:
                continue
            if member.actor is None or (member.name not in self._ran and member.state == READY):
                self._done.add(member.name)
            elif self._signalled.get(member.name, -1) < step:
                self._signalled[member.name] = step
                self._signal(member, step)

    def _signal(self, member: Member, step: int) -> None:
        if step == 0:
            with suppress(Exception):
                member.actor.stop.remote()
        elif step == 1:
            self._health.signal(member, signal.SIGTERM)
        else:
            self._health.end(member)
            self._done.add(member.name)
