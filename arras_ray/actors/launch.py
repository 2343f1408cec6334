"""Make actors of the plain classes. Nothing else applies Ray's decorators.

An actor of a session is named SESSION/COMPUTATION in the namespace "arras_ray" and runs in its bundle of a placement
group, with the bundle's cores and memory. All are detached: they outlive the supervisor that made them. Ray starts that
again, and the registry, and nobody else. Calls go to concurrency groups by the name of the method, so that control
calls are answered while work is done; within a group of one thread they keep their order.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from arras_ray.actors import ends
from arras_ray.actors.dispatch import Dispatch
from arras_ray.actors.executor import Executor
from arras_ray.actors.groups import Place
from arras_ray.actors.keeper import Keeper
from arras_ray.actors.mcrt import Mcrt
from arras_ray.actors.merge import Merge
from arras_ray.actors.names import NAMESPACE, REGISTRY
from arras_ray.actors.nodes import head_node
from arras_ray.actors.orders import Order, SessionOrder
from arras_ray.actors.registry import IDLE_SECONDS, Registry
from arras_ray.actors.render_supervisor import RenderSupervisor
from arras_ray.actors.session_supervisor import SessionSupervisor
from arras_ray.session.computation_spec import ComputationSpec
from arras_ray.session.host import Part

KINDS: dict[str, type] = {"mcrt": Mcrt, "merge": Merge, "dispatch": Dispatch}

THREADS = {"add": min(4, os.cpu_count() or 1), "outbox": 4, "calls": 4}
"""Of a concurrency group, one where it does not say: four threads that add use up the memory's bandwidth, and more
than there are cores only wait for each other. As many clients may wait for a computation's messages at a time."""

CONTROL = ("join", "ping")
TOLD = ("keep_alive", "state", "report", "dismiss")

GROUPS: dict[type, dict[str, tuple[str, ...]]] = {
    Mcrt: {"render": ("render", "locate"), "control": (*CONTROL, "cancel", "attach", "edit")},
    Merge: {
        "add": ("accept", "preview"),
        "frames": ("frame",),
        "pictures": ("final", "save", "log"),
        "control": (*CONTROL, "attach", "finish", "stats", "show"),
    },
    Dispatch: {"control": (*CONTROL, "status", "stop", "pause")},
    Executor: {
        "inbox": ("deliver",),
        "calls": ("call",),
        "outbox": ("fetch",),
        "control": (*CONTROL, "own", "watch", "counts", "pause", "stop"),
    },
    Keeper: {"control": CONTROL, "log": ("log",)},
    Registry: {"control": ("turn", "leave", "report")},
    RenderSupervisor: {
        "control": (*TOLD, "saved", "scale", "scene", "edit"),
        "end": ("end", "settle"),
    },
    SessionSupervisor: {
        "control": (*TOLD, "terms", "stop", "keep"),
        "end": ("end", "settle"),
    },
}
"""Methods by concurrency group; the others run one after the other in the actor's own."""


def computation(kind: str, session: str, name: str, *, place: Place, life: int, **kwargs: Any) -> Any:
    """Start the computation `name` (mcrt, merge or dispatch) in its place; returns its handle at once.

    Raise ValueError if its name is taken.
    """
    return (
        _actor_class(KINDS[kind])
        .options(
            name=f"{session}/{name}",
            namespace=NAMESPACE,
            lifetime="detached",
            num_cpus=place.cores,
            memory=place.memory,
            scheduling_strategy=PlacementGroupSchedulingStrategy(place.group, place.bundle, False),
            runtime_env=ends.runtime_env(),
            max_restarts=0,
            max_task_retries=0,
        )
        .remote(name, session, life, **kwargs)
    )


def executor(session: str, name: str, part: Part, *, spec: ComputationSpec, place: Place, life: int) -> Any:
    """Start the process of a user's computation in its place; returns its handle at once.

    Raise ValueError if its name is taken.
    """
    environment = {"env_vars": dict(spec.environment)} if spec.environment else {}
    return (
        _actor_class(Executor)
        .options(
            name=f"{session}/{name}",
            namespace=NAMESPACE,
            lifetime="detached",
            num_cpus=place.cores,
            num_gpus=spec.gpus,
            memory=place.memory,
            scheduling_strategy=PlacementGroupSchedulingStrategy(place.group, place.bundle, False),
            runtime_env=ends.runtime_env() | environment,
            max_restarts=0,
            max_task_retries=0,
        )
        .remote(name, session, life, part, spec.working_directory)
    )


def keeper(session: str, node_id: str) -> Any:
    """Start the keeper of a session on a node, or find it: it takes no cores."""
    return (
        _actor_class(Keeper)
        .options(
            name=f"{session}/keeper-{node_id[:12]}",
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
            max_restarts=0,
            max_task_retries=0,
        )
        .remote(f"keeper-{node_id[:12]}", session)
    )


def supervisor(session: str, order: Order | SessionOrder) -> Any:
    """Start the supervisor of a session: without cores, on the head, whose loss no session survives anyway.

    Raise ValueError if the session's name is taken.
    """
    return (
        _actor_class(RenderSupervisor if isinstance(order, Order) else SessionSupervisor)
        .options(
            name=f"{session}/supervisor",
            namespace=NAMESPACE,
            lifetime="detached",
            num_cpus=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(head_node(), soft=False),
            max_restarts=-1,
            max_task_retries=0,
        )
        .remote(session, order)
    )


def registry(idle_seconds: float = IDLE_SECONDS) -> Any:
    """Start the registry of the cluster, or find it: on the head, without cores."""
    return (
        _actor_class(Registry)
        .options(
            name=REGISTRY,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(head_node(), soft=False),
            max_restarts=-1,
            max_task_retries=0,
        )
        .remote(idle_seconds)
    )


def on_head(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function once, on the head, without cores; returns a reference to what it returns."""
    remote: Any = ray.remote  # its type hints know no options and a function at once
    where = NodeAffinitySchedulingStrategy(head_node(), soft=False)
    return remote(num_cpus=0, scheduling_strategy=where)(function).remote(*arguments)


@cache
def _actor_class(kind: type) -> Any:
    """One for each kind: Ray takes its time to look through a new class, whatever is in it."""
    groups = GROUPS[kind]
    for group, methods in groups.items():
        for method in methods:
            ray.method(concurrency_group=group)(getattr(kind, method))
    remote: Any = ray.remote  # its type hints know no concurrency groups
    return remote(concurrency_groups={group: THREADS.get(group, 1) for group in groups})(kind)
