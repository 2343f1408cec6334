"""The parent of a worker, around scripts that stand for Ray's: what it writes down, and that neither stays alone."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from arras_ray.actors import ends, parent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers have parents on Linux only")

PATIENCE = 60.0
MEGABYTE = 1 << 20

PRELUDE = "import os; print(os.getpid(), flush=True); input()\n"
INTRODUCE = "os.write(int(os.environ['ARRAS_RAY_PARENT'].split(':')[0]), b'{} {} s/mcrt_i0\\n')\n"
"""limit (bytes), enforce (0 or 1)."""


class Worker:
    """A worker script under a parent, and what the parent wrote down. `out` is what the script printed."""

    def __init__(self, folder: Path, script: str, **options: Any) -> None:
        self.logs = folder / "session" / "logs"
        self.logs.mkdir(parents=True)
        path = folder / "worker.py"
        path.write_text(PRELUDE + script)
        arguments = [str(path), "--raylet-name=a b", f"--temp-dir={folder}", "--session-name=session"]
        command = [sys.executable, parent.__file__, *arguments]
        self.parent = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, **options
        )
        self.pid = int(self.line())
        self.process = psutil.Process(self.pid)
        self.go_on()

    def line(self) -> str:
        assert self.parent.stdout is not None
        line: str = self.parent.stdout.readline()
        return line.rstrip("\n")

    def go_on(self) -> None:
        """Let it pass an input()."""
        assert self.parent.stdin is not None
        self.parent.stdin.write("\n")

    def end(self) -> int:
        """Wait for the parent's end; returns how it ended, as subprocess tells it."""
        return self.parent.wait(PATIENCE)

    def records(self) -> list[dict[str, Any]]:
        log = self.logs / parent.LOG
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def record(self) -> dict[str, Any]:
        self.end()
        (found,) = self.records()
        assert (found["pid"], found["ppid"]) == (self.pid, self.parent.pid)
        return found

    def until_looked_at(self) -> None:
        """Return once the parent has looked at the worker as it is now: it has slept and woken again, twice."""
        slept = self._sleeps()
        until(lambda: self._sleeps() >= slept + 3)

    def _sleeps(self) -> int:
        status = Path(f"/proc/{self.parent.pid}/status").read_text()
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start a worker; it and its parent are gone after the test, whatever happened."""
    started: list[Worker] = []

    def starter(script: str, **options: Any) -> Worker:
        started.append(Worker(tmp_path, script, **options))
        return started[-1]

    yield starter
    for worker in started:
        with suppress(psutil.Error):
            worker.process.kill()
        worker.parent.kill()
        worker.end()
        with worker.parent:
            pass  # closes its streams


@pytest.mark.parametrize(
    ("script", "told", "returncode"),
    [
        ("", {"code": 0}, 0),
        ("raise SystemExit(3)", {"code": 3}, 3),
        ("raise ValueError", {"code": 1}, 1),
        ("os._exit(10)", {"code": 10}, 10),
        ("os.kill(os.getpid(), 9)", {"signal": 9}, -9),
        ("os.kill(os.getpid(), 15)", {"signal": 15}, -15),
        ("os.abort()", {"signal": 6}, -6),
        ("import faulthandler; faulthandler._sigsegv()", {"signal": 11}, -11),
    ],
)
def test_the_end_is_written_down_and_repeated(
    start: Callable[..., Worker], script: str, told: dict[str, int], returncode: int
) -> None:
    worker = start(script, stderr=subprocess.DEVNULL)
    record = worker.record()
    assert {key: record[key] for key in ("code", "signal") if key in record} == told
    assert worker.end() == returncode
    assert abs(record["time"] - time.time()) < PATIENCE
    assert not worker.process.is_running()


def test_the_worker_looks_as_if_ray_had_started_it(start: Callable[..., Worker], tmp_path: Path) -> None:
    worker = start(
        "import pickle, signal, sys\n"
        "class Here: ...\n"
        "assert pickle.loads(pickle.dumps(Here)) is Here and __name__ == '__main__'\n"
        "masked = signal.pthread_sigmask(signal.SIG_BLOCK, [])\n"
        "left = [name for name in sys.modules if name.startswith('arras_ray')]\n"
        "print([sys.argv, __file__, sys.path[0], sorted(map(int, masked)), left])"
    )
    script = str(tmp_path / "worker.py")
    arguments = [script, "--raylet-name=a b", f"--temp-dir={tmp_path}", "--session-name=session"]
    assert worker.line() == str([arguments, script, str(tmp_path), [], []])
    assert worker.end() == 0


def test_what_it_inherited_is_the_workers_alone(start: Callable[..., Worker]) -> None:
    reading, writing = os.pipe()
    worker = start(f"import signal; os.close({writing}); signal.pause()", pass_fds=(writing,))
    os.close(writing)
    with open(reading, "rb") as stream:
        assert stream.read() == b""  # ends only when nobody has the other side any more
    assert worker.process.is_running()


def test_a_request_to_end_is_handed_on(start: Callable[..., Worker]) -> None:
    worker = start(
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('ready', flush=True)\n"
        "signal.pause()"
    )
    assert worker.line() == "ready"
    worker.parent.send_signal(signal.SIGINT)  # comes from a terminal and is not meant for workers
    worker.parent.send_signal(signal.SIGTERM)
    assert worker.record()["code"] == 5


def test_a_killed_parent_takes_the_worker_with_it(start: Callable[..., Worker]) -> None:
    worker = start("import signal; signal.pause()")
    worker.parent.kill()
    worker.process.wait(PATIENCE)
    assert worker.records() == []


def test_a_stopped_worker_has_not_ended(start: Callable[..., Worker]) -> None:
    worker = start("import signal; signal.pause()")
    worker.process.suspend()
    until(lambda: worker.process.status() == psutil.STATUS_STOPPED)
    worker.until_looked_at()
    assert worker.records() == []
    worker.process.kill()
    assert worker.record()["signal"] == signal.SIGKILL


@pytest.mark.slow
def test_a_worker_without_a_raylet_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(
        "import os, signal; print(os.getpid(), os.getppid(), flush=True); signal.pause()"
    )
    command = shlex.join([sys.executable, parent.__file__, str(tmp_path / "worker.py")])
    with subprocess.Popen(["bash", "-c", f"{command} & wait"], stdout=subprocess.PIPE, text=True) as raylet:
        assert raylet.stdout is not None
        processes = [psutil.Process(int(pid)) for pid in raylet.stdout.readline().split()]
        raylet.kill()
    _, alive = psutil.wait_procs(processes, PATIENCE)
    assert not alive


def test_memory_over_the_limit_is_ended_when_that_is_wanted(start: Callable[..., Worker]) -> None:
    worker = start(
        INTRODUCE.format(100 * MEGABYTE, 1) + "full = bytes(b'x') * (200 << 20); import signal; signal.pause()"
    )
    record = worker.record()
    assert record["signal"] == signal.SIGKILL
    assert record["enforced"]
    assert record["computation"] == "s/mcrt_i0"
    assert record["limit"] == 100 * MEGABYTE
    assert 100 * MEGABYTE < record["rss"] == record["peak"] < 300 * MEGABYTE  # it may not have had all of it yet


def test_memory_over_the_limit_is_only_told_else(start: Callable[..., Worker]) -> None:
    worker = start(
        INTRODUCE.format(100 * MEGABYTE, 0) + "full = bytes(b'x') * (200 << 20); print('full', flush=True)\n"
        "input(); del full; print('empty', flush=True); input(); os._exit(1)"
    )
    assert worker.line() == "full"
    worker.until_looked_at()
    worker.go_on()
    assert worker.line() == "empty"
    worker.until_looked_at()
    worker.go_on()
    record = worker.record()
    assert not record["enforced"]
    assert record["code"] == 1
    assert record["rss"] < 100 * MEGABYTE < 200 * MEGABYTE < record["peak"]


def test_shared_memory_does_not_count(start: Callable[..., Worker]) -> None:
    worker = start(
        INTRODUCE.format(100 * MEGABYTE, 1) + "import mmap, signal\n"
        "shared = mmap.mmap(-1, 200 << 20); shared.write(bytes(200 << 20))\n"
        "print('full', flush=True); signal.pause()"
    )
    assert worker.line() == "full"
    worker.until_looked_at()
    worker.process.terminate()
    record = worker.record()
    assert record["signal"] == signal.SIGTERM
    assert record["peak"] < 100 * MEGABYTE


def test_a_folder_that_is_gone_changes_nothing(start: Callable[..., Worker]) -> None:
    worker = start("import signal; signal.pause()")
    worker.logs.rmdir()
    worker.process.kill()
    assert worker.end() == -signal.SIGKILL


@pytest.mark.parametrize("folder", ["plain", "with a space"])
@pytest.mark.parametrize("installed", [True, False])
def test_a_worker_of_one_actor_runs_with_the_python_of_its_node(tmp_path: Path, folder: str, installed: bool) -> None:
    python = tmp_path / folder / "python"
    python.parent.mkdir()
    python.symlink_to(Path(sys.executable).resolve())  # beside no packages: it finds only those of PYTHONPATH
    script = tmp_path / "default_worker.py"
    script.write_text("import os, sys; print(['ARRAS_RAY_PARENT' in os.environ, sys.executable, sys.argv[1:]])")
    told = subprocess.list2cmdline([str(python), "setup_worker.py", str(script)])
    with subprocess.Popen([sys.executable, "-c", "input()", f"--python_worker_command={told}"], stdin=-1) as raylet:
        command = ends.runtime_env()["py_executable"]
        environment = {**os.environ, "RAY_RAYLET_PID": str(raylet.pid), "PYTHONSAFEPATH": "1"}
        environment["PYTHONPATH"] = str(Path(ends.__file__).parents[2]) if installed else ""
        # as Ray does it: the command as it is, the arguments quoted
        shell = f"exec {command} {shlex.join([str(script), '--name=a b'])}"
        done = subprocess.run(["bash", "-c", shell], env=environment, capture_output=True, text=True, timeout=PATIENCE)
        assert raylet.stdin is not None
        raylet.stdin.write(b"\n")
    assert done.stdout.strip() == str([installed, str(python), ["--name=a b"]])
    assert done.returncode == 0
