"""Ctrl-C, SIGTERM and a closed terminal: the first ends a render in order, the second ends the process at once."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from arras_ray.errors import Interrupted

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

SWEEP_SECONDS = 1.0
"""What a kill may spend on deleting folders: a process that was killed may still write for a moment."""

_background: list[threading.Event] = []


class Interrupt:
    """Turns the first signal into KeyboardInterrupt, or after `gentle()` into the event `requested`.

    A context manager, for the main thread. The second signal is noticed by a thread of its own, so it works even while
    the main thread is in native code: it kills the processes this one started and exits with 130.
    """

    def __init__(self) -> None:
        self.requested = threading.Event()
        self._gentle = False
        self._folders: list[Path] = []
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1
        self._reader, self._writer = socket.socketpair()

    def gentle(self) -> None:
        """From here on a signal sets `requested` and nothing is thrown."""
        self._gentle = True
        self._install()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep a signal until the end of this block, and throw then: for work that must not be cut in two."""
        self._gentle = True
        try:
            yield
        finally:
            self._gentle = False
        if self.requested.is_set():
            raise KeyboardInterrupt

    def after_ray_started(self, folder: Path | None) -> None:
        """Put our signal handlers in the place of Ray's, and take its folder along when the second signal kills."""
        self._install()
        if folder is not None:
            self._folders.append(folder)

    def __enter__(self) -> Interrupt:
        self._before = {number: signal.getsignal(number) for number in SIGNALS}
        self._writer.setblocking(False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._install()
        threading.Thread(target=self._count, name="second-signal", daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._writer.close()

    def _install(self) -> None:
        for number in SIGNALS:
            if number == signal.SIGHUP and self._before[number] is signal.SIG_IGN:
                continue  # nohup: the user wants it to go on without a terminal
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested.set()
        if not self._gentle:
            raise KeyboardInterrupt

    def _count(self) -> None:
        received = 0
        hung_up = False
        while data := self._reader.recv(1):
            # A terminal that closes may say so twice, for itself and for its shell.
            again = hung_up and data[0] == signal.SIGHUP
            hung_up |= data[0] == signal.SIGHUP
            received += data[0] in SIGNALS and not again
            if received >= 2:
                kill_all(self._folders)
        self._reader.close()


def kill_all(folders: list[Path]) -> None:
    """Kill every process below this one, delete these folders, leave with 130. No clean-up besides."""
    try:
        import psutil

        for child in psutil.Process().children(recursive=True):
            child.kill()
        deadline = time.monotonic() + SWEEP_SECONDS
        while any(folder.exists() for folder in folders) and time.monotonic() < deadline:
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        os._exit(Interrupted.exit_code)


def interruptible(function: Callable[[], T]) -> T:
    """Run a function that may stay long in native code, so that KeyboardInterrupt can leave it behind at any time."""
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(function())
        except BaseException as error:
            failure.append(error)
        finally:
            done.set()

    # An event, for a Thread.join that KeyboardInterrupt ends calls the thread dead.
    done = threading.Event()
    _background.append(done)
    threading.Thread(target=run, daemon=True).start()
    while not done.wait(0.1):
        pass
    if failure:
        raise failure[0]
    return result[0]


def leavable(function: Callable[[], T]) -> T:
    """Run a function that may be left behind, here, on a daemon thread; see `work_left_behind`."""
    done = threading.Event()
    _background.append(done)
    try:
        return function()
    finally:
        done.set()


def work_left_behind() -> bool:
    """Whether native code still runs that an interpreter's orderly end would stumble over."""
    return any(not done.is_set() for done in _background)
