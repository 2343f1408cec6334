"""The chi-squared test itself: its tail, and that it tells right samples from wrong ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from chi2 import HEMISPHERE, SAMPLES, SPHERE, assert_follows, chi2_tail, integrate


@pytest.mark.parametrize(
    ("statistic", "degrees", "tail"),
    [(3.841459, 1, 0.05), (5.991465, 2, 0.05), (18.307038, 10, 0.05), (124.342113, 100, 0.05), (149.449253, 100, 1e-3)],
)
def test_tail_agrees_with_tables(statistic: float, degrees: int, tail: float) -> None:
    assert chi2_tail(statistic, degrees) == pytest.approx(tail, rel=1e-5)


def test_tail_of_two_degrees_is_an_exponential() -> None:
    for x in (0.1, 1.0, 7.0, 30.0):
        assert chi2_tail(x, 2) == pytest.approx(math.exp(-x / 2.0), rel=1e-10)


def uniform_sphere(u0: np.float32, u1: np.float32) -> tuple[float, ...]:
    z = 1.0 - 2.0 * float(u0)
    r = math.sqrt(max(0.0, 1.0 - z * z))
    return r * math.cos(2.0 * math.pi * u1), r * math.sin(2.0 * math.pi * u1), z


def constant(density: float):
    return lambda w: np.full(len(w), density)


def test_right_samples_pass() -> None:
    assert_follows(SPHERE, uniform_sphere, constant(0.25 / math.pi))


def test_a_density_a_little_off_fails() -> None:
    def tilted(w: np.ndarray) -> np.ndarray:
        return (1.0 + 0.2 * w[:, 2]) * 0.25 / math.pi

    with pytest.raises(AssertionError, match="do not follow"):
        assert_follows(SPHERE, uniform_sphere, tilted)


def test_a_density_that_is_too_small_fails() -> None:
    with pytest.raises(AssertionError, match="do not follow"):
        assert_follows(SPHERE, uniform_sphere, constant(0.2 / math.pi))


def test_a_density_above_one_in_all_fails() -> None:
    with pytest.raises(AssertionError, match="integrates"):
        assert_follows(SPHERE, uniform_sphere, constant(0.3 / math.pi))


def test_samples_outside_the_domain_fail() -> None:
    with pytest.raises(AssertionError, match="outside"):
        assert_follows(HEMISPHERE, uniform_sphere, constant(0.5 / math.pi))


def test_integrals_over_the_hemisphere() -> None:
    assert integrate(HEMISPHERE, lambda w: w[:, 2] / math.pi).sum() == pytest.approx(1.0, rel=1e-4)
    assert SAMPLES >= 1000
