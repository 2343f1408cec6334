"""3-vectors, sines by polynomials, frames, transforms."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from arras_ray.kernels import vec
from arras_ray.kernels.config import DISABLE_JIT

f4 = np.float32
N = 200 if DISABLE_JIT else 5000


def vectors(seed: int, n: int = N) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3)).astype("f4")


def as_tuple(v: Iterable[float]) -> tuple[np.float32, ...]:
    return tuple(f4(x) for x in v)


def unit_vectors(seed: int, n: int = N) -> np.ndarray:
    v = vectors(seed, n).astype("f8")
    return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype("f4")


AXES = [(0, 0, 1), (0, 0, -1), (1, 0, 0), (0, -1, 0), (1e-4, 0, -1), (0, 0, -0.99999994)]


def test_sincos_of_a_turn() -> None:
    turns = np.concatenate([np.linspace(0.0, 1.0, N), [0.125, 0.25, 0.375, 0.5, 0.75, 1.0]]).astype("f4")
    got = np.array([vec.sincos_turn(u) for u in turns], "f8")
    angle = 2.0 * np.pi * turns.astype("f8")
    assert np.abs(got - np.stack([np.sin(angle), np.cos(angle)], 1)).max() < 2e-6
    assert np.abs(np.linalg.norm(got, axis=1) - 1.0).max() < 3e-6


def test_sincos_of_a_quarter_is_odd_and_even() -> None:
    for x in np.linspace(0.0, 0.5, 50).astype("f4"):
        s, c = vec.sincos_quarter(x)
        assert vec.sincos_quarter(-x) == (-s, c)


@pytest.mark.parametrize("axis", AXES)
def test_frames_at_the_poles(axis: tuple[float, float, float]) -> None:
    n = np.array(axis, "f8") / np.linalg.norm(axis)
    assert_frame(n.astype("f4"))


def test_frames_are_orthonormal_and_right_handed() -> None:
    for n in unit_vectors(3):
        assert_frame(n)


def assert_frame(n: np.ndarray) -> None:
    s, t = vec.frame(as_tuple(n))
    basis = np.array([s, t, n], "f8")
    assert np.abs(basis @ basis.T - np.eye(3)).max() < 2e-6
    assert np.linalg.det(basis) == pytest.approx(1.0, abs=2e-6)


def test_local_and_world_are_inverse() -> None:
    for n, w in zip(unit_vectors(4, 200), unit_vectors(5, 200), strict=True):
        s, t = vec.frame(as_tuple(n))
        s, t = as_tuple(s), as_tuple(t)
        local = as_tuple(vec.to_local(s, t, as_tuple(n), as_tuple(w)))
        assert vec.to_world(s, t, as_tuple(n), local) == pytest.approx(as_tuple(w), abs=2e-6)


def test_normalize() -> None:
    for v in vectors(6, 200):
        assert vec.normalize(as_tuple(v)) == pytest.approx(v / np.linalg.norm(v.astype("f8")), rel=1e-6)
    zero = (f4(0), f4(0), f4(0))
    assert vec.normalize(zero) == zero


def test_reflection_keeps_the_angle_and_is_its_own_inverse() -> None:
    for n, w in zip(unit_vectors(7, 200), unit_vectors(8, 200), strict=True):
        r = as_tuple(vec.reflect(as_tuple(w), as_tuple(n)))
        assert vec.dot(r, as_tuple(n)) == pytest.approx(vec.dot(as_tuple(w), as_tuple(n)), abs=2e-6)
        assert vec.reflect(r, as_tuple(n)) == pytest.approx(as_tuple(w), abs=2e-6)


def test_transforms_of_points_vectors_and_normals() -> None:
    rng = np.random.default_rng(9)
    for _ in range(50):
        m = rng.normal(size=(4, 3))
        inverse = np.linalg.inv(m[:3])
        p, v, n = rng.normal(size=(3, 3))
        m4, i4 = m.astype("f4"), inverse.astype("f4")
        assert vec.transform_point(m4, as_tuple(p)) == pytest.approx(p @ m[:3] + m[3], abs=1e-5)
        assert vec.transform_vector(m4, as_tuple(v)) == pytest.approx(v @ m[:3], abs=1e-5)
        # a vector in the plane stays in the plane whose normal is transformed
        across = np.cross(n, v)
        world_normal = np.array(vec.transform_normal(i4, as_tuple(n)), "f8")
        world_across = across @ m[:3]
        size = np.linalg.norm(world_normal) * np.linalg.norm(world_across)
        assert abs(world_normal @ world_across) < 1e-5 * max(1.0, size)


def test_barycentric_mean() -> None:
    a, b, c = ((f4(1), f4(0), f4(0)), (f4(0), f4(1), f4(0)), (f4(0), f4(0), f4(1)))
    assert vec.lerp3(a, b, c, f4(0.25), f4(0.5)) == (0.25, 0.25, 0.5)
    assert vec.lerp3(a, b, c, f4(0), f4(0)) == a
    assert vec.lerp3(a, b, c, f4(0), f4(1)) == c


@pytest.mark.skipif(DISABLE_JIT, reason="compares compiled kernels with their Python")
@pytest.mark.parametrize("name", ["dot", "cross", "add", "sub", "mul", "reflect"])
def test_compiled_equals_python_in_every_bit(name: str) -> None:
    kernel = getattr(vec, name)
    for a, b in zip(vectors(10, 300), vectors(11, 300), strict=True):
        compiled = np.array(kernel(as_tuple(a), as_tuple(b)), "f4")
        plain = np.array(kernel.py_func(as_tuple(a), as_tuple(b)), "f4")
        assert compiled.tobytes() == plain.tobytes()


@pytest.mark.skipif(DISABLE_JIT, reason="compares compiled kernels with their Python")
def test_compiled_sines_equal_python_in_every_bit() -> None:
    for u in np.random.default_rng(12).random(500, "f4"):
        assert vec.sincos_turn(u) == vec.sincos_turn.py_func(u)
