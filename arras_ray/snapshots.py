"""How old samples are by the time they are shown."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

LATELY_SECONDS = 60.0
"""The quickest way of a part is that of the last one or two such spans."""


@dataclass
class _Newest:
    """Of one mcrt: the film's version with its newest samples, and when they were rendered, by the clock here.

    ways: how much later by the clock here parts came than they were rendered by its own, at least: in the span before,
    and in the one that began at `began`.
    """

    life: int
    began: float
    ways: tuple[float, float]
    version: int = 0
    rendered_at: float = -math.inf


class Snapshots:
    """Knows when the newest samples of each mcrt were rendered.

    Clocks of two nodes have nothing to do with each other; so the quickest way lately counts as none, and an age tells
    what comes on top of it: waiting, reading, adding, showing. For one thread at a time.
    """

    def __init__(self) -> None:
        self._mcrts: dict[str, _Newest] = {}

    def took(self, mcrt: str, life: int, rendered_at: float, version: int, now: float | None = None) -> None:
        """Samples of a life of an mcrt, rendered at this time of its monotonic clock, are in the film's version."""
        now = time.monotonic() if now is None else now
        way = now - rendered_at
        newest = self._mcrts.get(mcrt)
        if newest is None or newest.life != life:
            newest = self._mcrts[mcrt] = _Newest(life, now, (way, way))
        if now - newest.began > LATELY_SECONDS:
            newest.began, newest.ways = now, (newest.ways[1], way)
        newest.ways = newest.ways[0], min(newest.ways[1], way)
        # A part that comes late, as one that was sent again, is not the newest.
        newest.version, newest.rendered_at = version, max(newest.rendered_at, rendered_at + min(newest.ways))

    def ages(self, since: int, version: int, now: float | None = None) -> dict[str, float]:
        """Seconds since the newest samples of each mcrt were rendered, where they are newer than version `since` and
        in `version`."""
        now = time.monotonic() if now is None else now
        shown = {name: newest for name, newest in self._mcrts.items() if since < newest.version <= version}
        return {name: now - newest.rendered_at for name, newest in shown.items()}
