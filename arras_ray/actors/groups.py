"""Placement groups of a session: one for all it begins with but its mcrts, one for each mcrt and for each that comes
later, because a group is given back as a whole and mcrts come and go.

They are detached, so that they outlive a supervisor that dies; the next one finds them by their names: SESSION and
SESSION/COMPUTATION/NUMBER.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arras_ray.session.placement import Placed
from arras_ray.session.shares import Held

REMOVED, CREATED = "REMOVED", "CREATED"
COMING = ("PENDING", "PREPARED")
"""Of groups that were asked for a moment ago."""

GONE_SECONDS = 3.0
COMING_SECONDS = 5.0


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


def find_settled(session: str) -> dict[str, list[Place]]:
    """The same as `find`, once those that were just asked for are there, or have not come in time."""
    deadline = time.monotonic() + COMING_SECONDS
    while any(_is_of(row, session) and row["state"] in COMING for row in _table()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return find(session)


def find(session: str) -> dict[str, list[Place]]:
    """The groups a session has, by name. A bundle without a node has none yet, or has lost it."""
    from ray._raylet import PlacementGroupID
    from ray.util.placement_group import PlacementGroup

    found: dict[str, list[Place]] = {}
    for row in _table():
        if row["state"] == REMOVED or not _is_of(row, session):
            continue
        group = PlacementGroup(PlacementGroupID.from_hex(row["placement_group_id"]))
        bundles, nodes = row["bundles"], row["bundles_to_node_id"]
        found[row["name"]] = [
            Place(group, i, nodes.get(i, ""), float(bundles[i].get("CPU", 0.0)), int(bundles[i].get("memory", 0)))
            for i in sorted(bundles)
        ]
    return found


def held() -> dict[str, Held]:
    """What the mcrts of each session have reserved: all groups of one computation that have cores."""
    found: dict[str, Held] = {}
    for row in _table():
        session, *computation = row["name"].rsplit("/", 2)
        cores = sum(float(bundle.get("CPU", 0.0)) for bundle in row["bundles"].values())
        if row["state"] == CREATED and computation and cores:
            before = found.get(session, Held(0, 0.0))
            found[session] = Held(before.mcrts + 1, before.cores + cores)
    return found


def remove(session: str) -> None:
    """Give back everything a session has reserved."""
    from ray.util.placement_group import remove_placement_group

    for places in find(session).values():
        remove_placement_group(places[0].group)


def remove_now(session: str) -> None:
    """The same; returns once the names may be used again."""
    remove(session)
    deadline = time.monotonic() + GONE_SECONDS
    while find(session) and time.monotonic() < deadline:
        time.sleep(0.02)


def _is_of(row: dict[str, Any], session: str) -> bool:
    return bool(row["name"] == session or row["name"].startswith(f"{session}/"))


def _table() -> list[dict[str, Any]]:
    from ray.util.placement_group import placement_group_table

    table: Any = placement_group_table()
    return list(table.values())
