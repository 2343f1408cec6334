"""What dispatch knows of mcrts apart from their leases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from arras_ray.messages import McrtRow


@dataclass
class SeenMcrt:
    """An mcrt as the supervisor told of it."""

    node: str
    threads: int
    state: str
    life: int = -1


class SeenMcrts(dict[str, SeenMcrt]):
    """All there ever were, by name."""

    def rows(self, leased: Iterable[McrtRow]) -> tuple[McrtRow, ...]:
        """As users see them. leased: rows of the ledger, which knows some of them and no nodes."""
        known = {row.name: row for row in leased}
        rows = []
        for name, seen in self.items():
            row = known.get(name)
            if row is None:
                rows.append(McrtRow(name, seen.node, seen.threads, 0, 0.0, 0, seen.state))
            else:
                state = row.state if seen.state in ("ready", "lost") else seen.state
                rows.append(replace(row, node=seen.node, threads=seen.threads, state=state))
        return tuple(rows)
