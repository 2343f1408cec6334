"""Whether samples follow the density claimed for them: Pearson's chi-squared test over a two-dimensional domain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from arras_ray.kernels.config import DISABLE_JIT

SIGNIFICANCE = 1e-3
"""Chance that any of the tests of one call fails by luck. Seeds are fixed, so a test that passes goes on passing."""

SAMPLES = 2_000 if DISABLE_JIT else 50_000
CELLS = (5, 8) if DISABLE_JIT else (16, 32)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
"""Where and how much a density counts on a side of a cell over which it is integrated."""

MIN_EXPECTED = 5.0
"""Cells that expect fewer samples are pooled."""

Sampler = Callable[[np.float32, np.float32], tuple[float, ...] | None]
"""Two numbers in [0, 1) to a point of the domain, or None for a sample that is thrown away."""

Density = Callable[[np.ndarray], np.ndarray]
"""(n, k) points to (n,) densities, per unit of the domain's area."""


@dataclass(frozen=True)
class Domain:
    """A rectangle of parameters (a, b), the points they stand for and how much area a step of them covers."""

    low: tuple[float, float]
    high: tuple[float, float]
    point: Callable[[np.ndarray, np.ndarray], np.ndarray]
    parameters: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    stretch: Callable[[np.ndarray, np.ndarray], np.ndarray]


def _direction(z: np.ndarray, phi: np.ndarray) -> np.ndarray:
    r = np.sqrt(np.maximum(0.0, 1.0 - z * z))
    return np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=-1)


def _angles(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return w[:, 2], np.arctan2(w[:, 1], w[:, 0]) % (2.0 * np.pi)


def _one(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.ones_like(a)


SPHERE = Domain((-1.0, 0.0), (1.0, 2.0 * np.pi), _direction, _angles, _one)
"""Directions by (z, phi): equal areas."""

HEMISPHERE = Domain((0.0, 0.0), (1.0, 2.0 * np.pi), _direction, _angles, _one)

DISK = Domain(
    (0.0, 0.0),
    (1.0, 2.0 * np.pi),
    lambda r2, phi: np.stack([np.sqrt(r2) * np.cos(phi), np.sqrt(r2) * np.sin(phi)], axis=-1),
    lambda p: (p[:, 0] ** 2 + p[:, 1] ** 2, np.arctan2(p[:, 1], p[:, 0]) % (2.0 * np.pi)),
    lambda r2, phi: np.full_like(r2, 0.5),
)
"""Points by (r^2, phi)."""


def cone(cos_max: float) -> Domain:
    """Directions within an angle of +z."""
    return Domain((cos_max, 0.0), (1.0, 2.0 * np.pi), _direction, _angles, _one)


def integrate(domain: Domain, density: Density, cells: tuple[int, int] = CELLS) -> np.ndarray:
    """The density's integral over each cell of the domain, by Gauss and Legendre."""
    sides, weights = [], []
    for low, high, n in zip(domain.low, domain.high, cells, strict=True):
        width = (high - low) / n
        sides.append((low + width * (np.arange(n)[:, None] + 0.5 + NODES / 2.0)).ravel())
        weights.append(np.tile(WEIGHTS * width / 2.0, n))
    a, b = (x.ravel() for x in np.meshgrid(*sides, indexing="ij"))
    values = density(domain.point(a, b)) * domain.stretch(a, b) * np.outer(*weights).ravel()
    shape = (cells[0], len(NODES), cells[1], len(NODES))
    cell: np.ndarray = values.reshape(shape).sum(axis=(1, 3))
    return cell


def draw(sampler: Sampler, n: int, seed: int) -> tuple[np.ndarray, int]:
    """(m, k) points and how many of n samples were thrown away."""
    numbers = np.random.default_rng(seed).random((n, 2), "f4")
    points = [sampler(u0, u1) for u0, u1 in numbers]
    kept = [point for point in points if point is not None]
    return np.array(kept, "f8"), n - len(kept)


def assert_follows(domain: Domain, sampler: Sampler, density: Density, tests: int = 1, seed: int = 1) -> None:
    """Samples fall as the density says, cell by cell, and what the density lacks to 1 is what is thrown away.

    tests: how many such tests belong together (Sidak's correction).
    """
    points, thrown = draw(sampler, SAMPLES, seed)
    a, b = domain.parameters(points)
    slack = [1e-5 * (high - low) for low, high in zip(domain.low, domain.high, strict=True)]
    for x, low, high, s in zip((a, b), domain.low, domain.high, slack, strict=True):
        assert x.min() >= low - s, "a sample fell outside the domain"
        assert x.max() <= high + s, "a sample fell outside the domain"
    edges = [np.linspace(low, high, n + 1) for low, high, n in zip(domain.low, domain.high, CELLS, strict=True)]
    inside = [np.clip(x, e[0], np.nextafter(e[-1], e[0])) for x, e in zip((a, b), edges, strict=True)]
    observed = np.histogram2d(*inside, bins=edges)[0]
    share = integrate(domain, density)
    assert share.sum() <= 1.0 + 5e-3, f"the density integrates to {share.sum()}"
    expected = share * SAMPLES
    o = np.append(observed.ravel(), thrown)
    e = np.append(expected.ravel(), max(0.0, SAMPLES - expected.sum()))
    p = p_value(o, e)
    limit = 1.0 - (1.0 - SIGNIFICANCE) ** (1.0 / tests)
    assert p > limit, f"samples do not follow their density: p = {p:.3g}, limit {limit:.3g}"


def p_value(observed: np.ndarray, expected: np.ndarray) -> float:
    """Chance of counts at least this far from what is expected; small cells pooled, rarest first."""
    order = np.argsort(expected)
    o, e = observed[order], expected[order]
    n = int((e < MIN_EXPECTED).sum())
    while 0 < n < len(e) and e[:n].sum() < MIN_EXPECTED:
        n += 1
    if n:
        o = np.append(o[n:], o[:n].sum())
        e = np.append(e[n:], e[:n].sum())
    statistic = float(((o - e) ** 2 / np.maximum(e, 1e-12)).sum())
    return chi2_tail(statistic, len(e) - 1)


def chi2_tail(statistic: float, degrees: int) -> float:
    """P(chi2 > statistic): the upper incomplete gamma function by its series or continued fraction."""
    a, x = degrees / 2.0, statistic / 2.0
    if x <= 0.0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1.0:
        term = total = 1.0 / a
        n = a
        while term > total * 1e-15:
            n += 1.0
            term *= x / n
            total += term
        return 1.0 - front * total
    b = x + 1.0 - a
    c, d = 1e300, 1.0 / b
    h = d
    for i in range(1, 100_000):
        an = -i * (i - a)
        b += 2.0
        d = 1.0 / (an * d + b)
        c = b + an / c
        h *= d * c
        if abs(d * c - 1.0) < 1e-14:
            break
    return front * h
