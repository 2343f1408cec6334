"""Starting a render on Ray.

with connect(cpus=4, memory=8 << 30) as cluster:
    with render_session(load_definition("mcrt_progressive"), message, cluster=cluster) as render:
        version = 0
        while frame := render.frame(version, timeout=60.0):
            version = frame.version
        picture = render.final()
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from arras_ray.client import SessionRender
from arras_ray.messages import RDLMessage
from arras_ray.pace import Deadlines
from arras_ray.session.machine import user_name
from arras_ray.session_link import name_taken, refuse_taken
from arras_ray.versions import versions
from arras_ray.waiting import InLine

if TYPE_CHECKING:
    from arras_ray.actors.cluster import Cluster
    from arras_ray.actors.orders import Order
    from arras_ray.checkpoint import Checkpoint
    from arras_ray.session.definition import SessionDefinition
    from arras_ray.session.waiting_line import Queue


def render_session(
    definition: SessionDefinition,
    message: RDLMessage,
    *,
    cluster: Cluster,
    num_mcrt: int | None = None,
    num_cores: int | None = None,
    name: str | None = None,
    time_limit: float | None = None,
    engine: str | None = None,
    resume: Checkpoint | None = None,
    deadlines: Deadlines | None = None,
    enforce_memory: bool = False,
    ready_seconds: float | None = None,
    report: Callable[[str], None] | None = None,
    queue: Queue | None = None,
    interactive: bool = False,
) -> SessionRender:
    """Start a session and wait until it renders.

    num_mcrt overrides the length of the definition's mcrt array, num_cores the cores of each mcrt. name: of the
    session, unique in the cluster; made up if absent. time_limit: seconds from the first lease. engine:
    module:function that makes another engine than the package's. resume: what the picture begins with. deadlines: of
    leases. enforce_memory: end computations that take more than their memoryMB. ready_seconds: how long the session may
    take until it renders; else any time, as long as it gives signs of life. report(stage) is called for each stage
    on the way: placing, loading, compiling, rendering. queue: wait for machines, and begin with at least one mcrt; the
    others join as there is room. That wait does not count as ready_seconds. interactive: previews come first, leases
    are short, and `SessionRender.edit` changes the scene; a merge that is lost begins anew.

    Raise ResourcesError, ReadyTimeout, SceneError, ClusterError or ComputationError; nothing of the session is left.
    """
    from arras_ray.actors.mcrt import ENGINE
    from arras_ray.actors.nodes import own_node
    from arras_ray.actors.orders import Order

    computations = definition.expand(num_mcrt)
    definition.check_render(computations)
    session = name or f"{definition.name}-{secrets.token_hex(2)}"
    order = Order(
        computations,
        message,
        versions(),
        engine or ENGINE,
        num_cores,
        time_limit,
        most_mcrts=definition.most_mcrts,
        resumed=resume.state if resume is not None else None,
        earlier_ends=resume.begun if resume is not None else (),
        enforce_memory=enforce_memory,
        deadlines=deadlines or Deadlines(),
        client_node=own_node(),
        user=user_name(),
        interactive=interactive,
    )
    tell = report or (lambda stage: None)
    tell("placing")
    if queue is None:
        return _begun(session, order, cluster, tell, ready_seconds)
    refuse_taken(cluster, session)
    with InLine(cluster, queue, session, computations, num_cores) as line:

        def hear(stage: str) -> None:
            if stage != "placing":
                line.leave()
            tell(stage)

        most = max(order.most_mcrts, sum(one.kind == "mcrt" for one in computations))
        return line.place(
            lambda first: _begun(
                session, replace(order, computations=first, most_mcrts=most), cluster, hear, ready_seconds
            )
        )


def _begun(
    session: str, order: Order, cluster: Cluster, tell: Callable[[str], None], ready_seconds: float | None
) -> SessionRender:
    """The session once it renders; what does not come so far is ended."""
    from arras_ray.actors import launch

    try:
        supervisor = launch.supervisor(session, order)
    except ValueError as error:
        raise name_taken(cluster, session) from error
    render = SessionRender(session, supervisor, cluster, order.message.options if order.message else None)
    try:
        render.start(tell, ready_seconds)
    except BaseException:
        with suppress(Exception):  # the first error is the one to tell
            render.close()
        raise
    return render
