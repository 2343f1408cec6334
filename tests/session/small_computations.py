"""Computations and messages of the tests, for the tests and for the processes they start, which import little."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from arras_ray.session.computation import Computation, Result
from arras_ray.session.message import Message

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger("small")


@dataclass(frozen=True)
class Array:
    """A name for pixels."""

    name: str
    pixels: np.ndarray


@dataclass(frozen=True)
class Picture:
    """What takes credit."""

    number: int
    pixels: np.ndarray | None = None

    is_image = True


@dataclass(frozen=True)
class Strict:
    """Of a version that NOTE_VERSION tells, and no other is known."""

    text: str

    message_version = int(os.environ.get("NOTE_VERSION", "1"))


@dataclass(frozen=True)
class Tolerant:
    """The same, but other versions are understood."""

    text: str

    message_version = int(os.environ.get("NOTE_VERSION", "1"))

    def serialise(self) -> Any:
        return {"text": self.text}

    @classmethod
    def deserialise(cls, data: Any, version: int) -> Self:
        return cls(f"{data['text']} of version {version}")


@dataclass(frozen=True)
class Corrupt:
    """Cannot be read where CORRUPT is set."""

    text: str

    @classmethod
    def deserialise(cls, data: Any, version: int) -> Self:
        if os.environ.get("CORRUPT"):
            raise ValueError("the bytes make no sense")
        return cls(data.text)


@dataclass(frozen=True)
class Unsendable:
    """Cannot be written."""

    def serialise(self) -> Any:
        raise ValueError("asked not to")


class Echo(Computation):
    """Answers the sender with what it sent."""

    def on_message(self, message: Message) -> None:
        self.send(message.content, reply_to=message)


class Script(Computation):
    """Runs the Python in its block: for each operation, and `message` for each message. What it leaves in `result` is
    returned."""

    def configure(self, op: str, config: Mapping[str, Any]) -> Result | None:
        if op == "initialize":
            self.config = config
        return self._run(op)

    def on_message(self, message: Message) -> Result | None:
        return self._run("message", message=message)

    def _run(self, what: str, **names: Any) -> Result | None:
        scope = {"sys": sys, **globals(), "self": self, "config": self.config, "result": None, **names}
        exec(self.config.get(what, ""), scope)
        result: Result | None = scope["result"]
        return result


class Idler(Script):
    """Also runs `idle`."""

    def on_idle(self) -> None:
        self._run("idle")


class Broken(Computation):
    """Cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("no")


class NotOne:
    """No computation."""


def wait_at(gate: str) -> None:
    """Return once the test opens this gate (see `stage.Gate`)."""
    Path(gate).read_bytes()


def in_thread(function: Callable[[], object]) -> None:
    """Call it on a thread of its own."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def wire() -> int:
    """The descriptor of this process's connection with its session."""
    descriptors = [int(name) for name in os.listdir("/proc/self/fd")]
    return next(one for one in descriptors if os.path.realpath(f"/proc/self/fd/{one}").find("socket:") >= 0)


def mapped_files() -> dict[str, int]:
    """Messages that this process has mapped: bytes by the number of the file."""
    found = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "arras-ray" in line:
            places, _, _, _, number, *_ = line.split()
            begin, end = (int(address, 16) for address in places.split("-"))
            found[number] = end - begin
    return found


def mapped_memory() -> int:
    """Bytes of messages that this process has mapped."""
    return sum(mapped_files().values())


def anonymous_memory() -> int:
    """Bytes of this process's own memory."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) << 10
