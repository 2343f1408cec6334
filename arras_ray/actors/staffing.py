"""Staffing: placing the computations of a session, starting them, and replacing those that are gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from arras_ray.actors.calls import Calls
from arras_ray.actors.ends import End
from arras_ray.actors.handshake import Joined, refuse_other_versions
from arras_ray.actors.orders import Order
from arras_ray.actors.reasons import sentence
from arras_ray.actors.roster import ABSENT, LEFT_OUT, READY, STARTING, Member, Roster
from arras_ray.errors import ArrasRayError, ClusterError, ComputationError, ResourcesError
from arras_ray.session.fairness import Demand

ROOM_SECONDS = 1.0
"""Between two looks for room for computations that have none."""

MOST_FAULTS = 3
"""A computation that ended so often by its own fault is not started again."""

GOOD_SECONDS = 60.0
"""Work for so long makes up for faults before it."""

OWN_FAULTS = ("crashed", "exited", "out of memory", "hung")
"""Ends that a computation brings upon itself, or its work does."""

TAKEN_SECONDS = 0.3
"""The name of an actor that was killed is free again so soon."""


class Staffing:
    """Keeps a roster filled. tell(text) warns the user, fail(error) ends the session, drop(member) ends a process."""

    def __init__(
        self,
        roster: Roster,
        calls: Calls,
        order: Order,
        *,
        tell: Callable[[str], None],
        fail: Callable[[ArrasRayError], None],
        drop: Callable[[Member], None],
    ) -> None:
        self.wanted = max(len(roster.mcrts), order.most_mcrts)
        """How many mcrts there should be, as far as there is room."""
        self.limit: int | None = None
        """As many there may be, if that is fewer: other sessions want mcrts too."""
        self.drain = False
        """Those that are too many may finish their leases first."""
        self.over = False
        """The picture is finished: an mcrt that is gone is not missed."""
        self._roster = roster
        self._calls = calls
        self.ends: list[End] = []
        """How computations ended that were not meant to, oldest first."""
        self.knows = True
        """How many are wanted is known: after a restart of the supervisor dispatch tells it."""
        self._order = order
        self._tell, self._fail, self._drop = tell, fail, drop
        self._next_room = 0.0

    def begin(self, again: bool, ended: Callable[[], bool]) -> None:
        """Reserve the session's places, or take over what is there `again`. Raise ResourcesError if it does not fit.

        Returns early when `ended` says that nobody wants the session any more.
        """
        if again and self._roster.adopt():
            self.wanted = max(self.wanted, len(self._roster.mcrts))
            for member in self._roster.members.values():
                if member.actor is not None:
                    self._ask_to_join(member)
            self.knows = self._roster.dispatch.actor is None
            return
        self._roster.reserve_now(ended)

    def look(self) -> None:
        """Start who is missing, let go who is too many."""
        for member in list(self._roster.members.values()):
            if member.state == READY and time.monotonic() - member.since > GOOD_SECONDS:
                member.faults = 0
        if self.knows:
            self._let_go()
        self._drain()
        self.knows = self.knows or self._roster.dispatch.actor is None
        missing = [m for m in self._roster.members.values() if m.state == ABSENT and not m.draining]
        if not self.knows:
            missing = [m for m in missing if m.kind != "mcrt"]
        for member in missing:
            if time.monotonic() >= member.not_before and not (self.over and member.kind == "mcrt"):
                self._replace(member)
        if time.monotonic() >= self._next_room and not self.over:
            self._next_room = time.monotonic() + ROOM_SECONDS
            self._grow()

    def demand(self, user: str) -> Demand:
        """What the session, which is this user's, wants of the cluster."""
        mcrt = self._roster.first_mcrt
        places = [m.place for m in self._roster.mcrts if m.place is not None]
        left_out = sum(m.state == LEFT_OUT for m in self._roster.mcrts)
        return Demand(
            self._roster.session,
            user,
            sum(one.cores for one in places) / len(places) if places else mcrt.resources.min_cores,
            least=mcrt.array_min or 1,
            most=len(places) if self.over else self.wanted + left_out,
            holds=len(places),
        )

    def gone(self, member: Member, wait: bool) -> None:
        """A member's process has ended; with `wait` it may hang still, and `told` will say when it does not."""
        dispatch = self._roster.dispatch
        if member.kind == "mcrt" and dispatch.present and member.introduced == dispatch.life:
            dispatch.actor.mcrt_lost.remote(member.name, member.life)
        started = member.joined is not None
        member.leave()
        member.not_before = float("inf") if wait else 0.0
        if not started:
            self._count_fault(member, "it did not start")

    def told(self, before: Member, end: End) -> None:
        """How the process of a member ended, as it was before."""
        member = self._roster.members.get(before.name)
        if member is None:
            return
        if member.state == ABSENT:
            member.not_before = 0.0
        self.ends.append(replace(end, computation=before.name))
        n = sum(end.computation == before.name for end in self.ends)
        what = f"{before.name} on {before.node} {end.sentence}{f' (its end no. {n})' if n > 1 else ''}"
        begins_anew = "another one begins its part of the picture anew"  # an interactive session saves no films
        then = {
            "mcrt": "what it was at is rendered again",
            "merge": begins_anew if self._order.interactive else "another one goes on from what was saved",
            "dispatch": "another one goes on",
        }
        self._tell(f"{what}; {then[before.kind]}")
        if end.how in OWN_FAULTS:
            if before.kind == "mcrt" and self._roster.dispatch.present and end.how in ("crashed", "hung"):
                self._roster.dispatch.actor.blame.remote(before.name, before.life, end.sentence)
            self._count_fault(member, end.sentence)

    def leave_out(self, member: Member, reason: str) -> None:
        """This mcrt gets no more work. Without any other the session fails."""
        if member.state == LEFT_OUT:
            return
        if member.actor is not None:
            self._drop(member)
            self.gone(member, False)
        member.become(LEFT_OUT)
        self._tell(f"{member.name} on {member.node} is left out: {reason}")
        if all(m.state == LEFT_OUT for m in self._roster.mcrts):
            last = f"{member.name} on {member.node}: {reason}"
            self._fail(ComputationError(f"no mcrt is left; the last one was {last}", how="left out"))

    def drained(self, member: Member) -> None:
        """An mcrt has finished its leases and can go."""
        self._roster.dispatch.actor.mcrt_lost.remote(member.name, member.life)
        self._drop(member)
        self._remove(member)

    def _replace(self, member: Member) -> None:
        """Start a member that is missing: where it was, else where there is room."""
        lost = self._roster.lost_nodes
        if member.place is None or member.place.node_id in lost:
            try:
                self._roster.find_place(member)
            except ResourcesError:
                member.not_before = time.monotonic() + ROOM_SECONDS
                if member.kind == "mcrt":
                    return
                self._take_place(member)
        if member.place is not None and member.place.node_id not in lost:
            self._start(member)

    def _take_place(self, member: Member) -> None:
        """A picture needs its merges and its dispatch more than one mcrt of several."""
        with suppress(ResourcesError):
            giving = self._roster.take_place(member)
            self._tell(f"{member.name} takes the place of {giving.name} on {member.node}: there is no other room")
            if giving.actor is not None:
                self._drop(giving)
                self.gone(giving, False)

    def _start(self, member: Member) -> None:
        from arras_ray.actors import launch

        options: dict[str, Any] = {}
        assert member.place is not None
        if member.kind == "mcrt":
            options = {"threads": member.place.threads, "engine": self._order.engine}
        elif member.kind == "dispatch":
            order = self._order
            options = {"time_limit": order.time_limit, "deadlines": order.deadlines, "interactive": order.interactive}
        try:
            member.actor = launch.computation(
                member.kind,
                self._roster.session,
                member.name,
                place=member.place,
                life=member.life,
                **options,
            )
        except ValueError:  # the name is not free yet
            member.not_before = time.monotonic() + TAKEN_SECONDS
            return
        member.become(STARTING)
        self._ask_to_join(member)

    def _ask_to_join(self, member: Member) -> None:
        actor = member.actor

        def heard(joined: Joined) -> None:
            if member.actor is not actor:
                return
            member.life, member.node, member.joined = joined.life, joined.node, joined
            if member.kind != "mcrt":
                member.become(READY)
            try:
                refuse_other_versions(self._order.versions, joined)
            except ClusterError as error:
                self._refuse(member, error)

        def failed(error: Exception) -> None:
            from ray.exceptions import RayTaskError

            if member.actor is actor and isinstance(error, RayTaskError):  # else it died: the heartbeats tell
                self._refuse(member, ClusterError(f"{member.name} cannot run on its node: {sentence(error)}"))

        self._calls.ask(actor.join.remote(self._order.enforce_memory), heard, failed, float("inf"))

    def _refuse(self, member: Member, error: ClusterError) -> None:
        """A node with other versions would draw other bits. Its mcrt is left out; a session of no others fails."""
        others = [m for m in self._roster.mcrts if m is not member and m.state != LEFT_OUT]
        if member.kind == "mcrt" and others:
            self.leave_out(member, error.message)
        else:
            self._fail(error)

    def _count_fault(self, member: Member, reason: str) -> None:
        member.faults += 1
        if member.faults < MOST_FAULTS:
            return
        if member.kind == "mcrt":
            self.leave_out(member, f"it {reason}, {member.faults} times")
        else:
            what = f"{member.name} on {member.node} {reason}, {member.faults} times"
            self._fail(ComputationError(what, computation=member.name, node=member.node, how="died"))

    def _grow(self) -> None:
        """One more mcrt at a time, if there should be more and there is room."""
        present = [m for m in self._roster.mcrts if not m.draining and m.state != LEFT_OUT]
        if len(present) >= self._allowed or any(m.place is None for m in present):
            return
        member = self._roster.add(self._roster.new_name())
        try:
            self._roster.find_place(member)
        except ResourcesError:
            del self._roster.members[member.name]
            return
        self._tell(f"{member.name} joins on {member.node}")

    def _let_go(self) -> None:
        present = [m for m in self._roster.mcrts if not m.draining]
        present.sort(key=lambda m: m.actor is None)  # who is missing anyway is the first not to be wanted
        for i, member in enumerate(present[self._allowed :], self._allowed):
            if i < self.wanted and member.actor is not None:
                self._tell("mcrts leave when their leases are finished: other sessions have a share of the cluster too")
            if (self.drain or i < self.wanted) and member.state == READY:
                member.draining = True
            else:
                if member.actor is not None:
                    self._drop(member)
                    self.gone(member, False)
                self._remove(member)

    @property
    def _allowed(self) -> int:
        return self.wanted if self.limit is None else min(self.wanted, max(1, self.limit))

    def _drain(self) -> None:
        """Tell dispatch, also one that is new, who is to get no more leases."""
        dispatch = self._roster.dispatch
        for member in self._roster.mcrts:
            if member.draining and member.introduced == dispatch.life != member.drained_by:
                member.drained_by = dispatch.life
                dispatch.actor.drain.remote(member.name)

    def _remove(self, member: Member) -> None:
        """A member that is not wanted any more; a group of its own is given back."""
        self._roster.give_back(member)
        self._roster.members.pop(member.name, None)
