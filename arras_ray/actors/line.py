"""A line to a computation: calls that carry messages to it, so many under way that memory stays bounded."""

from __future__ import annotations

import threading
from collections import deque
from pickle import PickleBuffer
from typing import Any

from arras_ray.session.message import Envelope, to_bytes

INLINE_BYTES = 64 << 10
"""Larger content goes through the object store, where all receivers of a node share it."""

MOST_BYTES = 64 << 20
MOST_CALLS = 256
"""Under way on one line; who sends more waits until the receiver has taken some."""

SWEEP = 32
"""Answers are looked at once for so many calls."""


class Store:
    """Puts large envelopes into the object store, each once however many receivers it has. All methods may be called
    from any thread."""

    def __init__(self) -> None:
        self._leaving: dict[str, Any] = {}
        """References to envelopes there may be more receivers for, by instance id."""

    def ref(self, envelope: Envelope) -> Any:
        """A reference to the envelope without its number, or the envelope itself where it is small; in either case its
        arrays are copies. `forget` it when it has left to all its receivers."""
        import ray

        if envelope.size <= INLINE_BYTES:
            return envelope.kept() if envelope.buffers else envelope
        ref = self._leaving.get(envelope.instance_id)
        if ref is None:
            ref = self._leaving[envelope.instance_id] = ray.put(_for_ray(envelope))
        return ref

    def forget(self, envelope: Envelope) -> None:
        """Keep nothing of it alive."""
        self._leaving.pop(envelope.instance_id, None)


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
            self._calls.append((self.actor.deliver.remote(*self._numbered(content, number)), size))
            self._bytes += size

    def call(self, content: Any, number: int) -> Any:
        """Send; returns a reference to what the actor answers at once: a message, a reference to one, or None."""
        return self.actor.call.remote(*self._numbered(content, number))

    def flush(self) -> None:
        """Wait until everything that was sent has arrived."""
        with self._lock:
            while self._calls:
                self._take()

    def _numbered(self, content: Any, number: int) -> tuple[Any, ...]:
        """The arguments of a call that brings an envelope, or a reference to one."""
        if isinstance(content, Envelope):
            return (to_bytes(content, number, self._name),)
        return content, number, self._name

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
    return envelope._replace(buffers=[PickleBuffer(buffer) for buffer in envelope.buffers], number=0)
