"""Who should have how many mcrts, from what sessions report and what the cluster shows. Pure: time comes as numbers.

Reports are believed only as far as the cluster bears them out: what a session has reserved is seen, not asked. One that
does not follow its target, because it ignores it or because it cannot use it, counts with what it has, so that it takes
nothing else from the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from arras_ray.session.fairness import ROUNDING, SMALLEST, Demand, fair_shares
from arras_ray.session.waiting_line import Ticket

SILENT_SECONDS = 10.0
"""Who has not reported for so long is gone, or does without us."""

PATIENCE_SECONDS = 20.0
"""So long a session has to follow its target: leases that run are finished, mcrts join one after the other."""

AGAIN_SECONDS = 300.0
"""After so long a session that did not follow is counted on again."""

SETTLE_SECONDS = 8.0
"""Everybody has reported once in so long, also to a registry that took the place of one that was lost."""

LAG_SECONDS = 4.0
"""What was given back is counted as free some moments later. A total that falls is believed after so long."""


class Held(NamedTuple):
    """What a session's mcrts have reserved: how many they are, and their cores in all."""

    mcrts: int
    cores: float


NOTHING = Held(0, 0.0)


@dataclass(frozen=True)
class Facts:
    """What the cluster shows. free: cores; held: by session; largest: cores of the largest node."""

    free: float
    held: Mapping[str, Held]
    largest: float


@dataclass
class _Account:
    """A session that reports."""

    demand: Demand
    seen_at: float
    held: float = -1.0
    followed_at: float = 0.0
    """When it last moved, or had no need to."""
    apart_since: float | None = None
    """It does not follow."""
    told: int = 0


@dataclass
class Shares:
    """The sessions that report, and what each should have. Nobody has a target before everybody could report, counted
    from began_at."""

    began_at: float = -SETTLE_SECONDS
    _accounts: dict[str, _Account] = field(default_factory=dict)
    _totals: deque[tuple[float, float]] = field(default_factory=deque)
    _believed: list[Demand] = field(default_factory=list)
    """Of those that follow."""
    _cores: float = 0.0
    """For these, and for those that wait."""
    _largest: float = 0.0

    def report(self, demand: Demand, now: float) -> None:
        """A session tells what it wants."""
        account = self._accounts.setdefault(demand.session, _Account(demand, now, followed_at=now))
        account.demand, account.seen_at = demand, now

    def target(self, session: str) -> int | None:
        """How many mcrts a session should have; None while that is not known."""
        account = self._accounts.get(session)
        return account.told if account is not None and account.told else None

    def balance(self, facts: Facts, tickets: Sequence[Ticket], now: float) -> None:
        """Set the targets anew. tickets: of those in line, the first first; room is made for them to begin."""
        waiting = [one.demand for one in tickets]
        self._accounts = {n: one for n, one in self._accounts.items() if now - one.seen_at <= SILENT_SECONDS}
        self._largest = facts.largest
        held = {name: facts.held.get(name, NOTHING) for name in self._accounts}
        believed = {name: _believed(one.demand, held[name], facts.largest) for name, one in self._accounts.items()}
        everybody = tuple(believed.values())
        total = self._total(facts.free + sum(one.cores for one in held.values()), now)
        told = fair_shares(everybody, total - set_aside(everybody, waiting, total))
        for name, account in self._accounts.items():
            self._judge(account, believed[name], held[name].cores, facts.free, now)
        apart = [name for name, account in self._accounts.items() if account.apart_since is not None]
        self._cores = total - sum(held[name].cores for name in apart)
        self._believed = [one for name, one in believed.items() if name not in apart]
        follow = fair_shares(self._believed, self._cores - set_aside(self._believed, waiting, self._cores))
        for name, account in self._accounts.items():
            settled = now - self.began_at >= SETTLE_SECONDS
            account.told = max(1, follow.get(name, told[name])) if settled else 0

    def first_share(self, tickets: Sequence[Ticket], free: float) -> int:
        """How many mcrts the first in line that is not being placed may begin with, by the last `balance`; 0 while
        there is no room for it beside those that are."""
        placing = [replace(one.demand, session=one.id, holds=one.placing) for one in tickets if one.placing]
        first, *others = [one for one in tickets if not one.placing]
        wanted = replace(first.demand, session=first.id, cores=_cores(first.demand, self._largest), holds=0)
        if placing and sum(one.start + (one.holds - one.floor) * one.size for one in placing) + wanted.start > free:
            return 0
        there = (*self._believed, *placing, wanted)
        kept = set_aside(there, [one.demand for one in others], self._cores)
        return fair_shares(there, self._cores - kept)[first.id]

    def _total(self, total: float, now: float) -> float:
        """The most of the last moments."""
        self._totals.append((now, total))
        while now - self._totals[0][0] > LAG_SECONDS:
            self._totals.popleft()
        return max(cores for _, cores in self._totals)

    def _judge(self, account: _Account, demand: Demand, held: float, free: float, now: float) -> None:
        """Whether a session follows the target it was told."""
        should = account.told * demand.size
        change, account.held = held - account.held, held
        over = held > should + ROUNDING
        idle = held + demand.size <= should + ROUNDING and demand.size <= free + ROUNDING
        moved = abs(change) > ROUNDING and not (over and change > 0)
        again = account.apart_since is not None and now - account.apart_since > AGAIN_SECONDS
        in_order = account.apart_since is None and not over and not idle
        if moved or again or in_order or not account.told:
            account.followed_at, account.apart_since = now, None
        elif account.apart_since is None and now - account.followed_at > PATIENCE_SECONDS:
            account.apart_since = now


def set_aside(running: Sequence[Demand], waiting: Sequence[Demand], cores: float) -> float:
    """Cores that are kept for those in line to begin with, in order, as far as they go beyond everybody's least."""
    room = cores - sum(one.floor * one.size for one in running)
    kept = 0.0
    for one in waiting:
        if kept + one.start > room + ROUNDING:
            break
        kept += one.start
    return kept


def _believed(demand: Demand, held: Held, largest: float) -> Demand:
    """A demand as far as it can be true: an mcrt is as large as those that are seen, and nobody needs more at least
    than it has."""
    cores = held.cores / held.mcrts if held.mcrts else _cores(demand, largest)
    return replace(demand, cores=cores, holds=held.mcrts, least=max(1, min(demand.least, held.mcrts)))


def _cores(demand: Demand, largest: float) -> float:
    """Of an mcrt that is not there yet. No node is too small for it."""
    return max(SMALLEST, min(largest, max(SMALLEST, demand.cores)))
