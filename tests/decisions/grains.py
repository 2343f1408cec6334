"""Units with sums as kernels make them: multiples of 2^-24, counts of 1 a sample, zero outside the picture."""

from __future__ import annotations

import numpy as np

from arras_ray.messages import N_CHANNELS, TILE, tile_grid
from arras_ray.unit_plan import UnitPlan


def sums_of(plan: UnitPlan, units: np.ndarray) -> np.ndarray:
    """(n, TILE * TILE, N_CHANNELS) float64 for units of a plan; the same for the same unit, whoever renders it."""
    sums = np.zeros((len(units), TILE, TILE, N_CHANNELS))
    across = tile_grid(plan.width, plan.height)[0]
    for part, unit in zip(sums, units, strict=True):
        rng = np.random.default_rng([int(unit["tile"]), int(unit["begin"]), int(unit["end"])])
        n = int(unit["end"] - unit["begin"])
        w = min(TILE, plan.width - int(unit["tile"]) % across * TILE)
        h = min(TILE, plan.height - int(unit["tile"]) // across * TILE)
        part[:h, :w, :4] = rng.integers(0, n << 34, (h, w, 4)) * 2.0**-24
        part[:h, :w, 4] = n
    return sums.reshape(len(units), TILE * TILE, N_CHANNELS)
