"""A cluster without processes: sessions that come, wait in line, grow, drain and misbehave, by a clock of its own.

Placing takes seconds, an mcrt that drains holds its core until its lease is done, what was given back is counted as
free up to a second later, and supervisors hear their targets every two seconds.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from arras_ray.session.fairness import Demand
from arras_ray.session.shares import Facts, Held, Shares
from arras_ray.session.waiting_line import Ticket, WaitingLine

STEP = 0.1
REPORT_SECONDS = 2.0
ASK_SECONDS = 1.0
ROOM_SECONDS = 1.0
COUNT_SECONDS = 1.0
PLACING_SECONDS = (0.5, 3.0)
LEASE_SECONDS = (0.2, 3.0)


@dataclass
class Guest:
    """A session of one-core mcrts. manner: good; keeps (gives nothing back); greedy (that, and asks for everything);
    modest (that, and says it has nothing); stuck (cannot grow); dies, and is taken down at `until`."""

    name: str
    user: str
    wants: int
    comes_at: float
    manner: str = "good"
    until: float = float("inf")
    state: str = "away"
    mcrts: int = 0
    draining: list[float] = field(default_factory=list)
    """When the leases of those that drain are done."""
    target: int | None = None
    next_ask: float = 0.0
    next_room: float = 0.0
    placed_at: float = 0.0
    share: int = 0

    @property
    def held(self) -> int:
        return self.mcrts + len(self.draining)

    @property
    def ticket(self) -> Ticket:
        return Ticket(self.name, Demand(self.name, self.user, 1.0, 1, self.wants, start=1.0), placing=self.share)

    @property
    def demand(self) -> Demand:
        demand = Demand(self.name, self.user, 1.0, 1, self.wants, self.held)
        if self.manner == "greedy":
            return Demand(self.name, self.user, 1e-9, 10**6, 10**9, 10**6)
        if self.manner == "modest":
            return Demand(self.name, self.user, 1e9, 10**6, self.wants, 0)
        return demand


class Farm:
    """`cores` one-core places for these guests."""

    def __init__(self, cores: int, guests: Sequence[Guest], seed: int) -> None:
        self.cores = cores
        self.guests = list(guests)
        self.now = 0.0
        self.random = random.Random(seed)
        self.shares = Shares()
        self.line = WaitingLine(0.0)
        self._counted_free, self._count_at, self._balanced_at = float(cores), 0.0, -1.0

    @property
    def free(self) -> int:
        return self.cores - sum(guest.held for guest in self.guests)

    def users(self) -> dict[str, int]:
        """Cores by user."""
        held: Counter[str] = Counter()
        for guest in self.guests:
            held[guest.user] += guest.held
        return dict(held)

    def run(self, until: float) -> None:
        while self.now < until:
            self.step()

    def step(self) -> None:
        self.now += STEP
        if self.now >= self._count_at:
            self._count_at, self._counted_free = self.now + COUNT_SECONDS, float(self.free)
        self.random.shuffle(self.guests)
        for guest in self.guests:
            getattr(self, f"_{guest.state}")(guest)
        assert self.free >= 0

    def _away(self, guest: Guest) -> None:
        if self.now >= guest.comes_at:
            guest.state = "waiting"

    def _waiting(self, guest: Guest) -> None:
        if self.now < guest.next_ask:
            return
        guest.next_ask = self.now + ASK_SECONDS
        if self.line.ask(guest.ticket, self.now) == 0 and self.free >= 1:
            self._balance()
            guest.share = self.shares.first_share(self.line.tickets(self.now), self._counted_free)
            if guest.share:
                guest.state, guest.placed_at = "placing", self.now + self.random.uniform(*PLACING_SECONDS)
                self.line.ask(guest.ticket, self.now)

    def _placing(self, guest: Guest) -> None:
        self.line.ask(guest.ticket, self.now)
        if self.now < guest.placed_at:
            return
        guest.mcrts = min(guest.share, self.free)
        guest.state, guest.share = "running" if guest.mcrts else "waiting", 0
        if guest.mcrts:
            self.line.leave(guest.name)

    def _running(self, guest: Guest) -> None:
        guest.draining = [until for until in guest.draining if until > self.now]
        if self.now >= guest.until:
            guest.state, guest.mcrts, guest.draining = "gone", 0, []
            return
        if guest.manner == "dies":
            return
        if self.now >= guest.next_ask:
            guest.next_ask = self.now + REPORT_SECONDS
            self.shares.report(guest.demand, self.now)
            if self.now - self._balanced_at >= ASK_SECONDS or self.shares.target(guest.name) is None:
                self._balance()
            guest.target = self.shares.target(guest.name) or guest.target
        most = guest.wants if guest.target is None else min(guest.wants, guest.target)
        while guest.mcrts > most and guest.manner in ("good", "stuck"):
            guest.mcrts -= 1
            guest.draining.append(self.now + self.random.uniform(*LEASE_SECONDS))
        if self.now >= guest.next_room:
            guest.next_room = self.now + ROOM_SECONDS
            if guest.mcrts < most and self.free and guest.manner != "stuck":
                guest.mcrts += 1

    def _gone(self, guest: Guest) -> None:
        return

    def _balance(self) -> None:
        self._balanced_at = self.now
        held = {guest.name: Held(guest.held, float(guest.held)) for guest in self.guests if guest.held}
        self.shares.balance(Facts(self._counted_free, held, 8.0), self.line.tickets(self.now), self.now)
