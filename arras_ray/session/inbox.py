"""What has come to a client: taken by calls, which wait for replies, and by whoever wants the rest."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from arras_ray.errors import ArrasRayError
from arras_ray.session.message import Envelope, new_id
from arras_ray.session.party import Party


class Inbox:
    """Hands out what comes to a party. All methods may be called from any thread; the async ones need none.

    is_over: whether nothing comes any more; `ring` when it changes.
    """

    def __init__(self, party: Party, is_over: Callable[[], bool]) -> None:
        self._party, self._is_over = party, is_over
        self._lock = threading.Lock()
        self._calls: dict[str, deque[Envelope]] = {}
        """Replies to each call under way, by source id."""
        self._kept: deque[Envelope] = deque()
        """Messages that were taken while something else was looked for."""
        self._bells: list[Callable[[], None]] = []
        """Rung whenever something happens, for those who wait without a thread."""

    def ring(self) -> None:
        """Something has happened: let all who wait look."""
        self._party.look_again()
        self.ring_bells()

    def ring_bells(self) -> None:
        """The same, where a message has come: those who wait on a thread know that."""
        for bell in [*self._bells]:
            bell()

    @contextmanager
    def call(self) -> Iterator[tuple[str, deque[Envelope]]]:
        """A source id, and where messages with it are put meanwhile; those that are left there are kept for others."""
        source_id, replies = new_id(), deque[Envelope]()
        self._calls[source_id] = replies
        try:
            yield source_id, replies
        finally:
            with self._lock:
                del self._calls[source_id]
                self._kept += replies
            self.ring()

    def take(self, timeout: float | None, replies: deque[Envelope] | None = None) -> Envelope | None:
        """The next message: from `replies` if given, else one that no call waits for; None when there will be none, or
        it does not come in time. Call `done` with it once it is handled."""
        deadline = None if timeout is None else time.monotonic() + timeout
        mine = self._kept if replies is None else replies
        while True:
            with suppress(IndexError):
                return mine.popleft()
            over = self._is_over()
            left = 0.0 if over else None if deadline is None else max(0.0, deadline - time.monotonic())
            envelope = self._party.take(left, lambda: bool(mine) or self._is_over())
            if envelope is None:
                if not mine and (over or (deadline is not None and time.monotonic() >= deadline)):
                    return None
                continue
            with self._lock:
                place = self._calls.get(envelope.source_id, self._kept)
                if place is not mine:
                    place.append(envelope)
            if place is mine:
                return envelope
            self.ring()

    def done(self, envelope: Envelope) -> None:
        """One that was taken is handled."""
        with suppress(ArrasRayError):  # nobody is there to take credit any more
            self._party.done(envelope)

    async def take_async(self, timeout: float | None, replies: deque[Envelope] | None = None) -> Envelope | None:
        """As `take`."""
        found: list[Envelope] = []

        def look() -> bool:
            over = self._is_over()
            envelope = self.take(0.0, replies)
            found.extend(() if envelope is None else (envelope,))
            return over or bool(found)

        await self.until(look, timeout)
        return found[0] if found else None

    async def until(self, look: Callable[[], bool], timeout: float | None) -> None:
        """Return once `look` has found what it looks for, or after `timeout` seconds. It looks whenever something
        happens."""
        loop = asyncio.get_running_loop()
        happened = asyncio.Event()

        def bell() -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(happened.set)

        self._bells.append(bell)
        try:
            async with asyncio.timeout(timeout):
                while not look():
                    await happened.wait()
                    happened.clear()
        except TimeoutError:
            pass
        finally:
            self._bells.remove(bell)
