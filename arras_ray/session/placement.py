"""Placement: which computation runs on which node, with how many cores and how much memory. Pure decisions.

Computations that not every node may have come first, then those that ask for an exact number of cores. Those that take
a range, as mcrts do, go one to a node while nodes last; then those that met on a node share its free cores evenly. Last
come elements of arrays beyond their arrayMin, as many as fit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from arras_ray.errors import ResourcesError, UsageError
from arras_ray.session.computation_spec import MB, ComputationSpec, Resources
from arras_ray.session.node import ROUNDING, Need, Node, NodeFacts, local_nodes
from arras_ray.session.shortage import shortage_table, shortage_text


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
        bundle: dict[str, float] = {"memory": self.memory}
        if self.cores:
            bundle["CPU"] = self.cores
        if self.computation.gpus:
            bundle["GPU"] = self.computation.gpus
        return bundle


@dataclass(frozen=True)
class Placement:
    """The computations of a session with their places, in the order of the definition.

    left_out: elements of arrays, beyond their arrayMin, for which there was no room.
    """

    placed: tuple[Placed, ...]
    left_out: tuple[ComputationSpec, ...] = ()

    @property
    def bundles(self) -> list[dict[str, float]]:
        """Bundles of a placement group, one a computation, in the same order."""
        return [p.bundle for p in self.placed]

    def __getitem__(self, name: str) -> Placed:
        return next(p for p in self.placed if p.computation.name == name)


@dataclass(frozen=True)
class EmbeddedSize:
    """What a Ray started for one session declares: cpus and memory (bytes), which may be more than the machine has.

    note: a sentence on what is overbooked, empty if nothing is.
    """

    cpus: int
    memory: int
    note: str


def place(
    computations: Sequence[ComputationSpec],
    nodes: Sequence[NodeFacts],
    num_cores: int | None = None,
    *,
    client_node: str = "",
) -> Placement:
    """Place all computations, or raise ResourcesError with a table of asked and free.

    num_cores overrides the cores of each mcrt. client_node: id of the client's node, or the name of its machine.
    Where several nodes would do, earlier ones are taken first. What fits in one order may not in another: two are
    tried. Of an array among the computations arrayMin at least are placed, or all if there are fewer; those that are
    not are the last ones. The error has fields `table`, a tuple of Shortage, and `text`, the same for people.
    """
    asked = _with_cores(computations, num_cores)
    local = local_nodes(nodes, client_node)
    needs = [Need(computation, local) for computation in asked]
    optional = _optional(asked)
    certain = [need for need in needs if need.computation.name not in optional]
    trials = []
    for order in (_spread, _scarce(nodes)):
        trial = _Trial(nodes)
        for need in sorted(certain, key=order):
            trial.put(need)
        trials.append(trial)
        if len(trial.where) == len(certain):
            break
    else:
        trial = trials[0]
        table = shortage_table(needs, [trial.where.get(need.computation.name) for need in needs], optional, nodes)
        missing = len(certain) - len(trial.where)
        raise ResourcesError(
            f"the session asks for more than there is: {missing} of {len(certain)} computations do not fit",
            hint="Ask for less (--num-mcrt, --num-cores, memoryMB in the session definition) or add nodes.",
            table=table,
            text=shortage_text(table),
        )
    left_out: set[str] = set()
    for need in needs:
        array = need.computation.array
        if need.computation.name in optional and (array in left_out or not trial.put(need)):
            left_out.add(array)
    cores = {c.name: c.resources.min_cores for c in asked}
    for node in trial.nodes:
        cores |= _share(node)
    pairs = list(zip(computations, asked, strict=True))
    return Placement(
        tuple(
            Placed(original, trial.where[c.name].facts, cores[c.name], c.resources.memory)
            for original, c in pairs
            if c.name in trial.where
        ),
        tuple(original for original, c in pairs if c.name not in trial.where),
    )


def embedded_size(
    computations: Sequence[ComputationSpec], host_cores: int, host_memory: int, num_cores: int | None = None
) -> EmbeddedSize:
    """What a Ray of one machine must declare so that a session fits: host_cores if that does, else what is asked.

    host_memory: bytes. Memory is declared as asked: Ray only counts it, and the machine may have more or less. Whether
    it is the right machine is not asked here.
    """
    anywhere = [
        replace(c, hostname_pin="", local_only=False, no_local=False, labels={}, gpus=0)
        for c in _with_cores(computations, num_cores)
    ]
    least = math.ceil(sum(c.resources.min_cores for c in anywhere) - ROUNDING)
    cpus = max(least, host_cores)
    memory = sum(c.resources.memory for c in anywhere)
    placement = place(anywhere, [NodeFacts("", "", cpus, memory)])
    mcrts = [p for p in placement.placed if p.computation.kind == "mcrt"]
    threads = sum(p.threads for p in mcrts)
    notes = []
    if threads > host_cores:
        who = _count(len(mcrts), "mcrt") + (f" of {threads} threads in all" if threads > len(mcrts) else "")
        notes.append(f"{who} {'share' if len(mcrts) > 1 else 'shares'} {_count(host_cores, 'core')}")
    if memory > host_memory:
        notes.append(f"the session asks for {memory // MB:,} MB of memory, the machine has {host_memory // MB:,}")
    return EmbeddedSize(cpus, memory, "; ".join(notes))


class _Trial:
    """One attempt to place. where: the node of each computation that has one."""

    def __init__(self, nodes: Sequence[NodeFacts]) -> None:
        self.nodes = [Node.of(facts) for facts in nodes]
        self.where: dict[str, Node] = {}

    def put(self, need: Need) -> bool:
        """Give a computation a node; False if none has room for it."""
        fitting = (node for node in self.nodes if need.may_use(node.facts) and node.has_room_for(need.computation))
        if _is_ranged(need.computation):
            node = min(fitting, key=lambda n: (len(n.guests), -n.cpus), default=None)
        else:
            node = next(fitting, None)
        if node is None:
            return False
        if _is_ranged(need.computation):
            node.guests.append(need.computation)
        node.take(need.computation)
        self.where[need.computation.name] = node
        return True


def _spread(need: Need) -> tuple[float, ...]:
    """The order that spreads best."""
    resources = need.computation.resources
    return (not need.is_particular, _is_ranged(need.computation), -resources.min_cores)


def _scarce(nodes: Sequence[NodeFacts]) -> Callable[[Need], tuple[float, ...]]:
    """The order that finds most: those first that the fewest nodes could take if they were alone."""
    counted: dict[tuple[object, ...], int] = {}

    def order(need: Need) -> tuple[float, ...]:
        if need.key not in counted:
            counted[need.key] = sum(
                need.may_use(facts) and Node.of(facts).has_room_for(need.computation) for facts in nodes
            )
        return (counted[need.key], *_spread(need))

    return order


def _optional(computations: Sequence[ComputationSpec]) -> set[str]:
    """Names of those that may be left out: elements of an array after the first arrayMin."""
    seen: Counter[str] = Counter()
    found = set()
    for computation in computations:
        if computation.array and computation.array_min:
            seen[computation.array] += 1
            if seen[computation.array] > computation.array_min:
                found.add(computation.name)
    return found


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


def _share(node: Node) -> dict[str, float]:
    """Cores of each guest of a node: the free ones go round one by one, to the one that has least."""
    cores = {c.name: c.resources.min_cores for c in node.guests}
    most = {c.name: math.inf if c.resources.max_cores is None else c.resources.max_cores for c in node.guests}
    free = node.cpus
    while free >= 1 - ROUNDING:
        wanting = [name for name in cores if cores[name] + 1 <= most[name] + ROUNDING]
        if not wanting:
            break
        cores[min(wanting, key=cores.__getitem__)] += 1
        free -= 1
    return cores


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
