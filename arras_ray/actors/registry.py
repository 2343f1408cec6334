"""The registry of a cluster: the line of sessions that wait for machines, and who should have how many mcrts.

The first client that waits makes it; it leaves when nobody has asked for a while. It decides about nothing that runs:
without it sessions go on with what they have, and one that takes its place has everybody's reports and tickets again
within seconds.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import replace

from arras_ray.actors import groups
from arras_ray.actors.nodes import nodes
from arras_ray.session.fairness import Demand
from arras_ray.session.shares import Facts, Shares
from arras_ray.session.waiting_line import Ticket, Turn, WaitingLine

LOOK_SECONDS = 1.0
"""Between two looks at the cluster."""

IDLE_SECONDS = 60.0


class Registry:
    """The registry of the cluster this process is in. It leaves when nobody has asked for `idle_seconds`."""

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        now = time.monotonic()
        self._line = WaitingLine(now)
        self._shares = Shares(now)
        self._free = 0.0
        self._looked_at = float("-inf")
        self._asked_at = now
        threading.Thread(target=self._leave, args=(idle_seconds,), name="idle", daemon=True).start()

    def __repr__(self) -> str:
        return "registry"

    def turn(self, ticket: Ticket) -> Turn:
        """Somebody waits, and asks again every second. Where he stands."""
        now = self._asked_at = time.monotonic()
        before = self._line.ask(ticket, now)
        tickets = self._line.tickets(now)
        self._look(now)
        share = 0
        if before == 0 and not ticket.placing and self._line.settled(now):
            share = self._shares.first_share(tickets, self._free)
        return Turn(before + 1, sum(not one.placing for one in tickets), share > 0, share)

    def leave(self, ticket_id: str) -> None:
        """He waits no more."""
        self._line.leave(ticket_id)

    def report(self, demand: Demand) -> int | None:
        """A session wants so many mcrts, and asks again every two seconds. How many it should have; None while that is
        not known."""
        now = self._asked_at = time.monotonic()
        self._shares.report(demand, now)
        if self._shares.target(demand.session) is None:
            self._looked_at = float("-inf")
        self._look(now)
        return self._shares.target(demand.session)

    def _look(self, now: float) -> None:
        """See what the cluster has, at most once in LOOK_SECONDS, and set the targets."""
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        free = [node.cpus for node in nodes()]
        self._free = sum(free)
        largest = max((node.cpus for node in nodes(empty=True)), default=0.0)
        tickets = [replace(one, demand=replace(one.demand, session=one.id)) for one in self._line.tickets(now)]
        self._shares.balance(Facts(self._free, groups.held(), largest), tickets, now)

    def _leave(self, idle_seconds: float) -> None:
        """End this actor for good once nobody asks any more."""
        import ray

        while time.monotonic() - self._asked_at < idle_seconds:
            time.sleep(min(LOOK_SECONDS, idle_seconds))
        with suppress(Exception):  # Ray is not there any more
            ray.kill(ray.get_runtime_context().current_actor)
