"""supervisor: owns a session. It places it, starts its computations, hears whether they live, replaces those that do
not, and ends it.

A detached actor that Ray starts again when it dies. Everything of the session is detached too and found by its name, so
a new supervisor goes on where the last one was; a session without a client is taken down after some seconds.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from arras_ray.actors import groups
from arras_ray.actors.calls import Calls
from arras_ray.actors.cluster import NAMESPACE
from arras_ray.actors.handshake import Pulse, use_of_this_process
from arras_ray.actors.health import KEEPERS_AFTER, Health
from arras_ray.actors.orders import ComputationRow, Order, Parties, SessionState
from arras_ray.actors.reasons import sentence
from arras_ray.actors.roster import COMPILING, LEFT_OUT, LOADING, READY, STARTING, Member, Roster
from arras_ray.actors.saves import Saves
from arras_ray.actors.staffing import Staffing
from arras_ray.actors.wiring import Wiring
from arras_ray.errors import ArrasRayError, ComputationError
from arras_ray.messages import FilmState

LOOK_SECONDS = 0.1
"""The longest pause between two looks at everything."""

END_SECONDS = 3.0

LEAVE_SECONDS = END_SECONDS + 2.0
"""After a session's end its client removes the supervisor; one that did not in so long is gone."""

SETTLE_SECONDS = 2.0

STOP_SECONDS = 10.0
"""The supervisor's thread may be making something that has to be given back."""


class Supervisor:
    """The supervisor of `session`. It begins by itself; `keep_alive` every second, then `end`."""

    def __init__(self, session: str, order: Order) -> None:
        import ray

        self.session = session
        self._order = order
        self._began_at = time.time()
        self._heard_at = self._answered_at = time.monotonic()
        self._placed = False
        self._error: ArrasRayError | None = None
        self._warnings: list[str] = []
        self._scaled = False
        """How many mcrts there should be was said to this supervisor."""
        context = ray.get_runtime_context()
        self._again: bool = context.was_current_actor_reconstructed
        self._calls = Calls()
        self._roster = roster = Roster(session, order.computations, order.num_cores)
        self._saves = Saves(roster, self._calls, order.resumed, order.save_seconds)
        self._staffing = staffing = Staffing(
            roster, self._calls, order, tell=self._tell, fail=self._fail, drop=lambda member: self._health.end(member)
        )
        self._wiring = Wiring(
            roster, self._calls, self._saves, ray.put(order.message), order.earlier_ends, self._fail, self._unusable
        )
        self._health = Health(
            roster,
            self._calls,
            context.get_node_id(),
            keep=self._keep,
            beats=self._beats,
            gone=staffing.gone,
            told=staffing.told,
        )
        self._ended = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"supervisor of {self.session}"

    def state(self) -> SessionState:
        """Where the session stands."""
        members = list(self._roster.members.values())
        joined = tuple(m.joined for m in members if m.joined is not None)
        silent = time.monotonic() - self._answered_at
        return SessionState(
            self._stage(),
            joined,
            self._wiring.loaded,
            self._error,
            silent,
            self._parties(),
            tuple(self._warnings),
            tuple(self._staffing.ends),
        )

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

    def saved(self) -> list[FilmState]:
        """The last saved state of each merge's film."""
        return self._saves.states

    def scale(self, num_mcrt: int, drain: bool) -> str:
        """Have so many mcrts from now on; returns a sentence on what will happen. Those that are too many go at once,
        and what they were at is rendered again, or with `drain` when they have finished their leases."""
        present = len([m for m in self._roster.mcrts if not m.draining and m.state != LEFT_OUT])
        self._staffing.wanted, self._staffing.drain = max(1, num_mcrt), drain
        self._scaled = True
        if num_mcrt > present:
            return f"{num_mcrt - present} more as soon as there is room"
        if num_mcrt < present:
            who = "1 mcrt ends" if present - num_mcrt == 1 else f"{present - num_mcrt} mcrts end"
            return f"{who} {'when their leases are finished' if drain else 'now'}"
        return "nothing to change"

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

    def _stage(self) -> str:
        if self._error is not None:
            return "failed"
        if not self._placed:
            return "placing"
        if self._wiring.rendering:
            return "rendering"
        compiling = any(m.state == COMPILING for m in list(self._roster.members.values()))
        return "compiling" if compiling else "loading"

    def _parties(self) -> Parties | None:
        dispatch, merges = self._roster.dispatch, self._roster.merges
        if dispatch.actor is None or any(m.actor is None for m in merges):
            return None
        lives = (dispatch.life, *(m.life for m in merges))
        return Parties(dispatch.actor, tuple(m.actor for m in merges), lives)

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
                if time.monotonic() - self._heard_at > self._order.client_seconds:
                    self._stopped.set()
                    self.end()
                    return
            self._stopped.set()
            time.sleep(LEAVE_SECONDS)
        finally:
            _leave()

    def _look(self) -> None:
        if not self._placed:
            self._staffing.begin(self._again, self._ended.is_set)
            self._placed = True
        self._calls.hear(LOOK_SECONDS)
        if self._error is not None or self._ended.is_set():
            return
        self._health.look()
        self._staffing.look()
        self._wiring.arrange()
        self._saves.look()
        begun_at = self._wiring.begun_at
        if begun_at is not None and time.monotonic() - begun_at > KEEPERS_AFTER:
            self._health.guard()

    def _beats(self, member: Member, pulse: Pulse) -> None:
        """What a heartbeat tells."""
        member.pulse = pulse
        if member.kind == "mcrt":
            if member.state in (STARTING, LOADING, COMPILING) and pulse.state in (LOADING, COMPILING):
                self._answered_at = time.monotonic()
                member.become(pulse.state)
            elif pulse.loaded is not None:
                self._wiring.has_loaded(member, pulse.loaded)
        elif member.kind == "merge":
            member.begun = member.begun or pulse.begun
        else:
            self._hear_dispatch(member, pulse)

    def _hear_dispatch(self, dispatch: Member, pulse: Pulse) -> None:
        if pulse.begun and not dispatch.begun:  # by the supervisor before this one
            dispatch.begun, dispatch.wires = True, pulse.lives
            self._wiring.begun_at = time.monotonic() - pulse.seconds
        if self._again and pulse.wanted and not self._scaled:
            self._staffing.wanted = pulse.wanted
        elif pulse.wanted != self._staffing.wanted:  # kept there for the supervisor after this one
            dispatch.actor.keep_wanted.remote(self._staffing.wanted)
        self._staffing.knows = True
        self._staffing.over = pulse.stage in ("finished", "cancelled", "failed")
        for name in (*pulse.hung, *pulse.left_out, *pulse.drained):
            member = self._roster.members.get(name)
            if member is None or member.introduced != dispatch.life:
                continue
            if name in pulse.hung and member.actor is not None:
                self._health.lose(member, "hung")
            elif name in pulse.left_out:
                self._staffing.leave_out(member, "three units could not be rendered there")
            elif member.draining:
                self._staffing.drained(member)

    def _unusable(self, mcrt: Member, error: Exception) -> None:
        """An mcrt whose engine cannot be made."""
        self._staffing.leave_out(mcrt, f"it failed: {sentence(error)}")

    def _keep(self, node_id: str) -> Any:
        from arras_ray.actors import launch

        return launch.keeper(self.session, node_id)

    def _tell(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)

    def _fail(self, error: ArrasRayError) -> None:
        if self._error is not None:
            return
        self._error = error
        with suppress(StopIteration):
            if self._roster.dispatch.actor is not None:
                self._roster.dispatch.actor.fail.remote(str(error))


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
