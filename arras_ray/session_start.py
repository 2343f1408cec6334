"""Where sessions on Ray come from: they are started, or come back to."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from arras_ray.errors import DefinitionError, ResourcesError, UsageError
from arras_ray.ray_session import LOOK_SECONDS, RaySession
from arras_ray.session.computation_spec import ComputationSpec, session_routes
from arras_ray.session.handle import INFO
from arras_ray.session.host import Part
from arras_ray.session.machine import user_name
from arras_ray.session.message import CLIENT
from arras_ray.session.routing import Rule
from arras_ray.session_link import SessionLink, name_taken, refuse_taken
from arras_ray.versions import versions
from arras_ray.waiting import InLine

if TYPE_CHECKING:
    from arras_ray.actors.cluster import Cluster
    from arras_ray.actors.orders import Order, SessionOrder
    from arras_ray.render_session import RenderSession
    from arras_ray.session.definition import SessionDefinition
    from arras_ray.session.waiting_line import Queue

CLIENT_SECONDS = 10.0
"""A client that has not been heard for so long is gone."""

STOP_SECONDS = 5.0
"""For each step of the stop sequence."""


def start_session(
    cluster: Cluster,
    name: str,
    computations: Sequence[ComputationSpec],
    client_rules: Mapping[str, Rule],
    *,
    log_level: int = INFO,
    enforce_memory: bool = False,
    keep: bool = False,
    stop_seconds: float = STOP_SECONDS,
    queue: Queue | None = None,
) -> RaySession:
    """Start a session of users' computations; returns at once, or with `queue` once it has waited for machines and has
    its place. name: empty for one of its own.

    log_level: what computations write is heard up to this level. enforce_memory: those that take more than their
    memoryMB are ended. keep: it goes on when its client is gone, until somebody stops it. stop_seconds: for each step
    of the stop sequence. Raise ClusterError if a session of this name runs; with `queue` ResourcesError for what would
    not fit on the empty cluster either, and Interrupted when it is given up.
    """
    from arras_ray.actors.nodes import own_node
    from arras_ray.actors.orders import SessionOrder

    name = name or f"session-{secrets.token_hex(2)}"
    _check_names(computations)
    routes = session_routes(computations, client_rules)
    names = frozenset(spec.name for spec in computations)
    parts = {
        spec.name: Part(
            session=name,
            name=spec.name,
            dso=spec.dso,
            target=spec.target,
            config=spec.block,
            routes=routes.get(spec.name, {}),
            parties=names | {CLIENT},
            unsupported=spec.unsupported,
        )
        for spec in computations
    }
    order = SessionOrder(
        tuple(computations),
        parts,
        routes.get(CLIENT, {}),
        versions(),
        enforce_memory,
        client_seconds=float("inf") if keep else CLIENT_SECONDS,
        client_node=own_node(),
        stop_seconds=stop_seconds,
    )
    link = SessionLink(name, _placed_supervisor(cluster, name, order, queue), cluster)
    return RaySession(name, link, order.client_routes, names, log_level)


def start_render(
    cluster: Cluster,
    name: str,
    definition: SessionDefinition,
    computations: Sequence[ComputationSpec],
    *,
    engine: str | None = None,
    queue: Queue | None = None,
) -> RenderSession:
    """Start a session of dispatch, mcrts and merges that waits for its scene; returns at once, or with `queue` once it
    has waited for machines and has a place with at least one mcrt; the others join as there is room.

    engine: module:function that makes another engine than the package's. Raise DefinitionError for one that cannot
    render; else as `start_session`.
    """
    from arras_ray.actors.mcrt import ENGINE
    from arras_ray.actors.nodes import own_node
    from arras_ray.actors.orders import Order
    from arras_ray.render_session import FRAME, RenderSession

    definition.check_render(tuple(computations))
    order = Order(tuple(computations), None, versions(), engine or ENGINE, client_node=own_node(), user=user_name())
    routes = session_routes(computations, definition.client_rules)
    dispatch = next(spec.name for spec in computations if spec.kind == "dispatch")
    merges = [spec for spec in computations if spec.kind == "merge"]
    heard = [m.name for m in merges if any(r.takes(FRAME) for n, r in routes.get(m.name, {}).items() if n == CLIENT)]
    credit = merges[0].block.get("initialCredit", -1)
    return RenderSession(
        name,
        _placed_supervisor(cluster, name, order, queue),
        cluster,
        routes.get(CLIENT, {}),
        frozenset(spec.name for spec in computations),
        dispatch=dispatch,
        merge=heard[0] if heard else "",
        credit=credit if isinstance(credit, int) else -1,
    )


def attach_session(cluster: Cluster, name: str, *, watch: bool = False, log_level: int = INFO) -> RaySession:
    """Come back to a session as its client, which gets what was not fetched before; or `watch` it: hear what its client
    hears from now on, and change nothing. Raise UsageError where there is none, or one that renders."""
    from arras_ray.actors.names import find_actor

    try:
        supervisor: Any = find_actor(name, "supervisor")
    except ValueError:
        raise UsageError(f"there is no session {name}", hint="`arras-ray ps` lists those there are") from None
    if not hasattr(supervisor, "terms"):
        raise UsageError(f"session {name} is a render, which has no messages for clients")
    link = SessionLink(name, supervisor, cluster)
    names, routes = link.ask(supervisor.terms.remote())
    if not watch:
        link.ask(supervisor.keep.remote(CLIENT_SECONDS))
    return RaySession(name, link, routes, names, log_level, comes_back=not watch, watches=watch)


def _check_names(computations: Sequence[ComputationSpec]) -> None:
    """Raise DefinitionError for a name that an actor of the session's own has."""
    for name in (spec.name for spec in computations):
        if name == "supervisor" or name.startswith("keeper-"):
            raise DefinitionError(
                f"no computation can be named {name} on Ray", hint="Rename its block.", computation=name
            )


def _placed_supervisor(cluster: Cluster, name: str, order: Order | SessionOrder, queue: Queue | None) -> Any:
    """The supervisor of a new session; with `queue` it has waited for machines, and the session has its place."""
    from arras_ray.actors.orders import Order

    if queue is None:
        return _supervisor(cluster, name, order)
    refuse_taken(cluster, name)

    def start(first: tuple[ComputationSpec, ...]) -> Any:
        if isinstance(order, Order):
            mcrts = sum(one.kind == "mcrt" for one in order.computations)
            return _placed(cluster, name, replace(order, computations=first, most_mcrts=mcrts))
        return _placed(cluster, name, order)

    with InLine(cluster, queue, name, order.computations) as line:
        return line.place(start)


def _placed(cluster: Cluster, name: str, order: Order | SessionOrder) -> Any:
    """A new session's supervisor once it has its place. Raise ResourcesError if there is none."""
    supervisor = _supervisor(cluster, name, order)
    link = SessionLink(name, supervisor, cluster)
    try:
        while (state := link.keep_alive()) is None or state.stage == "placing":
            if link.error is not None:
                raise link.error
            time.sleep(LOOK_SECONDS)
        if isinstance(state.error, ResourcesError):
            raise state.error
    except BaseException:
        with suppress(Exception):  # the first error is the one to tell
            link.end()
        raise
    return supervisor


def _supervisor(cluster: Cluster, name: str, order: Order | SessionOrder) -> Any:
    from arras_ray.actors import launch

    try:
        return launch.supervisor(name, order)
    except ValueError as error:
        raise name_taken(cluster, name) from error
