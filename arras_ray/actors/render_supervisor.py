"""The supervisor of a render: who of its computations dies is replaced, and the picture goes on."""

from __future__ import annotations

import time
from contextlib import suppress

import ray

from arras_ray.actors.ends import End
from arras_ray.actors.handshake import Pulse
from arras_ray.actors.health import KEEPERS_AFTER
from arras_ray.actors.names import find_registry
from arras_ray.actors.orders import Order, Parties, SessionState
from arras_ray.actors.reasons import sentence
from arras_ray.actors.roster import COMPILING, LEFT_OUT, LOADING, STARTING, Member
from arras_ray.actors.saves import Saves
from arras_ray.actors.share import Share
from arras_ray.actors.staffing import Staffing
from arras_ray.actors.supervisor import Supervisor
from arras_ray.actors.wiring import Wiring
from arras_ray.errors import ArrasRayError
from arras_ray.messages import FilmState, RDLMessage


class RenderSupervisor(Supervisor):
    """Brings dispatch, mcrts and merges together, keeps their number, and the merges' films."""

    def __init__(self, session: str, order: Order) -> None:
        super().__init__(session, order)
        self._answered_at = time.monotonic()
        self._scaled = False
        """How many mcrts there should be was said to this supervisor."""
        roster, calls = self._roster, self._calls
        self._saves = Saves(roster, calls, order.resumed, order.save_seconds)
        self._staffing = Staffing(
            roster, calls, order, tell=self._tell, fail=self._fail, drop=lambda member: self._health.end(member)
        )
        self._share = Share(calls, find_registry)
        self._user, self._interactive = order.user, order.interactive
        message = ray.put(order.message) if order.message is not None else None
        self._wiring = Wiring(roster, calls, self._saves, message, order.earlier_ends, self._fail, self._unusable)
        self._thread.start()

    def state(self) -> SessionState:
        """Where the session stands."""
        joined = tuple(m.joined for m in list(self._roster.members.values()) if m.joined is not None)
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
            sync_id=self._wiring.sync_id,
        )

    def scene(self, message: RDLMessage) -> None:
        """Render this scene, where the session has none yet."""
        if self._wiring.message is None:
            self._wiring.message = ray.put(message)

    def edit(self, messages: list[RDLMessage], after: int) -> None:
        """Change the scene, by deltas; as Wiring.edit says. All before an mcrt is ready are ignored."""
        self._wiring.edit(messages, after)

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

    def dismiss(self, reason: str) -> bool:
        """Let the render fail, which its client notices within a second. False if it has not begun yet."""
        actor = self._roster.dispatch.actor
        if actor is not None:
            actor.fail.remote(reason)
        return actor is not None

    def _stage(self) -> str:
        if self._error is not None:
            return "failed"
        if not self._placed:
            return "placing"
        if self._wiring.rendering:
            return "rendering"
        if self._wiring.message is None:
            return "ready" if all(m.present for m in list(self._roster.members.values())) else "starting"
        compiling = any(m.state == COMPILING for m in list(self._roster.members.values()))
        return "compiling" if compiling else "loading"

    def _parties(self) -> Parties | None:
        dispatch, merges = self._roster.dispatch, self._roster.merges
        if dispatch.actor is None or any(m.actor is None for m in merges):
            return None
        lives = (dispatch.life, *(m.life for m in merges))
        return Parties(dispatch.actor, tuple(m.actor for m in merges), lives)

    def _begin(self) -> None:
        self._staffing.begin(self._again, self._ended.is_set)

    def _step(self) -> None:
        self._staffing.limit = self._share.look(lambda: self._staffing.demand(self._user))
        self._staffing.look()
        self._wiring.arrange()
        if not self._interactive:
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

    def _gone(self, member: Member, wait: bool) -> None:
        self._staffing.gone(member, wait)

    def _told(self, before: Member, end: End) -> None:
        self._staffing.told(before, end)

    def _unusable(self, mcrt: Member, error: Exception) -> None:
        """An mcrt whose engine cannot be made."""
        self._staffing.leave_out(mcrt, f"it failed: {sentence(error)}")

    def _fail(self, error: ArrasRayError) -> None:
        if self._error is not None:
            return
        super()._fail(error)
        with suppress(StopIteration):
            if self._roster.dispatch.actor is not None:
                self._roster.dispatch.actor.fail.remote(str(error))
