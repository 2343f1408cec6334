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
from arras_ray.session.message import CreditUpdate, Envelope, kind_of, pack, unpack
from arras_ray.session.routing import Rule

MOST_WAITING = 256 << 20
"""Bytes of messages that wait at a party; those who send it more wait themselves."""

MOST_MESSAGES = 10_000


class Connection:
    """To one receiver: what keeps its order, and its credit. The lock is held while a message leaves."""

    def __init__(self, initial_credit: int) -> None:
        self.lock = threading.RLock()
        self.sent = 0
        self.credit = ImageCredit(initial_credit)


class Party:
    """One end of a session's connections. All methods may be called from any thread.

    routes: who accepts what from it; others: everybody it may name as a receiver. initial_credit: image frames that
    may be under way to each receiver, -1 any; returns_credit: whether it gives credit back for those it has handled, to
    senders that want it.

    Called, if given: arrived() when a message has come; handled(envelope) when it is handled; posted(envelope) when a
    message has left to all its receivers, but for those it waits for credit of.
    """

    def __init__(
        self,
        name: str,
        routes: Mapping[str, Rule],
        others: frozenset[str],
        outlet: Callable[[str, Envelope], object],
        *,
        initial_credit: int = OFF,
        returns_credit: bool = False,
        arrived: Callable[[], None] | None = None,
        handled: Callable[[Envelope], None] | None = None,
        posted: Callable[[Envelope], None] | None = None,
    ) -> None:
        self.name = name
        self.received = 0
        self._routes, self._outlet = routes, outlet
        self._arrived, self._handled, self._posted = arrived, handled, posted
        self._others = others
        self._initial_credit, self._returns_credit = initial_credit, returns_credit
        self._connections: dict[str, Connection] = {}
        self._changed = threading.Condition()
        self._queue: deque[Envelope] = deque()
        self._waiting = 0
        self._next: dict[tuple[str, str], int] = {}
        """Number of the next message of each sender's line."""
        self._early: dict[tuple[str, str, int], Envelope] = {}
        self._closed = self._paused = False

    @property
    def sent(self) -> int:
        """Messages that have left, one for each receiver."""
        return sum(connection.sent for connection in [*self._connections.values()])

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

        Blocks while a receiver has too much waiting: two parties that both have, and that send to each other without
        taking, wait for each other until the session ends. Raise MessageError for what cannot travel and for parties
        that do not exist.
        """
        envelope = pack(content, self.name, source_id=source_id, routing_name=routing_name)
        for receiver in to:
            if receiver not in self._others:
                raise MessageError(f"there is no {receiver} in the session to send a {envelope.name} to")
        receivers = to or [name for name, rule in self._routes.items() if rule.takes(envelope.routing_name)]
        try:
            for receiver in receivers:
                connection = self._connection(receiver)
                with connection.lock:
                    if connection.credit.may_send(envelope, time.monotonic()):
                        self._let_out(connection, receiver, envelope)
        finally:
            if self._posted is not None:
                self._posted(envelope)
        return envelope.instance_id

    def accept(self, envelope: Envelope) -> None:
        """A message has come. Waits while too much is waiting; the order is that of its number."""
        with self._changed:
            while not self._closed and (self._waiting > MOST_WAITING or len(self._queue) > MOST_MESSAGES):
                self._changed.wait()
            line = (envelope.sender, envelope.line)
            expected = self._next.setdefault(line, 1)
            if self._closed or envelope.number < expected:
                return
            self._early[*line, envelope.number] = envelope
            while (ready := self._early.pop((*line, expected), None)) is not None:
                self._queue.append(ready)
                self._waiting += ready.size
                self.received += 1
                expected += 1
            self._next[line] = expected
            self._changed.notify_all()
        if self._arrived is not None:
            self._arrived()

    def take(self, timeout: float | None, until: Callable[[], bool] = lambda: False) -> Envelope | None:
        """The oldest message that waits; None after `timeout` seconds (None: any time), once `until` is true (it is
        asked when something comes, and by `look_again`), or when closed.

        Call `done` with it once it is handled; until then it counts as waiting. Raise MessageError for a CreditUpdate
        that cannot be read.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._changed:
                while (self._paused or not self._queue) and not self._closed and not until():
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        return None
                    self._changed.wait(left)
                if self._closed or self._paused or not self._queue:
                    return None
                envelope = self._queue.popleft()
            if envelope.kind != _CREDIT:
                return envelope
            self._credit_comes(envelope)

    def look_again(self) -> None:
        """Let those who take ask again whether they should go on."""
        with self._changed:
            self._changed.notify_all()

    def done(self, envelope: Envelope) -> None:
        """A message that was taken is handled: it waits no more, and credit for it goes back."""
        with self._changed:
            self._waiting -= envelope.size
            self._changed.notify_all()
        if self._handled is not None:
            self._handled(envelope)
        if envelope.on_credit and self._returns_credit and not self._closed:
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
        seconds = {receiver: connection.credit.stuck_for(now) for receiver, connection in [*self._connections.items()]}
        return {receiver: waited for receiver, waited in seconds.items() if waited > 0}

    def _connection(self, receiver: str) -> Connection:
        found = self._connections.get(receiver)
        return found or self._connections.setdefault(receiver, Connection(self._initial_credit))

    def _let_out(self, connection: Connection, receiver: str, envelope: Envelope) -> None:
        connection.sent += 1
        on_credit = envelope.is_image and connection.credit.left != OFF
        self._outlet(receiver, envelope._replace(number=connection.sent, on_credit=on_credit))

    def _credit_comes(self, envelope: Envelope) -> None:
        try:
            update, connection = unpack(envelope).content, self._connection(envelope.sender)
            with connection.lock:
                try:
                    frame = connection.credit.update(update)
                except (AttributeError, TypeError, ValueError) as error:
                    raise MessageError(f"a CreditUpdate from {envelope.sender} cannot be meant: {error}") from error
                if frame is not None:
                    self._let_out(connection, envelope.sender, frame)
            if frame is not None and self._posted is not None:
                self._posted(frame)
        finally:
            self.done(envelope)


_CREDIT = kind_of(CreditUpdate)
