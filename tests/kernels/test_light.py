"""Lights: samples follow their density, hit the light at the distance told, and no direction is left out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from chi2 import SPHERE, assert_follows, draw, integrate

from arras_ray.kernels import light as lights
from arras_ray.kernels.config import DISABLE_JIT
from arras_ray.kernels.layout import ENV_LIGHT, LIGHT, RECT_LIGHT, REGULAR, REVERSE, SPHERE_LIGHT, TWO_SIDED

f4 = np.float32
NORMAL = (f4(0), f4(0), f4(1))
CELLS = (5, 5) if DISABLE_JIT else (20, 20)


def as_tuple(v: object) -> tuple[np.float32, ...]:
    return tuple(f4(x) for x in v)  # type: ignore[attr-defined]


def rect(centre=(0.3, -0.2, 2.0), u=(1.0, 0.0, 0.4), v=(0.0, 0.7, 0.0), sidedness=REGULAR) -> np.record:
    record = np.zeros(1, LIGHT).view(np.recarray)
    normal = np.cross(u, v)
    size = np.linalg.norm(normal)
    normal = normal / size
    if normal @ np.array(centre) > 0.0:
        normal = -normal
    record["kind"], record["sidedness"] = RECT_LIGHT, sidedness
    record["position"], record["u_axis"], record["v_axis"] = centre, u, v
    record["normal"], record["area"] = normal, 4.0 * size
    return record[0]


def sphere(centre=(0.5, 0.3, 2.0), radius=1.0, sidedness=REGULAR) -> np.record:
    record = np.zeros(1, LIGHT).view(np.recarray)
    record["kind"], record["sidedness"], record["radius"] = SPHERE_LIGHT, sidedness, radius
    record["position"], record["area"] = centre, 4.0 * math.pi * radius**2
    return record[0]


def sky() -> np.record:
    record = np.zeros(1, LIGHT).view(np.recarray)
    record["kind"] = ENV_LIGHT
    return record[0]


ORIGIN = (f4(0), f4(0), f4(0))
INSIDE = (f4(0.2), f4(0.3), f4(1.5))
CASES = {
    "rect": (rect(), ORIGIN),
    "rect seen aslant": (rect(), as_tuple((2.0, 1.0, 0.5))),
    "rect, both sides": (rect(sidedness=TWO_SIDED), as_tuple((0.0, 0.0, 4.0))),
    "sphere": (sphere(), ORIGIN),
    "sphere from close": (sphere(), as_tuple((0.5, 0.3, 0.9))),
    "sphere from inside, lit inwards": (sphere(sidedness=REVERSE), INSIDE),
    "sphere from outside, lit inwards": (sphere(sidedness=REVERSE), ORIGIN),
}
ALL = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def density(light: np.record, p: tuple[np.float32, ...]):
    """light_pdf where intersect_light meets the light, else 0."""

    def of(w: np.ndarray) -> np.ndarray:
        values = np.zeros(len(w))
        for i, d in enumerate(w.astype("f4")):
            t = lights.intersect_light(light, p, as_tuple(d))
            if light.kind == ENV_LIGHT or t < np.inf:
                values[i] = lights.light_pdf(light, p, as_tuple(d), NORMAL, f4(t))
        return values

    return of


def sampler(light: np.record, p: tuple[np.float32, ...]):
    def draw_one(u0: np.float32, u1: np.float32) -> tuple[float, ...] | None:
        d, _, pdf = lights.sample_light(light, p, NORMAL, u0, u1)
        return d if pdf > 0.0 else None

    return draw_one


@ALL
def test_samples_hit_the_light_at_the_distance_and_density_told(case: tuple[np.record, tuple]) -> None:
    light, p = case
    n = 0
    for u0, u1 in np.random.default_rng(1).random((300, 2), "f4"):
        d, distance, pdf = lights.sample_light(light, p, NORMAL, u0, u1)
        if pdf <= 0.0:
            continue
        assert np.linalg.norm(np.array(d, "f8")) == pytest.approx(1.0, abs=1e-5)
        t = lights.intersect_light(light, p, as_tuple(d))
        if not np.isfinite(t) and rim(light, p, d):
            continue
        n += 1
        assert t == pytest.approx(distance, rel=2e-3)
        assert lights.light_pdf(light, p, as_tuple(d), NORMAL, f4(t)) == pytest.approx(pdf, rel=2e-2)
    assert n > 100


def rim(light: np.record, p: tuple[np.float32, ...], d: tuple[np.float32, ...]) -> bool:
    """Whether a ray grazes a sphere, or a rectangle's edge, closer than float32 can tell."""
    to = np.array(light.position, "f8") - np.array(p, "f8")
    w = np.array(d, "f8")
    if light.kind == SPHERE_LIGHT:
        return bool(abs(np.linalg.norm(to - (to @ w) * w) / light.radius - 1.0) < 1e-4)
    t = to @ np.array(light.normal) / (w @ np.array(light.normal))
    q = t * w - to
    return any(abs(abs(q @ a) / (a @ a) - 1.0) < 1e-5 for a in (np.array(light.u_axis), np.array(light.v_axis)))


@ALL
def test_densities_integrate_to_what_is_sampled(case: tuple[np.record, tuple]) -> None:
    """Over all directions that meet the light: 1, less what sampling throws away."""
    light, p = case
    n = 400 if DISABLE_JIT else 4000
    _, thrown = draw(sampler(light, p), n, 2)
    share = 1.0 - thrown / n
    total = integrate(SPHERE, density(light, p), CELLS).sum()
    assert total == pytest.approx(share, abs=0.04 + 3.0 / math.sqrt(n))


@pytest.mark.parametrize("name", ["sphere", "sphere from inside, lit inwards", "sphere from outside, lit inwards"])
def test_directions_by_a_light_s_own_parameters(name: str) -> None:
    """The mean of 1 / pdf over samples is the solid angle under which the light is seen."""
    light, p = CASES[name]
    n = 2000 if DISABLE_JIT else 20000
    inverse = []
    for u0, u1 in np.random.default_rng(3).random((n, 2), "f4"):
        _, _, pdf = lights.sample_light(light, p, NORMAL, u0, u1)
        inverse.append(1.0 / float(pdf) if pdf > 0.0 else 0.0)
    distance = np.linalg.norm(np.array(light.position, "f8") - np.array(p, "f8"))
    ratio = float(light.radius / distance)
    solid = 4.0 * math.pi if ratio >= 1.0 else 2.0 * math.pi * (1.0 - math.sqrt(1.0 - ratio**2))
    error = float(np.std(inverse)) / math.sqrt(n)
    assert np.mean(inverse) == pytest.approx(solid, abs=4.0 * error + 1e-4 * solid)


def test_a_sky_s_samples_follow_their_density() -> None:
    light = sky()
    assert_follows(SPHERE, sampler(light, ORIGIN), lambda w: np.maximum(w[:, 2], 0.0) / math.pi)
    d, distance, pdf = lights.sample_light(light, ORIGIN, NORMAL, f4(0.3), f4(0.6))
    assert distance == np.inf
    assert lights.light_pdf(light, ORIGIN, as_tuple(d), NORMAL, f4(np.inf)) == pytest.approx(pdf)
    assert lights.intersect_light(light, ORIGIN, NORMAL) == np.inf


def test_rect_samples_are_uniform_on_the_rect() -> None:
    light = rect(u=(1.0, 0.0, 0.0), v=(0.0, 0.7, 0.0))
    a, b = [], []
    for u0, u1 in np.random.default_rng(4).random((500, 2), "f4"):
        d, distance, _ = lights.sample_light(light, ORIGIN, NORMAL, u0, u1)
        q = np.array(d, "f8") * distance - light.position
        assert q[2] == pytest.approx(0.0, abs=1e-5)
        a.append(q[0])
        b.append(q[1] / 0.7)
    for x in (a, b):
        assert np.abs(x).max() <= 1.0 + 1e-5
        assert np.mean(x) == pytest.approx(0.0, abs=4.0 / math.sqrt(3 * 500))
        assert np.var(x) == pytest.approx(1.0 / 3.0, rel=0.15)


def test_the_dark_side_of_a_rect_gives_nothing() -> None:
    behind = as_tuple((0.0, 0.0, 4.0))
    light = rect()
    _, _, pdf = lights.sample_light(light, behind, NORMAL, f4(0.5), f4(0.5))
    assert pdf == 0.0
    assert lights.intersect_light(light, behind, as_tuple((0.0, 0.0, -1.0))) == np.inf
    assert lights.intersect_light(light, ORIGIN, as_tuple((0.0, 0.0, 1.0))) < np.inf


def test_inside_a_sphere_that_is_lit_outwards_there_is_nothing() -> None:
    light = sphere()
    _, _, pdf = lights.sample_light(light, INSIDE, NORMAL, f4(0.5), f4(0.5))
    assert pdf == 0.0
    assert lights.intersect_light(light, INSIDE, NORMAL) == np.inf


def test_rays_along_a_rect_s_plane_and_on_its_edge() -> None:
    light = rect(centre=(0.0, 0.0, 2.0), u=(1.0, 0.0, 0.0), v=(0.0, 1.0, 0.0))
    along = as_tuple((1.0, 0.0, 0.0))
    assert lights.intersect_light(light, as_tuple((-5.0, 0.0, 2.0)), along) == np.inf
    edge = as_tuple(np.array([1.0, 0.0, 2.0]) / math.sqrt(5.0))
    outside = as_tuple(np.array([1.001, 0.0, 2.0]) / math.hypot(1.001, 2.0))
    assert lights.intersect_light(light, ORIGIN, edge) in (np.inf, pytest.approx(math.sqrt(5.0), rel=1e-5))
    assert lights.intersect_light(light, ORIGIN, outside) == np.inf
    assert lights.intersect_light(light, ORIGIN, as_tuple((0.0, 0.0, -1.0))) == np.inf


def test_power_heuristic() -> None:
    assert lights.power_heuristic(1, f4(1), 1, f4(1)) == pytest.approx(0.5)
    assert lights.power_heuristic(1, f4(1), 1, f4(0)) == 1.0
    assert lights.power_heuristic(2, f4(1), 1, f4(1)) == pytest.approx(0.8)
    for a, b in np.random.default_rng(5).random((50, 2), "f4"):
        both = lights.power_heuristic(4, a, 2, b) + lights.power_heuristic(2, b, 4, a)
        assert both == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(("a", "b"), [(1e12, 1.0), (1e12, 1e12), (1.0, 1e12), (1e15, 1e-6)])
def test_power_heuristic_of_tiny_lights_stays_finite(a: float, b: float) -> None:
    weight = lights.power_heuristic(1, f4(a), 1, f4(b))
    assert weight == pytest.approx(a * a / (a * a + b * b), rel=1e-5)
