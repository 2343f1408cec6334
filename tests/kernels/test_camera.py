"""Pixel filters by their distributions, and the rays of a camera."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from chi2 import chi2_tail
from naive import cubic_distribution, quadratic_distribution

from arras_ray.kernels import camera
from arras_ray.kernels.config import DISABLE_JIT
from arras_ray.kernels.layout import BOX_FILTER, CAMERA, CUBIC_FILTER, QUADRATIC_FILTER, SETTINGS

f4 = np.float32
N = 2_000 if DISABLE_JIT else 50_000
CUBIC = (CUBIC_FILTER, 4.0, cubic_distribution)
QUADRATIC = (QUADRATIC_FILTER, 3.0, quadratic_distribution)
BOX = (BOX_FILTER, 1.0, lambda x: np.clip(x + 0.5, 0.0, 1.0))
FILTERS = pytest.mark.parametrize("case", [BOX, CUBIC, QUADRATIC], ids=["box", "cubic", "quadratic"])


def offsets(kind: int, width: float, n: int = N) -> np.ndarray:
    u = ((np.arange(n) + 0.5) / n).astype("f4")
    return np.array([camera.filter_offset(kind, f4(width), x) for x in u], "f8")


@FILTERS
def test_offsets_have_the_filter_s_distribution(case: tuple[int, float, Callable]) -> None:
    """Kolmogorov and Smirnov's distance of evenly spaced numbers is that of the table alone."""
    kind, support, distribution = case
    x = offsets(kind, support)
    expected = (np.arange(N) + 0.5) / N
    assert np.abs(distribution(x) - expected).max() < 5e-4
    assert np.abs(x).max() <= support / 2.0 + 1e-6


@FILTERS
def test_random_offsets_fill_bins_as_the_filter_says(case: tuple[int, float, Callable]) -> None:
    kind, support, distribution = case
    u = np.random.default_rng(1).random(N, "f4")
    x = np.array([camera.filter_offset(kind, f4(support), v) for v in u], "f8")
    edges = np.linspace(-support / 2.0, support / 2.0, 11)
    expected = np.diff(distribution(edges)) * N
    observed = np.histogram(x, edges)[0]
    keep = expected > 50.0  # the table is straight over the outermost 1/1024, where the filter is not
    statistic = float(((observed - expected)[keep] ** 2 / expected[keep]).sum())
    assert chi2_tail(statistic, int(keep.sum()) - 1) > 1e-3


@pytest.mark.parametrize(
    ("kind", "width", "variance"),
    [(BOX_FILTER, 2.0, 4.0 / 12.0), (CUBIC_FILTER, 3.0, 9.0 / 16.0 / 3.0), (QUADRATIC_FILTER, 3.0, 0.25)],
)
def test_mean_and_variance(kind: int, width: float, variance: float) -> None:
    """A B-spline is a sum of box variables, 1/12 of variance each: cubic 4/12, quadratic 3/12, times scale squared."""
    x = offsets(kind, width)
    assert x.mean() == pytest.approx(0.0, abs=1e-5)
    assert x.var() == pytest.approx(variance, rel=4e-3)


def test_width_zero_is_the_centre_of_the_pixel() -> None:
    for kind in (BOX_FILTER, CUBIC_FILTER, QUADRATIC_FILTER):
        assert np.abs(offsets(kind, 0.0, 50)).max() == 0.0


def records(width: int, height: int, **camera_fields: object) -> tuple[np.record, np.record]:
    c = np.zeros(1, CAMERA).view(np.recarray)
    c["matrix"][0, :3] = np.eye(3)
    c["half_width"], c["half_height"] = 0.4, 0.4 * height / width
    c["near"], c["far"] = 1.0, 100.0
    for name, value in camera_fields.items():
        c[name] = value
    s = np.zeros(1, SETTINGS).view(np.recarray)
    s["width"], s["height"], s["filter"], s["filter_width"] = width, height, BOX_FILTER, 0.0
    return c[0], s[0]


def test_rays_go_through_their_pixels() -> None:
    c, s = records(8, 4)
    for x, y in ((0, 0), (7, 3), (3, 1)):
        o, d, near, far = camera.camera_ray(c, s, x, y, f4(0.3), f4(0.9))
        assert o == (0.0, 0.0, 0.0)
        expected = np.array([0.4 * ((x + 0.5) / 4.0 - 1.0), 0.2 * ((y + 0.5) / 2.0 - 1.0), -1.0])
        assert d == pytest.approx(expected / np.linalg.norm(expected), rel=1e-6)
        # planes perpendicular to the axis
        assert near * -d[2] == pytest.approx(1.0, rel=1e-6)
        assert far * -d[2] == pytest.approx(100.0, rel=1e-6)


def test_a_turned_and_moved_camera() -> None:
    matrix = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [5.0, 6.0, 7.0]])
    c, s = records(2, 2, matrix=matrix)
    o, d, _, _ = camera.camera_ray(c, s, 0, 0, f4(0.5), f4(0.5))
    assert o == (5.0, 6.0, 7.0)
    back = np.array([-0.2, -0.2, -1.0]) @ matrix[:3]
    assert d == pytest.approx(back / np.linalg.norm(back), abs=1e-6)


def test_the_film_s_centre_moves_the_picture() -> None:
    c, s = records(2, 2, x=0.1, y=-0.05)
    directions = [camera.camera_ray(c, s, x, y, f4(0.5), f4(0.5))[1] for x in (0, 1) for y in (0, 1)]
    slopes = np.array([(d[0] / -d[2], d[1] / -d[2]) for d in directions], "f8")
    assert slopes.mean(axis=0) == pytest.approx([0.1, -0.05], abs=1e-6)
    assert math.isclose(np.ptp(slopes[:, 0]), 0.4, rel_tol=1e-5)
