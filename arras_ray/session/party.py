"""A party of a session: a computation, or the client. It sends along its routes and has what comes to it in order.

Knows nothing of how messages travel: `outlet(receiver, envelope)` takes those that leave, and blocks while the receiver
has too much waiting; `accept` gets those that come.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from arras_ray.errors import MessageError
from arras_ray.session.image_credit import OFF, ImageCredit
from arras_ray.session.message import CreditUpdate, Envelope, numbered, pack, unpack
from arras_ray.session.routing import Rule

MOST_WAITING = 256 << 20
"""Bytes of messages that wait at a party; those who send it more wait themselves."""

MOST_MESSAGES = 10_000


class Party:
    """One end of a session's connections. All methods may be called from any thread.

    routes: who accepts what from it; others: everybody it may name as a receiver. initial_credit: image frames that
    may be under way to each receiver, -1 any; returns_credit: whether it gives credit back for those it has handled.
    """

    def __init__(
        self,
        name: str,
        routes: Mapping[str, Rule],
        others: frozenset[str],
        outlet: Callable[[str, Envelope], None],
        *,
        initial_credit: int = OFF,
        returns_credit: bool = False,
    ) -> None:
        self.name = name
        self.received = self.sent = 0
        self._routes, self._others, self._outlet = routes, others, outlet
        self._initial_credit, self._returns_credit = initial_credit, returns_credit
        self._credit: dict[str, ImageCredit] = {}
        self._sending = threading.RLock()
        self._numbers: dict[str, int] = {}
        self._changed = threading.Condition()
        self._queue: deque[Envelope] = deque()
        self._waiting = 0
        self._next: dict[str, int] = {}
        """Number of the next message of each sender."""
        self._early: dict[tuple[str, int], Envelope] = {}
        self._closed = self._paused = False

    @property
    def waiting(self) -> int:
        """Bytes of messages that have come and are not handled."""
        return self._waiting

    @property
    def closed(self) -> bool:
        """Whether nothing is taken any more."""
        return self._closed

    def post(self, content: object, to: tuple[str, ...] = (), source_id: str = "", routing_name: str = "") -> str:
        """Send content along the routes, or to the parties in `to`; returns its instance id.

        Blocks while a receiver has too much waiting. Raise MessageError for what cannot travel and for parties that
        do not exist.
        """
        envelope = pack(content, self.name, source_id=source_id, routing_name=routing_name)
        for receiver in to:
            if receiver not in self._others:
                raise MessageError(f"there is no {receiver} in the session to send a {envelope.name} to")
        receivers = to or [name for name, rule in self._routes.items() if rule.takes(envelope.routing_name)]
        with self._sending:
            for receiver in receivers:
                if self._credit_of(receiver).may_send(envelope, time.monotonic()):
                    self._let_out(receiver, envelope)
        return envelope.instance_id

    def accept(self, envelope: Envelope) -> None:
        """A message has come. Waits while too much is waiting; the order is that of its number."""
        with self._changed:
            while not self._closed and (self._waiting > MOST_WAITING or len(self._queue) > MOST_MESSAGES):
                self._changed.wait()
            expected = self._next.setdefault(envelope.sender, 1)
            if envelope.number < expected:
                return
            self._early[envelope.sender, envelope.number] = envelope
            while (ready := self._early.pop((envelope.sender, expected), None)) is not None:
                self._queue.append(ready)
                self._waiting += ready.size
                self.received += 1
                expected += 1
            self._next[envelope.sender] = expected
            self._changed.notify_all()

    def take(self, timeout: float | None) -> Envelope | None:
        """The oldest message that waits, None after `timeout` seconds (None: any time) or when closed.

        Call `done` with it once it is handled; until then it counts as waiting.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._changed:
                while (self._paused or not self._queue) and not self._closed:
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        return None
                    self._changed.wait(left)
                if self._closed:
                    return None
                envelope = self._queue.popleft()
            if envelope.name != "CreditUpdate" or self._initial_credit == OFF:
                return envelope
            self._credit_comes(envelope)

    def done(self, envelope: Envelope) -> None:
        """A message that was taken is handled: it waits no more, and credit for it goes back."""
        with self._changed:
            self._waiting -= envelope.size
            self._changed.notify_all()
        if envelope.is_image and self._returns_credit and not self._closed:
            self.post(CreditUpdate(1), (envelope.sender,), envelope.source_id)

    def pause(self, paused: bool) -> None:
        """While paused, nothing is taken; what comes waits."""
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    def close(self) -> None:
        """Take nothing any more; what waits is dropped, and who waits goes on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def stuck(self) -> dict[str, float]:
        """Receivers that return no credit, and for how many seconds a frame has waited for it."""
        now = time.monotonic()
        with self._sending:
            seconds = {receiver: credit.stuck_for(now) for receiver, credit in self._credit.items()}
        return {receiver: waited for receiver, waited in seconds.items() if waited > 0}

    def _let_out(self, receiver: str, envelope: Envelope) -> None:
        number = self._numbers[receiver] = self._numbers.get(receiver, 0) + 1
        self.sent += 1
        self._outlet(receiver, numbered(envelope, number))

    def _credit_of(self, receiver: str) -> ImageCredit:
        return self._credit.setdefault(receiver, ImageCredit(self._initial_credit))

    def _credit_comes(self, envelope: Envelope) -> None:
        try:
            update = unpack(envelope).content
            if not isinstance(update, CreditUpdate):
                raise MessageError(f"a CreditUpdate from {envelope.sender} cannot be read")
            with self._sending:
                frame = self._credit_of(envelope.sender).update(update)
                if frame is not None:
                    self._let_out(envelope.sender, frame)
        finally:
            self.done(envelope)
