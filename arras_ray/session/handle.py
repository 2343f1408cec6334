"""A session as its client has it, wherever its computations run.

    with client.create("simple_test") as session:
        session.wait_ready()
        reply = session.call(GenericMessage("hello"))

Leaving the block shuts the session down.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn, Self

from arras_ray.errors import ArrasRayError, ComputationError, MessageTimeout, ReadyTimeout
from arras_ray.session.endings import Stopped
from arras_ray.session.inbox import Inbox
from arras_ray.session.listeners import Listeners
from arras_ray.session.log_line import DEBUG, ERROR, FATAL, INFO, TRACE, WARN, LogLine
from arras_ray.session.message import CLIENT, Envelope, Message, unpack
from arras_ray.session.options import SessionOptions
from arras_ray.session.party import Party
from arras_ray.session.routing import Rule

__all__ = [
    "DEBUG",
    "ERROR",
    "FATAL",
    "INFO",
    "TRACE",
    "WARN",
    "ComputationStatus",
    "LogLine",
    "Session",
    "SessionStatus",
]

log = logging.getLogger("arras_ray.session")

READY_SECONDS = 30.0
SHUTDOWN_SECONDS = 60.0
LISTENERS_SECONDS = 5.0


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

    def __init__(
        self,
        name: str,
        routes: Mapping[str, Rule],
        others: frozenset[str],
        *,
        handled: Callable[[Envelope], None] | None = None,
        posted: Callable[[Envelope], None] | None = None,
    ) -> None:
        """routes: who accepts what from the client. others: the names of all computations. handled, posted: see
        Party."""
        self.name = name
        self.warnings: list[str] = []
        """What there is to say about the definition, each once."""
        self.options = SessionOptions()
        self._party = Party(
            CLIENT,
            routes,
            others,
            self._deliver,
            returns_credit=True,
            arrived=lambda: self._inbox.ring_bells(),
            handled=handled,
            posted=posted,
        )
        self._inbox = Inbox(self._party, lambda: self._ended is not None)
        self._lock = threading.Condition()
        self._is_ready = False
        self._ended: Stopped | None = None
        self._error: ArrasRayError | None = None
        self._listeners = Listeners()
        self._on_message: list[Callable[[Message], None]] = []

    @property
    def stopped(self) -> Stopped | None:
        """How it has ended, as far as is known here; None while it goes on."""
        return self._ended

    # What a client does

    def wait_ready(self, timeout: float = READY_SECONDS) -> Self:
        """Return once all computations are ready. Raise ReadyTimeout, or what has ended the session."""
        with self._lock:
            self._lock.wait_for(lambda: self._is_ready or self._ended is not None, timeout)
        return self._checked_ready(timeout)

    def send(self, content: Any, *, to: Iterable[str] = (), source_id: str = "", routing_name: str = "") -> str:
        """Send content to the computations that accept it from the client, or to those named; returns its instance id.

        Blocks while a receiver has too much waiting. Raise MessageError for what cannot travel, and what has ended
        the session.
        """
        if self._ended is not None:
            self._raise(self._ended, always=True)
        return self._party.post(content, tuple(to), source_id, routing_name)

    def call(self, content: Any, *, to: Iterable[str] = (), timeout: float | None = None) -> Message:
        """Send content and wait for the first message with its source id. Raise MessageTimeout if none comes in
        `timeout` seconds from when it was sent.

        What comes meanwhile is kept for `messages`, and counts as waiting.
        """
        with self._inbox.call() as (source_id, replies):
            self.send(content, to=to, source_id=source_id)
            return self._opened(self._inbox.take(timeout, replies), timeout, "there was no reply")

    def messages(self, timeout: float | None = None) -> Iterator[Message]:
        """Messages as they come, until the session has ended. timeout: seconds for each, MessageTimeout after it.

        A message counts as handled when the next one is asked for: then its credit goes back. Raise MessageError for
        one that cannot be read; ComputationError when a computation has ended the session, after the last message.
        """
        while (envelope := self._inbox.take(timeout)) is not None:
            try:
                yield unpack(envelope)
            finally:
                self._inbox.done(envelope)
        self._check_over(timeout)

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
        """Call these from now on: for each message, for each line a computation writes (the last thousand from before
        too, for the first who listens), once the session is ready, and when it has ended; the last two at once if it
        is so already. On threads of the session's: one for messages, another for the rest."""
        with self._lock:
            if log is not None:
                self._listeners.add_log(log)
            if ready is not None:
                self._listeners.add("ready", ready, *((self,) if self._is_ready else ()))
            if stopped is not None:
                self._listeners.add("stopped", stopped, *((self._ended,) if self._ended is not None else ()))
            if message is not None:
                self._on_message.append(message)
                if len(self._on_message) == 1:
                    threading.Thread(target=self._pump, name="messages", daemon=True).start()

    def wait_stopped(self, timeout: float | None = None) -> Stopped:
        """How the session ended, once it has. Raise MessageTimeout if it goes on."""
        with self._lock:
            self._lock.wait_for(lambda: self._ended is not None, timeout)
        return self._checked_stopped(timeout)

    def shutdown(self) -> Stopped:
        """End the session: computations may stop in their own way for 5 s, then they are told to, then killed. Those
        who listen have heard everything on return, unless they take very long."""
        if self._ended is None:
            self._shutdown()
        stopped = self.wait_stopped(SHUTDOWN_SECONDS)
        self._listeners.heard(LISTENERS_SECONDS)
        return stopped

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
        await self._inbox.until(lambda: self._is_ready or self._ended is not None, timeout)
        return self._checked_ready(timeout)

    async def send_async(
        self, content: Any, *, to: Iterable[str] = (), source_id: str = "", routing_name: str = ""
    ) -> str:
        """As `send`."""
        return await asyncio.to_thread(self.send, content, to=to, source_id=source_id, routing_name=routing_name)

    async def call_async(self, content: Any, *, to: Iterable[str] = (), timeout: float | None = None) -> Message:
        """As `call`."""
        with self._inbox.call() as (source_id, replies):
            await self.send_async(content, to=to, source_id=source_id)
            return self._opened(await self._inbox.take_async(timeout, replies), timeout, "there was no reply")

    async def messages_async(self, timeout: float | None = None) -> AsyncIterator[Message]:
        """As `messages`."""
        while (envelope := await self._inbox.take_async(timeout)) is not None:
            try:
                yield unpack(envelope)
            finally:
                self._inbox.done(envelope)
        self._check_over(timeout)

    async def stopped_async(self, timeout: float | None = None) -> Stopped:
        """As `wait_stopped`."""
        await self._inbox.until(lambda: self._ended is not None, timeout)
        return self._checked_stopped(timeout)

    async def shutdown_async(self) -> Stopped:
        """As `shutdown`."""
        return await asyncio.to_thread(self.shutdown)

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
            if self._is_ready:
                return
            self._is_ready = True
            self._listeners.tell("ready", self)
            self._lock.notify_all()
        self._inbox.ring()

    def _hears(self, line: LogLine) -> None:
        self._listeners.tell_line(line)

    def _has_stopped(self, stopped: Stopped, error: ArrasRayError | None = None) -> None:
        """It has ended; error: what to raise instead of a ComputationError. Only the first end counts."""
        with self._lock:
            if self._ended is not None:
                return
            self._ended, self._error = stopped, error
            self._listeners.tell("stopped", stopped)
            self._lock.notify_all()
        self._inbox.ring()

    def _pump(self) -> None:
        """Hand each message to all callbacks, until the session has ended."""
        while (envelope := self._inbox.take(None)) is not None:
            try:
                message = unpack(envelope)
                for callback in self._on_message:
                    callback(message)
            except Exception:
                log.exception("a message of session %s could not be handled", self.name)
            finally:
                self._inbox.done(envelope)

    def _opened(self, envelope: Envelope | None, timeout: float | None, nothing: str) -> Message:
        if envelope is None:
            self._nothing(timeout, nothing)
        try:
            return unpack(envelope)
        finally:
            self._inbox.done(envelope)

    def _checked_ready(self, timeout: float) -> Self:
        with self._lock:
            ended, ready = self._ended, self._is_ready
        if ended is not None:
            self._raise(ended, always=not ready)
        if not ready:
            raise ReadyTimeout(
                f"session {self.name} was not ready within {timeout:g} s", hint="its log may tell what it waits for"
            )
        return self

    def _checked_stopped(self, timeout: float | None) -> Stopped:
        if self._ended is None:
            raise MessageTimeout(f"session {self.name} has not ended within {timeout:g} s")
        return self._ended

    def _check_over(self, timeout: float | None) -> None:
        """No message has come: raise why, unless the session has ended as asked."""
        if self._ended is None:
            self._nothing(timeout, "there was no message")
        elif not self._ended.as_asked:
            self._raise(self._ended)

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
