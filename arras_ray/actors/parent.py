"""Parent of a Ray worker: it learns how the worker ended, which Ray does not tell.

Ray starts this script instead of its own worker script, or (as `py_executable`) with that script among the arguments.
The worker that Ray meant is forked from the node's nursery (see nursery.py), or else from this process, and never
outlives the parent. The parent reads the worker's private memory twice a second, kills it over its limit if told so,
and writes one JSON line to `arras-ray-ends.log` among the logs of Ray's session when it ends. Linux only.

Each worker has such a parent for all of its life, so it imports little, and nothing but the standard library.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

TYPE_CHECKING = False  # importing it from typing would cost each parent memory
if TYPE_CHECKING:
    import subprocess

    from arras_ray.actors.nursery_client import Worker

VARIABLE = "ARRAS_RAY_PARENT"
"""In a worker's environment: FD:PID, where to write who it is, and the process that forked it. See `ends.introduce`."""

LOG = "arras-ray-ends.log"
TICK_SECONDS = 0.5

ORPHAN_SECONDS = 5.0
"""A worker whose raylet has died ends by itself, unless it is stopped or in a kernel; after so long it is killed."""

FORWARDED = (signal.SIGTERM,)
IGNORED = (signal.SIGINT, signal.SIGHUP)
"""They come from a terminal, to all processes of a group, and are not meant for workers."""

PR_SET_PDEATHSIG = 1
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Be the parent of a worker, for all of its life; in the child, the worker. Does not return in the parent."""
    script, arguments = _worker_command(sys.argv[1:])
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(script)
    ours, theirs = os.pipe()
    worker, nursery = _from_nursery(script, arguments, theirs)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, signal.SIGIO, *FORWARDED, *IGNORED))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if worker is not None:
        child = worker.pid
        worker.signal_end()
    else:
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            die_with(parent)
            os.environ[VARIABLE] = f"{theirs}:{parent}"
            run_script(script, arguments)
            return
    _keep_only(ours, *([worker.connection.fileno()] if worker is not None else []))
    watch = Watch(child, ours, worker)
    status = watch.until_end()
    watch.write_down(status)
    if nursery is not None:  # it stays this process's, below Ray's in the tree
        nursery.wait()
    _end_like(status)


def _from_nursery(
    script: str, arguments: list[str], introductions: int
) -> tuple[Worker | None, subprocess.Popen[bytes] | None]:
    try:
        from arras_ray.actors import nursery_client
    except ImportError:  # where the worker's job has it, perhaps
        return None, None
    return nursery_client.ask(script, arguments, introductions)


class Watch:
    """What the parent knows of its worker. rss, peak, limit: private memory, bytes; a limit of 0 is none. worker: where
    it is a nursery's."""

    def __init__(self, pid: int, introductions: int, worker: Worker | None = None) -> None:
        self.pid = pid
        self._worker = worker
        self.computation = ""
        self.rss = self.peak = self.limit = 0
        self.enforce = self.enforced = False
        self.node_killed = False
        """The kernel killed some process of this node, for lack of memory, since the last look."""
        os.set_blocking(introductions, False)
        self._introductions = introductions
        self._statm = os.open(f"/proc/{pid}/statm", os.O_RDONLY)
        self._vmstat = os.open("/proc/vmstat", os.O_RDONLY)
        self._kills = self._kernel_kills()
        self._raylet = os.getppid()
        self._orphan_since = 0.0

    def until_end(self) -> int:
        """Watch until the worker has ended; returns its wait status."""
        while True:
            told = signal.sigtimedwait((signal.SIGCHLD, signal.SIGIO, *FORWARDED), TICK_SECONDS)
            if told is not None and told.si_signo in FORWARDED:
                os.kill(self.pid, told.si_signo)
            elif (status := self._status()) is not None:
                self._hear()
                self.node_killed = self._kernel_kills() > self._kills
                return status
            elif told is None:
                self._look()

    def _status(self) -> int | None:
        if self._worker is not None:
            return self._worker.status()
        pid, status = os.waitpid(self.pid, os.WNOHANG)  # it may have been stopped only
        return status if pid else None

    def write_down(self, status: int) -> None:
        """Append how it ended to the log of the ends; a disk that is full loses it."""
        folder = logs_folder(sys.argv)
        if not folder:
            return
        import json  # here: as long as the worker lives it would only take memory

        code = os.waitstatus_to_exitcode(status)
        record = {
            "time": round(time.time(), 3),
            "computation": self.computation,
            "pid": self.pid,
            "ppid": os.getpid(),
            **({"code": code} if code >= 0 else {"signal": -code}),
            "rss": self.rss,
            "peak": self.peak,
            "limit": self.limit,
            "enforced": self.enforced,
            "node_killed": self.node_killed,
        }
        with suppress(OSError):
            log = os.open(os.path.join(folder, LOG), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(log, json.dumps(record).encode() + b"\n")

    def _look(self) -> None:
        self._hear()
        self._kills = self._kernel_kills()
        with suppress(OSError, ValueError, IndexError):
            _, resident, shared = os.pread(self._statm, 256, 0).split()[:3]
            if int(resident):  # else it has just ended
                self.rss = (int(resident) - int(shared)) * PAGE_BYTES  # Ray's object store is shared
                self.peak = max(self.peak, self.rss)
        if self.enforce and 0 < self.limit < self.rss:
            self.enforced = True
            os.kill(self.pid, signal.SIGKILL)
        if os.getppid() == self._raylet:
            return
        now = time.monotonic()
        self._orphan_since = self._orphan_since or now
        if now - self._orphan_since > ORPHAN_SECONDS:
            os.kill(self.pid, signal.SIGKILL)

    def _hear(self) -> None:
        """Take the last introduction, if one came: LIMIT ENFORCE NAME and a new line."""
        with suppress(BlockingIOError):
            lines = os.read(self._introductions, 65536).splitlines()
            with suppress(ValueError, IndexError):
                limit, enforce, name = lines[-1].split(b" ", 2)
                self.limit, self.enforce, self.computation = int(limit), enforce == b"1", name.decode()

    def _kernel_kills(self) -> int:
        """How many processes of this machine the kernel has killed for lack of memory so far."""
        with suppress(OSError, ValueError):
            _, found, rest = os.pread(self._vmstat, 32768, 0).partition(b"\noom_kill ")
            return int(rest.split(b"\n", 1)[0]) if found else 0
        return 0


def logs_folder(arguments: list[str]) -> str:
    """The folder with the logs of Ray's session, from a worker's arguments; empty where they do not say."""
    told = dict(argument.split("=", 1) for argument in arguments if argument.startswith("--") and "=" in argument)
    try:
        return os.path.join(told["--temp-dir"], told["--session-name"], "logs")
    except KeyError:
        return ""


def die_with(parent: int) -> None:
    """In a child: be killed when the parent dies, also if it did so already."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def run_script(script: str, arguments: list[str]) -> None:
    """Run Ray's worker script in this process, as if it had been started with it. arguments: its sys.argv."""
    from types import ModuleType

    sys.argv = arguments
    for name in [name for name in sys.modules if name.partition(".")[0] == "arras_ray"]:
        del sys.modules[name]  # the worker may find them elsewhere: where its job does
    module = ModuleType("__main__")
    module.__file__ = script
    sys.modules["__main__"] = module
    with open(script, "rb") as source:
        code = compile(source.read(), script, "exec")
    exec(code, module.__dict__)


def _worker_command(arguments: list[str]) -> tuple[str, list[str]]:
    """The script of a worker and its argv: the first argument that is no option, else Ray's own."""
    for number, argument in enumerate(arguments):
        if not argument.startswith("-"):
            if os.path.samefile(argument, __file__):  # a Ray whose workers have a parent anyway
                return _worker_command(arguments[number + 1 :])
            return argument, arguments[number:]
    from importlib.util import find_spec

    ray = find_spec("ray")
    if ray is None or ray.origin is None:
        raise ModuleNotFoundError("no module named 'ray'", name="ray")
    script = os.path.join(os.path.dirname(ray.origin), "_private", "workers", "default_worker.py")
    return script, [script, *arguments]


def _keep_only(*kept: int) -> None:
    """Let go of what was inherited: open files; the process group, since Ray kills a worker's group 0.2 s after the
    worker, which would not always leave time to write; and the kernel's wish to kill workers first."""
    with suppress(OSError):
        os.setpgid(0, os.getpgid(os.getppid()))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as own:
        own.write("0")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for opened in map(int, os.listdir("/proc/self/fd")):
        if opened > 2 and opened not in kept:
            with suppress(OSError):
                os.close(opened)


def _end_like(status: int) -> None:
    """Leave with the worker's exit code, or by its signal (without a memory dump of this process)."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
