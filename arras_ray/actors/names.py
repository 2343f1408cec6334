"""Actors by their names: what of ours is in a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

NAMESPACE = "arras_ray"
"""Ray namespace of all our actors; their names are SESSION/COMPUTATION."""

REGISTRY = "registry"
"""Name of the only actor that is no session's."""


def find_registry() -> Any:
    """The registry of the cluster, None where there is none."""
    import ray

    with suppress(ValueError, ray.exceptions.RayError):
        return ray.get_actor(REGISTRY, NAMESPACE)
    return None


def find_actor(session: str, name: str) -> Any:
    """A computation of a session, or its supervisor. Raise ValueError where there is none of this name."""
    import ray

    return ray.get_actor(f"{session}/{name}", NAMESPACE)


def sessions() -> list[str]:
    """Names of the sessions that have a supervisor in this cluster."""
    import ray

    actors: Sequence[dict[str, str]] = ray.util.list_named_actors(all_namespaces=True)
    names = [actor["name"] for actor in actors if actor["namespace"] == NAMESPACE]
    return sorted(name.removesuffix("/supervisor") for name in names if name.endswith("/supervisor"))
