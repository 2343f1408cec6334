"""Films with something in them, and checkpoint files of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from arras_ray.checkpoint import write_checkpoint
from arras_ray.film import Film
from arras_ray.identity import Identity
from arras_ray.messages import N_CHANNELS, TILE, BadSample, FilmState, Tally, tile_grid
from arras_ray.unit_plan import UnitPlan

WIDTH, HEIGHT, SPP = 150, 70, 20

PLAN = UnitPlan(WIDTH, HEIGHT, SPP)

TALLY = Tally({"mcrt_i0": 700, "mcrt_i1": 300}, 2, BadSample(3, 4, 5))

IDENTITY = Identity("scene", {"width": WIDTH, "height": HEIGHT, "seed": 3}, "code", {"numba": "0.68.0"})


def film_of(plan: UnitPlan, n_units: int | None = None, seed: int = 0) -> Film:
    """A film that accepted the first n_units of a plan, all of them by default, in a random order."""
    rng = np.random.default_rng(seed)
    units = plan.units(np.arange(plan.n_units if n_units is None else n_units))
    rng.shuffle(units)
    inside = pixels_inside(plan.width, plan.height)
    sums = np.zeros((len(units), TILE * TILE, N_CHANNELS))
    for unit, block in zip(units, sums, strict=True):
        mask = inside[unit["tile"]]
        block[mask, :4] = np.round(rng.gamma(0.5, 10, (mask.sum(), 4)) * 2.0**24) / 2.0**24
        block[mask, 4] = unit["end"] - unit["begin"]
    film = Film(plan.width, plan.height)
    film.accept(units, sums)
    return film


def pixels_inside(width: int, height: int) -> np.ndarray:
    """(n_tiles, TILE * TILE) bool: whether a pixel of a tile is inside the picture."""
    across, up = tile_grid(width, height)
    y, x = np.mgrid[: up * TILE, : across * TILE]
    inside = (y < height) & (x < width)
    tiles: np.ndarray = inside.reshape(up, TILE, across, TILE).swapaxes(1, 2).reshape(-1, TILE * TILE)
    return tiles


def write(path: Path, states: list[FilmState], **changes: Any) -> None:
    """Write a checkpoint of states of PLAN."""
    arguments: dict[str, Any] = {"ends": PLAN.ends, "spp": SPP, "identity": IDENTITY, "seconds": 1.5}
    write_checkpoint(path, states, **(arguments | changes))
