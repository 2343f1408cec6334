"""What the command needs of a render, whoever does it: `LocalRender` in this process or `SessionRender` on Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from arras_ray.messages import RenderStatus


class RenderHandle(Protocol):
    """A render under way."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def spp(self) -> int: ...

    def status(self) -> RenderStatus:
        """Where it stands now."""

    def stop(self) -> None:
        """End it; what was rendered stays."""

    def final(self) -> np.ndarray:
        """(height, width, 4) float32, rows from the bottom up."""

    def where(self) -> list[dict[str, Any]]:
        """For each computation: computation, node, pid, threads, samples."""

    def close(self) -> None:
        """End everything it started."""
