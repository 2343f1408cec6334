"""The nursery of a node: workers forked from one process, around scripts that stand for Ray's and on a real Ray."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray

import arras_ray
from arras_ray.actors import ends, nursery_client
from arras_ray.actors.cluster import Cluster
from arras_ray.actors.nursery_client import Worker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nurseries are for Linux only")

PATIENCE = 60.0

SCRIPT = """\
import os, sys
numpy_is_there = "numpy" in sys.modules
import arras_ray
told = [arras_ray.__file__, "arras_ray.actors.launch" in sys.modules]
told += [os.getppid(), os.getcwd(), sys.argv[1], os.environ.get("RAY_JOB_ID"), numpy_is_there, __name__]
print(told, file=open(sys.argv[1] + ".part", "w"))
os.rename(sys.argv[1] + ".part", sys.argv[1])
if sys.argv[2] == "wait":
    import signal
    signal.pause()
sys.exit(int(sys.argv[2]))
"""


class Node:
    """A folder where Ray would have its sockets, and a process that stands for the raylet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.raylet = subprocess.Popen(["sleep", "1000"])
        self.script = folder / "worker.py"
        self.script.write_text(SCRIPT)
        self.workers: list[Worker] = []
        self.nurseries: list[subprocess.Popen[bytes]] = []
        """That were started for those who asked."""
        self.introductions = os.open(os.devnull, os.O_WRONLY)

    def ask(self, name: str, what: str) -> Worker | None:
        arguments = [str(self.script), str(self.folder / name), what, f"--raylet-name={self.folder}/raylet"]
        worker, started = nursery_client.ask(str(self.script), arguments, self.introductions)
        if worker is not None:
            self.workers.append(worker)
        if started is not None:
            self.nurseries.append(started)
        return worker

    def told(self, name: str, process: bool = True) -> list[Any]:
        """What the worker `name` has written, once it has: of its process, or of the package it imports."""
        until((self.folder / name).exists)
        found: list[Any] = eval((self.folder / name).read_text())
        return found[2:] if process else found[:2]

    def close(self) -> None:
        self.raylet.kill()
        self.raylet.wait()
        for worker in self.workers:
            worker.connection.close()
        for started in self.nurseries:
            started.kill()
            started.wait()
        os.close(self.introductions)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    with tempfile.TemporaryDirectory(prefix="ar-", dir="/tmp") as folder:  # sockets have short names
        node = Node(Path(folder))
        monkeypatch.setenv("RAY_RAYLET_PID", str(node.raylet.pid))
        # A connection that asks for SIGIO sends it until it is closed, also when the nursery closes its end; parents
        # block it.
        before = signal.signal(signal.SIGIO, signal.SIG_IGN)
        yield node
        node.close()
        signal.signal(signal.SIGIO, before)


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


def ended(worker: Worker) -> int:
    """How it ended: its exit code, or minus its signal."""
    worker.signal_end()
    (status,) = until(lambda: [found] if (found := worker.status()) is not None else [])
    return os.waitstatus_to_exitcode(status)


def test_workers_are_as_they_were_asked_for_and_tell_how_they_end(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.getcwd()
    first = node.ask("first", "3")
    assert first is not None
    monkeypatch.setenv("RAY_JOB_ID", "05")
    there = node.folder / "there"
    there.mkdir()
    monkeypatch.chdir(there)
    second = node.ask("second", "wait")
    assert second is not None
    assert len(node.nurseries) == 1
    assert node.told("first")[0] == node.told("second")[0] == node.nurseries[0].pid
    assert node.told("second") == [
        node.nurseries[0].pid,
        str(there),
        str(node.folder / "second"),
        "05",
        True,
        "__main__",
    ]
    assert node.told("first")[1:4] == [here, str(node.folder / "first"), None]
    assert ended(first) == 3
    os.kill(second.pid, signal.SIGTERM)
    assert ended(second) == -signal.SIGTERM
    node.raylet.kill()
    assert node.nurseries[0].wait(PATIENCE) == 0


def test_another_environment_wants_a_python_of_its_own(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    first = node.ask("first", "wait")
    assert first is not None
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    assert node.ask("second", "wait") is None
    monkeypatch.delenv("PYTHONHASHSEED")
    assert node.ask("third", "wait") is not None


def test_a_worker_ends_with_its_parent_and_with_the_nursery(node: Node) -> None:
    first, second = node.ask("first", "wait"), node.ask("second", "wait")
    assert first is not None
    assert second is not None
    node.told("second")
    first.connection.close()  # as a parent that dies
    until(lambda: not psutil.pid_exists(first.pid))
    assert psutil.pid_exists(second.pid)
    node.nurseries[0].kill()
    assert ended(second) == -signal.SIGKILL
    node.nurseries[0].wait(PATIENCE)
    third = node.ask("third", "0")  # starts another one
    assert third is not None
    assert len(node.nurseries) == 2
    assert ended(third) == 0


def test_the_package_is_imported_before_unless_the_workers_is_another(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = shutil.copytree(Path(arras_ray.__file__).parent, node.folder / "ours" / "arras_ray", ignore=no_data)
    monkeypatch.setenv("PYTHONPATH", str(ours.parent))
    assert node.ask("first", "0") is not None
    assert node.told("first", process=False) == [str(ours / "__init__.py"), True]
    os.utime(ours / "film.py", (1, 1))  # it was edited
    assert node.ask("second", "0") is not None
    assert node.told("second", process=False) == [str(ours / "__init__.py"), False]
    theirs = node.folder / "arras_ray" / "__init__.py"  # beside the script
    theirs.parent.mkdir()
    theirs.touch()
    assert node.ask("third", "0") is not None
    assert node.told("third", process=False) == [str(theirs), False]


def no_data(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name in ("data", "__pycache__")]


def test_one_that_stands_still_is_not_waited_for(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    first = node.ask("first", "wait")
    assert first is not None
    os.kill(node.nurseries[0].pid, signal.SIGSTOP)
    monkeypatch.setattr(nursery_client, "ASK_SECONDS", 0.1)
    assert node.ask("second", "wait") is None
    os.kill(node.nurseries[0].pid, signal.SIGCONT)
    monkeypatch.undo()


@pytest.mark.parametrize("name", ["", "raylet", "/nowhere/raylet"])
def test_without_a_node_there_is_none(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_RAYLET_PID", str(os.getpid()))
    assert nursery_client.ask("worker.py", ["worker.py", f"--raylet-name={name}"], 0) == (None, None)
    monkeypatch.delenv("RAY_RAYLET_PID")
    assert nursery_client.ask("worker.py", ["worker.py", f"--raylet-name={tmp_path}/raylet"], 0) == (None, None)


class Actor:
    """Tells of the process it is in."""

    def where(self) -> tuple[int, int]:
        return os.getpid(), os.getppid()

    def numbers(self) -> tuple[float, float]:
        return random.random(), float(np.random.random())

    def variable(self, name: str) -> str | None:
        return os.environ.get(name)

    def has_parent(self) -> bool:
        return ends.runtime_env() == {}


def test_on_ray(ray_here: Cluster) -> None:
    def ask(call: Any) -> Any:
        return ray.get(call, timeout=PATIENCE)

    actors = ray.remote(Actor)
    one, two = (actors.options(num_cpus=0).remote() for _ in range(2))
    other = actors.options(num_cpus=0, runtime_env={"env_vars": {"OF_ITS_OWN": "yes"}}).remote()
    (_, keeper), (_, same), (_, another) = (ask(actor.where.remote()) for actor in (one, two, other))
    assert psutil.Process(keeper).name().startswith("arras-ray nurse")
    assert keeper == same != another
    assert ask(other.variable.remote("OF_ITS_OWN")) == "yes"
    assert ask(one.variable.remote("OF_ITS_OWN")) is None
    assert all(ask(actor.has_parent.remote()) for actor in (one, two, other))
    assert set(ask(one.numbers.remote())).isdisjoint(ask(two.numbers.remote()))
