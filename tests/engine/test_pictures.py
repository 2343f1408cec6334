"""Pictures compared by their variance: what the Z-test lets pass and what it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pictures import ztest
from small_scenes import picture

from arras_ray.engine import from_context
from arras_ray.scene import read_scene

CORNELL_BOX = Path(__file__).parents[2] / "scenes" / "cornell_box.rdla"
SPP, SEEDS = 96, 12


def noise(seed: int, n: int = 8, shape: tuple[int, ...] = (64, 64, 3)) -> np.ndarray:
    """n pictures of mean 1 with skewed noise."""
    return np.random.default_rng(seed).exponential(1.0, (n, *shape))


def compare(a: np.ndarray, b: np.ndarray):
    return ztest.block_z_test(*ztest.mean_and_variance(a), *ztest.mean_and_variance(b))


def test_noise_of_the_same_mean_passes_about_as_often_as_said() -> None:
    failures = sum(not compare(noise(2 * i), noise(2 * i + 1)).passed for i in range(100))
    assert failures <= 6, "1 of 100 is expected, more with skewed noise"


def test_z_has_unit_variance() -> None:
    z = np.concatenate([compare(noise(2 * i), noise(2 * i + 1)).z.ravel() for i in range(20)])
    assert z.std() == pytest.approx(1.0, abs=0.05)
    assert z.mean() == pytest.approx(0.0, abs=0.05)


def test_one_block_off_fails() -> None:
    other = noise(2, n=32)
    other[:, 8:16, 24:32, 1] *= 1.2
    result = compare(noise(1, n=32), other)
    assert not result.passed
    row, column, channel = np.unravel_index(np.abs(result.z).argmax(), result.z.shape)
    assert (row, column, channel) == (1, 3, 1)


def test_pictures_without_noise() -> None:
    flat = np.ones((4, 16, 16, 3))
    assert compare(flat, flat).passed
    assert not compare(flat, flat + 1e-9).passed


def test_borders_that_fill_no_block_are_left_out() -> None:
    assert compare(noise(1, shape=(19, 10, 3)), noise(2, shape=(19, 10, 3))).z.shape == (2, 1, 3)


def cornell_box(first_seed: int, albedo: tuple[str, float] | None = None) -> np.ndarray:
    """(SEEDS, 64, 64, 3) pictures; albedo: a material and what its colour is multiplied by."""
    context = read_scene([CORNELL_BOX])
    if albedo is not None:
        name, factor = albedo
        context[name].set("albedo", tuple(factor * c for c in context[name].get("albedo")))
    pictures = []
    for seed in range(first_seed, first_seed + SEEDS):
        engine = from_context(context, {"width": 64, "height": 64, "spp": SPP, "seed": seed})
        pictures.append(picture(engine, SPP)[..., :3])
        engine.close()
    return np.array(pictures)


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    return cornell_box(1)


def test_the_same_scene_with_other_seeds_passes(reference: np.ndarray) -> None:
    result = compare(reference, cornell_box(1000))
    assert result.passed, f"{result.largest} of {result.allowed}"


SLOW = pytest.mark.slow


@pytest.mark.parametrize("wall", ["red", pytest.param("green", marks=SLOW), pytest.param("white", marks=SLOW)])
def test_two_percent_of_one_albedo_fail(reference: np.ndarray, wall: str) -> None:
    result = compare(reference, cornell_box(2000, (wall, 0.98)))
    assert not result.passed, f"{result.largest} of {result.allowed}"
    assert result.largest > 1.2 * result.allowed, "told by a margin, not by luck"
