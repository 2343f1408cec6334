"""A session as its client has it, wherever its computations run.

    with client.create("simple_test") as session:
        session.wait_ready()
        reply = session.call(GenericMessage("hello"))

Leaving the block shuts the session down.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn, Self

from arras_ray.errors import ArrasRayError, ComputationError, MessageTimeout, ReadyTimeout
from arras_ray.session.endings import Stopped
from arras_ray.session.message import CLIENT, Envelope, Message, unpack
from arras_ray.session.options import SessionOptions
from arras_ray.session.party import Party
from arras_ray.session.routing import Rule

READY_SECONDS = 30.0
SHUTDOWN_SECONDS = 60.0
LOOK_SECONDS = 0.05

FATAL, ERROR, WARN, INFO, DEBUG, TRACE = range(6)
"""Levels of what computations write."""


@dataclass(frozen=True)
class LogLine:
    """A line that a computation wrote. level: 0 fatal, 1 error, 2 warning, 3 info, 4 debug, 5 trace."""

    computation: str
    level: int
    text: str


@dataclass(frozen=True)
class ComputationStatus:
    """A computation of a session as its client sees it. waiting: bytes of messages it has not handled yet."""

    name: str
    node: str
    pid: int
    state: str
    received: int = 0
    sent: int = 0
    waiting: int = 0


@dataclass(frozen=True)
class SessionStatus:
    """Where a session stands. state: placing, starting, ready, paused, stopping or stopped; stopped: how it ended."""

    state: str
    computations: tuple[ComputationStatus, ...] = ()
    stopped: Stopped | None = None


class Session(ABC):
    """A session; made by a client. All methods may be called from any thread.

    Its computations' messages wait here until they are taken by `call`, `messages`, `frames` or a callback.
    """

    def __init__(self, name: str, routes: Mapping[str, Rule], others: frozenset[str]) -> None:
        """routes: who accepts what from the client. others: the names of all computations."""
        self.name = name
        self.warnings: list[str] = []
        """What there is to say about the definition, each once."""
        self.options = SessionOptions()
        self._party = Party(CLIENT, routes, others, self._deliver, returns_credit=True)
        self._lock = threading.Condition()
        self._is_ready = False
        self._ended: Stopped | None = None
        self._error: ArrasRayError | None = None
        self._calls: dict[str, deque[Message]] = {}
        self._kept: deque[tuple[Envelope, Message]] = deque()
        """Messages that were taken while something else was looked for."""
        self._listeners: dict[str, list[Callable[[Any], None]]] = {}

    @property
    def stopped(self) -> Stopped | None:
        """How it has ended, as far as is known here; None while it goes on."""
        return self._ended

    # What a client does

    def wait_ready(self, timeout: float = READY_SECONDS) -> Self:
        """Return once all computations are ready. Raise ReadyTimeout, or what has ended the session."""
        with self._lock:
            self._lock.wait_for(lambda: self._is_ready or self._ended is not None, timeout)
            ended, ready = self._ended, self._is_ready
        if ended is not None:
            self._raise(ended)
        if not ready:
            raise ReadyTimeout(
                f"session {self.name} was not ready within {timeout:g} s", hint="its log may tell what it waits for"
            )
        return self

    def send(self, content: Any, *, to: Iterable[str] = (), source_id: str = "", routing_name: str = "") -> str:
        """Send content to the computations that accept it from the client, or to those named; returns its instance id.

        Blocks while a receiver has too much waiting. Raise MessageError for what cannot travel, and what has ended
        the session.
        """
        if self._ended is not None:
            self._raise(self._ended, always=True)
        return self._party.post(content, tuple(to), source_id, routing_name)

    def call(self, content: Any, *, to: Iterable[str] = (), timeout: float | None = None) -> Message:
        """Send content and wait for the first message with its source id. Raise MessageTimeout if none comes."""
        source_id = str(uuid.uuid4())
        replies: deque[Message] = deque()
        self._calls[source_id] = replies
        try:
            self.send(content, to=to, source_id=source_id)
            taken = self._take(timeout, replies)
        finally:
            del self._calls[source_id]
        if taken is None:
            self._nothing(timeout, "there was no reply")
        return taken[1]

    def messages(self, timeout: float | None = None) -> Iterator[Message]:
        """Messages as they come, until the session has ended. timeout: seconds for each, MessageTimeout after it.

        A message counts as handled when the next one is asked for: then its credit goes back. Raise ComputationError
        when a computation has ended the session, after the last message.
        """
        while (taken := self._take(timeout)) is not None:
            try:
                yield taken[1]
            finally:
                self._done(taken[0])
        if self._ended is None:
            self._nothing(timeout, "there was no message")
        elif not self._ended.as_asked:
            self._raise(self._ended)

    def frames(self, timeout: float | None = None) -> Iterator[Any]:
        """The content of messages that are images; others are passed over."""
        for message in self.messages(timeout):
            if getattr(type(message.content), "is_image", False):
                yield message.content

    def listen(
        self,
        *,
        message: Callable[[Message], None] | None = None,
        log: Callable[[LogLine], None] | None = None,
        ready: Callable[[Session], None] | None = None,
        stopped: Callable[[Stopped], None] | None = None,
    ) -> None:
        """Call these from now on, on a thread of the session's: for each message, for each line a computation writes,
        once it is ready (at once if it is), and when it has ended."""
        with self._lock:
            for event, callback in (("log", log), ("ready", ready), ("stopped", stopped)):
                if callback is not None:
                    self._listeners.setdefault(event, []).append(callback)
            is_ready, ended = self._is_ready, self._ended
        if ready is not None and is_ready:
            ready(self)
        if stopped is not None and ended is not None:
            stopped(ended)
        if message is not None:
            threading.Thread(target=self._pump, args=(message,), name="messages", daemon=True).start()

    def wait_stopped(self, timeout: float | None = None) -> Stopped:
        """How the session ended, once it has. Raise MessageTimeout if it goes on."""
        with self._lock:
            if not self._lock.wait_for(lambda: self._ended is not None, timeout):
                raise MessageTimeout(f"session {self.name} has not ended within {timeout:g} s")
            assert self._ended is not None
            return self._ended

    def shutdown(self) -> Stopped:
        """End the session: computations may stop in their own way for 5 s, then they are told to, then killed."""
        if self._ended is None:
            self._shutdown()
        return self.wait_stopped(SHUTDOWN_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.shutdown()
        else:
            with suppress(Exception):  # the first error is the one to tell
                self.shutdown()

    # The same, for those who must not block

    async def ready_async(self, timeout: float = READY_SECONDS) -> Self:
        """As `wait_ready`."""
        return await asyncio.to_thread(self.wait_ready, timeout)

    async def call_async(self, content: Any, *, to: Iterable[str] = (), timeout: float | None = None) -> Message:
        """As `call`."""
        return await asyncio.to_thread(lambda: self.call(content, to=to, timeout=timeout))

    async def messages_async(self, timeout: float | None = None) -> AsyncIterator[Message]:
        """As `messages`."""
        messages = self.messages(timeout)
        while (message := await asyncio.to_thread(next, messages, None)) is not None:
            yield message

    async def stopped_async(self, timeout: float | None = None) -> Stopped:
        """As `wait_stopped`."""
        return await asyncio.to_thread(self.wait_stopped, timeout)

    # What depends on where it runs

    @abstractmethod
    def status(self) -> SessionStatus:
        """Where the session and each of its computations stand."""

    @abstractmethod
    def pause(self) -> None:
        """Let the computations' processes stand still."""

    @abstractmethod
    def resume(self) -> None:
        """Let them go on."""

    @abstractmethod
    def disconnect(self) -> None:
        """Leave a session that can do without a client. Raise UsageError where none can."""

    @abstractmethod
    def _deliver(self, receiver: str, envelope: Envelope) -> None:
        """Take a message to its receiver, in order; may block."""

    @abstractmethod
    def _shutdown(self) -> None:
        """End it; returns when it has ended, after which `_has_stopped` was called."""

    # What is heard from it

    def _accept(self, envelope: Envelope) -> None:
        """A message for the client; blocks while too much waits."""
        self._party.accept(envelope)

    def _becomes_ready(self) -> None:
        with self._lock:
            self._is_ready = True
            self._lock.notify_all()
            listeners = list(self._listeners.get("ready", ()))
        for listener in listeners:
            listener(self)

    def _hears(self, line: LogLine) -> None:
        for listener in list(self._listeners.get("log", ())):
            listener(line)

    def _has_stopped(self, stopped: Stopped, error: ArrasRayError | None = None) -> None:
        """It has ended; error: what to raise instead of a ComputationError. Only the first end counts."""
        with self._lock:
            if self._ended is not None:
                return
            self._ended, self._error = stopped, error
            self._lock.notify_all()
            listeners = list(self._listeners.get("stopped", ()))
        for listener in listeners:
            listener(stopped)

    def _take(
        self, timeout: float | None, replies: deque[Message] | None = None
    ) -> tuple[Envelope | None, Message] | None:
        """The next message: from `replies` if given, else one that no call waits for; None when there will be none, or
        it does not come in time."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if replies:
                return None, replies.popleft()
            if replies is None and self._kept:
                with suppress(IndexError):  # somebody else was quicker
                    return self._kept.popleft()
            over = self._ended is not None
            left = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - time.monotonic())
            envelope = self._party.take(0.0 if over else max(0.0, left))
            if envelope is None:
                if over or (deadline is not None and time.monotonic() >= deadline):
                    return None
                continue
            message = unpack(envelope)
            waiting = self._calls.get(message.source_id)
            if waiting is not None:
                waiting.append(message)
                self._done(envelope)
            elif replies is None:
                return envelope, message
            else:
                self._kept.append((envelope, message))

    def _done(self, envelope: Envelope | None) -> None:
        if envelope is not None:
            with suppress(ArrasRayError):  # nobody is there to take credit any more
                self._party.done(envelope)

    def _pump(self, callback: Callable[[Message], None]) -> None:
        with suppress(ArrasRayError):  # how it ended is told to those who listen for that
            for message in self.messages():
                callback(message)

    def _nothing(self, timeout: float | None, what: str) -> NoReturn:
        if self._ended is not None:
            self._raise(self._ended, always=True)
        raise MessageTimeout(f"{what} within {timeout:g} s from session {self.name}")

    def _raise(self, ended: Stopped, always: bool = False) -> None:
        if self._error is not None:
            raise self._error
        if always or not ended.as_asked:
            raise ComputationError(
                f"session {self.name} has ended: {ended.exec_stopped_reason}",
                hint=ended.detail,
                computation=ended.computation or None,
                how=ended.exec_stopped_reason,
            )
