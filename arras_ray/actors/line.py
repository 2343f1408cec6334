"""A line to a computation: calls that carry messages to it, so many under way that memory stays bounded."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from pickle import PickleBuffer
from typing import Any

from arras_ray.session.message import Envelope

INLINE_BYTES = 64 << 10
"""Larger content goes through the object store, where all receivers of a node share it."""

MOST_BYTES = 64 << 20
MOST_CALLS = 256
"""Under way on one line; who sends more waits until the receiver has taken some."""

SWEEP = 32
"""Answers are looked at once for so many calls."""


class Store:
    """Puts large envelopes into the object store, each once however many receivers it has."""

    def __init__(self) -> None:
        self._last: tuple[str, Any] = ("", None)

    def ref(self, envelope: Envelope) -> Any:
        """A reference to the envelope without its number, or the envelope itself where it is small."""
        import ray

        if envelope.size <= INLINE_BYTES:
            return _for_ray(envelope) if envelope.buffers else envelope
        if self._last[0] != envelope.instance_id:
            self._last = (envelope.instance_id, ray.put(_for_ray(envelope)))
        return self._last[1]

    def forget(self) -> None:
        """Keep nothing alive that was sent."""
        self._last = ("", None)


class Line:
    """Sends to one actor, in order. `send` waits while too much is under way, and raises what Ray tells of a receiver
    that is not there (RayError)."""

    def __init__(self, actor: Any, name: str = "") -> None:
        """name: tells this line from earlier ones of the same sender."""
        self.actor = actor
        self._name = name
        self._lock = threading.Lock()
        self._calls: deque[tuple[Any, int]] = deque()
        self._bytes = 0

    def send(self, content: Any, number: int, size: int) -> None:
        """content: an envelope or a reference to one. size: bytes of it."""
        with self._lock:
            if len(self._calls) >= SWEEP and len(self._calls) % SWEEP == 0:
                self._sweep()
            while self._calls and (self._bytes + size > MOST_BYTES or len(self._calls) >= MOST_CALLS):
                self._take()
            self._calls.append((self.actor.deliver.remote(content, number, self._name), size))
            self._bytes += size

    def call(self, content: Any, number: int) -> Any:
        """Send, and return what the actor answers at once: a message, a reference to one, or None."""
        import ray

        return ray.get(self.actor.call.remote(content, number, self._name))

    def flush(self) -> None:
        """Wait until everything that was sent has arrived."""
        with self._lock:
            while self._calls:
                self._take()

    def _take(self) -> None:
        import ray

        ref, size = self._calls.popleft()
        self._bytes -= size
        ray.get(ref)

    def _sweep(self) -> None:
        import ray

        ready, _ = ray.wait([ref for ref, _ in self._calls], num_returns=len(self._calls), timeout=0)
        arrived = len(ready)
        for _ in range(arrived):
            self._take()


def _for_ray(envelope: Envelope) -> Envelope:
    """Its arrays as Ray takes them without a copy of its own. The number is another one for each receiver."""
    return replace(envelope, buffers=[PickleBuffer(buffer) for buffer in envelope.buffers], number=0)
