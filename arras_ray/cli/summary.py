"""What is computed from a render's status for every kind of report."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arras_ray.messages import McrtRow, RenderStatus


@dataclass(frozen=True)
class Progress:
    """A status in the units people ask for."""

    percent: float
    spp: float
    """Samples a pixel so far, on average."""
    eta: float | None
    """Seconds to go; None while nothing is known."""
    shares: tuple[tuple[McrtRow, float], ...]
    """Each mcrt and its part of all samples so far, 0 to 1."""


@dataclass(frozen=True)
class Summary:
    """How a render ended."""

    result: str
    """finished, time_limit, interrupted or partial."""
    exit_code: int
    outputs: list[Path]
    width: int
    height: int
    spp: float
    samples: int
    total_samples: int
    seconds: float
    rate: float
    bad_samples: int
    where: list[dict[str, Any]]
    """Rows of computation, node, pid, threads (None for those that do not render), samples."""


def progress_of(status: RenderStatus, spp: int, time_limit: float | None) -> Progress:
    """spp: samples a pixel when all is done. time_limit: seconds from the first lease, None for no limit."""
    done = status.samples / status.total_samples if status.total_samples else 0.0
    left = (status.total_samples - status.samples) / status.rate if status.rate > 0 else None
    if time_limit is not None:
        to_limit = max(time_limit - status.seconds, 0.0)
        left = to_limit if left is None else min(left, to_limit)
    share_of = max(sum(row.samples for row in status.mcrts), 1)
    return Progress(
        percent=100 * done,
        spp=spp * done,
        eta=left,
        shares=tuple((row, row.samples / share_of) for row in status.mcrts),
    )


def in_order(where: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of computations by name, mcrt_i2 before mcrt_i10."""

    # Splitting by numbers gives words and numbers in turn, so that like is compared with like.
    def key(row: dict[str, Any]) -> list[str | int]:
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(row["computation"]))]

    return sorted(where, key=key)
