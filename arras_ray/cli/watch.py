"""Watching a render to its end, whoever does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from arras_ray.cli.report import Report
from arras_ray.errors import ArrasRayError

if TYPE_CHECKING:
    from arras_ray.cli.handle import RenderHandle
    from arras_ray.cli.interrupt import Interrupt
    from arras_ray.ended import Ended
    from arras_ray.messages import RenderStatus

OVER = ("finished", "cancelled", "failed")

STEP_OF_STAGE = {"placing": "placing", "loading": "flattening", "compiling": "compiling", "rendering": "rendering"}

SHORTEST_WAIT, LONGEST_WAIT = 0.02, 0.2
"""Seconds between two looks at the status: short at first, so that a short render is not held up."""

STOP_SECONDS = 0.8
"""How long the leases under way get to end after a stop."""


class Told:
    """What was said already: a warning is worth saying once, a step when it begins."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._warnings: set[str] = set()
        self._steps: set[str] = set()
        self._n_ends = 0

    def step(self, name: str, detail: str = "") -> None:
        if name not in self._steps:
            self._steps.add(name)
            self._report.step(name, detail)

    def warnings(self, warnings: tuple[str, ...] | list[str]) -> None:
        for text in warnings:
            if text not in self._warnings:
                self._warnings.add(text)
                self._report.warning(text)

    def another_render(self) -> None:
        """What ended in the last render was told; the next one counts anew."""
        self._n_ends = 0

    def ends(self, ends: tuple[Ended, ...]) -> None:
        """Tell how computations ended, those that were not told before."""
        for end in ends[self._n_ends :]:
            self._report.ended(end)
        self._n_ends = len(ends)


def watch(
    render: RenderHandle,
    report: Report,
    told: Told,
    interrupt: Interrupt,
    time_limit: float | None,
    hearers: Sequence[Callable[[RenderStatus], list[str]]] = (),
    longest_wait: float = LONGEST_WAIT,
) -> RenderStatus:
    """Report steps, warnings and progress until the render is over or the user interrupts; return the last status.

    The first samples are reported at once, then progress every `report.interval` seconds, then the end. Each
    hearer gets every status and returns more warnings. longest_wait: seconds between two looks at the status.
    """
    wait = SHORTEST_WAIT
    next_report = 0.0
    while True:
        status = render.status()
        told.warnings(status.warnings)
        told.ends(status.ends)
        for hear in hearers:
            told.warnings(hear(status))
        if status.stage in STEP_OF_STAGE:
            told.step(STEP_OF_STAGE[status.stage])
        over = status.stage in OVER
        if status.samples and (over or time.monotonic() >= next_report):
            told.step("rendering")
            report.progress(status, render.spp, time_limit)
            next_report = time.monotonic() + report.interval
        if over or interrupt.requested.wait(wait):
            return status
        wait = min(wait * 1.2, longest_wait)


def stop(render: RenderHandle) -> RenderStatus:
    """End a render early; return its status once what was under way has ended, or has had its time.

    It counts no more than a picture taken afterwards holds.
    """
    with suppress(ArrasRayError):  # the status tells it as well
        render.stop()
    deadline = time.monotonic() + STOP_SECONDS
    while (status := render.status()).stage not in OVER and time.monotonic() < deadline:
        time.sleep(SHORTEST_WAIT)
    return status
