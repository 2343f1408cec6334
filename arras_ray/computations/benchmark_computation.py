"""Computations that throw balls at each other and say how many came back: Arras' benchmark computation.

In its sessions everybody accepts from everybody what is routed as For_ and its own name: a definition names the other
players as sources in `messages`. Any message from the client begins a round, and each report of it goes to the client
with that message's source id, routed as For_client.

    duration, reportEvery    seconds of a round, and between its reports; 30 and 5
    credits                  balls under way to each other player; 2
    messageBytes             of each ball; 2^20
    messageSleep             seconds before a ball is thrown back; 0
    sleepInOnStop            seconds
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arras_ray.session.computation import Computation, Result
from arras_ray.session.message import CLIENT, GenericMessage, Message, UnknownContent

DEFAULTS = {"duration": 30.0, "reportEvery": 5.0, "credits": 2, "messageBytes": 1 << 20, "messageSleep": 0.0}


@dataclass(frozen=True)
class Ball:
    """Thrown by `owner`, and thrown back to it. payload: (messageBytes,) uint8."""

    owner: str
    payload: NDArray[np.uint8]


@dataclass
class Round:
    """One measurement. Times are of the monotonic clock; count and size are those of the balls that came back."""

    began: float
    ends: float
    reported: float
    count: int = 0
    size: int = 0
    reported_count: int = 0
    reported_size: int = 0


class BenchmarkComputation(Computation):
    """Plays with the others, and reports messages and bytes a second."""

    def __init__(self) -> None:
        self._options: dict[str, Any] = {}
        self._others: list[str] = []
        self._rounds: dict[str, Round] = {}
        """Those under way, by the source id of the message that began each."""

    def configure(self, op: str, config: Mapping[str, Any]) -> Result | None:
        """Read the options; the others are the sources it has rules for."""
        if op == "initialize":
            self._options = {name: config.get(name, default) for name, default in DEFAULTS.items()}
            self._others = [source for source in config.get("messages", {}) if source not in (CLIENT, self.name)]
        elif op == "stop":
            time.sleep(float(config.get("sleepInOnStop", 0)))
        return None

    def on_message(self, message: Message) -> Result | None:
        """Begin a round, throw a ball back, or count and throw one again."""
        ball = message.content
        if isinstance(ball, UnknownContent):
            return Result.UNKNOWN
        if not isinstance(ball, Ball):
            self._begin(message.source_id)
        elif ball.owner != self.name:
            time.sleep(float(self._options["messageSleep"]))
            self._throw(ball, ball.owner, message.source_id)
        elif (round_ := self._rounds.get(message.source_id)) is not None:
            round_.count += 1
            round_.size += message.size
            self._throw(ball, message.sender, message.source_id)
        self._report()
        return None

    def on_idle(self) -> None:
        """Look at the clock."""
        self._report()

    def _begin(self, source_id: str) -> None:
        now = time.monotonic()
        self._rounds[source_id] = Round(began=now, ends=now + float(self._options["duration"]), reported=now)
        payload = np.zeros(int(self._options["messageBytes"]), np.uint8)
        for other in self._others:
            for _ in range(int(self._options["credits"])):
                self._throw(Ball(self.name, payload), other, source_id)

    def _throw(self, ball: Ball, other: str, source_id: str) -> None:
        self.send(ball, source_id=source_id, routing_name=f"For_{other}")

    def _report(self) -> None:
        """Tell the client of rounds that are over, or of which it has not heard for a while."""
        now = time.monotonic()
        for source_id, round_ in list(self._rounds.items()):
            if now >= round_.ends:
                del self._rounds[source_id]
                self._tell(source_id, "in all ", round_.count, round_.size, now - round_.began)
            elif now >= round_.reported + float(self._options["reportEvery"]):
                count, size = round_.count - round_.reported_count, round_.size - round_.reported_size
                self._tell(source_id, "", count, size, now - round_.reported)
                round_.reported, round_.reported_count, round_.reported_size = now, round_.count, round_.size

    def _tell(self, source_id: str, what: str, count: int, size: int, seconds: float) -> None:
        seconds = max(seconds, 1e-6)
        with_whom = ", ".join(self._others) or "nobody"
        text = (
            f"{self.name} with {with_whom}: {what}{count / seconds:.1f} messages/s there and back, "
            f"{size / seconds / 1e6:.1f} MB/s each way, for {seconds:.1f} s"
        )
        self.send(GenericMessage(text), source_id=source_id, routing_name=f"For_{CLIENT.strip('()')}")
