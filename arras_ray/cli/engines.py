"""Starting a render: in this process, or as a session on Ray."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arras_ray.cli.handle import RenderHandle
from arras_ray.cli.interrupt import interruptible
from arras_ray.cli.report import Report
from arras_ray.cli.watch import Told

if TYPE_CHECKING:
    from arras_ray.messages import RDLMessage


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


def start_local(message: RDLMessage, wishes: Wishes, report: Report, told: Told) -> RenderHandle:
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
    engine = interruptible(lambda: engine_room.load(message, threads=threads))
    told.warnings(list(engine.warnings))
    interruptible(lambda: engine_room.warm(lambda text: told.step("compiling", text)))
    told.step("rendering", f"{engine.width}x{engine.height}, {engine.spp} spp, {threads} threads")
    return LocalRender(engine, threads, time_limit=wishes.time_limit)


def start_session(message: RDLMessage, wishes: Wishes, report: Report, told: Told) -> RenderHandle:
    """Find or start a Ray cluster and start a session there."""
    raise NotImplementedError
