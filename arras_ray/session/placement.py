"""Placement: which computation runs on which node, with how many cores and how much memory. Pure decisions.

Computations that ask for an exact number of cores come first. Those that take a range, as mcrts do, go one to a node
while nodes last; then those that met on a node share its free cores evenly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from arras_ray.errors import ResourcesError, UsageError
from arras_ray.session.definition import MB, ComputationSpec, Resources

_ROUNDING = 1e-6
"""Cores may be fractions; this much is not missed."""


@dataclass(frozen=True)
class NodeFacts:
    """A machine as far as placing goes. cpus: free cores; memory: free bytes."""

    id: str
    name: str
    cpus: float
    memory: int


@dataclass(frozen=True)
class Placed:
    """A computation with its node, its cores (0 for one that hardly computes) and its memory in bytes."""

    computation: ComputationSpec
    node: NodeFacts
    cores: float
    memory: int

    @property
    def threads(self) -> int:
        """Threads it may compute on: its whole cores, at least one."""
        return max(1, int(self.cores))

    @property
    def bundle(self) -> dict[str, float]:
        """Its bundle of a placement group."""
        return {"memory": self.memory} | ({"CPU": self.cores} if self.cores else {})


@dataclass(frozen=True)
class Placement:
    """Every computation of a session with its place, in the order of the definition."""

    placed: tuple[Placed, ...]

    @property
    def bundles(self) -> list[dict[str, float]]:
        """Bundles of a placement group, one a computation, in the same order."""
        return [p.bundle for p in self.placed]

    def __getitem__(self, name: str) -> Placed:
        return next(p for p in self.placed if p.computation.name == name)


class Shortage(NamedTuple):
    """A row of the table of asked and free. reason: why it does not fit, empty for one that does."""

    computation: str
    asked: str
    free: str
    reason: str


@dataclass(frozen=True)
class EmbeddedSize:
    """What a Ray started for one session declares: cpus and memory (bytes), which may be more than the machine has.

    note: a sentence on what is overbooked, empty if nothing is.
    """

    cpus: int
    memory: int
    note: str


@dataclass
class _Node:
    """A node while placing: what is still free, and the ranged computations on it."""

    facts: NodeFacts
    cpus: float
    memory: int
    guests: list[ComputationSpec]

    def fits(self, asked: Resources) -> bool:
        return asked.min_cores <= self.cpus + _ROUNDING and asked.memory <= self.memory

    def take(self, asked: Resources) -> None:
        self.cpus -= asked.min_cores
        self.memory -= asked.memory


def place(
    computations: Sequence[ComputationSpec], nodes: Sequence[NodeFacts], num_cores: int | None = None
) -> Placement:
    """Place all computations, or raise ResourcesError with a table of asked and free.

    num_cores overrides the cores of each mcrt. Where several nodes would do, earlier ones are taken first. The error
    has fields `table`, a tuple of Shortage, and `text`, the same for people.
    """
    asked = _with_cores(computations, num_cores)
    state = [_Node(facts, facts.cpus, facts.memory, []) for facts in nodes]
    where: dict[str, _Node] = {}
    for computation in sorted(asked, key=lambda c: (_is_ranged(c), -c.resources.min_cores)):
        fitting = [node for node in state if node.fits(computation.resources)]
        if not fitting:
            continue
        if _is_ranged(computation):
            node = min(fitting, key=lambda n: (len(n.guests), -n.cpus))
            node.guests.append(computation)
        else:
            node = fitting[0]
        node.take(computation.resources)
        where[computation.name] = node
    if len(where) < len(asked):
        _refuse(asked, state, where)
    cores = {c.name: c.resources.min_cores for c in asked}
    for node in state:
        cores |= _share(node)
    return Placement(
        tuple(
            Placed(original, where[c.name].facts, cores[c.name], c.resources.memory)
            for original, c in zip(computations, asked, strict=True)
        )
    )


def embedded_size(
    computations: Sequence[ComputationSpec], host_cores: int, host_memory: int, num_cores: int | None = None
) -> EmbeddedSize:
    """What a Ray of one machine must declare so that a session fits: host_cores if that does, else what is asked.

    host_memory: bytes. Memory is declared as asked: Ray only counts it, and the machine may have more or less.
    """
    asked = _with_cores(computations, num_cores)
    least = math.ceil(sum(c.resources.min_cores for c in asked) - _ROUNDING)
    cpus = max(least, host_cores)
    memory = sum(c.resources.memory for c in asked)
    placement = place(computations, [NodeFacts("", "", cpus, memory)], num_cores)
    mcrts = [p for p in placement.placed if p.computation.kind == "mcrt"]
    threads = sum(p.threads for p in mcrts)
    notes = []
    if threads > host_cores:
        who = _count(len(mcrts), "mcrt") + (f" of {threads} threads in all" if threads > len(mcrts) else "")
        notes.append(f"{who} {'share' if len(mcrts) > 1 else 'shares'} {_count(host_cores, 'core')}")
    if memory > host_memory:
        notes.append(f"the session asks for {memory // MB:,} MB of memory, the machine has {host_memory // MB:,}")
    return EmbeddedSize(cpus, memory, "; ".join(notes))


def shortage_text(table: Sequence[Shortage]) -> str:
    """The table of asked and free as aligned lines."""
    rows = [("computation", "asked", "free", ""), *((r.computation, r.asked, r.free, r.reason) for r in table)]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _with_cores(computations: Sequence[ComputationSpec], num_cores: int | None) -> list[ComputationSpec]:
    if num_cores is None:
        return list(computations)
    if num_cores < 1:
        raise UsageError(f"an mcrt cannot have {num_cores} cores", hint="Give --num-cores a number of at least 1.")
    return [
        replace(c, resources=Resources(num_cores, num_cores, c.resources.memory)) if c.kind == "mcrt" else c
        for c in computations
    ]


def _is_ranged(computation: ComputationSpec) -> bool:
    """Whether it is spread over nodes: all that take a range of cores, and mcrts whatever they ask."""
    return not computation.resources.fixed or computation.kind == "mcrt"


def _share(node: _Node) -> dict[str, float]:
    """Cores of each guest of a node: the free ones go round one by one, to the one that has least."""
    cores = {c.name: c.resources.min_cores for c in node.guests}
    most = {c.name: math.inf if c.resources.max_cores is None else c.resources.max_cores for c in node.guests}
    free = node.cpus
    while free >= 1 - _ROUNDING:
        wanting = [name for name in cores if cores[name] + 1 <= most[name] + _ROUNDING]
        if not wanting:
            break
        cores[min(wanting, key=cores.__getitem__)] += 1
        free -= 1
    return cores


def _refuse(asked: Sequence[ComputationSpec], state: Sequence[_Node], where: dict[str, _Node]) -> None:
    """Raise ResourcesError for what found no node. free: on its node, or on the node that came nearest."""
    table = []
    for computation in asked:
        node = where.get(computation.name)
        reason = ""
        if node is None:
            node = max(state, key=lambda n: (n.cpus, n.memory), default=None)
            reason = _reason(computation.resources, state)
        free = "none" if node is None else _amounts(node.facts.cpus, node.facts.cpus, node.facts.memory)
        where_free = "" if node is None else f" on {node.facts.name}"
        resources = computation.resources
        wanted = _amounts(resources.min_cores, resources.max_cores, resources.memory)
        table.append(Shortage(computation.name, wanted, free + where_free, reason))
    missing = len(asked) - len(where)
    raise ResourcesError(
        f"the session asks for more than there is: {missing} of {len(asked)} computations do not fit",
        hint="Ask for less (--num-mcrt, --num-cores, memoryMB in the session definition) or add nodes.",
        table=tuple(table),
        text=shortage_text(table),
    )


def _reason(asked: Resources, state: Sequence[_Node]) -> str:
    if not state:
        return "there are no nodes"
    if all(asked.min_cores > node.facts.cpus + _ROUNDING for node in state):
        return "no node has as many cores"
    if all(asked.memory > node.facts.memory for node in state):
        return "no node has as much memory"
    if all(not _Node(n.facts, n.facts.cpus, n.facts.memory, []).fits(asked) for n in state):
        return "no node has both"
    return "the others leave too little"


def _amounts(least: float, most: float | None, memory: int) -> str:
    upper = "" if most == least else f"-{'*' if most is None else f'{most:g}'}"
    return f"{least:g}{upper} cores {memory // MB:,} MB"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
