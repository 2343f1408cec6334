"""How computations ended, on a real Ray: both ways to give a worker a parent, each kind of end, and nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from arras_ray.actors import cluster, ends, parent
from arras_ray.actors.cluster import Cluster
from arras_ray.actors.ends import End
from arras_ray.actors.handshake import Joined, join

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers have parents on Linux only")

PATIENCE = 60.0
MEMORY = 300 << 20
"""Bytes an actor may have; a worker that does nothing has 60 MB of its own."""


def cmdline(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return list(process.cmdline())
    return []


class Actor:
    """A computation that ends in every way there is."""

    def __init__(self, name: str, enforce: bool = False) -> None:
        self.joined = join(name, "session", enforce_memory=enforce)
        self.full: Any = None

    def where(self) -> Joined:
        return self.joined

    def parent(self) -> int:
        """The process that watches this one: it was started with the worker's number among its arguments."""
        word = f"--worker-id={ray.get_runtime_context().get_worker_id()}"
        (found,) = (p.pid for p in psutil.process_iter() if word in cmdline(p) and p.pid != os.getpid())
        return found

    def has_parent(self) -> bool:
        return ends.runtime_env() == {}

    def speak(self) -> None:
        print("words", flush=True)
        print("last words", file=sys.stderr, flush=True)

    def exit(self, code: int) -> None:
        os._exit(code)

    def send(self, number: int) -> None:
        os.kill(os.getpid(), number)
        self.wait()

    def wait(self) -> None:
        signal.pause()

    def fault(self) -> None:
        import faulthandler

        private: Any = faulthandler
        private._sigsegv()

    def leave(self) -> None:
        leave: Any = ray.actor.exit_actor
        leave()

    def fill(self, n_bytes: int) -> None:
        """Take memory; returns once the parent has seen it: it has slept and woken again, twice."""
        self.full = np.ones(n_bytes, "u1")
        slept = self._sleeps_of_parent()
        while self._sleeps_of_parent() < slept + 3:
            time.sleep(0.01)

    def _sleeps_of_parent(self) -> int:
        status = Path(f"/proc/{self.parent()}/status").read_text()
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


class Case:
    """An actor, its processes, and how Ray says that a call of it ended."""

    def __init__(self, name: str, options: dict[str, Any] | None = None, enforce: bool = False) -> None:
        self.name = f"session/{name}"
        remote = ray.remote(Actor).options(num_cpus=0, memory=MEMORY, name=self.name, **(options or {}))
        self.actor: Any = remote.remote(name, enforce)

    def joined(self) -> Joined:
        found: Joined = ray.get(self.actor.where.remote(), timeout=PATIENCE)
        return found

    def processes(self) -> list[psutil.Process]:
        """The worker's, and its parent's."""
        watching = ray.get(self.actor.parent.remote(), timeout=PATIENCE)
        return [psutil.Process(self.joined().pid), psutil.Process(watching)]

    def died(self, call: Any) -> str:
        with pytest.raises(RayError) as told:
            ray.get(call, timeout=PATIENCE)
        return str(told.value)


def on_worker(case: Case, function: Any, *arguments: Any) -> Any:
    """What a function of the actor, and more arguments, returns in its process."""
    return ray.get(case.actor.__ray_call__.remote(function, *arguments), timeout=PATIENCE)


def on_its_node(function: Any, node_id: str, *arguments: Any) -> Any:
    """What a plain function returns as a task on a node."""
    pinned = NodeAffinitySchedulingStrategy(node_id, soft=False)
    call = ray.remote(function).options(num_cpus=0, scheduling_strategy=pinned).remote(*arguments)
    return ray.get(call, timeout=PATIENCE)


def gone(processes: list[psutil.Process]) -> bool:
    """Whether they end, but for one that has the node's nursery to keep."""
    _, alive = psutil.wait_procs([p for p in processes if not keeps_nursery(p)], PATIENCE)
    return not alive


def keeps_nursery(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return any(child.name().startswith("arras-ray nurse") for child in process.children())
    return False


@pytest.mark.slow
@pytest.mark.parametrize("everywhere", [True, False])
def test_leaving_ray_leaves_no_parent(home: Path, monkeypatch: pytest.MonkeyPatch, everywhere: bool) -> None:
    """All workers have parents, or those of actors that ask. Such a Ray ends by itself: nobody has to kill anything."""
    if not everywhere:
        monkeypatch.setattr(ends, "worker_options", dict)
    with cluster.connect("local", cpus=2, memory=4 << 30):
        options = {} if everywhere else {"runtime_env": ends.runtime_env()}
        first, last = Case("first", options), Case("last", options)
        joined = first.joined()
        first.died(first.actor.exit.remote(10))
        assert on_its_node(ends.find_end, joined.node_id, first.name, joined.pid).code == 10
        assert len(last.processes()) == 2
        processes = [p for p in psutil.Process().children(recursive=True) if p.name() != "forkserver"]
        ray.shutdown()
        assert gone(processes)


@pytest.mark.parametrize("asks", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_each_kind_of_end(ray_here: Cluster, asks: bool) -> None:
    """Also of an actor that asks for a parent where all workers have one."""
    options = {"runtime_env": ends.runtime_env()} if asks else {}
    wanted = {
        "exit_10": ("exit", (10,), "exited unexpectedly with code 10"),
        "exit_0": ("exit", (0,), "exited unexpectedly with code 0"),
        "leave": ("leave", (), "exited unexpectedly with code 0"),
        "kill": ("send", (signal.SIGKILL,), "was killed by signal 9 (SIGKILL)"),
        "term": ("send", (signal.SIGTERM,), "was killed by signal 15 (SIGTERM)"),
        "abort": ("send", (signal.SIGABRT,), "crashed with signal 6 (SIGABRT)"),
        "fault": ("fault", (), "crashed with signal 11 (SIGSEGV)"),
    }
    cases = {name: Case(f"{name}_{asks}", options) for name in wanted}
    found: dict[str, str] = {}
    for name, (method, arguments, _) in wanted.items():
        case = cases[name]
        joined, processes = case.joined(), case.processes()
        assert ray.get(case.actor.has_parent.remote(), timeout=PATIENCE)
        ray.get(case.actor.speak.remote(), timeout=PATIENCE)
        told = case.died(getattr(case.actor, method).remote(*arguments))
        end = on_its_node(ends.find_end, joined.node_id, case.name, joined.pid, told)
        assert (end.computation, end.node, end.memory) == (case.name, joined.node, MEMORY)
        assert {"words", "last words"} <= set(end.log) or end.how == "crashed"
        assert len(end.log) <= ends.LOG_LINES
        assert gone(processes)
        found[name] = end.sentence
    assert found == {name: sentence for name, (_, _, sentence) in wanted.items()}


def test_a_crash_tells_where(ray_here: Cluster) -> None:
    case = Case("crash")
    joined = case.joined()
    case.died(case.actor.fault.remote())
    end = on_its_node(ends.find_end, joined.node_id, case.name)  # the pid is not needed
    assert (end.how, end.signal, end.code) == ("crashed", signal.SIGSEGV, None)
    assert any("in fault" in line for line in end.log)
    assert not any(line.startswith(ends.NOISE) for line in end.log)


def test_memory_over_its_bundles(ray_here: Cluster) -> None:
    kept, told = Case("kept", enforce=True), Case("told")
    joined = kept.joined()
    kept.died(kept.actor.fill.remote(2 * MEMORY))
    end = on_its_node(ends.find_end, joined.node_id, kept.name, joined.pid)
    assert (end.how, end.signal, end.memory) == ("out of memory", signal.SIGKILL, MEMORY)
    assert end.rss > MEMORY
    assert end.sentence == f"ran out of memory: {end.rss >> 20} MB of 300 MB"
    joined = told.joined()
    ray.get(told.actor.fill.remote(2 * MEMORY), timeout=PATIENCE)
    os.kill(joined.pid, signal.SIGKILL)  # as the kernel would
    end = on_its_node(ends.find_end, joined.node_id, told.name, joined.pid)
    assert end.how == "out of memory"
    assert end.rss > 2 * MEMORY


def test_objects_in_rays_store_are_not_a_computations_memory(ray_here: Cluster) -> None:
    case = Case("reader", enforce=True)
    joined = case.joined()
    stored = ray.put(np.ones(200 << 20, "u1"))
    on_worker(case, lambda actor, array: setattr(actor, "seen", (array, array.sum())), stored)
    ray.get(case.actor.fill.remote(100 << 20), timeout=PATIENCE)  # more than MEMORY, the object counted
    os.kill(joined.pid, signal.SIGKILL)
    end = on_its_node(ends.find_end, joined.node_id, case.name, joined.pid)
    assert end.how == "killed"
    assert 100 << 20 < end.rss < MEMORY


def test_a_process_that_does_not_answer_is_ended_and_no_other(ray_here: Cluster) -> None:
    case = Case("stopped")
    joined, processes = case.joined(), case.processes()
    assert on_its_node(ends.end_process, joined.node_id, joined.pid, joined.started + 1)  # that one is gone
    assert all(process.is_running() for process in processes)
    os.kill(joined.pid, signal.SIGSTOP)
    assert on_its_node(ends.end_process, joined.node_id, joined.pid, joined.started)
    assert gone(processes)
    assert on_its_node(ends.end_process, joined.node_id, joined.pid, joined.started)
    end = on_its_node(ends.find_end, joined.node_id, case.name, joined.pid)
    assert end.sentence == "was killed by signal 9 (SIGKILL)"


def test_a_killed_parent_takes_the_worker_with_it(ray_here: Cluster) -> None:
    case = Case("orphan")
    joined, processes = case.joined(), case.processes()
    waiting = case.actor.wait.remote()
    processes[1].kill()
    case.died(waiting)
    assert gone(processes)
    end = on_its_node(ends.find_end, joined.node_id, case.name, joined.pid)
    assert (end.how, end.sentence) == ("died", "died; nobody saw how")


def test_rays_own_ways_to_end_an_actor_leave_no_parent(ray_here: Cluster) -> None:
    killed, dropped = Case("killed"), Case("dropped")
    processes = killed.processes() + dropped.processes()
    child = on_worker(dropped, lambda actor: subprocess.Popen(["sleep", "1000"]).pid)
    ray.kill(killed.actor)
    del dropped.actor  # the last handle
    assert gone(processes)
    assert gone([psutil.Process(child)] if psutil.pid_exists(child) else [])  # Ray ends these, as ever


@pytest.mark.parametrize(
    ("record", "told", "how", "sentence"),
    [
        ({"code": 3}, "", "exited", "exited unexpectedly with code 3"),
        ({"code": 0}, "The process receives a SIGTERM.", "killed", "was killed by signal 15 (SIGTERM)"),
        ({"signal": 7}, "", "crashed", "crashed with signal 7 (SIGBUS)"),
        ({"signal": 40}, "", "killed", "was killed by signal 40"),
        ({"signal": 9, "rss": 9 << 20, "limit": 8 << 20}, "", "out of memory", "ran out of memory: 9 MB of 8 MB"),
        ({"signal": 15, "rss": 9 << 20, "limit": 8 << 20}, "", "killed", "was killed by signal 15 (SIGTERM)"),
        ({"signal": 9, "rss": 9 << 20, "limit": 0}, "", "killed", "was killed by signal 9 (SIGKILL)"),
        (
            {"signal": 9, "rss": 1204 << 20, "limit": 1024 << 20, "enforced": True},
            "",
            "out of memory",
            "ran out of memory: 1,204 MB of 1,024 MB",
        ),
        (
            {"signal": 9, "rss": 5 << 20, "limit": 8 << 20, "node_killed": True},
            "",
            "out of memory",
            "ran out of memory: its node had no more, it had 5 MB of 8 MB",
        ),
        ({"code": 1, "node_killed": True}, "", "exited", "exited unexpectedly with code 1"),
        (
            {"signal": 9},
            "1 worker(s) were killed due to the node running low on memory.",
            "out of memory",
            "ran out of memory: its node had no more",
        ),
        ({}, "the process was killed by the OOM killer due to", "died", "died; nobody saw how"),
    ],
)
def test_what_is_made_of_a_parents_words(record: dict[str, Any], told: str, how: str, sentence: str) -> None:
    end = ends.judge("session/mcrt_i0", record, told, ("line",))
    assert (end.how, end.sentence) == (how, sentence)
    assert (end.rss, end.memory, end.log) == (record.get("rss", 0), record.get("limit", 0), ("line",))


def test_ends_that_others_find() -> None:
    assert End("s/c", "n", "hung", signal=9).sentence == "hung"
    assert End("s/c", "n", "node lost").sentence == "was lost with its node"


def test_the_last_record_counts_and_broken_ones_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = tmp_path / "session" / "logs"
    logs.mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["worker.py", f"--temp-dir={tmp_path}", "--session-name=session"])
    (logs / parent.LOG).write_text(
        '{"pid": 5, "computation": "s/a", "code": 1}\n'
        '{"pid": 6, "computation": "s/a", "code": 2}\n'
        '{"pid": 7, "computation": "s/b", "code": 3}\n'
        '{"pid": 5, "comp'
    )
    (logs / "worker-aa-01-6.err").write_bytes(b"\xff bad\n" + b"x" * 1000 + b"\n" + b"line\n" * 50)
    (logs / "worker-aa-01-6.out").write_text("out\n")
    assert ends.find_end("s/a").code == 2
    assert ends.find_end("s/a", 5).code == 1
    assert ends.find_end("s/b", 7).log == ()
    assert ends.find_end("s/a", 6).log == ("line",) * 20
    (logs / "worker-aa-01-6.err").write_bytes(b"\xff bad\n:job_id:01\n\n" + b"x" * 1000)
    assert ends.find_end("s/a", 6).log == ("out", "� bad", "x" * 300)


def test_the_start_of_a_process() -> None:
    first = ends.process_start(os.getpid())
    assert first == ends.process_start(os.getpid()) < time.clock_gettime(time.CLOCK_BOOTTIME)
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    with pytest.raises(ProcessLookupError):
        ends.process_start(ended.pid)
    assert ends.end_process(ended.pid, first)


def test_without_a_parent_nobody_is_told() -> None:
    assert not ends.introduce("s/c", 1)
