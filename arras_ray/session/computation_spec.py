"""A computation of a session as its definition asks for it, arrays made and variables filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from arras_ray.session.message import CLIENT
from arras_ray.session.routing import Rule, routes

MB = 1 << 20


@dataclass(frozen=True)
class Resources:
    """What a computation asks. Cores from min_cores to max_cores, None for all a machine has; memory in bytes."""

    min_cores: float
    max_cores: float | None
    memory: int

    @property
    def fixed(self) -> bool:
        """Whether it asks for one exact number of cores."""
        return self.min_cores == self.max_cores


@dataclass(frozen=True)
class ComputationSpec:
    """One computation of a session. kind: mcrt, dispatch, merge, or python for a user's own class.

    index: its place in its array, None outside one. array_min: so many of its array must be there, 0 for all.
    """

    name: str
    kind: str
    resources: Resources
    array: str = ""
    index: int | None = None
    block: Mapping[str, Any] = field(default_factory=dict)
    """Its whole block of the file, variables filled in, unknown keys included."""
    dso: str = ""
    target: str = ""
    """package.module:Class of a python computation, empty for a library that nobody knows: it cannot be loaded."""
    unsupported: str = ""
    """Why its process cannot be started whatever it would load; empty if nothing is in the way."""
    entry: bool = False
    """In Arras the client's connection ends at this one's machine. One of a session is it."""
    rules: Mapping[str, Rule] = field(default_factory=dict)
    """What it accepts, by source as its definition names them: computations, arrays, (client)."""
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = ""
    array_min: int = 0
    hostname_pin: str = ""
    local_only: bool = False
    no_local: bool = False
    """Only, or never, on the client's machine."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Selectors of node labels: "value", "!value", "in(a,b)", "!in(a,b)"."""
    gpus: int = 0


def session_routes(
    computations: Iterable[ComputationSpec], client_rules: Mapping[str, Rule]
) -> dict[str, dict[str, Rule]]:
    """Who may get what from each party of a session, the client among them: {source: {receiver: rule}}."""
    arrays: dict[str, list[str]] = {}
    rules: dict[str, Mapping[str, Rule]] = {CLIENT: client_rules}
    for computation in computations:
        rules[computation.name] = computation.rules
        if computation.array:
            arrays.setdefault(computation.array, []).append(computation.name)
    return routes(rules, arrays)
