"""What the command needs of a render, whoever does it: `LocalRender` in this process or `SessionRender` on Ray."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from arras_ray.errors import ArrasRayError, ComputationError, RenderError

if TYPE_CHECKING:
    import numpy as np

    from arras_ray.messages import FilmState, ProgressiveFrame, RenderStatus

HEARD_SECONDS = 1.5
"""A session hears once a second what its supervisor knows; dispatch may have said a little earlier that it failed."""


class RenderHandle(Protocol):
    """A render under way. name: its session's."""

    name: str

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def spp(self) -> int: ...
    @property
    def error(self) -> BaseException | None:
        """What it failed of, as it was raised; None as long as that is not known."""

    def status(self) -> RenderStatus:
        """Where it stands now."""

    def stop(self) -> None:
        """End it; what was rendered stays."""

    def frame(self, since: int, timeout: float) -> ProgressiveFrame | None:
        """What changed after version `since`; None when nothing did within `timeout` seconds, or ever will. Called from
        another thread than the rest."""

    def final(self) -> np.ndarray:
        """(height, width, 4) float32, rows from the bottom up."""

    def save(self) -> Sequence[FilmState]:
        """Its films as they are now, for a checkpoint. Called from another thread than the rest."""

    def close(self) -> None:
        """End it and all that belongs to it. May be called twice."""

    def usage(self) -> dict[str, tuple[float, int]]:
        """Seconds of processor time and bytes of memory of each mcrt, by name."""

    def where(self) -> list[dict[str, Any]]:
        """For each computation: computation, node, pid, threads, samples."""


def failure_of(render: RenderHandle, status: RenderStatus) -> ArrasRayError:
    """The error of a render that failed, with its class and hint where they are known."""
    deadline = time.monotonic() + HEARD_SECONDS
    while render.error is None and time.monotonic() < deadline:
        time.sleep(0.02)
    error = render.error
    if isinstance(error, ArrasRayError):
        return error
    # What is known by its words only was said by dispatch: it fails when the computations it needs are gone.
    return ComputationError(status.error) if error is None else RenderError(f"the render failed: {status.error}")
