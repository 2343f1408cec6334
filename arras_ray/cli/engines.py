"""Starting a render: in this process, or as a session on Ray."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import ExitStack, closing
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from arras_ray.cli.handle import RenderHandle
from arras_ray.cli.interrupt import Interrupt, interruptible
from arras_ray.cli.options import MOST_SAMPLES_A_PIXEL
from arras_ray.cli.report import Report
from arras_ray.cli.watch import STEP_OF_STAGE, Told
from arras_ray.errors import ClusterError, DefinitionError
from arras_ray.session.machine import machine_memory, usable_cores
from arras_ray.session.waiting_line import Queue

if TYPE_CHECKING:
    from arras_ray.actors.cluster import Cluster
    from arras_ray.checkpoint import Checkpoint
    from arras_ray.engine import Engine
    from arras_ray.messages import RDLMessage
    from arras_ray.session.definition import SessionDefinition


@dataclass(frozen=True)
class Wishes:
    """What the command line asks of whoever renders. None: not asked.

    most_mcrts: as many may join by themselves. local_only: all computations on this machine; no_local: none here. fps:
    frames a second. ready_seconds: how long reaching the cluster and getting ready may take.
    """

    num_mcrt: int | None = None
    most_mcrts: int | None = None
    num_cores: int | None = None
    merge_cores: int | None = None
    local_only: bool = False
    no_local: bool = False
    fps: int | None = None
    ready_seconds: float | None = None
    session: str | None = None
    address: str | None = None
    threads: int | None = None
    time_limit: float | None = None
    enforce_memory: bool = False
    queue: bool = False
    """Wait for machines that are in use."""
    interactive: bool = False
    """Somebody looks on: previews first, and edits."""


@dataclass
class Starter(ABC):
    """Starts renders: `prepare`, then `start` for each. What it opens is closed by `stack`."""

    wishes: Wishes
    report: Report
    told: Told
    interrupt: Interrupt
    stack: ExitStack
    asked_at: float = field(default=0.0, init=False)
    """When the last render was asked for, and"""
    ready_at: float = field(default=0.0, init=False)
    """when the scene went to it; both by time.monotonic."""

    @abstractmethod
    def prepare(self) -> None:
        """Find out what may go wrong before a scene, which can be large, is read."""

    @abstractmethod
    def start(self, message: RDLMessage, resume: Checkpoint | None = None) -> RenderHandle:
        """Render this scene, going on from a checkpoint of it; returns once the render is under way.

        May be called again once the render is closed.
        """


class LocalStarter(Starter):
    """In this process, without Ray."""

    _engine: Engine | None = None
    _message: RDLMessage | None = None
    """What the engine is for."""

    def prepare(self) -> None:
        """Say which options have no meaning here."""
        options = {
            "--num-mcrt": self.wishes.num_mcrt,
            "--merge-cores": self.wishes.merge_cores,
            "--con-timeout": self.wishes.ready_seconds,
            "--session": self.wishes.session,
            "--address": self.wishes.address,
            "--enforce-memory": self.wishes.enforce_memory or None,
            "--queue": self.wishes.queue or None,
        }
        ignored = [option for option, value in options.items() if value is not None]
        if ignored:
            self.told.warnings([f"{', '.join(ignored)}: without meaning for --engine local, which is one process"])

    def start(self, message: RDLMessage, resume: Checkpoint | None = None) -> RenderHandle:
        """Flatten, compile if that was never done here, render."""
        from arras_ray import engine as engine_room
        from arras_ray.local_render import LocalRender
        from arras_ray.local_view import LocalView

        threads = self.wishes.threads or self.wishes.num_cores or usable_cores()
        self.asked_at = self.ready_at = time.monotonic()
        self.told.step("flattening")
        if self._engine is None or self._message is not message:
            loaded = interruptible(lambda: engine_room.load(message, threads=threads))
            self._engine, self._message = self.stack.enter_context(closing(loaded)), message
        engine = self._engine
        self.told.warnings(engine.warnings)
        interruptible(lambda: engine_room.warm(lambda _: self.told.step("compiling")))
        endless = self.wishes.interactive and engine.spp == MOST_SAMPLES_A_PIXEL
        how_long = "refined without end" if endless else f"{engine.spp} spp"
        self.told.step("rendering", f"{engine.width}x{engine.height}, {how_long}, {threads} threads")
        if self.wishes.interactive:
            return self.stack.enter_context(LocalView(engine, threads, options=message.options))
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
        self.told.warnings(definition.notes)
        self._no_cluster = find(self.wishes.address) is None
        if self._no_cluster and self.wishes.no_local:
            raise ClusterError(
                "--no-local: there is no cluster, only this machine", hint="name one with --address HOST:PORT"
            )
        if not self._no_cluster:
            self._cluster = self._connect()

    def start(self, message: RDLMessage, resume: Checkpoint | None = None) -> RenderHandle:
        """Start a Ray if there is no cluster, place the session, and wait until it renders."""
        from arras_ray.actors.cluster import nodes_with_cpus
        from arras_ray.render_start import render_session

        self.told.step("placing")
        cluster = self._cluster = self._cluster or self._connect()
        n_nodes = 1 if cluster.embedded else nodes_with_cpus()
        definition, num_mcrt = session_for(self.wishes, n_nodes)
        self.asked_at = time.monotonic()
        return self.stack.enter_context(
            render_session(
                definition,
                message,
                cluster=cluster,
                num_mcrt=num_mcrt,
                num_cores=self.wishes.num_cores,
                time_limit=self.wishes.time_limit,
                enforce_memory=self.wishes.enforce_memory,
                ready_seconds=self.wishes.ready_seconds,
                resume=resume,
                report=self._hear_stage,
                queue=self._queue(cluster),
                interactive=self.wishes.interactive,
            )
        )

    def _queue(self, cluster: Cluster) -> Queue | None:
        if self.wishes.queue and cluster.embedded:
            self.told.warnings(["--queue: without meaning on a Ray of our own, which nobody else uses"])
        return Queue(self.report.waiting) if self.wishes.queue and not cluster.embedded else None

    def _hear_stage(self, stage: str) -> None:
        if stage == "placing":
            self.ready_at = 0.0
        elif not self.ready_at:
            self.ready_at = time.monotonic()
        self.told.step(STEP_OF_STAGE[stage])

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

    A definition the user names keeps its own number; without one there is an mcrt for each node. What else the command
    line says of computations is in the definition, as arras_render writes it there. Raise DefinitionError.
    """
    from arras_ray.session.definition import load_definition

    num_mcrt = wishes.num_mcrt
    if wishes.session is not None:
        definition = load_definition(wishes.session)
    else:
        num_mcrt = num_mcrt or max(n_nodes, 1)
        most = wishes.most_mcrts or num_mcrt
        definition = load_definition("mcrt_progressive" if most == 1 else "mcrt_progressive_n")
    return with_wishes(definition, num_mcrt, wishes), num_mcrt


def with_wishes(definition: SessionDefinition, num_mcrt: int | None, wishes: Wishes) -> SessionDefinition:
    """The definition with these wishes in the blocks of its computations. Raise DefinitionError."""
    kinds = {c.array or c.name: c.kind for c in definition.expand(num_mcrt and 1)}
    mcrts = [name for name, kind in kinds.items() if kind == "mcrt"]
    most = wishes.most_mcrts
    document = deepcopy(definition.document)
    blocks: dict[str, dict[str, Any]] = document["computations"]
    if len(mcrts) == 1 and (most or num_mcrt or 1) > 1:
        blocks[mcrts[0]].setdefault("arrayExpand", num_mcrt)
    arrays = [name for name in mcrts if "arrayExpand" in blocks[name]]
    if most is not None and not arrays:
        raise DefinitionError(
            f"session {definition.name} cannot have up to {most} mcrts: none of its blocks is an mcrt array",
            hint='use a session with an array, such as mcrt_progressive_n, or add "arrayExpand"',
            file=definition.file or None,
        )
    places = {"local_only": wishes.local_only, "no_local": wishes.no_local}
    for name, kind in kinds.items():
        block = blocks[name]
        for place in (place for place, wished in places.items() if wished):
            block.setdefault("requirements", {})[place] = "yes"
        if kind == "merge" and wishes.merge_cores is not None:
            block.setdefault("requirements", {}).setdefault("resources", {})["cores"] = wishes.merge_cores
        if name in arrays and most is not None:
            block["arrayMax"] = most
        if wishes.fps is not None:
            block["fps"] = wishes.fps
    return replace(definition, document=document)
