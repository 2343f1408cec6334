"""Each warp follows its density."""

from __future__ import annotations

import math

import numpy as np
import pytest
from chi2 import DISK, HEMISPHERE, SPHERE, assert_follows, cone
from naive import ggx_density, smith_lambda

from arras_ray.kernels import warp

f4 = np.float32
CORNERS = [(a, b) for a in (0.0, 0.5, 1.0 - 2.0**-24) for b in (0.0, 0.25, 0.5, 1.0 - 2.0**-24)]


def test_disk() -> None:
    assert_follows(DISK, warp.sample_disk, lambda p: np.full(len(p), 1.0 / math.pi))


def test_disk_maps_squares_to_circles() -> None:
    """Concentric: points of a square's rim lie on one circle."""
    for r in (0.3, 1.0):
        for s in np.linspace(-1.0, 1.0, 21):
            for a, b in ((1.0, s), (-1.0, s), (s, 1.0), (s, -1.0)):
                x, y = warp.sample_disk(f4((a * r + 1.0) / 2.0), f4((b * r + 1.0) / 2.0))
                assert math.hypot(x, y) == pytest.approx(r, abs=2e-6)


def test_cosine() -> None:
    assert_follows(HEMISPHERE, warp.sample_cosine, lambda w: np.maximum(w[:, 2], 0.0) / math.pi)
    assert warp.cosine_pdf((f4(0), f4(0), f4(0.5))) == pytest.approx(0.5 / math.pi)
    assert warp.cosine_pdf((f4(0), f4(0), f4(-0.5))) == 0.0


def test_sphere() -> None:
    assert_follows(SPHERE, warp.sample_sphere, lambda w: np.full(len(w), float(warp.sphere_pdf())))


@pytest.mark.parametrize("spread", [1e-4, 0.1, 0.9])
def test_cone(spread: float) -> None:
    def density(w: np.ndarray) -> np.ndarray:
        return np.full(len(w), float(warp.cone_pdf(f4(spread))))

    # directions in a narrow cone differ from +z by less than float32 shows in z: test the offset instead
    def sampler(u0: np.float32, u1: np.float32) -> tuple[float, ...]:
        x, y, z = warp.sample_cone(u0, u1, f4(spread))
        if spread >= 0.1:
            return x, y, z
        z = math.sqrt(1.0 - float(x) ** 2 - float(y) ** 2)
        return float(x), float(y), z

    assert_follows(cone(1.0 - spread), sampler, density, tests=3)


@pytest.mark.parametrize("alpha", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("cos", [1.0, 0.6, 0.15])
def test_visible_normals(alpha: float, cos: float) -> None:
    """Density G1 D max(0, wo.h) / wo.z (Heitz 2018)."""
    wo = np.array([math.sqrt(1.0 - cos * cos), 0.0, cos])

    def density(h: np.ndarray) -> np.ndarray:
        g1 = 1.0 / (1.0 + smith_lambda(alpha, np.float64(cos)))
        return g1 * ggx_density(alpha, h[:, 2]) * np.maximum(h @ wo, 0.0) / cos

    local = tuple(f4(x) for x in wo)
    assert_follows(HEMISPHERE, lambda u0, u1: warp.sample_visible_normal(local, f4(alpha), u0, u1), density, tests=9)


@pytest.mark.parametrize("corner", CORNERS)
def test_the_square_s_corners_give_unit_directions(corner: tuple[float, float]) -> None:
    u0, u1 = f4(corner[0]), f4(corner[1])
    wo = (f4(0.6), f4(0.0), f4(0.8))
    for w in (
        warp.sample_cosine(u0, u1),
        warp.sample_sphere(u0, u1),
        warp.sample_cone(u0, u1, f4(0.5)),
        warp.sample_visible_normal(wo, f4(0.2), u0, u1),
        warp.sample_visible_normal((f4(0), f4(0), f4(1)), f4(1e-3), u0, u1),
    ):
        assert np.linalg.norm(np.array(w, "f8")) == pytest.approx(1.0, abs=1e-5)
