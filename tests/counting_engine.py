"""An engine whose samples are known numbers, for tests of what stands around an engine."""

from __future__ import annotations

import threading

import numpy as np

from arras_ray.messages import N_CHANNELS, TILE, BadSample, tile_grid

WIDTH, HEIGHT, SPP = 150, 70, 20


class CountingEngine:
    """Every sample of a pixel has its sample number in R and its tile number in G.

    hold_after: from which call on a lease takes until it is cancelled, when half of it is done. fail_after: from which
    call on it raises. bad: the first bad sample of the first lease.
    """

    width, height, spp = WIDTH, HEIGHT, SPP
    warnings: tuple[str, ...] = ()

    def __init__(self, hold_after: int = 10**9, bad: BadSample | None = None, fail_after: int = 10**9) -> None:
        self.hold_after = hold_after
        self.fail_after = fail_after
        self.bad = bad
        self.calls = 0
        self.holding = threading.Event()
        self.closed = False

    def render(
        self, units: np.ndarray, cancel: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, int, int, BadSample | None]:
        self.calls += 1
        if self.calls > self.fail_after:
            raise RuntimeError("the engine broke")
        done = len(units)
        if self.calls > self.hold_after:
            self.holding.set()
            while not cancel[0]:
                threading.Event().wait(0.005)
            done = len(units) // 2
        sums = np.zeros((done, TILE * TILE, N_CHANNELS))
        inside = inside_picture()
        samples = 0
        for i, unit in enumerate(units[:done]):
            numbers = np.arange(unit["begin"], unit["end"], dtype="f8")
            mask = inside[unit["tile"]]
            sums[i, mask] = [numbers.sum(), len(numbers) * float(unit["tile"]), 0, len(numbers), len(numbers)]
            samples += int(mask.sum()) * len(numbers)
        bad = self.bad if self.calls == 1 else None
        return units[:done], sums, samples, int(bad is not None), bad

    def close(self) -> None:
        self.closed = True


def inside_picture() -> np.ndarray:
    """(n_tiles, TILE * TILE) bool: pixels that are inside the picture."""
    across, up = tile_grid(WIDTH, HEIGHT)
    whole = np.zeros((up * TILE, across * TILE), bool)
    whole[:HEIGHT, :WIDTH] = True
    tiles: np.ndarray = whole.reshape(up, TILE, across, TILE).swapaxes(1, 2).reshape(up * across, TILE * TILE)
    return tiles


def expected() -> np.ndarray:
    across, _ = tile_grid(WIDTH, HEIGHT)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    picture = np.zeros((HEIGHT, WIDTH, 4), "f4")
    picture[..., 0] = (SPP - 1) / 2
    picture[..., 1] = y // TILE * across + x // TILE
    picture[..., 3] = 1
    return picture
