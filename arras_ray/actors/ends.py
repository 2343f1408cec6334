"""How a computation ended: from the words its worker's parent wrote down (see parent.py), on the node it ran on.

`find_end` and `end_process` are plain functions that run as Ray tasks on that node.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from arras_ray.actors import parent
from arras_ray.ended import Ended
from arras_ray.session.log_line import read_line

CRASHES = ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGSYS", "SIGTRAP")
"""Signals that a process brings upon itself."""

LOG_LINES = 20
LINE_LENGTH = 300
TAIL_BYTES = 1 << 16
RECORDS_BYTES = 1 << 18
"""Of the log of the ends, the last thousand: an end is asked for soon after it came."""

NOISE = (":job_id:", ":actor_name:", ":task_name:", "Extension modules:")
"""Beginnings of lines that tell nobody anything: Ray's marks in a worker's logs, the end of Python's last words."""

WAIT_SECONDS = 1.0
"""A death is sometimes noticed before the parent has written it down."""

POLL_SECONDS = 0.02
GONE_SECONDS = 5.0

RAY_TERMINATED = "receives a SIGTERM"
RAY_OUT_OF_MEMORY = "running low on memory"
"""Ray's words for a worker that caught SIGTERM (its exit code is 0 or 1), and one that its memory monitor killed."""

BOOTSTRAP = """
import os, sys
try:
    from arras_ray.actors.parent import main
except ImportError:
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
main()
"""
"""Without arras-ray on a node the worker has no parent, and fails later for a reason that is told better."""

FIND_PYTHON = r"""
while IFS= read -r -d "" word; do case $word in
    --python_worker_command=\"*) python=${word#*\"}; python=${python%%\"*};;
    --python_worker_command=*) python=${word#*=}; python=${python%% *};;
esac; done < "/proc/$RAY_RAYLET_PID/cmdline"
exec "${python:-python3}" -c "$0" "$@"
"""
"""For bash: each node's workers run with the Python its raylet was told, which need not be at the same path on all."""


class End(Ended):
    """How a computation ended, with its words."""

    @property
    def sentence(self) -> str:
        """What happened to it, to follow its name: "was killed by signal 9 (SIGKILL)"."""
        if self.how in ("crashed", "killed") and self.signal is not None:
            what = "crashed with" if self.how == "crashed" else "was killed by"
            return f"{what} signal {self.signal}{_signal_name(self.signal)}"
        if self.how == "out of memory":
            used, allowed = f"{self.rss >> 20:,} MB", f"{self.memory >> 20:,} MB"
            if self.rss > self.memory > 0:
                return f"ran out of memory: {used} of {allowed}"
            had = f", it had {used} of {allowed}" if self.memory else ""
            return f"ran out of memory: its node had no more{had}"
        if self.how == "exited":
            return f"exited unexpectedly with code {self.code}"
        return {"hung": "hung", "node lost": "was lost with its node"}.get(self.how, "died; nobody saw how")


def worker_options() -> dict[str, str]:
    """Arguments of RayParams for a Ray we start: all its workers, those it starts in advance too, get a parent."""
    return {"worker_path": parent.__file__} if sys.platform == "linux" else {}


def runtime_env() -> dict[str, Any]:
    """The runtime_env of an actor whose worker shall have a parent.

    Empty where this process has one: Ray gives its actors the same environment, or all workers have parents anyway.
    """
    if sys.platform != "linux" or _introductions() is not None:
        return {}
    return {"py_executable": shlex.join(["bash", "-c", FIND_PYTHON, BOOTSTRAP])}


def introduce(computation: str, memory: int, enforce: bool = False) -> bool:
    """Tell this worker's parent who it is: SESSION/NAME, and the bytes of private memory it may have (0 any).

    The parent hears it within half a second. enforce: it kills the worker when it has more. False without a parent.
    """
    descriptor = _introductions()
    if descriptor is None:
        return False
    os.write(descriptor, f"{memory} {int(enforce)} {computation}\n".encode())
    return True


def find_end(computation: str, pid: int = 0, told: str = "") -> End:
    """How the last process of `computation` (SESSION/NAME) ended on this node, or the process `pid` where it is known.

    told: what Ray says about its death. Waits up to a second for the parent to write it down.
    """
    logs = Path(parent.logs_folder(sys.argv))
    deadline = time.monotonic() + WAIT_SECONDS
    while (record := _last_record(logs, computation, pid)) is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return judge(computation, record or {}, told, last_lines(logs, pid or (record or {}).get("pid", 0)))


def judge(computation: str, record: dict[str, Any], told: str = "", log: tuple[str, ...] = ()) -> End:
    """The end that a parent's record (empty: there is none) and Ray's words tell of, on this node."""
    code, number = record.get("code"), record.get("signal")
    rss, memory = record.get("rss", 0), record.get("limit", 0)
    out_of_memory = record.get("enforced") or RAY_OUT_OF_MEMORY in told
    if number == signal.SIGKILL and (rss > memory > 0 or record.get("node_killed")):
        out_of_memory = True
    if RAY_TERMINATED in told and number is None:
        code, number = None, int(signal.SIGTERM)
    if out_of_memory:
        how = "out of memory"
    elif number is not None:
        how = "crashed" if _signal_name(number)[2:-1] in CRASHES else "killed"
    else:
        how = "died" if code is None else "exited"
    return End(computation, socket.gethostname(), how, code, number, rss, memory, log)


def last_lines(logs: Path, pid: int) -> tuple[str, ...]:
    """The last lines a worker wrote, its errors after its output, at most 20 in all."""
    lines: list[str] = []
    for ending in ("err", "out"):
        room = LOG_LINES - len(lines)
        files = sorted(logs.glob(f"worker-*-{pid}.{ending}"), key=lambda path: path.stat().st_mtime)
        if room and files:
            lines = list(_tail(files[-1]))[-room:] + lines
    return tuple(lines)


def process_start(pid: int) -> float:
    """When a process of this machine started, in seconds of a clock that nobody sets; ProcessLookupError if none."""
    if sys.platform != "linux":
        import psutil

        try:
            return float(psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            raise ProcessLookupError(f"no process {pid}") from None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        raise ProcessLookupError(f"no process {pid}") from None
    return int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")


def end_process(pid: int, started: float) -> bool:
    """Kill a process of this node that does not answer, unless its number is another one's now. started: as
    `process_start` told it then. True if it is gone."""
    import psutil

    deadline = time.monotonic() + GONE_SECONDS
    try:
        process = psutil.Process(pid)
        if process_start(pid) != started:
            return True
        process.kill()
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return True


def signal_process(pid: int, started: float, number: int) -> None:
    """Send a process of this node a signal, unless it is gone. started: see `end_process`."""
    with suppress(ProcessLookupError):
        if process_start(pid) == started:
            os.kill(pid, number)


def _introductions() -> int | None:
    """The file descriptor where this process tells its parent who it is, None if its parent is another process."""
    descriptor, _, pid = os.environ.get(parent.VARIABLE, "").partition(":")
    return int(descriptor) if pid and int(pid) == os.getppid() else None


def _last_record(logs: Path, computation: str, pid: int) -> dict[str, Any] | None:
    try:
        lines = _last_bytes(logs / parent.LOG, RECORDS_BYTES).splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        with suppress(ValueError):  # a line that a full disk cut off
            record: dict[str, Any] = json.loads(line)
            if record["pid"] == pid if pid else record["computation"] == computation:
                return record
    return None


def _tail(path: Path) -> Iterator[str]:
    for line in _last_bytes(path, TAIL_BYTES).decode(errors="replace").split("\n"):
        if line.strip() and not line.startswith(NOISE):
            yield read_line(line.rstrip(), 0)[1][:LINE_LENGTH]


def _last_bytes(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - count))
        return file.read()


def _signal_name(number: int) -> str:
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        return ""
