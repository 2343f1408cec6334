"""Who of a session lives: heartbeats, and finding out how those ended that have none any more.

A computation is asked for a heartbeat again and again. One whose process Ray knows to be dead is gone at once; one that
says nothing for SILENCE is gone too, whatever Ray believes. Where nobody on a node answers, the node is lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

from arras_ray.actors.calls import Calls, Silent
from arras_ray.actors.ends import End, end_process, find_end, signal_process
from arras_ray.actors.handshake import Joined, Pulse
from arras_ray.actors.nodes import nodes
from arras_ray.actors.reasons import NO_IMPORT
from arras_ray.actors.roster import COMPILING, LOADING, READY, STARTING, Member, Roster

BEAT_SECONDS = 0.75
LOADING_BEAT_SECONDS = 0.25
"""Between two heartbeats; while an mcrt loads its state is what the user watches."""

SILENCE = {STARTING: 60.0, LOADING: 30.0, COMPILING: 120.0, READY: 3.0}
"""Seconds without a heartbeat after which a computation in this state is gone. While a process starts, flattens or
compiles, it may have no time for an answer."""

BUSY_SILENCE = 30.0
"""At least so many for users' computations: their code may keep Python from answering, ours does not."""

NODE_SILENCE = 2.0
"""A node nobody has been heard from for so long, when one of its computations is gone, is lost."""

CUT_SECONDS = 1.5
"""A node is not lost for connections that come back sooner."""

PROBE_SECONDS = 6.0
"""For a keeper to find out; one may have to be started for it."""

NODES_SECONDS = 2.0
"""Between two looks at what Ray knows of nodes: it takes long to notice, but it does."""

QUIET_SECONDS = 1.0
"""A node whose computations have said nothing for so long has its keeper asked at each heartbeat."""

KEEPER_SECONDS = 10.0
"""Between two questions to the keeper of any other node, only to know that there is one."""

KEEPERS_AFTER = 3.0
"""A render that has gone on for so long gets keepers, on the nodes the supervisor is not on: short ones need none."""


class Health:
    """Heartbeats of all members, and of the keepers. beats(member, pulse) is called with every heartbeat, gone(member,
    silent) once for a process that has ended, told(member, End) some time later, when it is known how, with what the
    member was. keep(node_id) starts a keeper.
    """

    def __init__(
        self,
        roster: Roster,
        calls: Calls,
        own_node: str,
        *,
        keep: Callable[[str], Any],
        beats: Callable[[Member, Pulse], None],
        gone: Callable[[Member, bool], None],
        told: Callable[[Member, End], None],
    ) -> None:
        self._roster = roster
        self._calls = calls
        self._own_node = own_node
        self._keep, self._beats, self._gone, self._told = keep, beats, gone, told
        self._keepers: dict[str, Any] = {}
        self._heard: dict[Any, float] = {}
        """When a member's actor, or a node, was last heard from."""
        self._asked: set[Any] = set()
        self._cut: set[Any] = set()
        """Members' actors and keepers whose connections are broken; a frozen one's is not."""
        self._next: dict[Any, float] = {}
        self._keeper_asked: dict[Any, float] = {}
        self._next_nodes = 0.0
        self._aside = ThreadPoolExecutor(4, "ends")
        self._found: SimpleQueue[tuple[Member, End]] = SimpleQueue()
        self._undecided: list[tuple[Member, str, float, float]] = []
        """Who was lost, where, when, and when it can be judged."""
        self.n_unknown = 0
        """Ends of which it is not known yet how they came."""

    def look(self) -> None:
        """Ask whoever is to be asked now, and tell what was found out."""
        while not self._found.empty():
            self._tell(*self._found.get())
        self._decide()
        now = time.monotonic()
        if now >= self._next_nodes:
            self._next_nodes = now + NODES_SECONDS
            self._ask_ray()
        for member in list(self._roster.members.values()):
            if member.actor is not None and now >= self._next.get(member.actor, 0.0):
                self._ask(member)
        for node_id in {m.place.node_id for m in self._roster.members.values() if m.place and m.actor in self._cut}:
            self._judge_node(node_id)
        for node_id, keeper in list(self._keepers.items()):
            quiet = now - self._heard.get(node_id, 0.0) > QUIET_SECONDS
            every = BEAT_SECONDS if quiet else KEEPER_SECONDS
            if keeper not in self._asked and now >= self._keeper_asked.get(keeper, 0.0) + every:
                self._ask_keeper(node_id, keeper)

    def _ask_ray(self) -> None:
        """Nodes that Ray itself knows to be dead are lost, also where nobody of ours had got to yet."""
        alive = {node.id for node in nodes()}
        for node_id in {m.place.node_id for m in self._roster.members.values() if m.place is not None} - alive:
            if node_id not in self._roster.lost_nodes:
                self._lose_node(node_id)

    def guard(self) -> None:
        """See to it that every node but the supervisor's own has a keeper."""
        for member in self._roster.members.values():
            node_id = member.place.node_id if member.place and member.joined else self._own_node
            if node_id != self._own_node and node_id not in self._keepers and node_id not in self._roster.lost_nodes:
                self._keepers[node_id] = self._keep(node_id)

    def end(self, member: Member) -> None:
        """End a member's process; nothing is told."""
        import ray

        with suppress(Exception):
            ray.kill(member.actor)
        self._heard.pop(member.actor, None)
        self._next.pop(member.actor, None)
        self._asked.discard(member.actor)
        self._cut.discard(member.actor)

    def signal(self, member: Member, number: int) -> None:
        """Send a member's process a signal."""
        joined, node_id = member.joined, member.place.node_id if member.place else ""
        if joined is None:
            self.end(member)
        elif node_id == self._own_node:
            signal_process(joined.pid, joined.started, number)
        else:
            self._keepers.setdefault(node_id, self._keepers.get(node_id) or self._keep(node_id))
            self._keepers[node_id].signal_process.remote(joined.pid, joined.started, number)

    def lose(self, member: Member, how: str) -> None:
        """End a member's process, which is "hung"."""
        joined, node_id = member.joined, member.place.node_id if member.place else ""
        before = replace(member)
        self.end(member)
        self.n_unknown += 1
        self._gone(member, True)
        if joined is not None:
            self._investigate(before, joined, node_id, silent=True)
        else:
            self._tell(before, End(before.name, before.node, how))

    def _tell(self, before: Member, end: End) -> None:
        self._told(before, end)
        self.n_unknown -= 1

    def _ask(self, member: Member) -> None:
        from ray.exceptions import ActorUnavailableError, RayTaskError

        actor, life = member.actor, member.life
        if actor in self._asked:
            return
        self._asked.add(actor)
        now = time.monotonic()
        self._heard.setdefault(actor, now)
        self._next[actor] = now + (LOADING_BEAT_SECONDS if member.state in (LOADING, COMPILING) else BEAT_SECONDS)

        def heard(answer: Pulse) -> None:
            self._asked.discard(actor)
            if member.life != life:
                return
            now = time.monotonic()
            self._heard[actor] = now
            self._cut.discard(actor)
            if member.place is not None:
                self._heard[member.place.node_id] = now
            self._beats(member, answer)

        def failed(error: Exception) -> None:
            self._asked.discard(actor)
            if member.life != life:
                return
            passing = isinstance(error, ActorUnavailableError | Silent | RayTaskError)
            if not passing:
                self._lost(member, error, silent=False)
            elif time.monotonic() - self._heard[actor] >= _silence(member):
                self._lost(member, error, silent=True)
            elif isinstance(error, ActorUnavailableError) and member.place is not None:
                self._cut.add(actor)
                self._keeper_asked.pop(self._keepers.get(member.place.node_id), None)  # it may know more

        self._calls.ask(actor.ping.remote(), heard, failed, _silence(member))

    def _ask_keeper(self, node_id: str, keeper: Any) -> None:
        self._asked.add(keeper)
        self._keeper_asked[keeper] = time.monotonic()

        def heard(_: Pulse) -> None:
            self._asked.discard(keeper)
            self._cut.discard(keeper)
            self._heard[node_id] = time.monotonic()
            self._roster.lost_nodes.discard(node_id)

        def failed(error: Exception) -> None:
            from ray.exceptions import ActorUnavailableError

            self._asked.discard(keeper)
            if isinstance(error, ActorUnavailableError):
                self._cut.add(keeper)
            if not isinstance(error, ActorUnavailableError | Silent) and self._keepers.get(node_id) is keeper:
                del self._keepers[node_id]  # `guard` makes another one if the node is there
                self._keeper_asked.pop(keeper, None)

        self._calls.ask(keeper.ping.remote(), heard, failed, SILENCE[READY])

    def _lost(self, member: Member, error: Exception, silent: bool) -> None:
        joined, place = member.joined, member.place
        node_id = place.node_id if place is not None else ""
        self.end(member)
        if NO_IMPORT in str(error):
            member.faults += 1
        before = replace(member)
        self.n_unknown += 1
        node_lost = self._node_is_lost(node_id, silent)
        self._gone(member, silent and not node_lost)
        if node_lost:
            self._lose_node(node_id)
            self._tell(before, End(before.name, before.node, "node lost"))
        elif joined is not None:
            self._investigate(before, joined, node_id, silent=silent, told=str(error))
        else:
            self._tell(before, End(before.name, before.node, "died"))

    def _node_is_lost(self, node_id: str, silent: bool) -> bool:
        if node_id == self._own_node:
            return False
        if not silent:
            return node_id not in {node.id for node in nodes()}
        return time.monotonic() - self._heard.get(node_id, 0.0) > NODE_SILENCE

    def _judge_node(self, node_id: str) -> None:
        """Where the connections to everybody on a node broke, it has died: no need to wait for more silence. Who is
        alone there has the keeper for a witness, whose connection takes its own two seconds to be given up."""
        there = {m.actor for m in self._roster.members.values() if m.place is not None and m.place.node_id == node_id}
        there -= {None}
        if len(there) == 1 and node_id in self._keepers:
            there.add(self._keepers[node_id])
        quiet = time.monotonic() - self._heard.get(node_id, 0.0)
        if len(there) > 1 and there <= self._cut and quiet > CUT_SECONDS and node_id not in self._roster.lost_nodes:
            self._lose_node(node_id)

    def _lose_node(self, node_id: str) -> None:
        """Whoever else is there is gone as well."""
        self._roster.lost_nodes.add(node_id)
        for member in list(self._roster.members.values()):
            if member.actor is not None and member.place is not None and member.place.node_id == node_id:
                self.end(member)
                before = replace(member)
                self.n_unknown += 1
                self._gone(member, False)
                self._tell(before, End(before.name, before.node, "node lost"))

    def _decide(self) -> None:
        """Of members whose keeper could not tell: was it their nodes?"""
        due = [one for one in self._undecided if time.monotonic() >= one[3]]
        self._undecided = [one for one in self._undecided if one not in due]
        for member, node_id, since, _ in due:
            if node_id not in self._roster.lost_nodes and self._heard.get(node_id, 0.0) < since:
                self._lose_node(node_id)
            how = "node lost" if node_id in self._roster.lost_nodes else "died"
            self._tell(member, End(member.name, member.node, how))

    def _investigate(self, member: Member, joined: Joined, node_id: str, *, silent: bool, told: str = "") -> None:
        """Find out how a process ended; one that was `silent` has to be ended first."""

        def known(end: End) -> None:
            self._found.put((member, replace(end, how="hung") if silent else end))

        if node_id == self._own_node:

            def look() -> None:
                if silent:
                    end_process(joined.pid, joined.started)
                known(find_end(f"{self._roster.session}/{member.name}", joined.pid, told))

            self._aside.submit(look)
            return
        keeper = self._keepers.get(node_id) or self._keep(node_id)
        self._keepers.setdefault(node_id, keeper)

        def lost(error: Exception) -> None:
            # The keeper is gone as well. Whether the node is, those others tell who are on it, if they do.
            wait = 0.0 if isinstance(error, Silent) else SILENCE[READY]
            self._undecided.append((member, node_id, time.monotonic(), time.monotonic() + wait))

        if silent:
            self._calls.ask(keeper.end_process.remote(joined.pid, joined.started), lambda _: None, lambda _: None)
        call = keeper.find_end.remote(f"{self._roster.session}/{member.name}", joined.pid, told)
        self._calls.ask(call, known, lost, PROBE_SECONDS)


def _silence(member: Member) -> float:
    return max(BUSY_SILENCE, SILENCE[member.state]) if member.kind == "python" else SILENCE[member.state]
