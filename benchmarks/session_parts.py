"""Computations and bare actors that `sessions.py` measures beside each other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from arras_ray.session.computation import Computation, Result
from arras_ray.session.message import GenericMessage, Message


@dataclass(frozen=True)
class Block:
    """An array on its way, and when it left: seconds of a clock all processes of a machine share."""

    data: np.ndarray
    sent_at: float


@dataclass(frozen=True)
class Rally:
    """Ask a computation to send so many small messages to another one and back."""

    partner: str
    count: int


@dataclass(frozen=True)
class Ball:
    """What goes to and fro."""

    value: str = "ball"


class Echo(Computation):
    """Answers small messages, plays Rally, and tells how long a Block was under way."""

    def configure(self, op: str, config: Mapping[str, Any]) -> Result | None:
        self._left = 0
        self._began = 0.0
        self._asked: Message | None = None
        return None

    def on_message(self, message: Message) -> Result | None:
        content = message.content
        if isinstance(content, GenericMessage):
            self.send(content, reply_to=message)
        elif isinstance(content, Rally):
            self._left, self._asked, self._began = content.count, message, time.perf_counter()
            self.send(Ball(), to=(content.partner,))
        elif isinstance(content, Ball):
            self._return(message)
        elif isinstance(content, Block):
            seconds = time.monotonic() - content.sent_at
            total = int(content.data[:: 1 << 20].sum())
            self.send(GenericMessage(f"{seconds} {total}"), reply_to=message)
        else:
            return Result.UNKNOWN
        return None

    def _return(self, message: Message) -> None:
        if self._asked is None:
            self.send(message.content, reply_to=message)
            return
        self._left -= 1
        if self._left:
            self.send(message.content, reply_to=message)
            return
        self.send(GenericMessage(str(time.perf_counter() - self._began)), reply_to=self._asked)
        self._asked = None


class BareEcho:
    """An actor without a session around it."""

    def echo(self, value: str) -> str:
        return value

    def rally(self, partner: Any, count: int) -> float:
        """Seconds for so many times two calls to another actor."""
        import ray

        began = time.perf_counter()
        for _ in range(count):
            ray.get(partner.echo.remote("ball"))
            ray.get(partner.echo.remote("ball"))
        return time.perf_counter() - began

    def block(self, refs: list[Any], sent_at: float) -> float:
        """Seconds since an array was put, once it is here."""
        import ray

        data = ray.get(refs[0])
        seconds = time.monotonic() - sent_at
        return seconds + 0.0 * int(data[:: 1 << 20].sum())
