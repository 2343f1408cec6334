"""The process of a computation of a local session: python -P -m arras_ray.session.executor DESCRIPTOR

Talks over the socket it inherits, on a thread of its own; the computation has the main thread. It never outlives the
session's process.
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator

from arras_ray.session.endings import DISCONNECTED, GO_TIMEOUT
from arras_ray.session.host import Ended, Host, Part, abort_on_thread_exception
from arras_ray.session.log_line import MarkingFormatter, logging_level
from arras_ray.session.message import Envelope
from arras_ray.session.sender import Sender
from arras_ray.session.wire import Frame, Kind, Wire, envelope_of, frame

PR_SET_PDEATHSIG = 1


class Executor:
    """Runs the computation that comes over the wire."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._frames = _frames_of(wire)
        part, log_level, self._go_seconds = next(self._frames).value
        _log_to_stderr(log_level)
        self.part: Part = part
        self._sender = Sender(wire.send)
        self._host = Host(part, self._sender.let_out, handled=self._tell_handled, posted=self._sender.forget)
        self._told = threading.Event()
        """To go, or to stop."""
        self._goes = False

    def run(self) -> int:
        """Run it from its first configuration to its last; returns the exit code."""
        threading.Thread(target=self._listen, name="wire", daemon=True).start()
        abort_on_thread_exception()
        try:
            self._host.load()
            self._host.configure("initialize")
            self._wire.send(frame(Kind.READY))
            if not self._told.wait(self._go_seconds):
                raise Ended(GO_TIMEOUT, f"the others were not ready within {self._go_seconds:g} s")
            if self._goes:
                self._host.configure("start")
                self._host.run()
            self._host.configure("stop")
        except Ended as ended:
            self._wire.send(frame(Kind.ENDING, (ended.code, ended.text)))
            return ended.code
        return 0

    def _listen(self) -> None:
        for one in self._frames:
            if one.kind == Kind.MESSAGE:
                self._host.party.accept(envelope_of(one))
            elif one.kind == Kind.PASSED:
                self._sender.passed(*one.value)
            elif one.kind == Kind.GO:
                self._goes = True
                self._told.set()
            elif one.kind == Kind.STOP:
                self._sender.close()
                self._host.stop()
                self._told.set()
        _die()

    def _tell_handled(self, envelope: Envelope) -> None:
        self._wire.send(frame(Kind.HANDLED, (envelope.size, 1)))


def main() -> int:
    """Run the computation of this process; returns its exit code."""
    _die_with_parent()
    faulthandler.enable()
    descriptor = int(sys.argv.pop())
    os.set_inheritable(descriptor, False)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    return Executor(Wire(socket.socket(fileno=descriptor))).run()


def _frames_of(wire: Wire) -> Iterator[Frame]:
    while True:
        try:
            yield from wire.receive()
        except EOFError:
            return


def _log_to_stderr(level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MarkingFormatter())
    logging.basicConfig(level=logging_level(level), handlers=[handler])


def _die_with_parent() -> None:
    """Let the system kill this process when the thread ends that has started it: also while it stands still."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _die() -> None:
    """The session's process is gone: end this one, whatever it is at, and its children."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(DISCONNECTED)


if __name__ == "__main__":
    sys.exit(main())
