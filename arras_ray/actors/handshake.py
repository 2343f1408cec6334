"""What a computation tells when it joins: where it runs, what its bundle gave it, and its versions."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from typing import Any

from arras_ray.errors import ClusterError
from arras_ray.versions import versions


@dataclass(frozen=True)
class Joined:
    """A computation that is there. cpus and memory (bytes) are what Ray gave the process: its bundle's."""

    name: str
    node: str
    node_id: str
    pid: int
    cpus: float
    memory: int
    group: str
    """Placement group it runs in, hexadecimal; empty outside one."""
    versions: dict[str, str] = field(default_factory=dict)


def join(name: str) -> Joined:
    """Look around inside a computation's process."""
    import ray

    context: Any = ray.get_runtime_context()
    assigned = context.get_assigned_resources()
    return Joined(
        name=name,
        node=socket.gethostname(),
        node_id=context.get_node_id(),
        pid=os.getpid(),
        cpus=float(assigned.get("CPU", 0.0)),
        memory=int(assigned.get("memory", 0)),
        group=context.get_placement_group_id() or "",
        versions=versions(),
    )


def refuse_other_versions(ours: dict[str, str], joined: Joined) -> None:
    """Raise ClusterError naming both sides when a computation's versions are not those of the client."""
    differing = [
        f"{package} {joined.versions.get(package, 'none')} there, {wanted} here"
        for package, wanted in ours.items()
        if joined.versions.get(package, "none") != wanted
    ]
    if differing:
        raise ClusterError(
            f"{joined.name} on {joined.node} has other versions: {'; '.join(differing)}",
            hint="install the same arras-ray, with its constraints, on every node",
            node=joined.node,
        )
