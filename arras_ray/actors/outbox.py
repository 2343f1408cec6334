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

WATCH_BYTES = 32 << 20
WATCH_MESSAGES = 1000
"""Of what only watchers have not fetched; what is older they miss."""

WATCHER_SECONDS = 30.0
"""Nothing is kept for a watcher that has not asked for so long; it may be gone."""


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


class Outbox:
    """A queue with several readers. What its owner has not fetched is kept, up to a bound that lets `put` wait; for
    watchers the newest is. The owner is the first reader that does not watch, until another one says it is."""

    def __init__(self) -> None:
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._replied = threading.Condition(lock)
        """A reply that is awaited has come: nothing that a reader would have to wake up for."""
        self._messages: deque[tuple[int, Any, int]] = deque()
        """Number, message, bytes."""
        self._bytes = 0
        self._count = 0
        self._lines: deque[tuple[int, int, str]] = deque(maxlen=MOST_LINES)
        self._line_count = 0
        self._owner = ""
        self._owner_has = self._owner_has_line = 0
        """Numbers of the last message and the last line the owner has got."""
        self._watchers: dict[str, tuple[int, float]] = {}
        """Number of the last message each has got, and when it asked."""
        self._closed = self._in_a_hurry = False
        self._awaited: dict[str, Any] = {}
        """Source ids of replies a call waits for, and those that have come."""

    def put(self, message: Any, size: int, source_id: str = "") -> None:
        """One more message; the first with a source id that is awaited goes there, unless somebody watches. Waits while
        too much is unfetched, or is dropped then if nobody may wait; dropped once closed."""
        with self._changed:
            if source_id in self._awaited and self._awaited[source_id] is None:
                if not self._watching():
                    self._awaited[source_id] = message
                    self._replied.notify_all()
                    return
                del self._awaited[source_id]  # it comes like all others
                self._replied.notify_all()
            self._changed.wait_for(lambda: self._closed or self._in_a_hurry or not self._is_full)
            if self._closed or self._is_full:
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
        """That message; None if it does not come within `timeout` seconds, or comes like all others."""
        with self._changed:
            self._replied.wait_for(lambda: self._closed or self._awaited.get(source_id, self) is not None, timeout)
            return self._awaited.pop(source_id, None)

    def write(self, level: int, text: str) -> None:
        """One more line of the log."""
        with self._changed:
            self._line_count += 1
            self._lines.append((self._line_count, level, text))
            self._changed.notify_all()

    def fetch(self, reader: str, since: int, line: int, timeout: float) -> Batch:
        """What came after `since` and `line`, as soon as there is any. A reader that asks has got all up to there."""
        deadline = time.monotonic() + timeout
        with self._changed:
            if reader in self._watchers:
                self._watchers[reader] = since, time.monotonic()
            else:
                self._owner = self._owner or reader
            if reader == self._owner:
                self._owner_has, self._owner_has_line = max(since, self._owner_has), max(line, self._owner_has_line)
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
            self._owner = reader
            return self._owner_has

    def watch(self, reader: str) -> int:
        """This reader will fetch what comes from now on: after the number that is returned."""
        with self._changed:
            self._watchers[reader] = self._count, time.monotonic()
            return self._count

    def drain(self, timeout: float) -> None:
        """Return once the owner, if there is one, has fetched everything, or after `timeout` seconds."""

        def empty() -> bool:
            return not self._owner or (self._owner_has, self._owner_has_line) == (self._count, self._line_count)

        with self._changed:
            self._changed.wait_for(empty, timeout)

    def hurry(self) -> None:
        """From now on nobody waits for room: the computation is to stop."""
        with self._changed:
            self._in_a_hurry = True
            self._changed.notify_all()

    def close(self) -> None:
        """Take nothing any more; who waits goes on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._replied.notify_all()

    @property
    def _is_full(self) -> bool:
        return self._bytes > MOST_WAITING or len(self._messages) > MOST_MESSAGES

    def _watching(self) -> list[int]:
        """What those watchers have got who are there."""
        since = time.monotonic() - WATCHER_SECONDS
        return [number for number, asked in self._watchers.values() if asked > since]

    def _forget(self) -> None:
        """Drop what the owner has fetched and no watcher waits for, within bounds."""
        least = min(self._watching(), default=self._count)
        while self._messages:
            number, _, size = self._messages[0]
            kept = number > least and self._bytes <= WATCH_BYTES and len(self._messages) <= WATCH_MESSAGES
            if number > self._owner_has or kept:
                break
            self._messages.popleft()
            self._bytes -= size
        self._changed.notify_all()
