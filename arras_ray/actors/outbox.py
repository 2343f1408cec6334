"""What a computation has for its clients: messages and lines of its log, kept until they were fetched."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from arras_ray.session.party import MOST_MESSAGES, MOST_WAITING

MOST_LINES = 10_000
"""Of the log; who comes later gets the last ones."""


@dataclass(frozen=True)
class Batch:
    """Messages after number `since`, and lines of the log after number `line`: hand both back to get what follows.

    messages: envelopes, or object refs to them. lines: (level, text).
    """

    messages: tuple[Any, ...]
    since: int
    lines: tuple[tuple[int, str], ...]
    line: int
    closed: bool


WATCH_BYTES = 32 << 20
"""Of messages that only watchers have not fetched; what is older they miss."""


class Outbox:
    """A queue with several readers. What its owner (the first reader) has not fetched is kept, up to a bound that
    lets `put` wait; for watchers the newest is."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: deque[tuple[int, Any, int]] = deque()
        """Number, message, bytes."""
        self._bytes = 0
        self._count = 0
        self._lines: deque[tuple[int, int, str]] = deque(maxlen=MOST_LINES)
        self._line_count = self._lines_fetched = 0
        self._owner = ""
        self._fetched: dict[str, int] = {}
        """Number of the last message each reader has got."""
        self._closed = False
        self._awaited: dict[str, Any] = {}
        """Source ids of replies a call waits for, and those that have come."""

    def put(self, message: Any, size: int, source_id: str = "") -> None:
        """One more message; the first with a source id that is awaited goes there. Waits while too much is unfetched;
        dropped once closed."""
        with self._changed:
            if source_id in self._awaited and self._awaited[source_id] is None:
                self._awaited[source_id] = message
                self._changed.notify_all()
                return
            while not self._closed and (self._bytes > MOST_WAITING or len(self._messages) > MOST_MESSAGES):
                self._changed.wait()
            if self._closed:
                return
            self._count += 1
            self._bytes += size
            self._messages.append((self._count, message, size))
            self._changed.notify_all()

    def expect(self, source_id: str) -> None:
        """A call will wait for the first message with this source id."""
        with self._changed:
            self._awaited[source_id] = None

    def reply(self, source_id: str, timeout: float) -> Any:
        """That message; None if it does not come within `timeout` seconds: then it comes like all others."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._awaited[source_id] is not None, timeout)
            return self._awaited.pop(source_id)

    def write(self, level: int, text: str) -> None:
        """One more line of the log."""
        with self._changed:
            self._line_count += 1
            self._lines.append((self._line_count, level, text))
            self._changed.notify_all()

    def fetch(self, reader: str, since: int, line: int, timeout: float) -> Batch:
        """What came after `since` and `line`, as soon as there is any. An owner that asks has got all up to `since`."""
        deadline = time.monotonic() + timeout
        with self._changed:
            self._owner = self._owner or reader
            self._fetched[reader] = since
            if reader == self._owner:
                self._lines_fetched = max(line, self._lines_fetched)
            self._forget()
            while not self._closed and self._count <= since and self._line_count <= line:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            messages = tuple(message for number, message, _ in self._messages if number > since)
            lines = tuple((level, text) for number, level, text in self._lines if number > line)
            return Batch(messages, max(since, self._count), lines, max(line, self._line_count), self._closed)

    def own(self, reader: str) -> int:
        """From now on this reader is the one that is waited for. Returns where the one before it had got to."""
        with self._changed:
            begin = self._fetched.pop(self._owner, 0)
            self._owner = reader
            self._fetched[reader] = begin
            return begin

    def watch(self, reader: str) -> int:
        """This reader will fetch what comes from now on: after the number that is returned."""
        with self._changed:
            self._fetched[reader] = self._count
            return self._count

    def drain(self, timeout: float) -> None:
        """Return once the owner, if there is one, has fetched everything, or after `timeout` seconds."""

        def empty() -> bool:
            return not self._owner or (not self._messages and self._lines_fetched == self._line_count)

        with self._changed:
            self._changed.wait_for(empty, timeout)

    def close(self) -> None:
        """Take nothing any more; who waits goes on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _forget(self) -> None:
        """Drop what the owner has fetched and no watcher waits for, within bounds."""
        fetched, least = self._fetched.get(self._owner, 0), min(self._fetched.values())
        while self._messages:
            number, _, size = self._messages[0]
            if number > fetched or (number > least and self._bytes <= WATCH_BYTES):
                break
            self._messages.popleft()
            self._bytes -= size
        self._changed.notify_all()
