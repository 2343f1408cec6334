"""Computations and messages of the tests of sessions, for the tests and for the processes that run them."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from arras_ray.session.computation import Computation, Result
from arras_ray.session.message import CLIENT, GenericMessage, JSONMessage, Message

__all__ = ["CLIENT", "GenericMessage", "JSONMessage", "sys", "threading"]
"""What scripts use."""

log = logging.getLogger("parts")


@dataclass(frozen=True)
class Pixels:
    """An array and its number."""

    number: int
    values: np.ndarray


@dataclass(frozen=True)
class Picture:
    """What takes credit."""

    number: int

    is_image = True


@dataclass(frozen=True)
class Note:
    """Of the version that NOTE_VERSION tells; no other is known."""

    text: str

    message_version = int(os.environ.get("NOTE_VERSION", "1"))


@dataclass(frozen=True)
class Letter(Note):
    """The same, but other versions are understood."""

    def serialise(self) -> str:
        return self.text

    @classmethod
    def deserialise(cls, data: str, version: int) -> Self:
        return cls(f"{data} of version {version}")


class Script(Computation):
    """Runs the Python of its block: that of each operation, and `message` for each message. What it leaves in `result`
    is returned."""

    def configure(self, op: str, config: Mapping[str, Any]) -> Result | None:
        self.config = config
        return self._run(op)

    def on_message(self, message: Message) -> Result | None:
        return self._run("message", message=message)

    def reply(self, content: object, to: Message) -> None:
        """Answer a message."""
        self.send(content, reply_to=to)

    def _run(self, what: str, **names: Any) -> Result | None:
        scope = {**globals(), "self": self, "config": self.config, "result": None, **names}
        exec(self.config.get(what, ""), scope)
        result: Result | None = scope["result"]
        return result


class Gate:
    """A moment in a computation that a test waits for, and holds until it opens the gate for good."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def hold(self) -> None:
        """In the computation: tell that it is here, and wait."""
        (self.folder / "reached").touch()
        while not (self.folder / "open").exists():
            time.sleep(0.005)

    @property
    def is_reached(self) -> bool:
        """Whether somebody waits, or has waited."""
        return (self.folder / "reached").exists()

    def open(self) -> None:
        """Let all go on."""
        (self.folder / "open").touch()


def hold(folder: str) -> None:
    """Wait at a gate."""
    Gate(folder).hold()


def mapping_of(array: np.ndarray) -> str:
    """The file in memory that an array lies in: device, inode and name; empty where it is this process's alone."""
    address = array.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, _, device, inode, *name = line.split()
        begin, end = (int(one, 16) for one in span.split("-"))
        if begin <= address < end:
            return f"{device} {inode} {' '.join(name)}" if int(inode) else ""
    return ""
