"""What is told when a session does not fit: a table of asked and free, and for each computation why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from arras_ray.session.computation_spec import MB
from arras_ray.session.node import ROUNDING, Need, Node, NodeFacts


class Shortage(NamedTuple):
    """A row of the table of asked and free. reason: why it does not fit, empty for one that does."""

    computation: str
    asked: str
    free: str
    reason: str


def shortage_table(
    needs: Sequence[Need], found: Sequence[Node | None], optional: set[str], nodes: Sequence[NodeFacts]
) -> tuple[Shortage, ...]:
    """A row for each. found: their nodes, None for those that have none. free: on its node, or on the node that came
    nearest. optional: names of those that may be left out."""
    rows = []
    for need, node in zip(needs, found, strict=True):
        one = need.computation
        facts, reason = (node.facts, "") if node is not None else _nearest(need, nodes)
        if node is None and one.name in optional:
            reason = "may be left out"
        free = (
            "none" if facts is None else f"{_amounts(facts.cpus, facts.cpus, facts.memory, facts.gpus)} on {facts.name}"
        )
        asked = _amounts(one.resources.min_cores, one.resources.max_cores, one.resources.memory, one.gpus)
        rows.append(Shortage(one.name, asked, free, reason))
    return tuple(rows)


def shortage_text(table: Sequence[Shortage]) -> str:
    """The table of asked and free as aligned lines."""
    rows = [("computation", "asked", "free", ""), *((r.computation, r.asked, r.free, r.reason) for r in table)]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _nearest(need: Need, nodes: Sequence[NodeFacts]) -> tuple[NodeFacts | None, str]:
    """The node that comes nearest to what a computation needs, and what is in the way."""
    if not nodes:
        return None, "there are no nodes"
    one = need.computation
    left = list(nodes)
    conditions: list[tuple[Callable[[NodeFacts], bool], str]] = [
        (need.is_its_machine, f"pinned to {one.hostname_pin}, which is not there"),
        (
            need.is_its_side,
            "only on the client's machine, which is no node"
            if one.local_only
            else "never on the client's machine, and there is no other",
        ),
        (need.has_its_labels, f"no node has the labels {', '.join(f'{k}: {v}' for k, v in one.labels.items())}"),
    ]
    for holds, reason in conditions:
        fitting = [facts for facts in left if holds(facts)]
        if not fitting:
            return _richest(left), reason
        left = fitting
    nearest = _richest(left)
    who = "no node" if len(left) == len(nodes) else f"no node it may use ({_names(left)})"
    if all(one.gpus > facts.gpus + ROUNDING for facts in left):
        return nearest, f"{who} has as many GPUs"
    if all(one.resources.min_cores > facts.cpus + ROUNDING for facts in left):
        return nearest, f"{who} has as many cores"
    if all(one.resources.memory > facts.memory for facts in left):
        return nearest, f"{who} has as much memory"
    if not any(Node.of(facts).has_room_for(one) for facts in left):
        return nearest, f"{who} has {'all' if one.gpus else 'both'}"
    return nearest, "the others leave too little" + ("" if len(left) == len(nodes) else f" on {_names(left)}")


def _richest(nodes: Sequence[NodeFacts]) -> NodeFacts:
    return max(nodes, key=lambda facts: (facts.cpus, facts.memory))


def _names(nodes: Sequence[NodeFacts]) -> str:
    more = f" and {len(nodes) - 3} more" if len(nodes) > 3 else ""
    return ", ".join(facts.name for facts in nodes[:3]) + more


def _amounts(least: float, most: float | None, memory: int, gpus: float) -> str:
    upper = "" if most == least else f"-{'*' if most is None else f'{most:g}'}"
    return f"{least:g}{upper} cores {memory // MB:,} MB" + (f" {gpus:g} GPU{'s' * (gpus != 1)}" if gpus else "")
