"""A session's share of the cluster, as the registry tells it: how many mcrts it should have, if anybody watches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from arras_ray.actors.calls import Calls
from arras_ray.session.fairness import Demand

REPORT_SECONDS = 2.0
FIND_SECONDS = 5.0
"""Between two looks for a registry where there is none."""

ANSWER_SECONDS = 5.0

KEPT_SECONDS = 20.0
"""The last target holds for so long when the registry is lost: another one knows everybody again before."""


class Share:
    """Reports for one session. find: the registry of the cluster, None where there is none."""

    def __init__(self, calls: Calls, find: Callable[[], Any]) -> None:
        self._calls = calls
        self._find = find
        self._registry: Any = None
        self._next = 0.0
        self._asked = False
        self._most: int | None = None
        self._heard_at = 0.0

    def look(self, demand: Callable[[], Demand]) -> int | None:
        """Report when it is time. How many mcrts there should be at most; None if nobody says."""
        now = time.monotonic()
        if now >= self._next and not self._asked:
            self._registry = self._registry or self._find()
            self._next = now + (REPORT_SECONDS if self._registry is not None else FIND_SECONDS)
            if self._registry is not None:
                self._asked = True
                self._calls.ask(self._registry.report.remote(demand()), self._heard, self._failed, ANSWER_SECONDS)
        if self._most is not None and now - self._heard_at > KEPT_SECONDS:
            self._most = None
        return self._most

    def _heard(self, most: int | None) -> None:
        self._asked = False
        if most is not None:
            self._most, self._heard_at = most, time.monotonic()

    def _failed(self, error: Exception) -> None:
        """It is lost, or was never quite there: look for another one."""
        self._asked = False
        self._registry = None
