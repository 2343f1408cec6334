"""A Ray cluster of several nodes on this machine, whose nodes and processes can be killed and frozen.

The head has no cores and hardly any memory, so that of a session only the supervisor lives there. Health checks are
Ray's own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from harness import ROOT

HEAD_MEMORY = 32 << 20
CORE_MEMORY = 1000 << 20
STORE_MEMORY = 100 << 20

GONE_SECONDS = 60.0
"""Ray notices a lost node after some 17 s; until then its resources count."""

RAYS_OWN = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""Names of Ray's processes that live without us."""


@dataclass(frozen=True)
class Actor:
    """A living actor of ours. name: without its session."""

    name: str
    kind: str
    node_id: str
    pid: int


@contextmanager
def surroundings(**variables: str) -> Iterator[Path]:
    """A folder for all that Ray writes, and the environment Ray is to be imported in. The folder is gone afterwards,
    and so is every process of it, also if this one is killed.
    """
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    temporary = folder / "tmp"
    temporary.mkdir()
    tempfile.tempdir = str(temporary)
    os.environ |= {
        "RAY_AUTH_MODE": "disabled",
        "RAY_TMPDIR": str(folder),
        "TMPDIR": str(temporary),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": f"{ROOT / 'benchmarks'}:{ROOT}",
        **variables,
    }
    undertaker = subprocess.Popen(
        [sys.executable, __file__, str(folder), str(os.getpid())],
        stdin=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
    )
    try:
        yield folder
    finally:
        tempfile.tempdir = None
        del os.environ["TMPDIR"]
        undertaker.communicate()


class FaultCluster:
    """A head and `n_nodes` nodes with so many cores each, and 1,000 MB for each core. `folder`: of `surroundings`."""

    def __init__(self, folder: Path, n_nodes: int, cores: int = 1) -> None:
        from ray.cluster_utils import Cluster

        from arras_ray.actors import cluster

        self.folder = folder
        self._cluster: Any = Cluster(
            initialize_head=True,
            shutdown_at_exit=False,  # its handlers of signals are for the main thread
            head_node_args={
                "num_cpus": 0,
                "memory": HEAD_MEMORY,
                "object_store_memory": STORE_MEMORY,
                "include_dashboard": False,
                "dashboard_agent_listen_port": 0,
            },
        )
        self.nodes: dict[str, Any] = {}
        """Ray's nodes apart from the head, by id; those that were killed or frozen are not among them."""
        self._cores = cores
        self._frozen: list[psutil.Process] = []
        self._adding = threading.Lock()
        for _ in range(n_nodes):
            self.add_node()
        self.connected = cluster.connect(self._cluster.address)

    def add_node(self) -> str:
        """One more node; returns its id once it is there."""
        with self._adding:
            node = self._cluster.add_node(
                num_cpus=self._cores,
                memory=self._cores * CORE_MEMORY,
                object_store_memory=STORE_MEMORY,
                dashboard_agent_listen_port=0,
            )
        node_id: str = node.node_id
        self.nodes[node_id] = node
        return node_id

    def freeze_node(self, node_id: str) -> list[psutil.Process]:
        """Stop all processes of a node by SIGSTOP; returns them. It is not one of `nodes` any more."""
        stopped: list[psutil.Process] = []
        node = self.nodes.pop(node_id)
        while new := [process for process in self._tree(node) if process not in stopped]:  # they fork meanwhile
            for process in new:
                with suppress(psutil.Error):
                    process.suspend()
            stopped += new
        self._frozen += stopped
        self._cluster.worker_nodes.discard(node)
        return stopped

    def kill_node(self, node_id: str) -> None:
        """End all processes of a node at once, by SIGKILL."""
        self.bury(self.freeze_node(node_id))

    def bury(self, processes: Sequence[psutil.Process]) -> None:
        """End processes of a node that was frozen."""
        for process in processes:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(processes, timeout=GONE_SECONDS)  # Ray's services are children of ours
        self._frozen = [process for process in self._frozen if process not in processes]

    def actors(self, session: str) -> list[Actor]:
        """The living actors of a session: as Ray has them, without those that Ray does not know to be dead yet."""
        from ray._private import state

        found = []
        for row in state.actors(actor_state_name="ALIVE").values():
            name, node_id, pid = row["Name"], row["Address"]["NodeID"], row["Pid"]
            there = node_id in self.nodes or node_id == self._cluster.head_node.node_id
            if name.startswith(f"{session}/") and there and is_running(pid):
                own = name.removeprefix(f"{session}/")
                kind = own if own == "supervisor" else row["ActorClassName"].lower()
                found.append(Actor(own, kind, node_id, pid))
        return sorted(found, key=lambda actor: actor.name)

    def lives(self, session: str) -> Counter[str]:
        """How many processes each of a session's computations, and its supervisor, have had so far."""
        from ray._private import state

        lives: Counter[str] = Counter()
        for row in state.actors().values():
            if row["Name"].startswith(f"{session}/") and row["ActorClassName"] != "Keeper":
                lives[row["Name"].removeprefix(f"{session}/")] += 1 + row["NumRestarts"]
        return lives

    def left_behind(self) -> list[str]:
        """What is there that should not be when no session is: actors, groups, resources in use, processes."""
        import ray
        from ray._private import state

        left = [
            f"actor {row['Name'] or row['ActorClassName']} is {row['State']}"
            for row in state.actors().values()
            if row["State"] != "DEAD"
        ]
        table: dict[str, Any] = ray.util.placement_group_table()
        left += [f"group {row['name']} is {row['state']}" for row in table.values() if row["state"] != "REMOVED"]
        all_nodes: Any = ray.nodes
        alive = {node["NodeID"]: node["Resources"] for node in all_nodes() if node["Alive"]}
        available: Any = state.available_resources_per_node
        free = available()
        for node_id, resources in alive.items():
            if node_id not in self.nodes and node_id != self._cluster.head_node.node_id:
                left.append(f"Ray believes that node {node_id[:8]} lives")
                continue
            for name in ("CPU", "memory"):
                if free.get(node_id, {}).get(name, 0.0) < resources.get(name, 0.0):
                    left.append(f"{name} of node {node_id[:8]}: {free.get(node_id, {}).get(name, 0.0):g} is free")
        return left + [f"process {p.pid}: {title(p)}" for p in self._stray_processes()]

    def until_nothing_is_left(self, seconds: float = GONE_SECONDS) -> list[str]:
        """What is left behind after so many seconds: nothing, as soon as there is nothing."""
        deadline = time.monotonic() + seconds
        while (left := self.left_behind()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return left

    def processes(self) -> list[psutil.Process]:
        """All processes of this cluster, those that nobody knows any more too."""
        return processes_of(self.folder, os.getpid())

    def log_of(self, pid: int) -> Sequence[str]:
        """The last lines that a worker wrote."""
        from arras_ray.actors.ends import last_lines

        lines: list[str] = []
        for logs in self.folder.glob("ray/session_2*/logs"):
            lines += last_lines(logs, pid)
        return lines

    def close(self) -> None:
        """End it all."""
        self.connected.close()
        for process in self._frozen:
            with suppress(psutil.Error):
                process.kill()
        with suppress(Exception):  # a node that lost a process complains
            self._cluster.shutdown()

    def __enter__(self) -> FaultCluster:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _tree(self, node: Any) -> list[psutil.Process]:
        """The processes of a node: Ray's services and all below them."""
        tree = []
        for info in _services(node):
            with suppress(psutil.Error):
                service = psutil.Process(info.process.pid)
                tree += [service, *service.children(recursive=True)]
        return tree

    def _stray_processes(self) -> list[psutil.Process]:
        """Workers that do something though nobody wants anything, and processes of nodes that are gone."""
        known = {p for node in (self._cluster.head_node, *self.nodes.values()) for p in self._tree(node)}
        busy = {p for p in known if title(p).startswith("ray::") and not title(p).startswith(RAYS_OWN)}
        driver = set(psutil.Process().children(recursive=True)) - known
        return [p for p in self.processes() if is_running(p.pid) and p not in driver and p not in known - busy]


def _services(node: Any) -> list[Any]:
    return [info for infos in node.all_processes.values() for info in infos]


def processes_of(folder: Path, driver: int) -> list[psutil.Process]:
    """All processes that were started for a cluster that writes to this folder, but for the process `driver`.

    Ray's services and our parents name it; workers, whose names cover their environment, have files open there.
    """
    found = []
    name = str(folder)
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid == driver or __file__ in process.cmdline():  # the second is the undertaker
                continue
            named = process.environ().get("RAY_TMPDIR") == name or any(name in word for word in process.cmdline())
            if named or any(opened.path.startswith(name) for opened in process.open_files()):
                found.append(process)
    return found


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is more than an entry in a table."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def title(process: psutil.Process) -> str:
    """The command line of a process, cut; empty if it is gone."""
    with suppress(psutil.Error):
        return " ".join(process.cmdline())[:120]
    return ""


def kill(pid: int) -> None:
    """End a process by SIGKILL, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait_for(condition: Callable[[], Any], what: str, seconds: float = GONE_SECONDS) -> Any:
    """The first true result of `condition`. Raise TimeoutError, which says what was waited for."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.005)
    return result


def bury_all(folder: Path, driver: int) -> None:
    """End all processes of a cluster that nobody wants any more, and remove its folder."""
    while left := [process for process in processes_of(folder, driver) if is_running(process.pid)]:
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=1.0)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.read()  # until whoever holds the other end is done, or dead
    bury_all(Path(sys.argv[1]), int(sys.argv[2]))
