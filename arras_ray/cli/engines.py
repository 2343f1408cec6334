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
    from arras_ray.actors.cluster import Cluster
    from arras_ray.checkpoint import Checkpoint
    from arras_ray.messages import RDLMessage
    from arras_ray.session.definition import SessionDefinition


@dataclass(frozen=True)
class Wishes:
    """What the command line asks of whoever renders. None: not asked."""

    num_mcrt: int | None = None
    num_cores: int | None = None
    session: str | None = None
    address: str | None = None
    threads: int | None = None
    time_limit: float | None = None
    enforce_memory: bool = False


@dataclass
class Starter:
    """Starts a render in two steps. What it opens is closed by `stack`."""

    wishes: Wishes
    report: Report
    told: Told
    interrupt: Interrupt
    stack: ExitStack

    def prepare(self) -> None:
        """Find out what may go wrong before a scene, which can be large, is read."""

    def start(self, message: RDLMessage, resume: Checkpoint | None = None) -> RenderHandle:
        """Render this scene, going on from a checkpoint of it; returns once the render is under way."""
        raise NotImplementedError


class LocalStarter(Starter):
    """In this process, without Ray."""

    def prepare(self) -> None:
        """Say which options have no meaning here."""
        options = {
            "--num-mcrt": self.wishes.num_mcrt,
            "--session": self.wishes.session,
            "--address": self.wishes.address,
            "--enforce-memory": self.wishes.enforce_memory or None,
        }
        ignored = [option for option, value in options.items() if value is not None]
        if ignored:
            self.told.warnings([f"{', '.join(ignored)}: without meaning for --engine local, which is one process"])

    def start(self, message: RDLMessage, resume: Checkpoint | None = None) -> RenderHandle:
        """Flatten, compile if that was never done here, render."""
        from arras_ray import engine as engine_room
        from arras_ray.local_render import LocalRender

        threads = self.wishes.threads or self.wishes.num_cores or usable_cores()
        self.told.step("flattening")
        engine = self.stack.enter_context(closing(interruptible(lambda: engine_room.load(message, threads=threads))))
        self.told.warnings(engine.warnings)
        interruptible(lambda: engine_room.warm(lambda _: self.told.step("compiling")))
        self.told.step("rendering", f"{engine.width}x{engine.height}, {engine.spp} spp, {threads} threads")
        return self.stack.enter_context(LocalRender(engine, threads, time_limit=self.wishes.time_limit, resume=resume))


class RayStarter(Starter):
    """As a session on a Ray cluster, or on a Ray started for this render."""

    _cluster: Cluster | None = None
    _no_cluster = False

    def prepare(self) -> None:
        """Check the session's definition, and join a cluster if there is one. Raise DefinitionError, ClusterError."""
        from arras_ray.actors.cluster import find

        if self.wishes.threads is not None:
            self.told.warnings(["--threads: without meaning on Ray; --num-cores sets the cores of each mcrt"])
        definition, num_mcrt = session_for(self.wishes, 1)
        definition.check_render(definition.expand(num_mcrt))
        self._no_cluster = find(self.wishes.address) is None
        if not self._no_cluster:
            self._cluster = self._connect()

    def start(self, message: RDLMessage, resume: Checkpoint | None = None) -> RenderHandle:
        """Start a Ray if there is no cluster, place the session, and wait until it renders."""
        from arras_ray.actors.cluster import nodes_with_cpus
        from arras_ray.client import render_session

        self.told.step("placing")
        cluster = self._cluster or self._connect()
        n_nodes = 1 if cluster.embedded else nodes_with_cpus()
        definition, num_mcrt = session_for(self.wishes, n_nodes)
        return self.stack.enter_context(
            render_session(
                definition,
                message,
                cluster=cluster,
                num_mcrt=num_mcrt,
                num_cores=self.wishes.num_cores,
                time_limit=self.wishes.time_limit,
                enforce_memory=self.wishes.enforce_memory,
                resume=resume,
                report=lambda stage: self.told.step(STEP_OF_STAGE[stage]),
            )
        )

    def _connect(self) -> Cluster:
        from arras_ray.actors.cluster import connect
        from arras_ray.session.placement import embedded_size

        definition, num_mcrt = session_for(self.wishes, 1)
        size = embedded_size(definition.expand(num_mcrt), usable_cores(), machine_memory(), self.wishes.num_cores)
        address = "local" if self._no_cluster else self.wishes.address
        with self.interrupt.held():  # half a Ray cannot be taken down
            cluster = self.stack.enter_context(connect(address, cpus=size.cpus, memory=size.memory))
            self.interrupt.after_ray_started(cluster.folder)
        self.report.notice(cluster.note)
        if cluster.embedded and size.note:
            self.report.notice(size.note)
        if cluster.dashboard:
            self.report.dashboard(cluster.dashboard)
        return cluster


def session_for(wishes: Wishes, n_nodes: int) -> tuple[SessionDefinition, int | None]:
    """The session's definition and how many mcrts to ask of it, None for as many as it says.

    A definition the user names keeps its own number; without one there is an mcrt for each node.
    """
    from arras_ray.session.definition import load_definition

    if wishes.session is not None:
        return load_definition(wishes.session), wishes.num_mcrt
    num_mcrt = wishes.num_mcrt or max(n_nodes, 1)
    return load_definition("mcrt_progressive" if num_mcrt == 1 else "mcrt_progressive_n"), num_mcrt


def usable_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_memory() -> int:
    """Bytes of memory this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
