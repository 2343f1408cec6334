"""Machines as far as placing goes, and which of them a computation may use."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from arras_ray.session.computation_spec import ComputationSpec

ROUNDING = 1e-6
"""Cores may be fractions; this much is not missed."""


@dataclass(frozen=True)
class NodeFacts:
    """A machine, or one of several nodes on a machine. name: the machine's own, its hostname.

    cpus: free cores; memory: free bytes; gpus: free ones; labels: as the cluster knows it.
    """

    id: str
    name: str
    cpus: float
    memory: int
    gpus: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass
class Node:
    """A node while placing: what is still free, and the computations on it that take a range of cores."""

    facts: NodeFacts
    cpus: float
    memory: int
    gpus: float
    guests: list[ComputationSpec]

    @classmethod
    def of(cls, facts: NodeFacts) -> Node:
        """An empty one."""
        return cls(facts, facts.cpus, facts.memory, facts.gpus, [])

    def has_room_for(self, computation: ComputationSpec) -> bool:
        """Whether what it asks at least is free."""
        asked = computation.resources
        return (
            asked.min_cores <= self.cpus + ROUNDING
            and asked.memory <= self.memory
            and computation.gpus <= self.gpus + ROUNDING
        )

    def take(self, computation: ComputationSpec) -> None:
        """Take what it asks at least away."""
        self.cpus -= computation.resources.min_cores
        self.memory -= computation.resources.memory
        self.gpus -= computation.gpus


@dataclass(frozen=True)
class Need:
    """A computation that needs a node. local: ids of the nodes on the client's machine."""

    computation: ComputationSpec
    local: frozenset[str]

    @property
    def is_particular(self) -> bool:
        """Whether not every node may do."""
        one = self.computation
        return bool(one.hostname_pin or one.local_only or one.no_local or one.labels or one.gpus)

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for those that ask the same."""
        one = self.computation
        labels = tuple(sorted(one.labels.items()))
        return (one.resources, one.hostname_pin, one.local_only, one.no_local, one.gpus, labels)

    def may_use(self, facts: NodeFacts) -> bool:
        """Whether it may run on this node, if there is room."""
        return self.is_its_machine(facts) and self.is_its_side(facts) and self.has_its_labels(facts)

    def is_its_machine(self, facts: NodeFacts) -> bool:
        """Whether it is not pinned to another machine."""
        return self.computation.hostname_pin in ("", facts.name)

    def is_its_side(self, facts: NodeFacts) -> bool:
        """Whether it may be on the client's machine, or elsewhere."""
        is_local = facts.id in self.local
        return not (self.computation.no_local if is_local else self.computation.local_only)

    def has_its_labels(self, facts: NodeFacts) -> bool:
        """Whether the node's labels are those it selects."""
        return all(selects(selector, facts.labels.get(key)) for key, selector in self.computation.labels.items())


def selects(selector: str, value: str | None) -> bool:
    """Whether a label has the value that "value", "!value", "in(a,b)" or "!in(a,b)" selects; None is no label."""
    wanted = selector.removeprefix("!")
    among = re.fullmatch(r"in\((.*)\)", wanted)
    values = [one.strip() for one in among[1].split(",")] if among else [wanted]
    return (value in values) != selector.startswith("!")


def local_nodes(nodes: Sequence[NodeFacts], client_node: str) -> frozenset[str]:
    """Ids of the nodes on the client's machine, which is named by its name or by a node's id; "" for none."""
    names = {node.name for node in nodes if node.id == client_node} or {client_node}
    return frozenset(node.id for node in nodes if client_node and node.name in names)
