"""Calls to actors whose answers one thread hears, each within a time of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

STALL_SECONDS = 1.0
"""Who did not look for so long was stopped itself, and gives everybody that time on top."""


class Silent(Exception):
    """There was no answer in time."""


@dataclass
class _Call:
    heard: Callable[[Any], None]
    failed: Callable[[Exception], None]
    seconds: float
    deadline: float


class Calls:
    """Calls under way. `ask` and `hear` belong to one thread, which is also the one that is called back."""

    def __init__(self) -> None:
        self._calls: dict[Any, _Call] = {}
        self._looked_at = time.monotonic()

    def ask(
        self, ref: Any, heard: Callable[[Any], None], failed: Callable[[Exception], None], seconds: float = 30.0
    ) -> None:
        """Call `heard` with the answer of the call behind `ref`, or `failed` with its error, `Silent` if none comes
        within `seconds`."""
        self._calls[ref] = _Call(heard, failed, seconds, time.monotonic() + seconds)

    def hear(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for answers and take those that are there; then judge who is late."""
        import ray

        if not self._calls:
            time.sleep(timeout)
        while self._calls:
            ready, waiting = ray.wait(list(self._calls), num_returns=1, timeout=timeout)
            if not ready:
                break
            if waiting:
                ready += ray.wait(waiting, num_returns=len(waiting), timeout=0)[0]
            for ref in ready:
                self._take(ref)
            timeout = 0.0
        self._judge()

    def forget(self, about: Callable[[Any], bool]) -> None:
        """Drop the calls whose refs `about` picks; nobody is told."""
        self._calls = {ref: call for ref, call in self._calls.items() if not about(ref)}

    def _take(self, ref: Any) -> None:
        import ray
        from ray.exceptions import RayError

        call = self._calls.pop(ref, None)
        if call is None:
            return
        try:
            answer = ray.get(ref)
        except RayError as error:
            call.failed(error)
        else:
            call.heard(answer)

    def _judge(self) -> None:
        """Who is late, by a clock that stands still while this process does."""
        now = time.monotonic()
        away, self._looked_at = now - self._looked_at, now
        if away > STALL_SECONDS:
            for call in self._calls.values():
                call.deadline += away
        for ref, call in list(self._calls.items()):
            if now > call.deadline:
                del self._calls[ref]
                call.failed(Silent(f"no answer within {call.seconds:g} s"))
