"""A session definition as `arras-ray session show` prints it: computations, routes, and places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from arras_ray.cli.sessions_command import cores
from arras_ray.cli.text import filled_columns, table_text
from arras_ray.session.computation_spec import MB, ComputationSpec, session_routes
from arras_ray.session.message import CLIENT
from arras_ray.session.placement import Placement
from arras_ray.session.routing import Rule


def computations_table(computations: Sequence[ComputationSpec]) -> str:
    """What each one is and asks."""
    rows = []
    for one in computations:
        asked = one.resources
        rows.append(
            (
                one.name,
                one.kind if one.kind != "python" else one.target or f"{one.dso}: unknown",
                cores(asked.min_cores) if asked.fixed else f"{asked.min_cores:g}-{most_text(asked.max_cores)}",
                asked.memory // MB,
                one.gpus or "",
                remarks(one),
            )
        )
    return filled_columns(("computation", "runs", "cores", "MB", "GPUs", ""), rows)


def most_text(most: float | None) -> str:
    """The upper end of a range of cores."""
    return "*" if most is None else f"{most:g}"


def remarks(one: ComputationSpec) -> str:
    """What else is to be known of a computation, in short."""
    labels = ", ".join(f"{name}: {selector}" for name, selector in one.labels.items())
    said = {
        "entry": one.entry,
        f"on {one.hostname_pin}": one.hostname_pin,
        "on the client's machine": one.local_only,
        "not on the client's machine": one.no_local,
        f"on nodes with {labels}": labels,
        f"{one.array_min} of these at least": one.array_min,
        one.unsupported: one.unsupported,
    }
    return "; ".join(text for text, holds in said.items() if holds)


def routes_table(computations: Sequence[ComputationSpec], client_rules: Mapping[str, Rule]) -> str:
    """Who sends what to whom; elements of an array that do the same are one row."""
    array_of = {CLIENT: CLIENT} | {one.name: one.array or one.name for one in computations}
    routes = session_routes(computations, client_rules)
    senders: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    for sender, array in array_of.items():
        senders.setdefault((array, _receivers(routes.get(sender, {}), array_of)), []).append(sender)
    rows = [(span(who), "->", *to) for (_, receivers), who in senders.items() for to in receivers]
    return table_text(("from", "", "to", "what"), rows)


def placement_table(placement: Placement) -> str:
    """The bundle of each computation, and its node."""
    rows = [
        (
            placed.computation.name,
            placed.node.name,
            cores(placed.cores),
            placed.threads,
            placed.memory // MB,
            placed.computation.gpus or "",
        )
        for placed in placement.placed
    ]
    return filled_columns(("computation", "node", "cores", "threads", "MB", "GPUs"), rows)


def rule_text(rule: Rule) -> str:
    """What a rule lets through."""
    if rule.accept:
        return ", ".join(sorted(rule.accept))
    return f"all but {', '.join(sorted(rule.ignore))}" if rule.ignore else "everything"


def span(names: Sequence[str]) -> str:
    """Names of one array, in order, in short."""
    if len(names) > 2:
        return f"{names[0]} ... {names[-1]} ({len(names)})"
    return ", ".join(names)


def _receivers(routes: Mapping[str, Rule], array_of: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(receivers, what) for the elements of an array who get the same."""
    same: dict[tuple[str, str], list[str]] = {}
    for name, rule in routes.items():
        same.setdefault((array_of[name], rule_text(rule)), []).append(name)
    return tuple((span(names), what) for (_, what), names in same.items())
