"""How a local session and its computations' processes talk: frames on a socket between the two.

A frame has a head (a small pickle), and for a message a body: its bytes, or, where they are many, a descriptor of
shared memory that has them. Who passes a message on does not look into its body.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate
from typing import Any

from arras_ray.errors import MessageError
from arras_ray.session.message import Envelope
from arras_ray.session.shared_memory import SharedMemory

INLINE_BYTES = 1 << 20
"""Content that is larger goes through shared memory."""

ALIGNMENT = 64
"""Of each array within a body."""

HEAD_BYTES = 64 << 20
"""No head is larger."""

RECEIVE_BYTES = 1 << 18

_HEADER = struct.Struct("!BQQQ")
_DESCRIPTOR = struct.Struct("@i")


_ABOUT = tuple(name for name in Envelope._fields if name not in ("body", "buffers"))
"""What an envelope says about its content."""


class Kind(IntEnum):
    """What a frame says, and its head."""

    PART = 1
    """To a computation: (Part, highest level of its log, seconds to wait for GO)."""
    READY = 2
    """It is initialised."""
    GO = 3
    STOP = 4
    MESSAGE = 5
    """(receiver, sizes of the body's parts, what the envelope says about them)."""
    PASSED = 6
    """To the sender of messages: (bytes, messages) that were passed on."""
    HANDLED = 7
    """From the receiver: (bytes, messages) that are handled."""
    ENDING = 8
    """From a computation that fails: (exit code, why)."""


@dataclass(frozen=True)
class Frame:
    """head: pickled. shared: memory that has the body."""

    kind: Kind
    head: bytes = b""
    body: bytes = b""
    shared: SharedMemory | None = None

    @property
    def value(self) -> Any:
        """What the head says."""
        return pickle.loads(self.head)


def frame(kind: Kind, value: Any = None) -> Frame:
    """A frame without a body."""
    return Frame(kind, pickle.dumps(value, pickle.HIGHEST_PROTOCOL))


def is_large(envelope: Envelope) -> bool:
    """Whether its content goes through shared memory."""
    return _layout(_sizes(envelope))[1] > INLINE_BYTES


def share(envelope: Envelope) -> SharedMemory:
    """Its content in shared memory. Raise MessageError where there is no room."""
    sizes = _sizes(envelope)
    offsets, total = _layout(sizes)
    try:
        return SharedMemory.write(total, zip(offsets, _parts(envelope), strict=True))
    except OSError as error:
        raise MessageError(
            f"a {envelope.name} of {sum(sizes):,} bytes cannot be sent: {error}", message_name=envelope.name
        ) from error


def message_frame(receiver: str, envelope: Envelope, shared: SharedMemory | None = None) -> Frame:
    """A message for the wire. shared: where its content is, if it is large."""
    sizes = _sizes(envelope)
    about = {name: getattr(envelope, name) for name in _ABOUT}
    body = b""
    if shared is None:
        offsets, total = _layout(sizes)
        gathered = bytearray(total)
        for offset, part in zip(offsets, _parts(envelope), strict=True):
            gathered[offset : offset + len(part)] = part
        body = bytes(gathered)
    return Frame(Kind.MESSAGE, frame(Kind.MESSAGE, (receiver, sizes, about)).head, body, shared)


def address_of(message: Frame) -> tuple[str, int]:
    """The receiver of a message, and its size in bytes."""
    receiver, sizes, _ = message.value
    return receiver, sum(sizes)


def envelope_of(message: Frame) -> Envelope:
    """The envelope of a message; its content refers to the frame's bytes or to shared memory."""
    _, sizes, about = message.value
    content = memoryview(message.body) if message.shared is None else message.shared.map()
    offsets, total = _layout(sizes)
    if total > len(content):
        raise MessageError(f"a message of {total} bytes came with {len(content)}")
    body, *buffers = (content[offset : offset + size] for offset, size in zip(offsets, sizes, strict=True))
    return Envelope(body=body, buffers=buffers, **about)


_KINDS = frozenset(int(kind) for kind in Kind)


class Wire:
    """One end of a socket that carries frames. Frames may be sent from any thread; one thread receives."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._lock = threading.Lock()
        self._leaving: deque[tuple[memoryview, SharedMemory | None]] = deque()
        self._buffer = bytearray()
        self._descriptors: deque[int] = deque()

    @property
    def is_full(self) -> bool:
        """Whether something waits to be sent, on a socket that does not block."""
        return bool(self._leaving)

    def send(self, *frames: Frame) -> None:
        """Send frames, in order. Their shared memory is closed here once it has left. Raise OSError if nobody is
        there."""
        with self._lock:
            for one in frames:
                header = _HEADER.pack(one.kind, len(one.head), len(one.body), one.shared.size if one.shared else 0)
                self._leaving.append((memoryview(header + one.head + one.body), one.shared))
            self._flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        with self._lock:
            self._flush()

    def receive(self) -> Iterator[Frame]:
        """The frames that have come; waits for the next bytes on a socket that blocks, else raise BlockingIOError where
        there are none. Raise EOFError at the end, MessageError for what is no frame."""
        try:
            data, ancillary, _, _ = self.socket.recvmsg(
                RECEIVE_BYTES, socket.CMSG_SPACE(_DESCRIPTOR.size), getattr(socket, "MSG_CMSG_CLOEXEC", 0)
            )
        except ConnectionError:
            data, ancillary = b"", []
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._descriptors.extend(given for (given,) in _DESCRIPTOR.iter_unpack(content))
        if not data:
            raise EOFError
        self._buffer += data
        yield from self._whole_frames()

    def close(self) -> None:
        """Close the socket, and drop what is on its way."""
        with self._lock:
            self.socket.close()
            self._leaving.clear()
            while self._descriptors:
                os.close(self._descriptors.popleft())

    def _flush(self) -> None:
        while self._leaving:
            data, shared = self._leaving[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _DESCRIPTOR.pack(shared.fileno()))] if shared else []
            try:
                sent = self.socket.sendmsg([data], rights)
            except BlockingIOError:
                return
            if shared:
                shared.close()
            if sent < len(data):
                self._leaving[0] = (data[sent:], None)
            else:
                self._leaving.popleft()

    def _whole_frames(self) -> Iterator[Frame]:
        while len(self._buffer) >= _HEADER.size:
            kind, head_bytes, body_bytes, shared = _HEADER.unpack_from(self._buffer)
            if kind not in _KINDS or head_bytes > HEAD_BYTES or body_bytes > INLINE_BYTES:
                raise MessageError("what came is no frame")
            begin, middle, end = accumulate((_HEADER.size, head_bytes, body_bytes))
            if len(self._buffer) < end:
                return
            if shared and not self._descriptors:
                raise MessageError("shared memory was promised and did not come")
            with memoryview(self._buffer) as view:
                head, body = bytes(view[begin:middle]), bytes(view[middle:end])
            del self._buffer[:end]
            yield Frame(Kind(kind), head, body, SharedMemory(self._descriptors.popleft(), shared) if shared else None)


def _sizes(envelope: Envelope) -> list[int]:
    return [len(envelope.body), *(memoryview(buffer).nbytes for buffer in envelope.buffers)]


def _parts(envelope: Envelope) -> Iterator[memoryview]:
    for part in (envelope.body, *envelope.buffers):
        yield memoryview(part).cast("B")


def _layout(sizes: list[int]) -> tuple[list[int], int]:
    """Where each part begins, and how long they are together."""
    ends = list(accumulate((-(-size // ALIGNMENT) * ALIGNMENT for size in sizes), initial=0))
    return ends[:-1], ends[-1]
