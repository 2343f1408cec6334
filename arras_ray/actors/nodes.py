"""The nodes of a cluster as placement sees them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from arras_ray.session.node import NodeFacts


def nodes(*, empty: bool = False) -> list[NodeFacts]:
    """The living nodes of the cluster with what is free there now, or would be if they were `empty`."""
    import ray

    state: Any = import_module("ray._private.state")
    free = {} if empty else state.available_resources_per_node()  # Ray has no public way to ask this
    all_nodes: Any = ray.nodes
    found = []
    for node in all_nodes():
        if node["Alive"]:
            here = node["Resources"] if empty else free.get(node["NodeID"], {})
            found.append(
                NodeFacts(
                    id=node["NodeID"],
                    name=node["NodeManagerHostname"],
                    cpus=here.get("CPU", 0.0),
                    memory=int(here.get("memory", 0)),
                    gpus=here.get("GPU", 0.0),
                    labels=node["Labels"],
                )
            )
    return found


def head_node() -> str:
    """Id of the head's node, or of this process's own if the head does not show."""
    import ray

    all_nodes: Any = ray.nodes
    for node in all_nodes():
        if node["Alive"] and "node:__internal_head__" in node["Resources"]:
            head: str = node["NodeID"]
            return head
    return own_node()


def own_node() -> str:
    """Id of the node this process is on."""
    import ray

    context: Any = ray.get_runtime_context()
    own: str = context.get_node_id()
    return own
