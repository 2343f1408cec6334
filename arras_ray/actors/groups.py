"""Placement groups of a session: one for the computations it begins with, one for each that comes later.

They are detached, so that they outlive a supervisor that dies; the next one finds them by their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arras_ray.session.placement import Placed

REMOVED = "REMOVED"


@dataclass(frozen=True)
class Place:
    """A bundle: where a computation runs. cores may be 0, memory in bytes."""

    group: Any
    bundle: int
    node_id: str
    cores: float
    memory: int

    @property
    def threads(self) -> int:
        """Threads a computation may compute on here: its whole cores, at least one."""
        return max(1, int(self.cores))


def make(name: str, placed: Sequence[Placed]) -> tuple[Any, list[Place]]:
    """A group with a bundle for each, on its node, and the places in it. It may take a moment to be there."""
    from ray.util.placement_group import placement_group

    group: Any = placement_group(
        [p.bundle for p in placed],
        name=name,
        bundle_label_selector=[{"ray.io/node-id": p.node.id} for p in placed],
        lifetime="detached",
    )
    return group, [Place(group, i, p.node.id, p.cores, p.memory) for i, p in enumerate(placed)]


def find(session: str) -> dict[str, list[Place]]:
    """The groups a session has, by name: SESSION and SESSION/COMPUTATION/LIFE."""
    from ray._raylet import PlacementGroupID
    from ray.util.placement_group import PlacementGroup

    found: dict[str, list[Place]] = {}
    for row in _table():
        if row["state"] == REMOVED or not (row["name"] == session or row["name"].startswith(f"{session}/")):
            continue
        group = PlacementGroup(PlacementGroupID.from_hex(row["placement_group_id"]))
        bundles, nodes = row["bundles"], row["bundles_to_node_id"]
        found[row["name"]] = [
            Place(group, i, nodes.get(i, ""), float(bundles[i].get("CPU", 0.0)), int(bundles[i].get("memory", 0)))
            for i in sorted(bundles)
        ]
    return found


def remove(session: str) -> None:
    """Give back everything a session has reserved."""
    from ray.util.placement_group import remove_placement_group

    for places in find(session).values():
        remove_placement_group(places[0].group)


def _table() -> list[dict[str, Any]]:
    from ray.util.placement_group import placement_group_table

    table: Any = placement_group_table()
    return list(table.values())
