"""What a computation tells of itself: when it joins, and with each heartbeat."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from arras_ray.actors.ends import introduce, process_start
from arras_ray.errors import ClusterError
from arras_ray.versions import versions

if TYPE_CHECKING:
    from arras_ray.messages import Tally

ALONE_SECONDS = 60.0
"""A computation whose supervisor asks nothing for so long ends: a supervisor that died is back within seconds."""

LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Joined:
    """A computation that is there. cpus and memory (bytes) are what Ray gave the process: its bundle's.

    threads: how many it computes on.
    """

    name: str
    node: str
    node_id: str
    pid: int
    cpus: float
    memory: int
    group: str
    """Placement group it runs in, hexadecimal; empty outside one."""
    versions: dict[str, str] = field(default_factory=dict)
    life: int = 0
    """Tells it from those it replaced and those that replace it."""
    started: float = 0.0
    """As `ends.process_start` tells it; with the pid it names the process for all time."""
    began: float = 0.0
    """When its process did, seconds since 1970."""
    threads: int = 1


@dataclass(frozen=True)
class Loaded:
    """An mcrt's scene: width, height (pixels), spp, and what there is to say about it once."""

    sync_id: int
    width: int
    height: int
    spp: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """What a session renders: width, height (pixels), spp. earlier_ends: pass ends of the run it goes on from. region:
    as RDLMessage.options have it."""

    sync_id: int
    width: int
    height: int
    spp: int
    earlier_ends: tuple[int, ...] = ()
    region: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Pulse:
    """A heartbeat. state: starting, loading, compiling or ready. memory: private bytes; cpu: seconds so far.

    loaded: an mcrt's, once it is ready. begun: a merge has its film, a dispatch its ledger. lives: of each merge, as a
    dispatch knows them. hung, left_out, drained: what a dispatch has to say of mcrts. stage, seconds: of its render.
    wanted: how many mcrts a supervisor told it to remember.
    """

    state: str
    memory: int = 0
    cpu: float = 0.0
    loaded: Loaded | None = None
    begun: bool = False
    lives: tuple[int, ...] = ()
    hung: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    drained: tuple[str, ...] = ()
    stage: str = ""
    seconds: float = 0.0
    wanted: int = 0


@dataclass(frozen=True)
class Kept:
    """What a merge has accepted, of this state of the scene, when it is asked. unit_ids: (n,) i8."""

    shard: int
    life: int
    sync_id: int
    unit_ids: Any
    tally: Tally


class Heart:
    """Beats when asked, and ends a process that nobody has asked for long: its session is gone."""

    def __init__(self) -> None:
        self._asked_at = 0.0

    def beat(self, state: str, **more: Any) -> Pulse:
        """Somebody asks."""
        first = not self._asked_at
        self._asked_at = time.monotonic()
        if first:
            threading.Thread(target=self._watch, name="heart", daemon=True).start()
        memory, cpu = use_of_this_process()
        return Pulse(state, memory, cpu, **more)

    def _watch(self) -> None:
        woke_at = time.monotonic()
        while True:
            time.sleep(LOOK_SECONDS)
            now = time.monotonic()
            if now - woke_at > 2 * LOOK_SECONDS:  # this process was stopped, not the supervisor
                self._asked_at += now - woke_at
            woke_at = now
            if now - self._asked_at > ALONE_SECONDS:
                os._exit(0)


def use_of_this_process() -> tuple[int, float]:
    """Private memory in bytes, what Ray's store shares left out, and seconds of processor time."""
    import psutil

    process = psutil.Process()
    with process.oneshot():
        memory, cpu = process.memory_info(), process.cpu_times()
    return memory.rss - getattr(memory, "shared", 0), cpu.user + cpu.system


def join(name: str, session: str, life: int = 0, enforce_memory: bool = False, threads: int = 1) -> Joined:
    """Look around inside a computation's process, and tell its parent whose it is and what memory it may have."""
    import psutil
    import ray

    context: Any = ray.get_runtime_context()
    assigned = context.get_assigned_resources()
    introduce(f"{session}/{name}", int(assigned.get("memory", 0)), enforce_memory)
    return Joined(
        name=name,
        node=socket.gethostname(),
        node_id=context.get_node_id(),
        pid=os.getpid(),
        cpus=float(assigned.get("CPU", 0.0)),
        memory=int(assigned.get("memory", 0)),
        group=context.get_placement_group_id() or "",
        versions=versions(),
        life=life,
        started=process_start(os.getpid()),
        began=psutil.Process().create_time(),
        threads=threads,
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
