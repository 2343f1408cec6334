"""Starting a render: in this process, or as a session on Ray."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arras_ray.cli.handle import RenderHandle
from arras_ray.cli.interrupt import Interrupt, interruptible
from arras_ray.cli.report import Report
from arras_ray.cli.watch import STEP_OF_STAGE, Told

if TYPE_CHECKING:
    from arras_ray.messages import RDLMessage
    from arras_ray.session_definition import SessionDefinition


@dataclass(frozen=True)
class Wishes:
    """What the command line asks of whoever renders. None: not asked."""

    num_mcrt: int | None = None
    num_cores: int | None = None
    session: str | None = None
    address: str | None = None
    threads: int | None = None
    time_limit: float | None = None


def usable_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_memory() -> int:
    """Bytes of memory this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def start_local(
    message: RDLMessage, wishes: Wishes, report: Report, told: Told, interrupt: Interrupt, stack: ExitStack
) -> RenderHandle:
    """Flatten, compile if that was never done here, and render in this process."""
    from arras_ray import engine as engine_room
    from arras_ray.local_render import LocalRender

    ignored = [
        option
        for option, value in (
            ("--num-mcrt", wishes.num_mcrt),
            ("--session", wishes.session),
            ("--address", wishes.address),
        )
        if value is not None
    ]
    if ignored:
        told.warnings([f"{', '.join(ignored)}: without meaning for --engine local, which is one process"])
    threads = wishes.threads or wishes.num_cores or usable_cores()
    told.step("flattening")
    engine = stack.enter_context(closing(interruptible(lambda: engine_room.load(message, threads=threads))))
    told.warnings(list(engine.warnings))
    interruptible(lambda: engine_room.warm(lambda _: told.step("compiling")))
    told.step("rendering", f"{engine.width}x{engine.height}, {engine.spp} spp, {threads} threads")
    return stack.enter_context(LocalRender(engine, threads, time_limit=wishes.time_limit))


def start_session(
    message: RDLMessage, wishes: Wishes, report: Report, told: Told, interrupt: Interrupt, stack: ExitStack
) -> RenderHandle:
    """Find a Ray cluster or start one for this render, place a session there and wait until it renders."""
    from arras_ray.actors.cluster import connect
    from arras_ray.actors.supervisor import nodes
    from arras_ray.client import render_session
    from arras_ray.placement import embedded_size

    if wishes.threads is not None:
        told.warnings(["--threads: without meaning on Ray; --num-cores sets the cores of each mcrt"])
    told.step("placing")
    definition, num_mcrt = session_for(wishes, 1)
    size = embedded_size(definition.expand(num_mcrt), usable_cores(), machine_memory(), wishes.num_cores)
    with interrupt.held():  # half a Ray cannot be taken down
        cluster = stack.enter_context(connect(wishes.address, cpus=size.cpus, memory=size.memory))
        interrupt.after_ray_started(cluster.folder)
    report.notice(cluster.note)
    if cluster.dashboard:
        report.dashboard(cluster.dashboard)
    if not cluster.embedded:
        definition, num_mcrt = session_for(wishes, sum(node.cpus > 0 for node in nodes()))
    elif size.note:
        report.notice(size.note)
    return stack.enter_context(
        render_session(
            definition,
            message,
            cluster=cluster,
            num_mcrt=num_mcrt,
            num_cores=wishes.num_cores,
            time_limit=wishes.time_limit,
            report=lambda stage: told.step(STEP_OF_STAGE[stage]),
        )
    )


def session_for(wishes: Wishes, n_nodes: int) -> tuple[SessionDefinition, int | None]:
    """The session's definition and how many mcrts to ask of it, None for as many as it says.

    A definition the user names keeps its own number; without one there is an mcrt for each node.
    """
    from arras_ray.session_definition import load_definition

    if wishes.session is not None:
        return load_definition(wishes.session), wishes.num_mcrt
    num_mcrt = wishes.num_mcrt or max(n_nodes, 1)
    return load_definition("mcrt_progressive" if num_mcrt == 1 else "mcrt_progressive_n"), num_mcrt
