"""A computation's process, as the local session sees it that has started it: what it says and writes, how it ends.

All of it happens on the loop of the session; nothing here blocks.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Protocol

from arras_ray.session.endings import BAD_MESSAGE, START_FAILED, exit_words
from arras_ray.session.log_line import STDERR_LEVEL, STDOUT_LEVEL, WARN, read_line
from arras_ray.session.wire import Frame, Kind, Wire, frame

MODULE = "arras_ray.session.executor"

DISCONNECTED_SECONDS = 5.0
"""So long a process may live that has closed its connection."""

OUTPUT_SECONDS = 1.0
"""After its end, for what a process has written: somebody who has left its group may still hold the pipe."""

LOOK_SECONDS = 0.05
"""Between two looks whether a process lives, where the system does not tell."""

READ_BYTES = 1 << 16
LINE_BYTES = 1 << 16
"""A line that is longer is cut."""

CRASH = "Fatal Python error: "


class Owner(Protocol):
    """Who hears of a child."""

    def hears(self, child: Child, level: int, text: str) -> None:
        """It has written a line."""

    def frame_came(self, child: Child, one: Frame) -> None:
        """It has sent a frame. What this raises is the child's fault."""

    def is_ending(self, child: Child) -> None:
        """It ends, or has ended. Called more than once."""

    def has_ended(self, child: Child) -> None:
        """It has ended, and everything it wrote was heard."""


class Child:
    """One computation's process, which leads a process group. state: starting, ready, running, stopping or stopped."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, owner: Owner) -> None:
        self.name = name
        self.state = "starting"
        self.pid = 0
        self.is_alive = False
        self.received = self.sent = 0
        """Messages."""
        self.detail = ""
        """What is known of why it ended, for people: what it told, or the last line it wrote to stderr."""
        self._detail_is_sure = False
        self._loop, self._owner = loop, owner
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: Wire | None = None
        self._outputs: list[_Output] = []
        self._watch = -1
        self._timers: list[asyncio.TimerHandle] = []
        self._words = ""
        self._told_code: int | None = None
        self._code: int | None = None

    @property
    def words(self) -> str:
        """How it ended, in Arras' words."""
        code = self._code if self._told_code is None else self._told_code
        return self._words or (exit_words(None, -code) if code is not None and code < 0 else exit_words(code))

    @property
    def code(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it lives, and if it never did."""
        return self._code

    def start(self, environment: Mapping[str, str], folder: str, first: Frame) -> bool:
        """Start the process, and send it a frame; False if it cannot be started."""
        ours, theirs = socket.socketpair()
        self._wire = Wire(ours)
        try:
            with theirs:
                self._process = process = subprocess.Popen(
                    [sys.executable, "-P", "-m", MODULE, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    pass_fds=(theirs.fileno(),),
                    cwd=folder or None,
                    env=environment,
                    process_group=0,
                )
        except (OSError, ValueError) as error:
            self._words, self.detail = exit_words(START_FAILED), str(error)
            self.close()
            return False
        self.pid, self.is_alive = process.pid, True
        ours.setblocking(False)
        self._loop.add_reader(ours, self._receive)
        for pipe, level in ((process.stdout, STDOUT_LEVEL), (process.stderr, STDERR_LEVEL)):
            assert pipe is not None
            self._outputs.append(_Output(pipe, level, self._loop, self._wrote, self._wrote_last))
        self._watch_end()
        self.send(first)
        return True

    def send(self, one: Frame) -> None:
        """Send it a frame; nothing happens if it has ended."""
        if self._wire is not None and self.is_alive:
            with suppress(OSError):  # its end is heard of in its own way
                self._wire.send(one)
            if self._wire.is_full:
                self._loop.add_writer(self._wire.socket, self._write)

    def stop(self, seconds: float) -> None:
        """Ask it to stop; after so many seconds tell it (SIGTERM), after as many more kill it."""
        if not self.is_alive or self.state == "stopping":
            return
        self.state = "stopping"
        self.send_signal(signal.SIGCONT)
        self.send(frame(Kind.STOP))
        self._later(seconds, lambda: self._end_by(signal.SIGTERM, f"has not stopped within {seconds:g} s"))
        self._later(2 * seconds, lambda: self._end_by(signal.SIGKILL, "does not listen to SIGTERM"))

    def fail(self, words: str, detail: str) -> None:
        """It cannot go on: end it at once."""
        if self.is_alive:
            self._words, self.detail, self._detail_is_sure = words, detail, True
            self.send_signal(signal.SIGKILL)
            self._owner.is_ending(self)

    def send_signal(self, number: int) -> None:
        """Send a signal to its group."""
        if self.is_alive:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def close(self) -> None:
        """Let go of everything; nothing is heard of it any more."""
        self.state = "stopped"
        for timer in self._timers:
            timer.cancel()
        for output in self._outputs:
            output.close()
        if self._watch >= 0:
            self._loop.remove_reader(self._watch)
            os.close(self._watch)
            self._watch = -1
        if self._wire is not None:
            self._loop.remove_reader(self._wire.socket)
            self._loop.remove_writer(self._wire.socket)
            self._wire.close()
            self._wire = None

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._timers.append(self._loop.call_later(seconds, act))

    def _end_by(self, number: signal.Signals, why: str) -> None:
        self._owner.hears(self, WARN, f"{why}: {number.name}")
        self.send_signal(number)

    # The wire

    def _receive(self) -> bool:
        """Take what has come; whether there may be more."""
        if self._wire is None:
            return False
        try:
            for one in self._wire.receive():
                if one.kind == Kind.ENDING:
                    self._told_code, self.detail = one.value
                    self._detail_is_sure = True
                    self._owner.is_ending(self)
                else:
                    self._owner.frame_came(self, one)
        except BlockingIOError:
            return False
        except EOFError:
            self._loop.remove_reader(self._wire.socket)
            self._later(DISCONNECTED_SECONDS, lambda: self.fail(exit_words(None), "it has closed its connection"))
            return False
        except Exception as error:  # whatever a process may send
            self._loop.remove_reader(self._wire.socket)
            self.fail(exit_words(BAD_MESSAGE), f"it has sent what cannot be understood: {error}")
            return False
        return True

    def _write(self) -> None:
        if self._wire is not None:
            with suppress(OSError):  # its end is heard of in its own way
                self._wire.flush()
            if not self._wire.is_full:
                self._loop.remove_writer(self._wire.socket)

    # Its output

    def _wrote(self, level: int, text: str) -> None:
        level, text = read_line(text, level)
        crashes = text.startswith(CRASH)
        tells = level <= WARN and text and not text[0].isspace()
        if crashes or (tells and not self._detail_is_sure):
            self.detail, self._detail_is_sure = text, crashes
        self._owner.hears(self, level, text)

    def _wrote_last(self) -> None:
        if self._code is not None and all(output.is_closed for output in self._outputs):
            self._end()

    # Its end

    def _watch_end(self) -> None:
        assert self._process is not None
        try:
            self._watch = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # no Linux, or one that forbids it
            self._look()
        else:
            self._loop.add_reader(self._watch, self._has_exited)

    def _look(self) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._timers = [timer for timer in self._timers if timer.when() > self._loop.time()]
            self._later(LOOK_SECONDS, self._look)
        else:
            self._has_exited()

    def _has_exited(self) -> None:
        assert self._process is not None
        # Its own children. It has not been waited for, so the group's number is still its.
        self.send_signal(signal.SIGKILL)
        self.is_alive = False
        self._code = self._process.wait()
        if self._watch >= 0:
            self._loop.remove_reader(self._watch)
        while self._receive():
            pass
        self._owner.is_ending(self)
        self._later(OUTPUT_SECONDS, self._end)
        self._wrote_last()

    def _end(self) -> None:
        if self.state != "stopped":
            self.close()
            self._owner.has_ended(self)


class _Output:
    """A pipe from a process: wrote(level, line), and closed() at its end."""

    def __init__(
        self,
        pipe: IO[bytes],
        level: int,
        loop: asyncio.AbstractEventLoop,
        wrote: Callable[[int, str], None],
        closed: Callable[[], None],
    ) -> None:
        self.is_closed = False
        self._pipe, self._level, self._loop = pipe, level, loop
        self._wrote, self._closed = wrote, closed
        self._rest = b""
        os.set_blocking(pipe.fileno(), False)
        loop.add_reader(pipe, self._read)

    def close(self) -> None:
        """Hear nothing of it any more."""
        if not self.is_closed:
            self.is_closed = True
            self._loop.remove_reader(self._pipe)
            self._pipe.close()

    def _read(self) -> None:
        try:
            data = os.read(self._pipe.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._rest and (not data or len(self._rest) > LINE_BYTES):
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._wrote(self._level, line.decode(errors="replace").rstrip("\r"))
        if not data:
            self.close()
            self._closed()
