"""`--benchmark`: when a client that receives a render's frames has the first one, 1 %, 10 % and all of it."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from arras_ray.cli.report import Report
from arras_ray.errors import ArrasRayError

if TYPE_CHECKING:
    from arras_ray.cli.handle import RenderHandle
    from arras_ray.messages import RenderStatus

MARKS = {"first frame": 0.0, "1%": 0.01, "10%": 0.1, "100%": 1.0}
"""What is told, and the part of all samples that a frame must hold for it."""

FPS = 12
"""Frames asked for in a second, as Arras' definitions have it."""

FRAME_SECONDS = 0.25
"""A render that has nothing new is asked again after so long."""

LAST = ("FINISHED", "CANCELLED")
"""States of a render's last frame."""

_ROUNDING = 1e-9
"""Progress is a sum of parts; this much is not missed."""


class FrameTimes:
    """Receives the frames of one render on a thread of its own and tells when each mark was reached.

    which: initial or second. asked_at, ready_at: when its session was asked for, and when the scene went to it, by
    time.monotonic; marks count from the latter. sync_id: frames of earlier scenes do not count. A context manager.
    """

    def __init__(
        self,
        render: RenderHandle,
        report: Report,
        which: str,
        *,
        asked_at: float,
        ready_at: float,
        fps: int | None = None,
        sync_id: int = 0,
    ) -> None:
        self._render = render
        self._report = report
        self._which = which
        self._ready_at = ready_at
        self._pause = 1 / (fps or FPS)
        self._sync_id = sync_id
        self._reached: dict[str, float] = {}
        """Seconds by mark."""
        self._told: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._receive, name="frame-times", daemon=True)
        self._startup = ready_at - asked_at

    def __enter__(self) -> FrameTimes:
        self._report.benchmark(self._which, self._render.name, "ready", self._startup)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def hear(self, status: RenderStatus) -> list[str]:
        """Tell the marks that were reached since the last call; nothing is wrong with any."""
        for mark, seconds in list(self._reached.items()):
            if mark not in self._told:
                self._told.add(mark)
                self._report.benchmark(self._which, self._render.name, mark, seconds)
        return []

    def finish(self, status: RenderStatus) -> None:
        """Receive the last frame of a render that is over, and tell the rest."""
        self._over.set()
        self._thread.join()
        self.hear(status)

    def _receive(self) -> None:
        version, any_tiles = 0, False
        with suppress(ArrasRayError):  # the status tells it as well
            while True:
                over = self._over.is_set()
                frame = self._render.frame(version, FRAME_SECONDS)
                seconds = time.monotonic() - self._ready_at
                if frame is None and over:
                    return
                if frame is not None and frame.sync_id < self._sync_id:
                    version = frame.version
                elif frame is not None:
                    version, any_tiles = frame.version, any_tiles or len(frame.tiles) > 0 or bool(frame.coarse)
                    for mark, progress in MARKS.items():
                        if any_tiles and frame.progress >= progress - _ROUNDING:
                            self._reached.setdefault(mark, seconds)
                    if frame.status in LAST:
                        return
                self._over.wait(self._pause)
