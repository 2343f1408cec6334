"""Frames on a socket: they come as they went, in whatever pieces, with their memory; and what is no frame is told."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from arras_ray.errors import MessageError
from arras_ray.session.message import Envelope, JSONMessage, numbered, pack, unpack
from arras_ray.session.shared_memory import SharedMemory
from arras_ray.session.wire import (
    INLINE_BYTES,
    Frame,
    Kind,
    Wire,
    address_of,
    envelope_of,
    frame,
    is_large,
    message_frame,
    share,
)

MEGABYTE = 1 << 20


@pytest.fixture
def ends() -> Iterator[tuple[Wire, Wire]]:
    """Two ends; neither blocks."""
    pair = socket.socketpair()
    wires = Wire(pair[0]), Wire(pair[1])
    for end in pair:
        end.setblocking(False)
    yield wires
    for wire in wires:
        wire.close()


def come(receiver: Wire, sender: Wire | None = None) -> list[Frame]:
    """All frames that are on their way."""
    found = []
    while True:
        try:
            found += receiver.receive()
        except BlockingIOError:
            if sender is None or not sender.is_full:
                return found
            sender.flush()


def envelope(*arrays: np.ndarray) -> Envelope:
    return numbered(pack(JSONMessage("m", {"arrays": list(arrays)}), "a", source_id="s", routing_name="r"), 7)


def send(sender: Wire, content: Envelope) -> None:
    sender.send(message_frame("b", content, share(content) if is_large(content) else None))


@pytest.mark.parametrize("size", [0, 1, 63, INLINE_BYTES // 2, INLINE_BYTES, 3 * MEGABYTE])
def test_a_message_comes_as_it_went(ends: tuple[Wire, Wire], size: int) -> None:
    sent = envelope(np.arange(size, dtype=np.uint8), np.arange(5.0))
    send(ends[0], sent)
    (one,) = come(ends[1], ends[0])
    assert address_of(one) == ("b", sent.size)
    assert (one.shared is not None) == (size >= INLINE_BYTES)
    came = envelope_of(one)
    for name in ("name", "kind", "version", "routing_name", "source_id", "instance_id", "sender", "created", "number"):
        assert getattr(came, name) == getattr(sent, name)
    first, second = unpack(came).content.arguments["arrays"]
    np.testing.assert_array_equal(first, np.arange(size, dtype=np.uint8))
    np.testing.assert_array_equal(second, np.arange(5.0))


def test_frames_of_all_sizes_keep_their_order_and_their_memory(ends: tuple[Wire, Wire]) -> None:
    sizes = [10, 2 * MEGABYTE, 400_000, 2 * MEGABYTE + 1, 0, 900_000, 3 * MEGABYTE]
    for size in sizes:
        send(ends[0], envelope(np.full(size, size % 251, np.uint8)))
        ends[0].send(frame(Kind.HANDLED, (size, 1)))
    assert ends[0].is_full
    frames = come(ends[1], ends[0])
    assert [one.kind for one in frames] == [Kind.MESSAGE, Kind.HANDLED] * len(sizes)
    assert [one.value[0] for one in frames[1::2]] == sizes
    for one, size in zip(frames[::2], sizes, strict=True):
        (array,) = unpack(envelope_of(one)).content.arguments["arrays"]
        assert array.nbytes == size
        assert (array == size % 251).all()


def test_a_frame_may_come_byte_by_byte(ends: tuple[Wire, Wire]) -> None:
    ours, theirs = socket.socketpair()
    send(ends[0], envelope(np.arange(3)))
    data = ends[1].socket.recv(1 << 16)
    receiver = Wire(theirs)
    with ours:
        for number, byte in enumerate(data):
            ours.send(bytes([byte]))
            frames = list(receiver.receive())
            assert len(frames) == (number == len(data) - 1)
        assert address_of(frames[0])[0] == "b"
    with pytest.raises(EOFError):
        list(receiver.receive())
    receiver.close()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff" * 30, "no frame"),
        (struct.pack("!BQQQ", 0, 0, 0, 0), "no frame"),
        (struct.pack("!BQQQ", Kind.MESSAGE, 1 << 40, 0, 0), "no frame"),
        (struct.pack("!BQQQ", Kind.MESSAGE, 0, 2 * INLINE_BYTES, 0), "no frame"),
        (struct.pack("!BQQQ", Kind.MESSAGE, 0, 0, 5), "promised and did not come"),
    ],
)
def test_what_is_no_frame_is_told(ends: tuple[Wire, Wire], data: bytes, reason: str) -> None:
    ends[0].socket.send(data)
    with pytest.raises(MessageError, match=reason):
        list(ends[1].receive())


def test_a_message_without_all_its_content_is_refused() -> None:
    whole = message_frame("b", envelope(np.arange(100.0)))
    with pytest.raises(MessageError, match="came with 64"):
        envelope_of(Frame(Kind.MESSAGE, whole.head, whole.body[:64]))


def test_descriptors_are_closed_whatever_becomes_of_a_frame(ends: tuple[Wire, Wire]) -> None:
    def opened() -> int:
        return len(os.listdir("/dev/fd"))

    before = opened()
    send(ends[0], envelope(np.zeros(2 * MEGABYTE, np.uint8)))
    assert opened() == before  # it is in the socket
    one = list(ends[1].receive())
    assert opened() == before + 1
    array = unpack(envelope_of(one[0])).content.arguments["arrays"][0]
    del one
    assert opened() == before
    assert not array.any()
    send(ends[0], envelope(np.zeros(2 * MEGABYTE, np.uint8)))
    ends[1].close()
    assert opened() == before - 1


def test_shared_memory_is_written_once_and_goes_with_its_last_user() -> None:
    memory = SharedMemory.write(1000, [(0, memoryview(b"abc")), (500, memoryview(b"def"))])
    copy = memory.duplicate()
    memory.close()
    view = copy.map()
    copy.close()
    copy.close()
    assert (len(view), view.readonly) == (1000, True)
    assert (bytes(view[:4]), bytes(view[500:503])) == (b"abc\0", b"def")
    if sys.platform == "linux":
        with open("/proc/self/maps") as maps:
            assert maps.read().count("arras-ray") == 1
        del view
        with open("/proc/self/maps") as maps:
            assert "arras-ray" not in maps.read()


def test_memory_that_is_shorter_than_promised_is_refused() -> None:
    memory = SharedMemory.write(10, [])
    liar = SharedMemory(os.dup(memory.fileno()), 1000)
    with pytest.raises(OSError, match="1000 bytes of shared memory were promised, 10 came"):
        liar.map()


def test_content_too_large_for_the_machine_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes over from memory, until that is full as well."""

    def full(descriptor: int, data: object, offset: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("arras_ray.session.shared_memory._free_memory", lambda: 0)
    content = envelope(np.arange(MEGABYTE))
    np.testing.assert_array_equal(np.frombuffer(share(content).map()[-8 * MEGABYTE :], np.int64), np.arange(MEGABYTE))
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(MessageError, match=r"a JSONMessage of 8,388,\d\d\d bytes cannot be sent: .*No space left"):
        share(content)
