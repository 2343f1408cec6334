"""How much may be under way between the parties of a local session: those who send too much wait.

A receiver has at most MOST_WAITING bytes (and one message more) that it has not handled, and what is sent to it beyond
that waits at whoever passes messages on. A sender has at most MOST_UNPASSED bytes (and one message more) that wait
there. Nobody blocks who only passes on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from arras_ray.session.party import MOST_MESSAGES, MOST_WAITING

MOST_UNPASSED = 1 << 20
MOST_UNPASSED_MESSAGES = 256

T = TypeVar("T")


@dataclass(frozen=True)
class Passed(Generic[T]):
    """A message that may go to its receiver now. size: bytes."""

    sender: str
    receiver: str
    size: int
    message: T


@dataclass
class _Gate(Generic[T]):
    """Before one receiver. bytes, messages: with it, not handled."""

    bytes: int = 0
    messages: int = 0
    waiting: deque[Passed[T]] = field(default_factory=deque)
    since: float = 0.0
    """When something began to wait here."""

    @property
    def is_open(self) -> bool:
        return self.bytes <= MOST_WAITING and self.messages <= MOST_MESSAGES


class Gates(Generic[T]):
    """Lets messages through to each receiver while it has not too much. For one thread; nothing waits in here."""

    def __init__(self) -> None:
        self._gates: dict[str, _Gate[T]] = {}

    def offer(self, sender: str, receiver: str, size: int, message: T) -> list[Passed[T]]:
        """A message for a receiver; what may go to it now."""
        gate = self._gates.setdefault(receiver, _Gate())
        if not gate.waiting:
            gate.since = time.monotonic()
        gate.waiting.append(Passed(sender, receiver, size, message))
        return self._open(gate)

    def handled(self, receiver: str, size: int, messages: int = 1) -> list[Passed[T]]:
        """A receiver has handled some; what may go to it now."""
        gate = self._gates.setdefault(receiver, _Gate())
        gate.bytes = max(0, gate.bytes - size)
        gate.messages = max(0, gate.messages - messages)
        return self._open(gate)

    def under_way(self, receiver: str) -> int:
        """Bytes that a receiver has not handled."""
        return self._gates[receiver].bytes if receiver in self._gates else 0

    def close(self, receiver: str) -> list[Passed[T]]:
        """It takes nothing any more: what has waited for it."""
        return list(self._gates.pop(receiver, _Gate[T]()).waiting)

    def stuck(self, seconds: float) -> dict[str, list[str]]:
        """Receivers that have let nothing in for so long, and who waits for them."""
        before = time.monotonic() - seconds
        return {
            receiver: list(dict.fromkeys(passed.sender for passed in gate.waiting))
            for receiver, gate in self._gates.items()
            if gate.waiting and gate.since < before
        }

    def _open(self, gate: _Gate[T]) -> list[Passed[T]]:
        through = []
        while gate.waiting and gate.is_open:
            passed = gate.waiting.popleft()
            gate.bytes += passed.size
            gate.messages += 1
            gate.since = time.monotonic()
            through.append(passed)
        return through


class Allowance:
    """What a sender may have sent that was not passed on. May be used from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._bytes = self._messages = 0
        self._closed = False

    def take(self, size: int) -> bool:
        """Wait until one more may be sent; whether it may. Once closed nothing waits, and what would is refused."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_open or self._closed)
            if not self._is_open:
                return False
            self._bytes += size
            self._messages += 1
            return True

    def passed(self, size: int, messages: int) -> None:
        """So much was passed on."""
        with self._changed:
            self._bytes -= size
            self._messages -= messages
            self._changed.notify_all()

    def close(self) -> None:
        """Let those go on who wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def _is_open(self) -> bool:
        return self._bytes <= MOST_UNPASSED and self._messages <= MOST_UNPASSED_MESSAGES
