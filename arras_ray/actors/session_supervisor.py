"""The supervisor of a session of users' computations: one that ends by itself ends the session, with its reason.

Computations are started, initialised, and run once all are ready. To stop, each may finish in its own way; who has not
after stop_seconds is told to by SIGTERM, and after as long again killed. A supervisor that takes over from one that has
died finds out from its computations how far they are.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from arras_ray.actors.ends import End, find_end
from arras_ray.actors.handshake import Joined, Pulse, refuse_other_versions
from arras_ray.actors.orders import SessionOrder, SessionState
from arras_ray.actors.reasons import sentence
from arras_ray.actors.roster import ABSENT, LOADING, READY, STARTING, Member
from arras_ray.actors.supervisor import LEAVE_SECONDS, Supervisor
from arras_ray.errors import ArrasRayError, ComputationError
from arras_ray.session.endings import CLIENT_LOST, CLIENT_SHUTDOWN, Stopped, computation_ended, exit_words
from arras_ray.session.routing import Rule

CRASH = "Fatal Python error: "
"""Begins the line that tells most of a crash; where it happened follows."""


class SessionSupervisor(Supervisor):
    """Sees a session through its states: placing, starting, ready, stopping, stopped."""

    def __init__(self, session: str, order: SessionOrder) -> None:
        super().__init__(session, order)
        self._order = order
        self._ends: list[End] = []
        self._adopted: list[Member] = []
        """Computations of an earlier supervisor that were not heard from yet."""
        self._started = False
        self._ran: set[str] = set()
        """Computations that were told to run."""
        self._done: set[str] = set()
        """Those that have stopped, or ended."""
        self._stopping: Stopped | None = None
        self._stop_at = 0.0
        self._has_client = True
        """Nobody is waited for at the end of a session without one."""
        self._signalled: dict[str, int] = {}
        """The last step of the stop sequence each was brought to."""
        self._thread.start()

    def state(self) -> SessionState:
        """Where the session stands."""
        told = super().state()
        over = self._stage() == "stopped"
        return replace(told, ends=tuple(self._ends), stopped=self._stopping if over else None)

    def keep_alive(self) -> SessionState:
        """The client is there. Tells it where the session stands."""
        self._has_client = True
        return super().keep_alive()

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
        """From now on the session may be without a client for so long, or for as long as was ordered."""
        self._has_client = seconds < float("inf")  # else it leaves
        self._client_seconds = max(seconds, self._order.client_seconds)

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
        if not (self._again and self._roster.adopt()):
            self._roster.reserve_now(self._ended.is_set)
        members = self._roster.members.values()
        for member in members:
            if member.actor is not None:
                self._adopted.append(member)
                self._ask_to_join(member)
            elif member.place is None and not member.computation.array_min:  # its bundle was on a node that is lost
                self._stop(computation_ended(member.name, "was lost with its node", local=False))
        for name in self._roster.leave_without_place():
            self._tell(f"{name} found no place, and its array may be shorter: the session goes without it")

    def _step(self) -> None:
        self._take_over()
        if self._stopping is None and time.monotonic() - self._heard_at > self._client_seconds:
            self._has_client = False
            self._stop(Stopped(exec_stopped_reason=CLIENT_LOST, disconnect_reason=CLIENT_LOST))
        if self._stopping is not None:
            self._bring_to_a_stop()
            return
        if self._adopted:
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

    def _take_over(self) -> None:
        """Judge what an earlier supervisor has left, once everybody was heard: a session that ran is not made whole
        again, and one that was stopping goes on with that."""
        if not self._adopted:
            return
        self._adopted = [member for member in self._adopted if member.actor is not None and member.pulse is None]
        if self._adopted or not self._ran:
            return
        states = {member.pulse.state for member in self._roster.members.values() if member.pulse is not None}
        missing = [m for m in self._roster.members.values() if m.actor is None and m.name not in self._done]
        for member in missing:
            self._gone(member, False)
            self._told(member, self._end_of(member))
        if states & {"stopping", "stopped"}:
            self._stop(Stopped())

    def _end_of(self, member: Member) -> End:
        """How a computation ended while nobody looked."""
        import ray

        here = member.place is not None and member.place.node_id == ray.get_runtime_context().get_node_id()
        return find_end(f"{self.session}/{member.name}") if here else End(member.name, member.node, "exited")

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

        call = member.actor.join.remote(self._order.enforce_memory)
        self._calls.ask(call, heard, lambda error: self._failed(member, error), float("inf"))

    def _initialize(self, member: Member) -> None:
        member.become(LOADING)
        member.busy = True
        actor = member.actor

        def ready(_: None) -> None:
            if member.actor is actor:
                member.become(READY)

        self._calls.ask(actor.initialize.remote(), ready, lambda error: self._failed(member, error), float("inf"))

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
        elif pulse.state == LOADING and member.state == STARTING:
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
            self._stop(computation_ended(before.name, words, local=False, detail=_detail(end.log)))

    def _stop(self, stopped: Stopped) -> None:
        if self._stopping is None:
            self._stop_at = time.monotonic()
            self._has_client &= self._stop_at - self._heard_at < LEAVE_SECONDS
            self._stopping = stopped

    def _bring_to_a_stop(self) -> None:
        seconds = self._order.stop_seconds
        step = min(2, int((time.monotonic() - self._stop_at) / seconds)) if seconds > 0 else 2
        for member in list(self._roster.members.values()):
            if member.name in self._done:
                continue
            if member.actor is None:
                self._done.add(member.name)
            elif member.name not in self._ran and member.state == READY:  # it will not run any more
                self._done.add(member.name)
                member.actor.close.remote()
            elif self._signalled.get(member.name, -1) < step:
                self._signalled[member.name] = step
                self._signal(member, step)
        if self._stage() != "stopped":
            self._heard_at = time.monotonic()
        else:  # its client takes it down, if there is one
            self._client_seconds = min(self._client_seconds, LEAVE_SECONDS if self._has_client else 0.0)

    def _signal(self, member: Member, step: int) -> None:
        if step == 0:
            with suppress(Exception):
                member.actor.stop.remote()
        elif step == 1:
            self._health.signal(member, signal.SIGTERM)
        else:
            self._health.signal(member, signal.SIGKILL)  # Ray's way does not reach a process that stands still
            self._health.end(member)
            self._done.add(member.name)


def _detail(log: tuple[str, ...]) -> str:
    """The line among its last ones that tells most of why a computation ended."""
    crash = [line for line in log if line.startswith(CRASH)]
    told = [line for line in log if line[:1].strip()]
    return (crash or told or [""])[-1]
