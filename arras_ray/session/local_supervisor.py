"""What keeps a local session together: starts a process for each computation, passes messages between them, and sees
to it that all end when one does.

Everything happens on one thread, which has an event loop and never waits for anybody.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arras_ray.errors import ArrasRayError, MessageError
from arras_ray.session.child import Child
from arras_ray.session.endings import BAD_MESSAGE, Stopped, computation_ended, exit_words
from arras_ray.session.flow import Gates, Passed
from arras_ray.session.guard import Guard
from arras_ray.session.host import Part
from arras_ray.session.log_line import ERROR, INFO, WARN, LogLine
from arras_ray.session.message import CLIENT, Envelope
from arras_ray.session.wire import Frame, Kind, address_of, envelope_of, frame

GO_SECONDS = 600.0
STOP_SECONDS = 5.0

STUCK_SECONDS = 10.0
"""A receiver that takes nothing for so long while others wait is reported, and again each time as long."""

TOLD_MESSAGES, TOLD_BYTES = 64, 1 << 18
"""A sender is told what was passed on once it is so much."""

log = logging.getLogger("arras_ray.session")


@dataclass(frozen=True)
class Order:
    """A computation to start. environment: all of it; folder: to run in, empty for ours."""

    part: Part
    environment: Mapping[str, str]
    folder: str


@dataclass(frozen=True)
class Ears:
    """Who hears of the session: what to call, on the supervisor's thread, which must not be kept waiting.

    accept: a message for the client. passed: bytes and messages of the client's that were passed on. over: how it
    ended, and the error that broke it, after everything is gone.
    """

    accept: Callable[[Envelope], None]
    passed: Callable[[int, int], None]
    hears: Callable[[LogLine], None]
    ready: Callable[[], None]
    over: Callable[[Stopped, ArrasRayError | None], None]


class LocalSupervisor:
    """Runs a session from its making on. Its methods are called on its own thread, but for those of its client's."""

    def __init__(
        self,
        orders: Sequence[Order],
        ears: Ears,
        *,
        log_level: int = INFO,
        stop_seconds: float = STOP_SECONDS,
        go_seconds: float = GO_SECONDS,
    ) -> None:
        self.is_ready = self.is_paused = self.is_stopping = False
        self._orders, self._ears = orders, ears
        self._log_level, self._stop_seconds, self._go_seconds = log_level, stop_seconds, go_seconds
        self._loop = asyncio.new_event_loop()
        self.children = {order.part.name: Child(order.part.name, self._loop, self) for order in orders}
        self._living: set[str] = set()
        self._culprit: Child | None = None
        self._failure: ArrasRayError | None = None
        self._guard: Guard | None = None
        self._gates = Gates[Frame]()
        self._passed: dict[str, tuple[int, int]] = {}
        """Bytes and messages that senders have not been told of."""
        self._handled = (0, 0)
        """The same of the client's, that the gates have not been told of."""
        self._lock = threading.Lock()
        self._is_closed = False
        self.thread = threading.Thread(target=self._run, name="local session", daemon=True)
        self.thread.start()

    # For the client, from any thread

    def post(self, one: Frame) -> None:
        """Pass on a message of the client's; nothing happens once the session is over."""
        self._call(self._offer, CLIENT, one)

    def handled(self, envelope: Envelope) -> None:
        """The client has handled a message."""
        with self._lock:
            size, messages = self._handled
            self._handled = size + envelope.size, messages + 1
        if not messages:
            self._call(self._client_handled)

    def stop(self) -> None:
        """End the session."""
        self._call(self._stop)

    def pause(self, paused: bool) -> None:
        """Let all processes stand still, or go on; returns when they have been told."""
        told = threading.Event()
        if self._call(self._pause, paused, told):
            told.wait()

    def waiting(self, name: str) -> int:
        """Bytes of messages that a computation has not handled."""
        return self._gates.under_way(name)

    # What children tell: see Owner

    def hears(self, child: Child, level: int, text: str) -> None:
        if level <= self._log_level:
            self._ears.hears(LogLine(child.name, level, text))

    def frame_came(self, child: Child, one: Frame) -> None:
        if one.kind == Kind.MESSAGE:
            child.sent += 1
            self._offer(child.name, one)
        elif one.kind == Kind.HANDLED:
            self._pass(self._gates.handled(child.name, *one.value))
        elif one.kind == Kind.READY and child.state == "starting":
            child.state = "ready"
            self._check_ready()
        elif one.kind != Kind.READY:
            raise MessageError(f"a computation does not say {one.kind.name}")

    def is_ending(self, child: Child) -> None:
        if not self.is_stopping:
            self._culprit = child
            self._stop()

    def has_ended(self, child: Child) -> None:
        self._living.discard(child.name)
        for passed in self._gates.close(child.name):
            self._has_passed(passed.sender, passed.size)
        if child is self._culprit or child.code != 0:
            told = child.words if child.words.endswith(f" {child.code}") else f"{child.words} [{child.code}]"
            self.hears(child, ERROR, told)
        self._check_over()

    # Its life

    def _run(self) -> None:
        self._loop.set_exception_handler(self._breaks)
        self._loop.call_soon(self._start)
        self._loop.call_later(STUCK_SECONDS, self._report_stuck)
        try:
            self._loop.run_forever()
        finally:
            with self._lock:
                self._is_closed = True
            self._loop.call_soon(self._loop.stop)
            self._loop.run_forever()  # what was called meanwhile
            for child in self.children.values():
                child.close()
            self._loop.close()
            if self._guard is not None:
                self._guard.close()
            self._ears.over(self._outcome(), self._failure)

    def _outcome(self) -> Stopped:
        child = self._culprit
        if child is None:
            return Stopped()
        return computation_ended(child.name, child.words, local=True, detail=child.detail)

    def _start(self) -> None:
        self._guard = Guard()
        for order in self._orders:
            part = order.part
            child = self.children[part.name]
            first = frame(Kind.PART, (part, self._log_level, self._go_seconds))
            if not child.start(order.environment, order.folder, first):
                self.has_ended(child)
                self.is_ending(child)
                break
            self._living.add(child.name)
            self._guard.add(child.pid)
        self._check_ready()
        self._check_over()

    def _check_ready(self) -> None:
        if not self.is_stopping and all(child.state == "ready" for child in self.children.values()):
            for child in self.children.values():
                child.state = "running"
                child.send(frame(Kind.GO))
            self.is_ready = True
            self._ears.ready()

    def _pause(self, paused: bool, told: threading.Event) -> None:
        if not self.is_stopping:
            self.is_paused = paused
            for child in self.children.values():
                child.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)
        told.set()

    def _stop(self) -> None:
        self.is_stopping, self.is_paused = True, False
        for child in self.children.values():
            child.stop(self._stop_seconds)
        self._check_over()

    def _check_over(self) -> None:
        if self.is_stopping and not self._living:
            self._loop.stop()

    def _breaks(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Something of ours has failed: end everything."""
        error = context.get("exception")
        log.error("a local session failed: %s", context["message"], exc_info=error)
        self._failure = self._failure or ArrasRayError(f"the session failed: {error!r}")
        self.is_stopping = True
        for child in self.children.values():
            child.send_signal(signal.SIGKILL)
        self._check_over()
        loop.call_later(self._stop_seconds, loop.stop)

    def _call(self, act: Callable[..., None], *arguments: Any) -> bool:
        """Do it on the session's thread; whether there is still one."""
        with self._lock:
            if not self._is_closed:
                self._loop.call_soon_threadsafe(act, *arguments)
            return not self._is_closed

    # Messages

    def _offer(self, sender: str, one: Frame) -> None:
        receiver, size = address_of(one)
        if receiver != CLIENT and receiver not in self.children:
            raise MessageError(f"there is no {receiver}")
        if receiver == CLIENT or self.children[receiver].state != "stopped":
            self._pass(self._gates.offer(sender, receiver, size, one))
        else:
            self._has_passed(sender, size)

    def _pass(self, messages: Sequence[Passed[Frame]]) -> None:
        for passed in messages:
            if passed.receiver == CLIENT:
                try:
                    self._ears.accept(envelope_of(passed.message))
                except Exception as error:  # whatever it has sent
                    self.children[passed.sender].fail(exit_words(BAD_MESSAGE), f"it has sent no message: {error}")
            else:
                self.children[passed.receiver].received += 1
                self.children[passed.receiver].send(passed.message)
            self._has_passed(passed.sender, passed.size)

    def _has_passed(self, sender: str, size: int) -> None:
        if sender == CLIENT:
            self._ears.passed(size, 1)
            return
        before, messages = self._passed.get(sender, (0, 0))
        self._passed[sender] = passed = (before + size, messages + 1)
        if passed[0] >= TOLD_BYTES or passed[1] >= TOLD_MESSAGES:
            del self._passed[sender]
            self.children[sender].send(frame(Kind.PASSED, passed))

    def _client_handled(self) -> None:
        with self._lock:
            (size, messages), self._handled = self._handled, (0, 0)
        self._pass(self._gates.handled(CLIENT, size, messages))

    def _report_stuck(self) -> None:
        if not self.is_paused and self._log_level >= WARN:
            for receiver, senders in self._gates.stuck(STUCK_SECONDS).items():
                waiting = f"{self._gates.under_way(receiver) >> 20} MB of messages wait for it"
                self._ears.hears(LogLine(receiver, WARN, f"{waiting}, and {', '.join(senders)} to send more"))
        self._loop.call_later(STUCK_SECONDS, self._report_stuck)
