"""The line of sessions that wait for machines: who came first is placed first.

A ticket is asked for again and again; one that is not is taken for gone. A line that begins anew, because its registry
was lost, gets its tickets back in their old order: each tells how long it has waited.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from arras_ray.session.fairness import Demand

UNSEEN_SECONDS = 5.0
"""A ticket that was not asked for in so long has left."""

SETTLE_SECONDS = 3.0
"""A line that came back after a loss gives nobody a turn in its first seconds: who was first may not be there yet."""


@dataclass(frozen=True)
class Ticket:
    """A session that waits. id: nobody else's, whatever it is called. waited: seconds since it came.

    placing: it has had its turn and is about to leave, with so many mcrts.
    """

    id: str
    demand: Demand
    waited: float = 0.0
    placing: int = 0


@dataclass(frozen=True)
class Turn:
    """Where a ticket stands: the `place`th of `length`, from 1. yours: it may be placed now, with `share` mcrts."""

    place: int
    length: int
    yours: bool
    share: int = 0


@dataclass(frozen=True)
class Waiting:
    """What a client hears while it waits: it is the `place`th of `length`, and why it is not placed yet."""

    place: int
    length: int
    reason: str


def _to_nobody(waiting: Waiting) -> None:
    return


@dataclass(frozen=True)
class Queue:
    """The wish to wait for machines instead of failing. told: hears where one stands whenever that changes.

    given_up: an event that somebody else sets to end the wait, with Interrupted.
    """

    told: Callable[[Waiting], None] = _to_nobody
    given_up: threading.Event = field(default_factory=threading.Event)


@dataclass
class _Standing:
    ticket: Ticket
    came_at: float
    seen_at: float


class WaitingLine:
    """The tickets in order. now: seconds by any clock that only rises."""

    def __init__(self, now: float) -> None:
        self._began_at = now
        self._again = False
        """There was another line before, and some of its tickets may still be away."""
        self._standing: dict[str, _Standing] = {}

    def ask(self, ticket: Ticket, now: float) -> int:
        """The ticket is there: how many wait before it. 0: it is its turn."""
        standing = self._standing.get(ticket.id)
        if standing is None:
            self._again = self._again or (ticket.waited > 0 and now - self._began_at < SETTLE_SECONDS)
            standing = self._standing[ticket.id] = _Standing(ticket, now - ticket.waited, now)
        standing.ticket, standing.seen_at = ticket, now
        there = self.tickets(now)
        return sum(not one.placing for one in there[: there.index(ticket)])

    def settled(self, now: float) -> bool:
        """Whether anybody may have a turn."""
        return not self._again or now - self._began_at >= SETTLE_SECONDS

    def leave(self, ticket_id: str) -> None:
        """It waits no more."""
        self._standing.pop(ticket_id, None)

    def tickets(self, now: float) -> list[Ticket]:
        """Those that are there, the first first."""
        self._standing = {id: one for id, one in self._standing.items() if now - one.seen_at <= UNSEEN_SECONDS}
        there = sorted(self._standing.values(), key=lambda one: (one.came_at, one.ticket.id))
        return [one.ticket for one in there]
