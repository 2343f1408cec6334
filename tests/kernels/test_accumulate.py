"""The entry kernel: rounding to the grid, blocks, sample ranges, the picture's edge; Python against compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from small_scenes import SmallScene, all_units, go, picture

from arras_ray.engine import Engine
from arras_ray.kernels import accumulate
from arras_ray.kernels.config import DISABLE_JIT
from arras_ray.messages import BLOCK, TILE

f4 = np.float32
SIZE = (10, 3) if DISABLE_JIT else (75, 67)
ROOT = Path(__file__).parents[2]


def test_values_are_rounded_to_the_grid() -> None:
    grid, limit = 2.0**24, f4(8192.0)
    for x in np.random.default_rng(1).normal(size=200).astype("f4") * f4(10.0):
        value = accumulate.on_grid(x, limit, grid)
        assert Fraction(value) * 2**24 == int(Fraction(value) * 2**24)
        assert abs(value - float(x)) <= 2.0**-25
    assert accumulate.on_grid(f4(1e9), limit, grid) == 8192.0
    assert accumulate.on_grid(f4(-1e9), limit, grid) == -8192.0
    assert accumulate.on_grid(f4(0.0), limit, grid) == 0.0


def test_sums_of_the_largest_values_stay_exact() -> None:
    """2^16 samples at the limit, in any order, with small ones between them."""
    grid, limit = 2.0**24, f4(8192.0)
    values = [accumulate.on_grid(x, limit, grid) for x in (f4(8192.0), f4(2.0**-24), f4(0.1))]
    total = 0.0
    for value in values * 1000:
        total += value
    assert Fraction(total) == sum(Fraction(v) for v in values) * 1000
    assert limit * 2**16 * grid <= 2.0**53


@pytest.mark.parametrize("x", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite(x: float) -> None:
    assert not accumulate.is_finite(f4(x))
    assert accumulate.is_finite(f4(3e38))


@pytest.fixture(scope="module")
def engine() -> Engine:
    small = SmallScene(image_width=SIZE[0], image_height=SIZE[1])
    small.light("EnvLight")
    small.put(small.sphere("ball", 1.5), small.matte("grey", 0.5))
    return small.engine()


def sums(engine: Engine, begin: int, end: int, mask: int | None = None) -> np.ndarray:
    units = all_units(engine.width, engine.height, begin, end)
    if mask is not None:
        units["mask"] = mask
    return engine.render(units, go())[1]


def test_sample_ranges_add_up_in_every_bit(engine: Engine) -> None:
    whole = sums(engine, 0, 4)
    assert (sums(engine, 0, 1) + sums(engine, 1, 4)).tobytes() == whole.tobytes()
    assert (sums(engine, 3, 4) + sums(engine, 0, 2) + sums(engine, 2, 3)).tobytes() == whole.tobytes()


def test_blocks_add_up_in_every_bit(engine: Engine) -> None:
    rng = np.random.default_rng(2)
    mask = int(rng.integers(0, 1 << 63)) << 1 | 1
    rest = ~mask & 0xFFFFFFFFFFFFFFFF
    a, b = sums(engine, 0, 2, mask), sums(engine, 0, 2, rest)
    assert (a + b).tobytes() == sums(engine, 0, 2).tobytes()
    blocks = TILE // BLOCK
    counts = a[0, :, 4].reshape(blocks, BLOCK, blocks, BLOCK).max(axis=(1, 3))
    for y in range(blocks):
        for x in range(blocks):
            inside = x * BLOCK < SIZE[0] and y * BLOCK < SIZE[1]
            assert (counts[y, x] > 0) == bool(inside and mask >> (y * blocks + x) & 1)


def test_pixels_outside_the_picture_stay_zero(engine: Engine) -> None:
    result = sums(engine, 0, 2)
    y, x = np.divmod(np.arange(TILE * TILE), TILE)
    across = -(-SIZE[0] // TILE)
    for tile in range(len(result)):
        inside = (tile % across * TILE + x < SIZE[0]) & (tile // across * TILE + y < SIZE[1])
        assert not result[tile, ~inside].any()
        assert (result[tile, inside, 4] == 2.0).all()


def test_an_empty_mask_or_range_adds_nothing(engine: Engine) -> None:
    assert not sums(engine, 0, 2, 0).any()
    assert not sums(engine, 3, 3).any()


def test_cancelled_before_it_begins(engine: Engine) -> None:
    done, result, samples, bad, first = engine.render(all_units(*SIZE, 0, 2), np.ones(1, "u4"))
    assert (len(done), len(result), samples, bad, first) == (0, 0, 0, 0, None)


def test_what_was_in_out_stays(engine: Engine) -> None:
    """Sums are added to what is there: an engine may render several units into one tile."""
    before = picture(engine, 1)
    assert before.tobytes() == picture(engine, 1).tobytes()


PRINT_SUMS = """
import hashlib, sys
import numpy as np
np.seterr(all="ignore")
from arras_ray.engine import from_context
from arras_ray.messages import FULL_MASK, UNIT
from arras_ray.scene import read_scene
for path in sys.argv[1:]:
    engine = from_context(read_scene([path]), {"width": 5, "height": 3, "spp": 1})
    unit = np.zeros(1, UNIT)
    unit["end"], unit["mask"] = 1, FULL_MASK
    print(hashlib.sha256(engine.render(unit, np.zeros(1, "u4"))[1].tobytes()).hexdigest())
"""


@pytest.mark.skipif(DISABLE_JIT, reason="compares compiled kernels with their Python")
def test_compiled_pictures_equal_python_in_every_bit() -> None:
    """All of our scenes, one sample: every kernel on their paths."""
    scenes = sorted(str(path) for path in (ROOT / "scenes").glob("*.rdla"))
    results = []
    for disabled in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disabled}
        run = subprocess.run(
            [sys.executable, "-c", PRINT_SUMS, *scenes], env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        results.append(run.stdout.split())
    assert len(results[0]) == len(scenes)
    assert results[0] == results[1]
