"""Fair shares: how many mcrts each session should have where they want more cores than there are. Pure decisions.

Every session has its least. What is left goes out max-min fair, one whole mcrt after the other: to the user who has the
fewest cores, and there to the session that has the fewest (progressive filling; Bertsekas and Gallager, Data Networks,
section 6.5.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

SMALLEST = 0.1
"""An mcrt counts for so many cores at least."""

ROUNDING = 1e-6


@dataclass(frozen=True)
class Demand:
    """What a session wants: mcrts of so many `cores` each, `most` of them, and not fewer than `least`.

    holds: how many it has. start: cores that all it begins with takes, of one that waits.
    """

    session: str
    user: str
    cores: float
    least: int
    most: int
    holds: int = 0
    start: float = 0.0

    @property
    def size(self) -> float:
        """Cores that one mcrt counts for."""
        return max(SMALLEST, self.cores)

    @property
    def floor(self) -> int:
        """How many mcrts it has whatever the others want."""
        return max(0, min(self.least, self.most))


def fair_shares(demands: Sequence[Demand], cores: float) -> dict[str, int]:
    """How many mcrts each session should have of so many cores, by its name.

    Nobody gets more than it wants, and nobody less while its mcrt would fit. Where two have the same, it goes to the
    one that holds it already, so that nobody ends an mcrt without need.
    """
    counts = {one.session: one.floor for one in demands}
    left = cores - sum(one.floor * one.size for one in demands)
    sessions: dict[str, list[tuple[float, bool, str]]] = {}
    has: dict[str, float] = {}
    known = {one.session: one for one in demands}
    for one in demands:
        has[one.user] = has.get(one.user, 0.0) + one.floor * one.size
        if one.floor < one.most:
            sessions.setdefault(one.user, []).append(_rank(one, one.floor))
    for ranks in sessions.values():
        heapify(ranks)
    users = [(round(has[user], 6), ranks[0][1], user) for user, ranks in sessions.items()]
    heapify(users)
    while users:
        _, _, user = heappop(users)
        _, _, name = heappop(sessions[user])
        one = known[name]
        if one.size <= left + ROUNDING:
            left -= one.size
            has[user] += one.size
            counts[name] += 1
            if counts[name] < one.most:
                heappush(sessions[user], _rank(one, counts[name]))
        if sessions[user]:
            heappush(users, (round(has[user], 6), sessions[user][0][1], user))
    return counts


def _rank(one: Demand, count: int) -> tuple[float, bool, str]:
    """Where a session that has so many stands among those of its user."""
    return (round(count * one.size, 6), count >= one.holds, one.session)
